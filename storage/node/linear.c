#include "storage/node/leaders.h"
#include "storage/node/linear.h"

#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "replication/reads_frame.h"
#include "storage/node/node_internal.h"
#include "storage/node/others.h"

#define WAITING_MAX 8192

METRIC_GAUGE(metric_waiting, "pillarbox_storage_reads_asking", "Reads waiting for a majority to confirm the leader");

struct linear_read {
    struct repl_read read; /* first */
    struct node *node;
    struct rpc_request *request;
};

static void refuse(struct rpc_request *r, enum err e, uint64_t hint)
{
    rpc_request_reply(r, e, hint, slice_str(""), slice_str(""));
}

void linear_refuse(struct node *n, struct rpc_request *r)
{
    struct node_id leader = leaders_get(n->leaders, r->head.shard, NULL);
    if (others_forward(n->others, r)) {
        return;
    }
    bool other = leader.v != n->identity.node.v; /* this one may be elected and not serve yet */
    refuse(r, ERR_NOT_LEADER, other ? leader.v : 0);
}

static void send(void *ctx, struct node_id to, struct slice frame)
{
    struct node *n = ctx;
    if (n->peer_send != NULL) {
        n->peer_send(n->peer_ctx, to, frame);
    }
}

enum err linear_open(struct node *n)
{
    const struct repl_reads_config cfg = {
        .volume = n->volume, .self = n->identity.node, .life = rng_u64(n->rng), .ctx = n, .send = send};
    return repl_reads_new(&cfg, &n->reads_rounds);
}

void linear_stop(struct node *n)
{
    repl_reads_stop(n->reads_rounds);
}

void linear_close(struct node *n)
{
    repl_reads_free(n->reads_rounds);
}

static void done(struct repl_read *read, enum err status)
{
    struct linear_read *l = (struct linear_read *)(void *)read; /* read is the first member */
    struct node *n = l->node;
    struct rpc_request *r = l->request;
    mem_free(l);
    __atomic_sub_fetch(&n->reads_waiting, 1, __ATOMIC_RELAXED);
    metric_add(&metric_waiting, -1);
    if (status == OK) {
        readers_submit(n->readers, r);
    } else if (status == ERR_NOT_LEADER) {
        linear_refuse(n, r);
    } else {
        refuse(r, status, 0);
    }
}

static void ask(struct node *n, struct rpc_request *r)
{
    struct linear_read *l = NULL;
    enum err e = ERR_OVERLOAD;
    if (__atomic_add_fetch(&n->reads_waiting, 1, __ATOMIC_RELAXED) <= WAITING_MAX) {
        l = mem_zalloc(sizeof(*l));
        e = ERR_NOMEM;
    }
    if (l == NULL) {
        __atomic_sub_fetch(&n->reads_waiting, 1, __ATOMIC_RELAXED);
        refuse(r, e, 0);
        return;
    }
    metric_add(&metric_waiting, 1);
    l->node = n;
    l->request = r;
    l->read.shard = r->head.shard;
    l->read.deadline_ms = r->deadline_ms;
    l->read.done = done;
    repl_reads_begin(n->reads_rounds, &l->read, clock_mono_ms(n->clock));
}

void linear_submit(struct node *n, struct rpc_request *r)
{
    struct volume_read at;
    if (!volume_read_begin(n->volume, r->head.shard, &at)) {
        linear_refuse(n, r);
    } else if (at.alone) { /* what it has committed it has applied */
        readers_submit(n->readers, r);
    } else {
        ask(n, r);
    }
}

void linear_frame(struct node *n, struct node_id from, struct slice frame)
{
    if (frame.n > 0 && frame.p[0] == READS_FRAME_PING) {
        repl_reads_ping(n->reads_rounds, from, frame);
    } else {
        repl_reads_pong(n->reads_rounds, from, frame, clock_mono_ms(n->clock));
    }
}

uint64_t linear_tick(struct node *n, uint64_t now_ms)
{
    return repl_reads_tick(n->reads_rounds, now_ms);
}
