#include "storage/node/peers.h"

#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "proto/rpc/links.h"
#include "replication/reads_frame.h"
#include "storage/node/linear.h"
#include "storage/node/node_table.h"

#define FRAME_BUNDLE 1                    /* the first byte; READS_FRAME_* are the others */
#define BUNDLE_BYTES ((size_t)256 * 1024) /* cut when it has this much */
#define BUNDLE_BYTES_MAX (BUNDLE_BYTES + REPL_ENTRY_BYTES_MAX / 2)
#define BUNDLE_KEEP_BYTES ((size_t)64 * 1024)

METRIC_COUNTER_L(metric_sent, "pillarbox_peer_frames_total", "Frames between storage nodes", "way=\"sent\"");
METRIC_COUNTER_L(metric_received, "pillarbox_peer_frames_total", "Frames between storage nodes", "way=\"received\"");
METRIC_COUNTER(metric_dropped, "pillarbox_peer_frames_dropped_total",
               "Frames to storage nodes that were down or slow; replication repeats them");

/* What waits for one node. The volume's thread only. */
struct outgoing {
    struct node_id to;
    struct buf lanes[RPC_LANES];
};

struct peers {
    struct node *node;
    struct rpc_links *links;
    struct outgoing out[DIR_NODES_ROWS_MAX];
    size_t n_out;
};

/* A frame on its way through the volume. */
struct inbound {
    struct repl_received r; /* first */
    struct rpc_links_frame *frame;
};

/* --- in --- */

static void inbound_release(struct repl_received *r)
{
    struct inbound *in = (struct inbound *)(void *)r;
    rpc_links_release(in->frame);
    mem_free(in);
}

static void bundle_arrived(struct node *n, struct rpc_links_frame *f)
{
    struct inbound *in = mem_zalloc(sizeof(*in));
    if (in == NULL) {
        rpc_links_release(f); /* as if it had been lost */
        return;
    }
    in->frame = f;
    in->r.from = f->from;
    in->r.bytes = slice_sub(f->bytes, 1, f->bytes.n);
    in->r.release = inbound_release;
    if (queue_push(&n->received, &in->r.node)) {
        writer_wake(n);
    }
}

static void frame_arrived(void *user, struct rpc_links_frame *f)
{
    struct peers *p = user;
    struct node *n = p->node;
    metric_inc(&metric_received);
    switch (f->bytes.n > 0 ? f->bytes.p[0] : 0) {
    case FRAME_BUNDLE:
        bundle_arrived(n, f);
        return;
    case READS_FRAME_PING:
    case READS_FRAME_PONG:
        linear_frame(n, f->from, f->bytes);
        break;
    default: /* of a later version */
        break;
    }
    rpc_links_release(f);
}

struct repl_received *peers_take(struct node *n)
{
    return (struct repl_received *)(void *)queue_take(&n->received); /* node is its first member */
}

/* --- out --- */

static struct outgoing *outgoing_of(struct peers *p, struct node_id to)
{
    for (size_t i = 0; i < p->n_out; i++) {
        if (p->out[i].to.v == to.v) {
            return &p->out[i];
        }
    }
    if (p->n_out == DIR_NODES_ROWS_MAX) {
        return NULL;
    }
    struct outgoing *o = &p->out[p->n_out++];
    o->to = to;
    for (size_t i = 0; i < RPC_LANES; i++) {
        buf_init(&o->lanes[i], BUNDLE_BYTES_MAX);
    }
    return o;
}

static void bundle_leave(struct peers *p, const struct outgoing *o, enum rpc_lane lane, struct buf *b)
{
    if (b->len == 0) {
        return;
    }
    enum err e = rpc_links_send(p->links, o->to, lane, buf_slice(b));
    metric_inc(e == OK ? &metric_sent : &metric_dropped);
    buf_reset(b);
    if (b->cap > BUNDLE_KEEP_BYTES) {
        buf_shrink(b);
    }
}

static enum err bundle_add(struct buf *b, struct slice message)
{
    uint8_t *p;
    size_t head = b->len == 0 ? 1 : 0;
    enum err e = buf_reserve(b, head + 4 + message.n, &p);
    if (e != OK) {
        return e;
    }
    p[0] = FRAME_BUNDLE;
    put_le32(p + head, (uint32_t)message.n);
    memcpy(p + head + 4, message.p, message.n);
    buf_commit(b, head + 4 + message.n);
    return OK;
}

void peers_send(void *ctx, struct node_id to, bool bulk, struct slice message)
{
    struct peers *p = ((struct node *)ctx)->peers;
    struct outgoing *o = p == NULL ? NULL : outgoing_of(p, to);
    if (o == NULL) {
        return;
    }
    enum rpc_lane lane = bulk ? RPC_LANE_BULK : RPC_LANE_CONTROL;
    struct buf *b = &o->lanes[lane];
    if (b->len > 0 && b->len + 4 + message.n > BUNDLE_BYTES) {
        bundle_leave(p, o, lane, b);
    }
    if (bundle_add(b, message) != OK) {
        metric_inc(&metric_dropped);
    }
}

void peers_flush(void *ctx)
{
    struct peers *p = ((struct node *)ctx)->peers;
    for (size_t i = 0; p != NULL && i < p->n_out; i++) {
        struct outgoing *o = &p->out[i];
        bundle_leave(p, o, RPC_LANE_CONTROL, &o->lanes[RPC_LANE_CONTROL]);
        bundle_leave(p, o, RPC_LANE_BULK, &o->lanes[RPC_LANE_BULK]);
    }
}

/* Pings and their answers go at once, from any thread. */
static void send_frame(void *ctx, struct node_id to, struct slice frame)
{
    struct peers *p = ctx;
    enum err e = rpc_links_send(p->links, to, RPC_LANE_CONTROL, frame);
    metric_inc(e == OK ? &metric_sent : &metric_dropped);
}

/* --- who is there --- */

void peers_follow_table(struct peers *p)
{
    struct node_table_row rows[DIR_NODES_ROWS_MAX];
    size_t n = p == NULL ? 0 : node_table_list(p->node, rows, DIR_NODES_ROWS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].id.v == p->node->identity.node.v) {
            continue;
        }
        enum err e = rpc_links_peer(p->links, rows[i].id, rows[i].removed ? NULL : rows[i].peer);
        if (e != OK) {
            log_warn("peers.dial", "a node cannot be dialed", LOG_U64("node", rows[i].id.v),
                     LOG_STR("address", rows[i].peer), LOG_ERR(e));
        }
    }
}

bool peers_is_up(struct peers *p, struct node_id id)
{
    return p != NULL && rpc_links_is_up(p->links, id);
}

static void peer_changed(void *user, struct node_id id, bool up)
{
    (void)user;
    log_info(up ? "peer.up" : "peer.down", up ? "a storage node is connected" : "a storage node is not reached",
             LOG_U64("node", id.v));
}

/* --- life --- */

enum err peers_open(struct node *n, const struct node_config *cfg, struct peers **out, struct buf *why)
{
    *out = NULL;
    if (cfg->peer_listen == NULL || cfg->peer_listen[0] == '\0') {
        return OK;
    }
    struct peers *p = mem_zalloc(sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->node = n;
    struct rpc_links_config lc = {.listen_url = cfg->peer_listen,
                                  .address = cfg->peer_address,
                                  .cluster = n->identity.cluster,
                                  .self = n->identity.node,
                                  .tls = cfg->peer_tls,
                                  .user = p,
                                  .on_frame = frame_arrived,
                                  .on_peer = peer_changed};
    enum err e = rpc_links_open(&lc, &p->links, why);
    if (e != OK) {
        mem_free(p);
        return e;
    }
    n->peer_ctx = p;
    n->peer_send = send_frame;
    *out = p;
    return OK;
}

void peers_stop(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    rpc_links_stop(p->links);
    for (struct repl_received *r = peers_take(p->node); r != NULL;) {
        struct repl_received *next = (struct repl_received *)(void *)r->node.next;
        r->release(r);
        r = next;
    }
}

void peers_close(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    rpc_links_close(p->links);
    for (size_t i = 0; i < p->n_out; i++) {
        for (size_t k = 0; k < RPC_LANES; k++) {
            buf_fini(&p->out[i].lanes[k]);
        }
    }
    mem_free(p);
}
