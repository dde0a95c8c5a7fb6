#include "storage/node/placement.h"

static const struct placement_node *node_find(const struct placement_table *t, struct node_id id)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->nodes[i].id.v == id.v) {
            return &t->nodes[i];
        }
    }
    return NULL;
}

static size_t server_find(const struct volume_status *st, struct node_id id)
{
    size_t i = 0;
    while (i < st->n_servers && st->servers[i].node.v != id.v) {
        i++;
    }
    return i;
}

static size_t voters_count(const struct volume_status *st)
{
    size_t n = 0;
    for (size_t i = 0; i < st->n_servers; i++) {
        n += st->servers[i].role == RAFT_ROLE_VOTER;
    }
    return n;
}

/* An even number of voters survives no more failures than one less: two nodes are one voter and its standby. */
static size_t voters_wanted(size_t n_nodes)
{
    size_t n = n_nodes < PLACEMENT_VOTERS_MAX ? n_nodes : PLACEMENT_VOTERS_MAX;
    return n % 2 == 0 && n > 0 ? n - 1 : n;
}

static void change_begin(const struct volume_status *st, struct placement_step *out)
{
    out->act = PLACEMENT_CHANGE;
    out->n_servers = st->n_servers;
    memcpy(out->servers, st->servers, st->n_servers * sizeof(st->servers[0]));
}

static bool caught_up(const struct volume_status *st, size_t server)
{
    return st->match[server] + PLACEMENT_BEHIND_MAX >= st->log_last;
}

/* A server whose node is gone leaves; a leader hands over first. */
static bool decide_leave(const struct volume_status *st, struct node_id self, const struct placement_table *t,
                         struct placement_step *out)
{
    for (size_t i = 0; i < st->n_servers; i++) {
        struct node_id id = st->servers[i].node;
        if (node_find(t, id) != NULL || id.v > t->highest.v) {
            continue;
        }
        if (id.v == self.v) {
            out->act = PLACEMENT_TRANSFER;
            out->to.v = 0;
            return voters_count(st) > 1;
        }
        change_begin(st, out);
        out->servers[i] = out->servers[--out->n_servers];
        return true;
    }
    return false;
}

static bool decide_promote(const struct volume_status *st, const struct placement_table *t, struct placement_step *out)
{
    for (size_t i = 0; i < st->n_servers; i++) {
        const struct placement_node *n = node_find(t, st->servers[i].node);
        if (st->servers[i].role != RAFT_ROLE_VOTER && n != NULL && n->up && caught_up(st, i)) {
            change_begin(st, out);
            out->servers[i].role = RAFT_ROLE_VOTER;
            return true;
        }
    }
    return false;
}

static bool decide_add(const struct volume_status *st, const struct placement_table *t, struct placement_step *out)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->nodes[i].up && server_find(st, t->nodes[i].id) == st->n_servers) {
            change_begin(st, out);
            out->servers[out->n_servers++] = (struct raft_server_info){t->nodes[i].id, RAFT_ROLE_STANDBY};
            return true;
        }
    }
    return false;
}

/* The voters in turn, by shard: leaders are spread, and everybody agrees on who it should be. */
static size_t preferred(const struct volume_status *st, struct shard_id shard)
{
    size_t order[RAFT_SERVERS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < st->n_servers; i++) {
        size_t at = n;
        if (st->servers[i].role != RAFT_ROLE_VOTER) {
            continue;
        }
        for (; at > 0 && st->servers[order[at - 1]].node.v > st->servers[i].node.v; at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
        n++;
    }
    return order[shard.v % n];
}

static void decide_leader(const struct volume_status *st, struct node_id self, struct shard_id shard,
                          const struct placement_table *t, struct placement_step *out)
{
    size_t i = preferred(st, shard);
    struct node_id to = st->servers[i].node;
    const struct placement_node *n = node_find(t, to);
    if (to.v != self.v && n != NULL && n->up && n->steady && caught_up(st, i)) {
        out->act = PLACEMENT_TRANSFER;
        out->to = to;
    }
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

void placement_decide(const struct volume_status *st, struct node_id self, struct shard_id shard,
                      const struct placement_table *t, struct placement_step *out)
{
    memset(out, 0, sizeof(*out));
    size_t voters = voters_count(st);
    out->voters = voters;
    if (!st->serves || st->changing || voters == 0) {
        return;
    }
    if (t->n == 0) { /* a node that never had company */
        out->settled = st->n_servers == 1;
        return;
    }
    if (decide_leave(st, self, t, out)) {
        return;
    }
    *out = (struct placement_step){.voters = voters};
    if (voters < voters_wanted(t->n) && decide_promote(st, t, out)) {
        return;
    }
    if (st->n_servers < PLACEMENT_VOTERS_MAX && decide_add(st, t, out)) {
        return;
    }
    out->settled = voters == voters_wanted(t->n) && all_caught_up(st);
    decide_leader(st, self, shard, t, out);
}
