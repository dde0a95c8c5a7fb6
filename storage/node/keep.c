/* Keeping what is expunged (deploy/docs/adr/0007): the leader's part. It says in an entry whether that keeps, and lets
 * go of what was kept for long enough. */
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "storage/apply/housekeeping.h"
#include "storage/mailbox/pb.h"
#include "storage/node/node_internal.h"
#include "storage/node/node_table.h"
#include "storage/node/own_wait.h"

#define LEVEL_KEEP 2  /* of the cluster: its nodes know entry_head.keep */
#define STEPS_MAX 100 /* a shard and tick, of 1,000 messages each */
/* On a full disk, a tick: what is deleted is free a moment later only, and what need not go should stay. */
#define PRESSED_STEPS 4
#define PRESSED_MESSAGES 100
#define PRESSED_BYTES (16u * 1024 * 1024)

METRIC_GAUGE(metric_messages, "pillarbox_store_kept_messages",
             "Expunged messages that can be brought back, of the shards that this node leads");
METRIC_GAUGE(metric_bytes, "pillarbox_store_kept_bytes", "Their size");

static bool pressed(const struct node *n)
{
    struct volume_stats v;
    volume_stats(n->volume, &v);
    return v.above_watermark;
}

bool keep_expunged(const struct node *n, unsigned method)
{
    bool expunges = method == METHOD_EXPUNGE || method == METHOD_MAILBOX_DELETE || method == METHOD_PURGE;
    return expunges && n->undelete_retention_ms > 0 && node_table_level(n) >= LEVEL_KEEP && !pressed(n);
}

/* What was kept before that goes. */
static uint64_t cut_off(const struct node *n)
{
    uint64_t now = clock_wall_ms(n->clock);
    if (n->undelete_retention_ms == 0) {
        return UINT64_MAX;
    }
    return now > n->undelete_retention_ms ? now - n->undelete_retention_ms : 0;
}

/* A shard that is led elsewhere keeps nothing as far as this node is concerned. */
static enum err look(struct node *n, struct kv_txn *t, struct shard_id shard, struct housekeeping_kept *out)
{
    uint8_t prefix[5];
    uint64_t term;
    out->messages = 0;
    out->bytes = 0;
    out->oldest_ms = UINT64_MAX;
    if (!volume_leads(n->volume, shard, &term)) {
        return OK;
    }
    enum err e = volume_state_prefix(n->volume, shard, prefix);
    return e == OK ? housekeeping_kept_get(t, prefix, out) : e;
}

/* All shards in one read transaction: each one that begins makes the writer publish what it would rather collect. */
static enum err look_at_all(struct node *n, struct housekeeping_kept *kept)
{
    struct kv_txn *t;
    int64_t messages = 0;
    int64_t bytes = 0;
    enum err e = kv_begin(n->kv, false, &t);
    if (e != OK) {
        return e;
    }
    for (uint32_t i = 0; e == OK && i < n->n_shards; i++) {
        e = look(n, t, (struct shard_id){i}, &kept[i]);
        if (e == OK) {
            messages += (int64_t)kept[i].messages;
            bytes += (int64_t)kept[i].bytes;
        }
    }
    kv_abort(t);
    if (e == OK) {
        metric_set(&metric_messages, messages);
        metric_set(&metric_bytes, bytes);
    }
    return e;
}

static enum err propose(struct node *n, struct shard_id shard, const Pb__OpKeptDrop *drop)
{
    struct buf op;
    buf_init(&op, 4096);
    enum err e = pb_pack(&drop->base, &op);
    if (e == OK) {
        struct proposal_spec spec = {.shard = shard, .method = METHOD_KEPT_DROP, .op = buf_slice(&op)};
        e = own_propose_wait(n, &spec, NULL);
    }
    buf_fini(&op);
    return e;
}

/* One step, and what is kept then. */
static enum err step(struct node *n, struct shard_id shard, const Pb__OpKeptDrop *drop, struct housekeeping_kept *kept)
{
    struct kv_txn *t;
    enum err e = propose(n, shard, drop);
    if (e == OK) {
        e = kv_begin(n->kv, false, &t);
    }
    if (e == OK) {
        e = look(n, t, shard, kept);
        kv_abort(t);
    }
    if (e != OK && e != ERR_UNAVAILABLE && e != ERR_NOT_LEADER) {
        log_warn("keep.drop", "kept messages will be dropped later", LOG_U64("shard", shard.v), LOG_ERR(e));
    }
    return e;
}

static void drop_due(struct node *n, struct housekeeping_kept *kept, const bool *stop)
{
    Pb__OpKeptDrop drop = PB__OP_KEPT_DROP__INIT;
    drop.before_ms = cut_off(n);
    for (uint32_t i = 0; i < n->n_shards; i++) {
        enum err e = OK;
        for (unsigned steps = 0; e == OK && kept[i].oldest_ms < drop.before_ms && steps < STEPS_MAX; steps++) {
            e = __atomic_load_n(stop, __ATOMIC_RELAXED) ? ERR_SHUTDOWN : step(n, (struct shard_id){i}, &drop, &kept[i]);
        }
    }
}

/* Of all that this node leads. */
static void drop_oldest(struct node *n, struct housekeeping_kept *kept, const bool *stop)
{
    Pb__OpKeptDrop drop = PB__OP_KEPT_DROP__INIT;
    drop.before_ms = UINT64_MAX;
    drop.messages = PRESSED_MESSAGES;
    drop.bytes = PRESSED_BYTES;
    for (unsigned steps = 0; steps < PRESSED_STEPS && !__atomic_load_n(stop, __ATOMIC_RELAXED); steps++) {
        uint32_t oldest = 0;
        for (uint32_t i = 1; i < n->n_shards; i++) {
            oldest = kept[i].oldest_ms < kept[oldest].oldest_ms ? i : oldest;
        }
        if (kept[oldest].oldest_ms == UINT64_MAX || step(n, (struct shard_id){oldest}, &drop, &kept[oldest]) != OK) {
            return;
        }
    }
}

void keep_tick(struct node *n, const bool *stop)
{
    struct housekeeping_kept *kept = mem_calloc(n->n_shards, sizeof(*kept));
    enum err e = kept == NULL ? ERR_NOMEM : look_at_all(n, kept);
    if (e != OK) {
        log_warn("keep.look", "whether kept messages are due could not be read; it will be tried again", LOG_ERR(e));
    } else if (pressed(n)) {
        drop_oldest(n, kept, stop);
    } else {
        drop_due(n, kept, stop);
    }
    mem_free(kept);
}
