/* What readers on other threads see of a group. Its view is a sequence lock without fences: the writer's stores
 * release, so who sees one of them sees the odd sequence in front of it; the reader's loads acquire, so its second look
 * at the sequence comes after them. */
#include "replication/group_run.h"

static uint64_t get(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void set(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void view_write(struct group_view *v, const struct group_view *next)
{
    uint64_t sequence = v->sequence;
    __atomic_store_n(&v->sequence, sequence + 1, __ATOMIC_RELAXED);
    set(&v->leads_term, next->leads_term);
    set(&v->commit, next->commit);
    set(&v->alone, next->alone);
    set(&v->configuration, next->configuration);
    set(&v->lease_ms, next->lease_ms);
    set(&v->n_voters, next->n_voters);
    for (size_t i = 0; i < next->n_voters; i++) {
        set(&v->voters[i], next->voters[i]);
    }
    set(&v->sequence, sequence + 2);
}

bool group_view_read(struct group *g, struct volume_read *out)
{
    const struct group_view *v = &g->view;
    uint64_t before;
    do {
        before = get(&v->sequence);
        out->term = get(&v->leads_term);
        out->index = get(&v->commit);
        out->alone = get(&v->alone) != 0;
        out->configuration = get(&v->configuration);
        out->lease_ms = get(&v->lease_ms);
        out->n_voters = get(&v->n_voters);
        for (size_t i = 0; i < out->n_voters && i < RAFT_SERVERS_MAX; i++) {
            out->voters[i].v = get(&v->voters[i]);
        }
    } while ((before & 1) != 0 || __atomic_load_n(&v->sequence, __ATOMIC_RELAXED) != before);
    return out->term != 0;
}

static void take_voters(struct group *g, struct group_view *out)
{
    struct raft_server_info servers[RAFT_SERVERS_MAX];
    size_t n = raft_driver_servers(g->raft, servers);
    for (size_t i = 0; i < n; i++) {
        if (servers[i].role == RAFT_ROLE_VOTER) {
            out->voters[out->n_voters++] = servers[i].node.v;
        }
    }
}

void group_publish_stopped(struct group *g)
{
    const struct group_view none = {.commit = g->view.commit};
    view_write(&g->view, &none);
}

void group_publish(struct group *g)
{
    struct raft_driver *raft = g->raft;
    if (raft == NULL) {
        group_publish_stopped(g);
        return;
    }
    /* Its term has an entry: a message may have raised the term, and a sole voter elects itself without a barrier. */
    bool alone = raft_driver_is_sole(raft) && group_is_durable(g) && g->n_flights == 0 &&
                 g->meta.applied == g->meta.log_last && raft_driver_last_index(raft) == g->meta.log_last &&
                 g->meta.last_term == g->meta.term;
    uint64_t commit = raft_driver_commit_index(raft);
    struct group_view next = {.leads_term = raft_driver_serves(raft) ? raft_driver_term(raft) : 0,
                              .commit = commit > g->meta.applied ? commit : g->meta.applied,
                              .alone = alone,
                              .configuration = raft_driver_configuration_index(raft)};
    if (next.leads_term != 0) {
        take_voters(g, &next);
        next.lease_ms = raft_driver_lease_ms(raft);
    }
    set(&g->term, raft_driver_term(raft));
    set(&g->leader, raft_driver_leader(raft).v);
    set(&g->applied, g->meta.applied);
    view_write(&g->view, &next);
}
