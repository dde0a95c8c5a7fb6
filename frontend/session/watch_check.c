#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frontend/session/watch_internal.h"
#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "proto/base/rng.h"

#define SILENCE_MS 3000
#define TICK_MS 500
#define CHECK_ACCOUNTS_MAX 500
#define CHECK_TIMEOUT_MS 2000
#define CHECK_NODES_MAX 4 /* hints followed in one check */
#define ARENA_BYTES (256 * 1024)

METRIC_COUNTER(metric_checks, "pillarbox_hint_checks_total",
               "Re-checks of watched accounts after lost hints or silence");

struct check {
    struct shard_bits shards;
    struct shard_bits failed; /* of them: nobody answered */
    bool failed_any;
    struct shard_id shard;
    uint64_t accounts[CHECK_ACCOUNTS_MAX];
    size_t n;
};

/* The reply is the caller's to release. */
static enum err check_call(struct nodes *m, struct node_route *route, struct rpc_call *call)
{
    enum err e = ERR_UNAVAILABLE;
    for (int i = 0; i < CHECK_NODES_MAX; i++) {
        e = nodes_take(m, route);
        if (e != OK) {
            return e;
        }
        e = rpc_client_call(route->client, call);
        e = e == OK ? call->reply.head.status : e;
        nodes_give(m, route);
        if (e == OK || !nodes_failed(m, route, e, call->reply.head.hint)) {
            return e;
        }
        rpc_reply_fini(&call->reply);
    }
    return e;
}

static bool check_send(struct watch_registry *r, struct check *c, struct arena *arena)
{
    Pb__ReadWatch req = PB__READ_WATCH__INIT;
    req.accounts = c->accounts;
    req.n_accounts = c->n;
    size_t n = protobuf_c_message_get_packed_size(&req.base);
    uint8_t *meta = arena_alloc(arena, n + 1);
    if (meta == NULL) {
        return false;
    }
    protobuf_c_message_pack(&req.base, meta);
    struct node_route route = {.shard = c->shard};
    struct rpc_call call = {.head = {.method = METHOD_WATCH,
                                     .shard = c->shard,
                                     .request_id = rng_u128(rng_system()),
                                     .issue_ms = clock_wall_ms(clock_system()),
                                     .budget_ms = CHECK_TIMEOUT_MS},
                            .meta = slice_make(meta, n),
                            .timeout_ms = CHECK_TIMEOUT_MS};
    bool good = check_call(r->backend->nodes, &route, &call) == OK;
    ProtobufCAllocator alloc = backend_allocator(arena);
    Pb__ReadWatchResult *res =
        good ? pb__read_watch_result__unpack(&alloc, call.reply.meta.n, call.reply.meta.p) : NULL;
    good = res != NULL && res->modseqs.len == c->n * 8;
    for (size_t i = 0; good && i < c->n; i++) {
        struct account_id a = {c->accounts[i]};
        struct shard_id moved = {res->shards.len == c->n * 4 ? get_le32(res->shards.data + i * 4) : 0};
        if (moved.v != 0) {
            watch_account_moved(r, a, moved);
        } else {
            watch_account_changed(r, a, c->shard, get_le64(res->modseqs.data + i * 8), true);
        }
    }
    rpc_reply_fini(&call.reply);
    arena_reset(arena);
    return good;
}

struct account_at {
    struct account_id account;
    struct shard_id shard;
};

/* The accounts of a stripe in these shards, copied so that no lock is held while asking. */
static struct account_at *stripe_accounts(struct stripe *s, const struct shard_bits *shards, size_t *out_n)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    struct account_at *list = mem_calloc(s->map.count + 1, sizeof(*list));
    if (list != NULL) {
        struct hmap_iter it = hmap_iter_make(&s->map);
        for (struct hmap_node *h = hmap_iter_next(&it); h != NULL; h = hmap_iter_next(&it)) {
            struct watched *w = HMAP_ENTRY(h, struct watched, node);
            if (bits_has(shards, w->shard)) {
                list[n++] = (struct account_at){w->account, w->shard};
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
    *out_n = n;
    return list;
}

static int by_shard(const void *a, const void *b)
{
    const struct account_at *x = a;
    const struct account_at *y = b;
    return x->shard.v < y->shard.v ? -1 : x->shard.v > y->shard.v;
}

static void check_failed(struct check *c, struct shard_id shard)
{
    bits_set(&c->failed, shard);
    c->failed_any = true;
}

static void check_stripe(struct watch_registry *r, struct check *c, struct account_at *list, size_t n,
                         struct arena *arena)
{
    qsort(list, n, sizeof(*list), by_shard);
    c->n = 0;
    for (size_t k = 0; k < n; k++) {
        c->shard = list[k].shard;
        c->accounts[c->n++] = list[k].account.v;
        bool last = k + 1 == n || list[k + 1].shard.v != c->shard.v || c->n == CHECK_ACCOUNTS_MAX;
        if (last) {
            if (bits_has(&c->failed, c->shard) || !check_send(r, c, arena)) {
                check_failed(c, c->shard);
            }
            c->n = 0;
        }
    }
}

/* Asks for every watched account of c->shards; those that could not be asked are in c->failed. */
static void check_all(struct watch_registry *r, struct check *c, struct arena *arena)
{
    memset(&c->failed, 0, sizeof(c->failed));
    c->failed_any = false;
    metric_inc(&metric_checks);
    for (size_t i = 0; i < WATCH_STRIPES; i++) {
        size_t n;
        struct account_at *list = stripe_accounts(&r->stripes[i], &c->shards, &n);
        if (list == NULL) {
            c->failed = c->shards;
            c->failed_any = true;
            return;
        }
        check_stripe(r, c, list, n, arena);
        mem_free(list);
    }
}

static void checker_wait(struct watch_registry *r)
{
    struct timespec ts;
    uint64_t until_us = clock_perf_us() + TICK_MS * 1000; /* CLOCK_MONOTONIC: what a condition variable can wait on */
    ts.tv_sec = (time_t)(until_us / 1000000);
    ts.tv_nsec = (long)(until_us % 1000000) * 1000;
    pthread_cond_clockwait(&r->wake, &r->lock, CLOCK_MONOTONIC, &ts);
}

/* A node's hints were lost, or it is silent: the shards that it may lead. While the silence lasts, one check each
 * SILENCE_MS. */
static void sources_look(struct watch_registry *r, uint64_t now)
{
    const struct nodes *m = r->backend->nodes;
    uint32_t shards = nodes_shards(m);
    for (unsigned i = 0; i < NODES_MAX; i++) {
        struct source *s = &r->sources[i];
        if (!s->open || (!s->gap && now - s->heard_ms < SILENCE_MS)) {
            continue;
        }
        s->gap = false;
        s->heard_ms = now;
        if (shards == 0) {
            watch_missed_all(r);
        }
        for (struct shard_id shard = {0}; shard.v < shards; shard.v++) {
            if (nodes_may_lead(m, i, shard)) {
                watch_missed_shard(r, shard);
            }
        }
    }
}

void *watch_check_main(void *arg)
{
    struct watch_registry *r = arg;
    struct check *c = mem_zalloc(sizeof(*c));
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    pthread_mutex_lock(&r->lock);
    while (!r->stop && c != NULL) {
        sources_look(r, clock_mono_ms(clock_system()));
        if (!r->missed_any) {
            checker_wait(r);
            continue;
        }
        c->shards = r->missed;
        memset(&r->missed, 0, sizeof(r->missed));
        r->missed_any = false;
        pthread_mutex_unlock(&r->lock);
        check_all(r, c, &arena);
        pthread_mutex_lock(&r->lock);
        if (c->failed_any && !r->stop) {
            for (size_t i = 0; i < SHARD_BITS / 64; i++) {
                r->missed.bits[i] |= c->failed.bits[i];
            }
            r->missed_any = true;
            checker_wait(r);
        }
    }
    pthread_mutex_unlock(&r->lock);
    arena_fini(&arena);
    mem_free(c);
    return NULL;
}
