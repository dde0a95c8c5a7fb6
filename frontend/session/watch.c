/* Change hints -> the connections that watch the account. Hints are only hints: they may be lost (slow subscribers,
 * links that break), so every second each node says how many it has sent, and whoever counted less, or hears nothing
 * for 3 s, asks for the MODSEQs of the accounts it watches in that node's shards (proto/rpc/frame.h); in all shards
 * when a node's epoch or link changed, and in one when its leader did. A session then reads what changed.
 *
 * Threads: on_hint and on_link on the transport's, on_source and on_leader on the map's, add and remove on loops, the
 * checker on its own. Accounts are spread over stripes, each with a lock that is held for moments. */
#include <string.h>

#include "frontend/net/conn.h"
#include "frontend/session/watch_internal.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"

METRIC_COUNTER(metric_hints, "pillarbox_hints_total", "Change hints received");
METRIC_GAUGE(metric_watches, "pillarbox_watches", "Sessions watching an account");

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

void watch_account_changed(struct watch_registry *r, struct account_id a, struct shard_id shard, uint64_t modseq,
                           bool answered)
{
    struct stripe *s = stripe_of(r, a);
    pthread_mutex_lock(&s->lock);
    struct watched *w = watched_find(s, a);
    if (w != NULL && w->modseq < modseq) {
        w->shard = shard;
    }
    if (w != NULL && (w->modseq < modseq || (answered && w->again))) {
        w->again = w->again && !answered;
        __atomic_store_n(&w->modseq, modseq > w->modseq ? modseq : w->modseq, __ATOMIC_RELEASE);
        LIST_FOREACH (it, &w->watches) {
            conn_notify(LIST_ENTRY(it, struct backend_watch, node)->conn);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void watch_account_moved(struct watch_registry *r, struct account_id a, struct shard_id to)
{
    struct stripe *s = stripe_of(r, a);
    pthread_mutex_lock(&s->lock);
    struct watched *w = watched_find(s, a);
    if (w != NULL) {
        w->shard = to;
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&r->lock);
    watch_missed_shard(r, to);
    pthread_mutex_unlock(&r->lock);
}

/* --- what the nodes say --- */

void watch_missed_shard(struct watch_registry *r, struct shard_id shard)
{
    bits_set(&r->missed, shard);
    r->missed_any = true;
    pthread_cond_signal(&r->wake);
}

void watch_missed_all(struct watch_registry *r)
{
    memset(&r->missed, 0xff, sizeof(r->missed));
    r->missed_any = true;
    pthread_cond_signal(&r->wake);
}

static void heartbeat(struct watch_registry *r, struct source *s, const struct rpc_hint *h)
{
    if (h->shard.v != RPC_HINT_SHARD_ALL) {
        return;
    }
    if (s->epoch != h->epoch) {
        watch_missed_all(r);
    } else if (s->counted != h->seq) {
        s->gap = true;
        pthread_cond_signal(&r->wake);
    }
    s->epoch = h->epoch;
    s->counted = h->seq;
}

static void on_hint(void *user, unsigned slot, const struct rpc_hint *h)
{
    struct watch_registry *r = user;
    struct source *s = &r->sources[slot];
    pthread_mutex_lock(&r->lock);
    s->heard_ms = clock_mono_ms(clock_system());
    if (h->account.v == 0) {
        heartbeat(r, s, h);
    } else {
        s->counted++; /* of another epoch: the next heartbeat sets it right */
    }
    pthread_mutex_unlock(&r->lock);
    if (h->account.v != 0) {
        metric_inc(&metric_hints);
        watch_account_changed(r, h->account, h->shard, h->modseq, false);
    }
}

static void on_link(void *user, unsigned slot, bool up)
{
    struct watch_registry *r = user;
    (void)slot;
    (void)up; /* either way hints may have been missed */
    pthread_mutex_lock(&r->lock);
    watch_missed_all(r);
    pthread_mutex_unlock(&r->lock);
}

static void on_source(void *user, unsigned slot, bool open)
{
    struct watch_registry *r = user;
    pthread_mutex_lock(&r->lock);
    r->sources[slot] = (struct source){.open = open, .heard_ms = clock_mono_ms(clock_system())};
    pthread_mutex_unlock(&r->lock);
}

static void on_leader(void *user, struct shard_id shard)
{
    struct watch_registry *r = user;
    pthread_mutex_lock(&r->lock);
    watch_missed_shard(r, shard);
    pthread_mutex_unlock(&r->lock);
}

const struct nodes_ops watch_ops = {
    .on_source = on_source, .on_hint = on_hint, .on_link = on_link, .on_leader = on_leader};

/* --- life --- */

enum err watch_registry_open(struct backend *b, struct watch_registry **out)
{
    struct watch_registry *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->backend = b;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    for (size_t i = 0; i < WATCH_STRIPES; i++) {
        pthread_mutex_init(&r->stripes[i].lock, NULL);
        hmap_init(&r->stripes[i].map);
    }
    *out = r;
    return OK;
}

enum err watch_registry_start(struct watch_registry *r)
{
    r->checker_started = pthread_create(&r->checker, NULL, watch_check_main, r) == 0;
    return r->checker_started ? OK : ERR_NOMEM;
}

void watch_registry_stop(struct watch_registry *r)
{
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    if (r->checker_started) {
        pthread_join(r->checker, NULL);
    }
}

void watch_registry_close(struct watch_registry *r)
{
    for (size_t i = 0; i < WATCH_STRIPES; i++) {
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
    watch->registry = b->watches;
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

void backend_watch_again(struct backend_watch *w)
{
    struct watch_registry *r = w->registry;
    pthread_mutex_lock(&w->stripe->lock);
    w->account->again = true;
    struct shard_id shard = w->account->shard;
    pthread_mutex_unlock(&w->stripe->lock);
    pthread_mutex_lock(&r->lock);
    watch_missed_shard(r, shard);
    pthread_mutex_unlock(&r->lock);
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
