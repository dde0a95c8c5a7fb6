#include "storage/node/placement.h"

#include "proto/base/bytes.h"
#include "proto/base/hash.h"

#define DIRECTORY 0

/* What a decision is made from. */
struct view {
    const struct volume_status *st;
    const struct placement_table *t;
    struct node_id self;
    struct shard_id shard;
    struct placement_wanted wanted;
};

static const struct placement_node *node_find(const struct placement_table *t, struct node_id id)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->nodes[i].id.v == id.v) {
            return &t->nodes[i];
        }
    }
    return NULL;
}

static bool is_up(const struct placement_table *t, struct node_id id)
{
    const struct placement_node *n = node_find(t, id);
    return n != NULL && n->up;
}

/* --- where a shard belongs --- */

/* Rendezvous hashing: each node's draw for the shard, whoever else there is. */
static uint64_t draw(struct shard_id shard, struct node_id id)
{
    uint8_t key[12];
    put_le32(key, shard.v);
    put_le64(key + 4, id.v);
    return hash_stable(key, sizeof(key));
}

static bool is_wanted(const struct placement_wanted *w, struct node_id id)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i].v == id.v) {
            return true;
        }
    }
    return false;
}

static size_t in_zone(const struct placement_table *t, const struct placement_wanted *w, uint64_t zone)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        n += node_find(t, w->nodes[i])->zone == zone;
    }
    return n;
}

/* The node may hold something, and does not yet. */
static bool is_free(const struct placement_node *n, bool away, const struct placement_wanted *w)
{
    return !n->draining && n->away == away && !is_wanted(w, n->id);
}

static const struct node_table_pin *pin_of(const struct placement_table *t, struct shard_id shard)
{
    static const struct node_table_pin none;
    return t->pins != NULL ? &t->pins[shard.v] : &none;
}

static const struct placement_node *pin_next(const struct placement_table *t, struct shard_id shard, bool away,
                                             const struct placement_wanted *w)
{
    const struct node_table_pin *pin = pin_of(t, shard);
    for (size_t i = 0; i < pin->n; i++) {
        const struct placement_node *n = node_find(t, (struct node_id){pin->nodes[i]});
        if (n != NULL && is_free(n, away, w)) {
            return n;
        }
    }
    return NULL;
}

/* The next one: of the zone with the fewest so far the highest draw. NULL: there is none left. */
static const struct placement_node *draw_next(const struct placement_table *t, struct shard_id shard, bool away,
                                              const struct placement_wanted *w)
{
    const struct placement_node *best = NULL;
    size_t best_zone = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct placement_node *n = &t->nodes[i];
        if (!is_free(n, away, w)) {
            continue;
        }
        size_t zone = in_zone(t, w, n->zone);
        if (best == NULL || zone < best_zone || (zone == best_zone && draw(shard, n->id) > draw(shard, best->id))) {
            best = n;
            best_zone = zone;
        }
    }
    return best;
}

void placement_wanted(const struct placement_table *t, struct shard_id shard, struct placement_wanted *out)
{
    const size_t pinned = pin_of(t, shard)->n;
    const size_t max = pinned != 0 ? pinned : t->replicas;
    memset(out, 0, sizeof(*out));
    for (int away = 0; away <= 1; away++) {
        const struct placement_node *n;
        while (out->n < max && ((n = pin_next(t, shard, away != 0, out)) != NULL ||
                                (n = draw_next(t, shard, away != 0, out)) != NULL)) {
            out->nodes[out->n++] = n->id;
            out->here += away == 0;
        }
    }
    /* An even number of voters survives no more failures than one less: two nodes are one voter and its standby. */
    out->voters = out->n % 2 == 0 && out->n > 0 ? out->n - 1 : out->n;
}

/* --- the group as it is --- */

static size_t server_find(const struct volume_status *st, struct node_id id)
{
    size_t i = 0;
    while (i < st->n_servers && st->servers[i].node.v != id.v) {
        i++;
    }
    return i;
}

static bool is_voter(const struct view *v, size_t server)
{
    return v->st->servers[server].role == RAFT_ROLE_VOTER;
}

static bool belongs(const struct view *v, size_t server)
{
    return is_wanted(&v->wanted, v->st->servers[server].node);
}

/* Its vote counts as one of those wanted: not if the node is away and there are enough without it. */
static bool stands(const struct view *v, size_t server)
{
    const struct placement_node *n = node_find(v->t, v->st->servers[server].node);
    return belongs(v, server) && !(n->away && v->wanted.here >= v->wanted.voters);
}

static size_t voters_count(const struct volume_status *st)
{
    size_t n = 0;
    for (size_t i = 0; i < st->n_servers; i++) {
        n += st->servers[i].role == RAFT_ROLE_VOTER;
    }
    return n;
}

static size_t wanted_voters_count(const struct view *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->st->n_servers; i++) {
        n += is_voter(v, i) && stands(v, i);
    }
    return n;
}

static bool caught_up(const struct volume_status *st, size_t server)
{
    return st->match[server] + PLACEMENT_BEHIND_MAX >= st->log_last;
}

static bool all_caught_up(const struct volume_status *st)
{
    for (size_t i = 0; i < st->n_servers; i++) {
        if (!caught_up(st, i)) {
            return false;
        }
    }
    return true;
}

/* --- steps --- */

static void change_begin(const struct view *v, struct placement_step *out)
{
    out->act = PLACEMENT_CHANGE;
    out->n_servers = v->st->n_servers;
    memcpy(out->servers, v->st->servers, v->st->n_servers * sizeof(v->st->servers[0]));
}

static void change_role(const struct view *v, size_t server, enum raft_server_role role, struct placement_step *out)
{
    change_begin(v, out);
    out->servers[server].role = role;
}

static void change_remove(const struct view *v, size_t server, struct placement_step *out)
{
    change_begin(v, out);
    out->servers[server] = out->servers[--out->n_servers];
}

static void hand_over(struct node_id to, struct placement_step *out)
{
    out->act = PLACEMENT_TRANSFER;
    out->to = to;
}

/* The one that the shard's leadership is pinned to; else the wanted voters in turn, by shard: leaders are spread, and
 * everybody agrees on who it should be. n_servers: nobody. */
static size_t preferred(const struct view *v)
{
    const struct volume_status *st = v->st;
    size_t order[RAFT_SERVERS_MAX];
    size_t n = 0;
    size_t pinned = server_find(st, (struct node_id){pin_of(v->t, v->shard)->leader});
    if (pinned < st->n_servers && is_voter(v, pinned) && stands(v, pinned) && is_up(v->t, st->servers[pinned].node)) {
        return pinned;
    }
    for (size_t i = 0; i < st->n_servers; i++) {
        size_t at = n;
        if (!is_voter(v, i) || !stands(v, i)) {
            continue;
        }
        for (; at > 0 && st->servers[order[at - 1]].node.v > st->servers[i].node.v; at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
        n++;
    }
    return n == 0 ? st->n_servers : order[v->shard.v % n];
}

/* A server whose node was removed leaves; a leader hands over first. */
static bool decide_gone(const struct view *v, struct placement_step *out)
{
    for (size_t i = 0; i < v->st->n_servers; i++) {
        struct node_id id = v->st->servers[i].node;
        if (node_find(v->t, id) != NULL || id.v > v->t->highest.v) {
            continue;
        }
        if (id.v != v->self.v) {
            change_remove(v, i, out);
            return true;
        }
        if (voters_count(v->st) > 1) {
            hand_over((struct node_id){0}, out);
            return true;
        }
    }
    return false;
}

static bool decide_promote(const struct view *v, struct placement_step *out)
{
    if (wanted_voters_count(v) >= v->wanted.voters) {
        return false;
    }
    for (size_t i = 0; i < v->st->n_servers; i++) {
        if (!is_voter(v, i) && stands(v, i) && is_up(v->t, v->st->servers[i].node) && caught_up(v->st, i)) {
            change_role(v, i, RAFT_ROLE_VOTER, out);
            return true;
        }
    }
    return false;
}

/* The directory is on every node, which needs the table to find the others. */
static bool decide_add(const struct view *v, struct placement_step *out)
{
    for (size_t i = 0; i < v->t->n && v->st->n_servers < RAFT_SERVERS_MAX; i++) {
        const struct placement_node *n = &v->t->nodes[i];
        bool wants = is_wanted(&v->wanted, n->id) || (v->shard.v == DIRECTORY && !n->draining);
        if (wants && n->up && server_find(v->st, n->id) == v->st->n_servers) {
            change_begin(v, out);
            out->servers[out->n_servers++] = (struct raft_server_info){n->id, RAFT_ROLE_STANDBY};
            return true;
        }
    }
    return false;
}

/* A voter too many, of those that do not belong here first, once those that do are all voters. The leader is never it:
 * it hands over. Standbys that do not belong are only in the way. */
static bool decide_leave(const struct view *v, struct placement_step *out)
{
    bool complete = wanted_voters_count(v) >= v->wanted.voters;
    for (size_t i = 0; i < v->st->n_servers; i++) {
        struct node_id id = v->st->servers[i].node;
        bool keep = belongs(v, i) || node_find(v->t, id) == NULL || (v->shard.v == DIRECTORY && !is_voter(v, i));
        if (keep || (is_voter(v, i) && !complete)) {
            continue;
        }
        size_t heir = preferred(v);
        if (id.v != v->self.v) {
            if (v->shard.v == DIRECTORY) {
                change_role(v, i, RAFT_ROLE_STANDBY, out);
            } else {
                change_remove(v, i, out);
            }
            return true;
        }
        if (heir < v->st->n_servers && caught_up(v->st, heir) && is_up(v->t, v->st->servers[heir].node)) {
            hand_over(v->st->servers[heir].node, out);
            return true;
        }
    }
    return false;
}

/* One whose node is away first, else the highest. */
static bool decide_demote(const struct view *v, struct placement_step *out)
{
    size_t last = v->st->n_servers;
    size_t n = wanted_voters_count(v);
    for (size_t i = 0; i < v->st->n_servers; i++) {
        uint64_t id = v->st->servers[i].node.v;
        bool other = is_voter(v, i) && belongs(v, i) && id != v->self.v;
        if (other && !stands(v, i) && n >= v->wanted.voters) {
            last = i;
            break;
        }
        if (other && n > v->wanted.voters && (last == v->st->n_servers || id > v->st->servers[last].node.v)) {
            last = i;
        }
    }
    if (last == v->st->n_servers) {
        return false;
    }
    change_role(v, last, RAFT_ROLE_STANDBY, out);
    return true;
}

static void decide_leader(const struct view *v, struct placement_step *out)
{
    size_t i = preferred(v);
    if (i == v->st->n_servers) {
        return;
    }
    struct node_id to = v->st->servers[i].node;
    const struct placement_node *n = node_find(v->t, to);
    if (to.v != v->self.v && n != NULL && n->up && n->steady && caught_up(v->st, i)) {
        hand_over(to, out);
    }
}

void placement_decide(const struct volume_status *st, struct node_id self, struct shard_id shard,
                      const struct placement_table *t, struct placement_step *out)
{
    struct view v = {.st = st, .t = t, .self = self, .shard = shard};
    memset(out, 0, sizeof(*out));
    out->voters = voters_count(st);
    if (!st->serves || st->changing || out->voters == 0) {
        return;
    }
    if (t->n == 0) { /* a node that never had company */
        out->settled = st->n_servers == 1;
        return;
    }
    placement_wanted(t, shard, &v.wanted);
    if (decide_gone(&v, out) || v.wanted.n == 0) {
        return;
    }
    if (decide_promote(&v, out) || decide_add(&v, out) || decide_leave(&v, out) || decide_demote(&v, out)) {
        return;
    }
    out->settled = wanted_voters_count(&v) == v.wanted.voters && out->voters == v.wanted.voters && all_caught_up(st);
    decide_leader(&v, out);
}
