/* The volume's thread looks twice a second at the shards that it leads, and does what placement_decide says. */
#include "proto/base/assert.h"
#include "proto/base/hash.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "storage/node/leftovers.h"
#include "storage/node/node_table.h"
#include "storage/node/peers.h"
#include "storage/node/placement.h"

#define PLACEMENT_MS 500
#define UP_MS 1000      /* a link that came up just now may go again */
#define STEADY_MS 10000 /* a node that flaps should not get leaderships each time */
#define TRANSFER_MS 10000
#define TRANSFERS_MAX 8 /* a run */

_Static_assert(DIR_NODES_LIVE_MAX <= RAFT_SERVERS_MAX, "each node is in the directory's group");

METRIC_GAUGE(metric_settled, "pillarbox_shards_settled",
             "Shards led by this node whose group is as it should be, all replicas caught up");
METRIC_GAUGE(metric_voters, "pillarbox_shards_voters", "Voters of the shards led by this node");

/* What the last look at a shard that is led here found, for readers. */
struct placement_seen {
    bool led;
    bool settled;
    struct volume_status st;
};

struct placement {
    uint64_t next_ms;
    size_t n_nodes;
    struct node_id highest;
    struct placement_node nodes[DIR_NODES_ROWS_MAX];
    uint64_t up_since_ms[DIR_NODES_ROWS_MAX]; /* of nodes[i]; UINT64_MAX: not up */
    struct dir_cluster cluster;
    struct node_table_pin *pins; /* by shard */
    unsigned transfers;          /* begun in this run */
    unsigned changes;
    pthread_mutex_t mutex;       /* seen */
    struct placement_seen *seen; /* by shard */
    uint64_t shards[];           /* when leadership was last handed over, by shard */
};

enum err placement_new(struct node *n, struct placement **out)
{
    struct placement *p = mem_zalloc(sizeof(*p) + n->n_shards * sizeof(p->shards[0]));
    struct placement_seen *seen = mem_zalloc(n->n_shards * sizeof(*seen));
    struct node_table_pin *pins = mem_zalloc(n->n_shards * sizeof(*pins));
    if (p == NULL || seen == NULL || pins == NULL) {
        mem_free(p);
        mem_free(seen);
        mem_free(pins);
        return ERR_NOMEM;
    }
    p->seen = seen;
    p->pins = pins;
    ASSERT(pthread_mutex_init(&p->mutex, NULL) == 0);
    *out = p;
    return OK;
}

void placement_free(struct placement *p)
{
    ASSERT(pthread_mutex_destroy(&p->mutex) == 0);
    mem_free(p->seen);
    mem_free(p->pins);
    mem_free(p);
}

/* st NULL: the shard is not led here. */
static void seen_set(struct placement *p, size_t shard, const struct volume_status *st, bool settled)
{
    ASSERT(pthread_mutex_lock(&p->mutex) == 0);
    struct placement_seen *s = &p->seen[shard];
    s->led = st != NULL;
    s->settled = settled;
    if (st != NULL) {
        s->st = *st;
    }
    ASSERT(pthread_mutex_unlock(&p->mutex) == 0);
}

bool placement_seen(struct node *n, struct shard_id shard, struct volume_status *out, bool *out_settled)
{
    struct placement *p = n->placement;
    bool led = false;
    ASSERT(pthread_mutex_lock(&p->mutex) == 0);
    if (shard.v < n->n_shards && p->seen[shard.v].led) {
        led = true;
        *out = p->seen[shard.v].st;
        *out_settled = p->seen[shard.v].settled;
    }
    ASSERT(pthread_mutex_unlock(&p->mutex) == 0);
    return led;
}

static uint64_t up_since(const struct placement *p, struct node_id id)
{
    for (size_t i = 0; i < p->n_nodes; i++) {
        if (p->nodes[i].id.v == id.v) {
            return p->up_since_ms[i];
        }
    }
    return UINT64_MAX;
}

static bool up_for(uint64_t since_ms, uint64_t now_ms, uint64_t ms)
{
    return since_ms != UINT64_MAX && now_ms - since_ms >= ms;
}

/* The claimed and not removed rows, with what the links say. */
static void look_at_nodes(struct node *n, struct placement *p, uint64_t now_ms)
{
    const uint64_t no_zone = hash_stable("", 0);
    struct node_table_row rows[DIR_NODES_ROWS_MAX];
    struct placement_node nodes[DIR_NODES_ROWS_MAX];
    uint64_t since[DIR_NODES_ROWS_MAX];
    size_t n_rows = node_table_list(n, rows, DIR_NODES_ROWS_MAX);
    size_t count = 0;
    for (size_t i = 0; i < n_rows; i++) {
        bool self = rows[i].id.v == n->identity.node.v;
        if (rows[i].removed || !rows[i].claimed) {
            continue;
        }
        uint64_t was = self ? 0 : up_since(p, rows[i].id);
        since[count] = !self && !peers_is_up(n->peers, rows[i].id) ? UINT64_MAX : was == UINT64_MAX ? now_ms : was;
        nodes[count] = (struct placement_node){.id = rows[i].id,
                                               .up = up_for(since[count], now_ms, UP_MS),
                                               .steady = up_for(since[count], now_ms, STEADY_MS),
                                               .draining = rows[i].draining,
                                               .away = rows[i].away,
                                               /* nodes without a zone are each one of their own */
                                               .zone = rows[i].zone == no_zone ? rows[i].id.v : rows[i].zone};
        count++;
    }
    memcpy(p->nodes, nodes, count * sizeof(nodes[0]));
    memcpy(p->up_since_ms, since, count * sizeof(since[0]));
    p->n_nodes = count;
    p->highest = n_rows > 0 ? rows[n_rows - 1].id : (struct node_id){0};
    p->cluster = node_table_cluster(n);
    node_table_pins(n, p->pins);
}

static void change(struct node *n, struct placement *p, struct shard_id shard, const struct placement_step *step)
{
    enum err e = volume_change(n->volume, shard, step->servers, step->n_servers);
    p->changes += e == OK;
    if (e != OK && e != ERR_LOCKED) {
        log_warn("placement.refused", "a group cannot change; it will be tried again", LOG_U64("shard", shard.v),
                 LOG_U64("servers", step->n_servers), LOG_ERR(e));
    }
}

static void transfer(struct node *n, struct placement *p, struct shard_id shard, struct node_id to, uint64_t now_ms)
{
    if (p->transfers >= TRANSFERS_MAX || now_ms - p->shards[shard.v] < TRANSFER_MS) {
        return;
    }
    p->shards[shard.v] = now_ms;
    p->transfers++;
    enum err e = volume_transfer(n->volume, shard, to);
    log_debug("placement.transfer", "leadership is handed over", LOG_U64("shard", shard.v), LOG_U64("to", to.v),
              LOG_ERR(e));
}

uint64_t placement_run(struct node *n, uint64_t now_ms)
{
    struct placement *p = n->placement;
    if (now_ms < p->next_ms) {
        return p->next_ms - now_ms;
    }
    p->next_ms = now_ms + PLACEMENT_MS;
    p->transfers = 0;
    p->changes = 0;
    look_at_nodes(n, p, now_ms);
    int64_t settled = 0;
    int64_t voters = 0;
    for (uint32_t i = 0; i < n->n_shards; i++) {
        struct placement_step step;
        struct volume_status st;
        uint64_t term;
        if (!volume_leads(n->volume, n->shards[i].id, &term) || volume_status(n->volume, n->shards[i].id, &st) != OK) {
            seen_set(p, i, NULL, false);
            continue;
        }
        const struct placement_table t = {p->nodes, p->n_nodes, p->highest, p->cluster.replicas, p->pins};
        placement_decide(&st, n->identity.node, n->shards[i].id, &t, &step);
        seen_set(p, i, &st, step.settled);
        settled += step.settled;
        voters += (int64_t)step.voters;
        if (step.act == PLACEMENT_CHANGE) {
            change(n, p, n->shards[i].id, &step);
        } else if (step.act == PLACEMENT_TRANSFER) {
            transfer(n, p, n->shards[i].id, step.to, now_ms);
        }
    }
    if (p->changes > 0) {
        log_info("placement.change", "groups of shards led here take their next step to what the node table wants",
                 LOG_U64("groups", p->changes));
    }
    leftovers_run(n->leftovers, now_ms);
    metric_set(&metric_settled, settled);
    metric_set(&metric_voters, voters);
    return PLACEMENT_MS;
}

static bool leads_others(struct node *n, struct shard_id shard)
{
    struct volume_status st;
    uint64_t term;
    return volume_leads(n->volume, shard, &term) && volume_status(n->volume, shard, &st) == OK && st.n_servers > 1;
}

void placement_hand_over(struct node *n)
{
    for (uint32_t i = 0; i < n->n_shards; i++) {
        if (leads_others(n, n->shards[i].id)) {
            enum err e = volume_transfer(n->volume, n->shards[i].id, (struct node_id){0});
            (void)e; /* then an election decides */
        }
    }
}

bool placement_handed_over(struct node *n)
{
    for (uint32_t i = 0; i < n->n_shards; i++) {
        if (leads_others(n, n->shards[i].id)) {
            return false;
        }
    }
    return true;
}
