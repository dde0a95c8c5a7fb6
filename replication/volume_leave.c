/* What is left of a replica whose group this node has left. */
#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "replication/copy.h"
#include "replication/key.h"
#include "replication/log.h"
#include "replication/volume_run.h"

static bool is_empty(const struct group *g)
{
    return g->meta.log_last == 0 && g->meta.applied == 0;
}

/* The log that goes, or one that went before it: whichever reaches further. */
static void leave_floor(const struct repl_meta *old, struct repl_meta *meta)
{
    bool before =
        old->floor_term > old->last_term || (old->floor_term == old->last_term && old->floor_index > old->log_last);
    meta->floor_index = before ? old->floor_index : old->log_last;
    meta->floor_term = before ? old->floor_term : old->last_term;
}

/* A leader of a later term that took this server in again would have had to give it an entry before it counted on it;
 * its own term says nothing: it may have raised that by itself, when it stood for election. */
static bool is_idle(const struct volume *v, const struct group *g, uint64_t term)
{
    bool silent = raft_driver_silent_ms(g->raft, clock_mono_ms(v->cfg.clock)) >= v->limits.election_ms;
    return silent && group_is_durable(g) && g->copy_in == NULL && list_empty(&g->copies) && g->n_waiting == 0 &&
           g->n_flights == 0 && g->meta.last_term <= term;
}

/* An empty replica of a new number in its place, with what it has promised; the old one is garbage. */
static enum err write_empty(struct volume *v, const struct group *g, struct kv_txn *t, uint32_t replica,
                            const struct repl_meta *meta)
{
    struct repl_key shard = key_shard(g->shard.v);
    uint8_t number[4];
    put_be32(number, replica);
    enum err e = volume_row_put(v, t);
    if (e == OK) {
        e = log_meta_put(t, replica, meta);
    }
    if (e == OK) {
        e = kv_put(t, key_slice(&shard), slice_make(number, sizeof(number)));
    }
    return e == OK ? copy_garbage_put(t, g->replica) : e;
}

static enum err commit_empty(struct volume *v, const struct group *g, uint32_t replica, const struct repl_meta *meta)
{
    struct kv_txn *t;
    enum err e = kv_begin(v->cfg.kv, true, &t);
    if (e != OK) {
        return e;
    }
    e = write_empty(v, g, t, replica, meta);
    if (e != OK) {
        kv_abort(t);
        return e;
    }
    e = kv_commit(t);
    v->dead = v->dead || e == ERR_IO;
    return e;
}

enum err volume_replica_empty(struct volume *v, struct shard_id shard, uint64_t term)
{
    struct group *g = volume_group(v, shard);
    if (g == NULL || g->state != GROUP_RUNNING) {
        return ERR_NOTFOUND;
    }
    if (is_empty(g)) {
        return OK;
    }
    if (!is_idle(v, g, term)) {
        return ERR_LOCKED;
    }
    struct repl_meta meta = {.node = g->node.v, .term = g->meta.term, .vote = g->meta.vote, .log_first = 1};
    leave_floor(&g->meta, &meta);
    const uint32_t replica = v->next_replica++; /* a number that came to nothing is not used again */
    volume_end_reader(v);
    enum err e = commit_empty(v, g, replica, &meta);
    if (e != OK) {
        return e;
    }
    log_info("replica.left", "this node is not in the shard's group any more: its replica is deleted",
             LOG_U64("shard", shard.v), LOG_U64("term", meta.term), LOG_U64("index", g->meta.applied));
    __atomic_store_n(&g->replica, replica, __ATOMIC_RELEASE); /* readers look (volume_state_prefix) */
    g->meta = meta;
    volume_switched(v, g);
    return OK;
}
