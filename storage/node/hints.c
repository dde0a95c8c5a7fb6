/* Change hints (proto/rpc/frame.h says what subscribers may rely on). */
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "storage/node/courier.h"

#define BEAT_MS 1000
/* What follows a hint so closely is told together: each makes its watchers read, and readers make the writer publish
 * each turn by itself (storage/kv/lmdb_txn.c). The first after a pause goes at once. */
#define GAP_MS 5
#define QUIET_MS (RPC_HINT_QUIET_S * 1000)

METRIC_GAUGE(metric_led, "pillarbox_shards_led", "Shards that this node leads, the directory included");

static struct rpc_hint beat(const struct node *n, struct shard_id shard, uint64_t seq)
{
    struct rpc_hint h = {.shard = shard, .epoch = n->hint_epoch, .seq = seq};
    return h;
}

/* Publishes the events of one shard's committed entries. */
static void shard_publish(struct node *n, struct node_shard *s, uint64_t now_ms)
{
    size_t count;
    uint64_t term;
    const struct storage_event *ev = storage_fsm_events(s->fsm, &count);
    count = volume_leads(n->volume, s->id, &term) ? count : 0; /* the leader's to tell */
    for (size_t i = 0; i < count; i++) {
        struct rpc_hint h = beat(n, s->id, ++s->hint_seq);
        h.account = ev[i].account;
        h.mailbox = ev[i].mailbox;
        h.modseq = ev[i].modseq;
        n->beat_seq++;
        rpc_server_publish(n->rpc, &h);
    }
    if (count > 0) {
        s->hinted_ms = now_ms;
    }
}

/* A shard that this node has come to lead: what the one before did not tell any more, and did not deliver, is ours. A
 * new epoch makes every frontend look at what it watches. */
static void leadership_look(struct node *n)
{
    int64_t led = 0;
    bool more = false;
    for (uint32_t i = 0; i < n->n_shards; i++) {
        struct node_shard *s = &n->shards[i];
        uint64_t term;
        bool leads = volume_leads(n->volume, s->id, &term);
        if (leads && !s->led) {
            more = true;
            courier_look(n->courier, s->id);
        }
        s->led = leads;
        led += leads;
    }
    if (led != n->led) {
        log_info("shards.led", "this node leads another number of shards", LOG_U64("leads", (uint64_t)led),
                 LOG_U64("before", (uint64_t)n->led), LOG_U64("of", n->n_shards));
        n->led = led;
    }
    n->hint_epoch = more ? rng_u64(n->rng) : n->hint_epoch;
    metric_set(&metric_led, led);
}

/* Repeats the latest of each shard that changed lately, then the node's own: a reader that missed one learns it within
 * a second. */
static void beats_publish(struct node *n, uint64_t now_ms)
{
    for (uint32_t i = 0; i < n->n_shards; i++) {
        struct node_shard *s = &n->shards[i];
        if (s->hint_seq > 0 && now_ms - s->hinted_ms < QUIET_MS) {
            struct rpc_hint h = beat(n, s->id, s->hint_seq);
            rpc_server_publish(n->rpc, &h);
        }
    }
    struct rpc_hint all = beat(n, (struct shard_id){RPC_HINT_SHARD_ALL}, n->beat_seq);
    rpc_server_publish(n->rpc, &all);
    n->beat_ms = now_ms;
}

static void dirty_publish(struct node *n, uint64_t now_ms)
{
    if (list_empty(&n->dirty) || now_ms - n->hints_ms < GAP_MS) {
        return;
    }
    for (struct list *it = list_pop_front(&n->dirty); it != NULL; it = list_pop_front(&n->dirty)) {
        shard_publish(n, LIST_ENTRY(it, struct node_shard, dirty), now_ms);
    }
    n->hints_ms = now_ms;
}

void hints_publish(struct node *n, uint64_t now_ms)
{
    dirty_publish(n, now_ms);
    if (now_ms - n->beat_ms >= BEAT_MS) {
        leadership_look(n);
        beats_publish(n, now_ms);
    }
}

uint64_t hints_wait_ms(const struct node *n, uint64_t now_ms)
{
    uint64_t beat = now_ms - n->beat_ms;
    uint64_t hint = now_ms - n->hints_ms;
    if (!list_empty(&n->dirty)) {
        return hint >= GAP_MS ? 0 : GAP_MS - hint;
    }
    return beat >= BEAT_MS ? 0 : BEAT_MS - beat;
}
