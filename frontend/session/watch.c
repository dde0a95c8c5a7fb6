/* Change hints -> the connections that watch the account. Hints are only hints: they may be lost (PUB drops for slow
 * subscribers, links break), so every second the node says how many it has sent, and whoever counted less, or hears
 * nothing for 3 s, asks for the MODSEQs of its watched accounts (proto/rpc/frame.h). A session then reads what changed.
 *
 * Threads: on_hint and on_link on nng's, add and remove on loops, the checker on its own. Accounts are spread over
 * stripes, each with a lock that is held for moments. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "frontend/net/conn.h"
#include "frontend/session/backend_internal.h"
#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/hmap.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "proto/base/rng.h"

#define STRIPES 64
#define SILENCE_MS 3000
#define TICK_MS 500
#define CHECK_ACCOUNTS_MAX 500
#define CHECK_TIMEOUT_MS 5000
#define ARENA_BYTES (256 * 1024)

METRIC_COUNTER(metric_hints, "pillarbox_hints_total", "Change hints received");
METRIC_COUNTER(metric_checks, "pillarbox_hint_checks_total",
               "Re-checks of watched accounts after lost hints or silence");
METRIC_GAUGE(metric_watches, "pillarbox_watches", "Sessions watching an account");

struct watched {
    struct hmap_node node;
    struct account_id account;
    struct shard_id shard;
    uint64_t modseq; /* atomic */
    struct list watches;
};

struct backend_watch {
    struct list node;
    struct watched *account;
    struct conn_handle *conn;
    struct stripe *stripe;
};

struct stripe {
    pthread_mutex_t lock;
    struct hmap map;
};

struct watch_registry {
    struct backend *backend;
    struct rpc_subscriber *sub;
    struct stripe stripes[STRIPES];
    pthread_t checker;
    bool checker_started;
    pthread_mutex_t lock; /* below */
    pthread_cond_t wake;
    bool stop;
    bool missed;       /* something was lost: check */
    uint64_t epoch;    /* of the publisher */
    uint64_t counted;  /* its account hints, as far as we heard */
    uint64_t heard_ms; /* last hint or heartbeat */
};

static struct stripe *stripe_of(struct watch_registry *r, struct account_id a)
{
    return &r->stripes[(a.v * UINT64_C(0x9E3779B97F4A7C15)) >> 58];
}

static struct watched *watched_find(struct stripe *s, struct account_id a)
{
    for (struct hmap_node *n = hmap_first(&s->map, a.v); n != NULL; n = hmap_next(n)) {
        struct watched *w = HMAP_ENTRY(n, struct watched, node);
        if (w->account.v == a.v) {
            return w;
        }
    }
    return NULL;
}

/* The account reached modseq: wake its sessions if that is news. */
static void account_changed(struct watch_registry *r, struct account_id a, uint64_t modseq)
{
    struct stripe *s = stripe_of(r, a);
    pthread_mutex_lock(&s->lock);
    struct watched *w = watched_find(s, a);
    if (w != NULL && w->modseq < modseq) {
        __atomic_store_n(&w->modseq, modseq, __ATOMIC_RELEASE);
        LIST_FOREACH (it, &w->watches) {
            conn_notify(LIST_ENTRY(it, struct backend_watch, node)->conn);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* --- what the publisher says --- */

static void heartbeat(struct watch_registry *r, const struct rpc_hint *h)
{
    pthread_mutex_lock(&r->lock);
    if (h->shard.v == RPC_HINT_SHARD_ALL && (r->epoch != h->epoch || r->counted != h->seq)) {
        r->missed = true;
        r->epoch = h->epoch;
        r->counted = h->seq;
        pthread_cond_signal(&r->wake);
    }
    r->heard_ms = clock_mono_ms(clock_system());
    pthread_mutex_unlock(&r->lock);
}

static void on_hint(void *user, const struct rpc_hint *h)
{
    struct watch_registry *r = user;
    if (h->account.v == 0) {
        heartbeat(r, h);
        return;
    }
    metric_inc(&metric_hints);
    pthread_mutex_lock(&r->lock);
    r->counted++; /* of another epoch: the next heartbeat sets it right */
    r->heard_ms = clock_mono_ms(clock_system());
    pthread_mutex_unlock(&r->lock);
    account_changed(r, h->account, h->modseq);
}

static void on_link(void *user, bool up)
{
    struct watch_registry *r = user;
    (void)up; /* either way hints may have been missed */
    pthread_mutex_lock(&r->lock);
    r->missed = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

/* --- the checker --- */

struct check {
    struct shard_id shard;
    uint64_t accounts[CHECK_ACCOUNTS_MAX];
    size_t n;
};

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
    struct rpc_call call = {.head = {.method = METHOD_WATCH,
                                     .shard = c->shard,
                                     .request_id = rng_u128(rng_system()),
                                     .issue_ms = clock_wall_ms(clock_system()),
                                     .budget_ms = CHECK_TIMEOUT_MS},
                            .meta = slice_make(meta, n),
                            .timeout_ms = CHECK_TIMEOUT_MS};
    bool good = rpc_client_call(r->backend->client, &call) == OK && call.reply.head.status == OK;
    ProtobufCAllocator alloc = backend_allocator(arena);
    Pb__ReadWatchResult *res =
        good ? pb__read_watch_result__unpack(&alloc, call.reply.meta.n, call.reply.meta.p) : NULL;
    good = res != NULL && res->modseqs.len == c->n * 8;
    for (size_t i = 0; good && i < c->n; i++) {
        account_changed(r, (struct account_id){c->accounts[i]}, get_le64(res->modseqs.data + i * 8));
    }
    rpc_reply_fini(&call.reply);
    arena_reset(arena);
    return good;
}

struct account_at {
    struct account_id account;
    struct shard_id shard;
};

/* The accounts of a stripe, copied so that no lock is held while asking. */
static struct account_at *stripe_accounts(struct stripe *s, size_t *out_n)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    struct account_at *list = mem_calloc(s->map.count + 1, sizeof(*list));
    if (list != NULL) {
        struct hmap_iter it = hmap_iter_make(&s->map);
        for (struct hmap_node *h = hmap_iter_next(&it); h != NULL; h = hmap_iter_next(&it)) {
            struct watched *w = HMAP_ENTRY(h, struct watched, node);
            list[n++] = (struct account_at){w->account, w->shard};
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

/* Asks for every watched account; false when some could not be asked. */
static bool check_all(struct watch_registry *r, struct check *c, struct arena *arena)
{
    bool good = true;
    metric_inc(&metric_checks);
    for (size_t i = 0; i < STRIPES; i++) {
        size_t n;
        struct account_at *list = stripe_accounts(&r->stripes[i], &n);
        if (list == NULL) {
            return false;
        }
        qsort(list, n, sizeof(*list), by_shard);
        c->n = 0;
        for (size_t k = 0; k < n; k++) {
            c->shard = list[k].shard;
            c->accounts[c->n++] = list[k].account.v;
            bool last = k + 1 == n || list[k + 1].shard.v != c->shard.v || c->n == CHECK_ACCOUNTS_MAX;
            if (last) {
                good = check_send(r, c, arena) && good;
                c->n = 0;
            }
        }
        mem_free(list);
    }
    return good;
}

static void checker_wait(struct watch_registry *r)
{
    struct timespec ts;
    uint64_t until_us = clock_perf_us() + TICK_MS * 1000; /* CLOCK_MONOTONIC: what a condition variable can wait on */
    ts.tv_sec = (time_t)(until_us / 1000000);
    ts.tv_nsec = (long)(until_us % 1000000) * 1000;
    pthread_cond_clockwait(&r->wake, &r->lock, CLOCK_MONOTONIC, &ts);
}

static void *checker_main(void *arg)
{
    struct watch_registry *r = arg;
    struct check *c = mem_zalloc(sizeof(*c));
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    pthread_mutex_lock(&r->lock);
    while (!r->stop && c != NULL) {
        uint64_t now = clock_mono_ms(clock_system());
        bool due = r->missed || now - r->heard_ms >= SILENCE_MS;
        if (!due) {
            checker_wait(r);
            continue;
        }
        r->missed = false;
        r->heard_ms = now; /* while the silence lasts, one check each SILENCE_MS */
        pthread_mutex_unlock(&r->lock);
        bool good = check_all(r, c, &arena);
        pthread_mutex_lock(&r->lock);
        if (!good && !r->stop) {
            r->missed = true;
            checker_wait(r);
        }
    }
    pthread_mutex_unlock(&r->lock);
    arena_fini(&arena);
    mem_free(c);
    return NULL;
}

/* --- life --- */

enum err watch_registry_open(struct backend *b, struct watch_registry **out, struct buf *why)
{
    struct watch_registry *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->backend = b;
    r->heard_ms = clock_mono_ms(clock_system());
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&r->stripes[i].lock, NULL);
        hmap_init(&r->stripes[i].map);
    }
    struct rpc_subscriber_config sc = {
        .url = b->cfg.pub_url, .user = r, .on_hint = on_hint, .on_link = on_link, .tls = b->cfg.tls};
    enum err e = rpc_subscriber_open(&sc, &r->sub, why);
    if (e == OK && pthread_create(&r->checker, NULL, checker_main, r) != 0) {
        e = ERR_NOMEM;
    }
    r->checker_started = e == OK;
    if (e != OK) {
        watch_registry_close(r);
        return e;
    }
    *out = r;
    return OK;
}

void watch_registry_close(struct watch_registry *r)
{
    if (r->sub != NULL) {
        rpc_subscriber_close(r->sub);
    }
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    if (r->checker_started) {
        pthread_join(r->checker, NULL);
    }
    for (size_t i = 0; i < STRIPES; i++) {
        hmap_fini(&r->stripes[i].map);
        pthread_mutex_destroy(&r->stripes[i].lock);
    }
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* --- watches --- */

static struct watched *watched_make(struct stripe *s, const struct account_ref *a)
{
    struct watched *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    w->account = a->id;
    w->shard = a->shard;
    list_init(&w->watches);
    if (hmap_insert(&s->map, &w->node, a->id.v) != OK) {
        mem_free(w);
        return NULL;
    }
    return w;
}

enum err backend_watch_add(struct backend *b, const struct account_ref *a, struct conn *c, struct backend_watch **out)
{
    struct stripe *s = stripe_of(b->watches, a->id);
    struct backend_watch *watch = mem_zalloc(sizeof(*watch));
    if (watch == NULL) {
        return ERR_NOMEM;
    }
    watch->stripe = s;
    watch->conn = conn_handle_ref(c);
    if (watch->conn == NULL) {
        mem_free(watch);
        return ERR_NOMEM;
    }
    pthread_mutex_lock(&s->lock);
    watch->account = watched_find(s, a->id);
    if (watch->account == NULL) {
        watch->account = watched_make(s, a);
    }
    if (watch->account != NULL) {
        list_push_back(&watch->account->watches, &watch->node);
    }
    pthread_mutex_unlock(&s->lock);
    if (watch->account == NULL) {
        conn_handle_unref(watch->conn);
        mem_free(watch);
        return ERR_NOMEM;
    }
    metric_add(&metric_watches, 1);
    *out = watch;
    return OK;
}

uint64_t backend_watch_modseq(const struct backend_watch *w)
{
    return __atomic_load_n(&w->account->modseq, __ATOMIC_ACQUIRE);
}

void backend_watch_remove(struct backend_watch *w)
{
    struct stripe *s = w->stripe;
    pthread_mutex_lock(&s->lock);
    list_remove(&w->node);
    if (list_empty(&w->account->watches)) {
        hmap_remove(&s->map, &w->account->node);
        mem_free(w->account);
    }
    pthread_mutex_unlock(&s->lock);
    conn_handle_unref(w->conn);
    metric_add(&metric_watches, -1);
    mem_free(w);
}
