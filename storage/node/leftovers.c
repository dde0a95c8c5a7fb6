#include "storage/node/leftovers.h"

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/pb.h"
#include "storage/node/leaders.h"
#include "storage/node/node_table.h"
#include "storage/node/others.h"

#define QUIET_MS 15000 /* so, before anybody is asked */
#define LEVEL_LEFTOVERS 2
#define SILENT_MS 1000 /* several heartbeats */
#define ASK_MS 2000
#define VALID_MS 4000 /* an answer, from the moment it was asked for */
#define ARENA_BYTES ((size_t)1 << 20)

/* Of a shard. */
struct leftover {
    uint64_t quiet_since_ms; /* the volume's thread; 0: a leader was heard, or there is nothing */
    bool quiet;              /* for QUIET_MS */
    bool gone;               /* the answer: this node is no member */
    uint64_t gone_term;
    uint64_t asked_ms;
};

struct leftovers {
    struct node *node;
    pthread_mutex_t lock; /* what follows, and the rows but for quiet_since_ms */
    bool asking;
    uint64_t asked_ms;
    uint32_t asked; /* the shard */
    uint32_t turn;  /* which is looked at next */
    uint8_t meta[16];
    struct rpc_call call;
    struct leftover rows[];
};

enum err leftovers_new(struct node *n, struct leftovers **out)
{
    struct leftovers *l = mem_zalloc(sizeof(*l) + n->n_shards * sizeof(l->rows[0]));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    l->node = n;
    ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    *out = l;
    return OK;
}

void leftovers_free(struct leftovers *l)
{
    if (l == NULL) {
        return;
    }
    ASSERT(!l->asking);
    ASSERT(pthread_mutex_destroy(&l->lock) == 0);
    mem_free(l);
}

/* --- asking --- */

/* A settled group without this node; *out_term: who says so. */
static bool says_gone(const struct leftovers *l, const Pb__ReadShardResult *s, uint64_t *out_term)
{
    for (size_t i = 0; i < s->n_servers; i++) {
        if (s->servers[i]->node == l->node->identity.node.v) {
            return false;
        }
    }
    *out_term = s->term;
    return s->settled && s->n_servers > 0 && s->shard == l->asked;
}

static void answered(struct rpc_call *call)
{
    struct leftovers *l = call->user;
    struct arena arena;
    ProtobufCMessage *reply;
    arena_init(&arena, ARENA_BYTES);
    bool good = call->status == OK && call->reply.head.status == OK &&
                pb_unpack(&pb__read_shard_result__descriptor, call->reply.meta, &arena, &reply) == OK;
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    struct leftover *o = &l->rows[l->asked];
    o->gone = good && says_gone(l, (const Pb__ReadShardResult *)(const void *)reply, &o->gone_term);
    o->asked_ms = l->asked_ms;
    l->asking = false;
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    rpc_reply_fini(&call->reply);
    arena_fini(&arena);
}

static void ask_end(struct leftovers *l)
{
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    l->asking = false;
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
}

/* The next quiet one whose leader is known; false: none. Sets l->asked. */
static bool ask_begin(struct leftovers *l, struct node_id *out_leader)
{
    bool found = false;
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    for (uint32_t i = 0; i < l->node->n_shards && !l->asking && !found; i++) {
        l->turn = (l->turn + 1) % l->node->n_shards;
        if (l->rows[l->turn].quiet) {
            *out_leader = leaders_get(l->node->leaders, (struct shard_id){l->turn}, NULL);
            found = out_leader->v != 0 && out_leader->v != l->node->identity.node.v;
        }
    }
    if (found) {
        l->asking = true;
        l->asked = l->turn;
        l->asked_ms = clock_mono_ms(l->node->clock);
    }
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    return found;
}

void leftovers_tick(struct leftovers *l)
{
    struct node_id leader;
    if (!ask_begin(l, &leader)) {
        return;
    }
    Pb__ReadShard req = PB__READ_SHARD__INIT;
    req.shard = l->asked;
    l->call = (struct rpc_call){.head = {.method = METHOD_SHARD,
                                         .shard = {l->asked},
                                         .request_id = rng_u128(l->node->rng),
                                         .issue_ms = clock_wall_ms(l->node->clock),
                                         .budget_ms = ASK_MS},
                                .meta = slice_make(l->meta, pb__read_shard__pack(&req, l->meta)),
                                .timeout_ms = ASK_MS,
                                .done = answered,
                                .user = l};
    if (others_send_to(l->node->others, leader, &l->call) != OK) {
        ask_end(l);
    }
}

/* --- throwing away --- */

static bool is_quiet(struct node *n, struct shard_id shard)
{
    struct volume_status st;
    return volume_status(n->volume, shard, &st) == OK && st.silent_ms >= SILENT_MS &&
           (st.log_last > 0 || st.applied > 0);
}

/* True: an answer that counts is there; it is used up. */
static bool take_answer(struct leftovers *l, struct leftover *o, bool quiet, uint64_t now_ms, uint64_t *out_term)
{
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    o->quiet = quiet;
    bool gone = quiet && o->gone && now_ms - o->asked_ms < VALID_MS;
    *out_term = o->gone_term;
    o->gone = false;
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
    return gone;
}

void leftovers_run(struct leftovers *l, uint64_t now_ms)
{
    struct node *n = l->node;
    if (node_table_level(n) < LEVEL_LEFTOVERS) { /* an older program would not keep the floor in mind */
        return;
    }
    for (uint32_t i = 1; i < n->n_shards; i++) {
        struct leftover *o = &l->rows[i];
        uint64_t term;
        if (!is_quiet(n, n->shards[i].id)) {
            o->quiet_since_ms = 0;
        } else if (o->quiet_since_ms == 0) {
            o->quiet_since_ms = now_ms;
        }
        bool quiet = o->quiet_since_ms != 0 && now_ms - o->quiet_since_ms >= QUIET_MS;
        if (take_answer(l, o, quiet, now_ms, &term)) {
            enum err e = volume_replica_empty(n->volume, n->shards[i].id, term);
            (void)e; /* what is locked or full now is asked about again */
        }
    }
}
