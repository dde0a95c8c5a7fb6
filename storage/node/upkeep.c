/* What a node sees to about itself once a second, on the courier's thread: its identity file and its row of the node
 * table. */
#include <string.h>
#include <time.h>

#include "proto/base/log.h"
#include "replication/volume_owner.h"
#include "storage/mailbox/pb.h"
#include "storage/node/node_internal.h"
#include "storage/node/node_table.h"
#include "storage/node/own_wait.h"

#define FIRST_MS_MAX 2000
#define FIRST_STEP_MS 5

static const struct shard_id directory = {0};

/* --- node.id's `made` --- */

static enum err replicas_stored(struct node *n, uint32_t *out)
{
    struct kv_txn *t;
    enum err e = kv_begin(n->kv, false, &t);
    if (e == OK) {
        e = volume_replicas_stored(t, out);
        kv_abort(t);
    }
    return e;
}

/* Once every replica is on disk, a store without them is a lost one. False: they are not there yet. */
static bool note_made(struct node *n)
{
    uint32_t stored = 0;
    struct buf why;
    if (n->made) {
        return true;
    }
    if (replicas_stored(n, &stored) != OK || stored < n->n_shards) {
        return false;
    }
    buf_init(&why, 1024);
    enum err e = node_dir_made(n->data_dir, &n->identity, &why);
    n->made = e == OK;
    if (e != OK) {
        log_warn("node.made", "node.id could not be completed; it will be tried again",
                 LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
    }
    buf_fini(&why);
    return true;
}

void upkeep_first(struct node *n)
{
    for (unsigned ms = 0; ms < FIRST_MS_MAX && !note_made(n); ms += FIRST_STEP_MS) {
        struct timespec ts = {.tv_nsec = FIRST_STEP_MS * 1000000L};
        nanosleep(&ts, NULL);
    }
}

/* --- its own row --- */

static bool differs(const char *configured, const char *row)
{
    return configured[0] != '\0' && strcmp(configured, row) != 0;
}

static bool row_is_due(const struct node *n)
{
    struct node_table_row row;
    uint64_t term;
    if (n->peer_address[0] == '\0' || !volume_leads(n->volume, directory, &term)) {
        return false;
    }
    if (node_table_get(n, n->identity.node, &row) != OK) {
        return n->identity.node.v == 1;
    }
    return !row.removed && row.claimed &&
           (differs(n->peer_address, row.peer) || differs(n->rpc_address, row.rpc) ||
            differs(n->events_address, row.events));
}

enum err upkeep_node_set(struct node *n, const Pb__OpNodeSet *set)
{
    struct buf op;
    buf_init(&op, 4096);
    enum err e = pb_pack(&set->base, &op);
    if (e == OK) {
        struct proposal_spec spec = {.shard = directory, .method = METHOD_NODE_SET, .op = buf_slice(&op)};
        e = own_propose_wait(n, &spec, NULL);
    }
    buf_fini(&op);
    return e;
}

static enum err row_propose(struct node *n)
{
    Pb__OpNodeSet set = PB__OP_NODE_SET__INIT;
    set.node = n->identity.node.v;
    set.peer = n->peer_address;
    set.rpc = n->rpc_address;
    set.events = n->events_address;
    return upkeep_node_set(n, &set);
}

static bool temporary(enum err e)
{
    return e == ERR_NOT_LEADER || e == ERR_UNAVAILABLE || e == ERR_TIMEOUT || e == ERR_OVERLOAD;
}

static void keep_row(struct node *n)
{
    if (!row_is_due(n)) {
        return;
    }
    enum err e = row_propose(n);
    if (e != OK && !temporary(e) && !n->row_refused) {
        n->row_refused = true; /* said once: the configuration does not change while we run */
        log_warn("node.row", "this node's addresses were refused by the node table", LOG_STR("peer", n->peer_address),
                 LOG_ERR(e));
    }
}

void upkeep_tick(struct node *n)
{
    node_table_refresh(n);
    (void)note_made(n);
    keep_row(n);
    away_tick(n);
    level_tick(n);
}
