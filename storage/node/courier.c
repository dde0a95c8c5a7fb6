#include "storage/node/courier.h"
#include "storage/node/leaders.h"
#include "storage/node/leftovers.h"

#include <time.h>

#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "storage/node/carry.h"
#include "storage/node/others.h"

#define TICK_MS 1000        /* housekeeping, and retries of what could not be delivered */
#define PURGE_STEPS_MAX 100 /* a shard and tick */

struct waiting {
    struct list node;
    struct rpc_request *request;
    uint64_t until_ms;
    size_t result_bytes;
    uint8_t result[];
};

struct courier {
    struct node *node;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list arrived; /* struct waiting: since the last pass */
    bool *dirty;         /* by shard: handoffs may be there */
    bool any_dirty;
    bool stop;
    struct housekeeping *keep; /* by shard; courier's thread only */
};

/* --- replies that wait --- */

static void answer(struct waiting *w)
{
    rpc_request_reply(w->request, OK, 0, slice_make(w->result, w->result_bytes), slice_str(""));
    mem_free(w);
}

static void answer_all(struct list *l)
{
    for (struct list *it = list_pop_front(l); it != NULL; it = list_pop_front(l)) {
        answer(LIST_ENTRY(it, struct waiting, node));
    }
}

/* Puts a delivery in line. False: the courier has stopped. */
static bool enqueue(struct courier *c, struct waiting *w)
{
    pthread_mutex_lock(&c->lock);
    bool stopped = c->stop;
    if (!stopped) {
        list_push_back(&c->arrived, &w->node);
        c->dirty[w->request->head.shard.v] = true;
        c->any_dirty = true;
        pthread_cond_signal(&c->wake);
    }
    pthread_mutex_unlock(&c->lock);
    return !stopped;
}

void courier_hand_off(struct courier *c, struct rpc_request *r, struct slice result)
{
    struct waiting *w = mem_alloc(sizeof(*w) + result.n);
    if (w == NULL) { /* it is committed: only the courtesy of waiting is lost; the next tick finds the rows */
        rpc_request_reply(r, OK, 0, result, slice_str(""));
        return;
    }
    w->request = r;
    w->until_ms = clock_mono_ms(c->node->clock) + COURIER_REPLY_MS;
    w->result_bytes = result.n;
    if (result.n > 0) {
        memcpy(w->result, result.p, result.n);
    }
    if (!enqueue(c, w)) {
        answer(w); /* the next start carries it */
    }
}

void courier_look(struct courier *c, struct shard_id shard)
{
    pthread_mutex_lock(&c->lock);
    c->dirty[shard.v] = true;
    c->any_dirty = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

/* --- one pass --- */

static void shard_pass(struct courier *c, uint32_t number)
{
    bool left = false;
    enum err e = carry_handoffs(c->node, (struct shard_id){number}, &c->stop, &left);
    if (e != OK || left) {
        if (e != OK && e != ERR_UNAVAILABLE && e != ERR_QUOTA) {
            log_warn("courier.retry", "handoffs wait for the next try", LOG_U64("shard", number), LOG_ERR(e));
        }
        pthread_mutex_lock(&c->lock);
        c->dirty[number] = true; /* looked at again with the next tick */
        pthread_mutex_unlock(&c->lock);
    }
}

static bool take_dirty(struct courier *c, uint32_t number)
{
    pthread_mutex_lock(&c->lock);
    bool dirty = c->dirty[number];
    c->dirty[number] = false;
    pthread_mutex_unlock(&c->lock);
    return dirty;
}

static void move_list(struct list *from, struct list *to)
{
    for (struct list *it = list_pop_front(from); it != NULL; it = list_pop_front(from)) {
        list_push_back(to, it);
    }
}

/* Answers those whose time is over. */
static void answer_late(struct courier *c, struct list *l)
{
    uint64_t now = clock_mono_ms(c->node->clock);
    LIST_FOREACH_SAFE (it, l) {
        struct waiting *w = LIST_ENTRY(it, struct waiting, node);
        if (now >= w->until_ms) {
            list_remove(it);
            answer(w);
        }
    }
}

static void pass(struct courier *c, struct list *mine)
{
    for (uint32_t i = 1; i < c->node->n_shards && !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); i++) {
        if (take_dirty(c, i)) {
            shard_pass(c, i);
            answer_late(c, mine);
        }
    }
}

static void housekeep(struct courier *c)
{
    for (uint32_t i = 0; i < c->node->n_shards && !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); i++) {
        enum err e = carry_purge(c->node, (struct shard_id){i}, &c->keep[i], PURGE_STEPS_MAX);
        if (e != OK && e != ERR_UNAVAILABLE) {
            log_warn("courier.purge", "housekeeping will be tried again", LOG_U64("shard", i), LOG_ERR(e));
        }
    }
}

/* Waits for work or the tick. Takes what arrived. True when a tick is due. */
static bool wait_for_work(struct courier *c, uint64_t tick_ms, struct list *mine, bool *out_stop)
{
    struct timespec ts;
    uint64_t now = clock_mono_ms(c->node->clock);
    uint64_t until_us = clock_perf_us() + (tick_ms > now ? tick_ms - now : 0) * 1000;
    ts.tv_sec = (time_t)(until_us / 1000000);
    ts.tv_nsec = (long)(until_us % 1000000) * 1000;
    pthread_mutex_lock(&c->lock);
    while (!c->stop && !c->any_dirty && clock_mono_ms(c->node->clock) < tick_ms) {
        pthread_cond_clockwait(&c->wake, &c->lock, CLOCK_MONOTONIC, &ts);
    }
    move_list(&c->arrived, mine);
    c->any_dirty = false;
    *out_stop = c->stop;
    pthread_mutex_unlock(&c->lock);
    return clock_mono_ms(c->node->clock) >= tick_ms;
}

static void *courier_run(void *arg)
{
    struct courier *c = arg;
    struct list mine;
    uint64_t tick_ms = 0;
    bool stop = false;
    list_init(&mine);
    while (!stop) {
        bool tick = wait_for_work(c, tick_ms, &mine, &stop);
        pass(c, &mine);
        answer_all(&mine); /* delivered, or put off to a later tick: either way the commit stands */
        if (tick && !stop) {
            upkeep_tick(c->node);
            others_follow_table(c->node->others);
            leaders_tick(c->node->leaders);
            leftovers_tick(c->node->leftovers);
            housekeep(c);
            keep_tick(c->node, &c->stop);
            tick_ms = clock_mono_ms(c->node->clock) + TICK_MS;
        }
    }
    return NULL;
}

/* --- life --- */

enum err courier_new(struct node *n, struct courier **out)
{
    struct courier *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->node = n;
    list_init(&c->arrived);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    c->dirty = mem_calloc(n->n_shards, sizeof(*c->dirty));
    c->keep = mem_calloc(n->n_shards, sizeof(*c->keep));
    if (c->dirty == NULL || c->keep == NULL) {
        courier_free(c);
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < n->n_shards; i++) {
        c->dirty[i] = true; /* what a crash left */
    }
    c->any_dirty = true;
    *out = c;
    return OK;
}

enum err courier_start(struct courier *c)
{
    if (pthread_create(&c->thread, NULL, courier_run, c) != 0) {
        return ERR_NOMEM;
    }
    c->started = true;
    return OK;
}

void courier_stop(struct courier *c)
{
    pthread_mutex_lock(&c->lock);
    __atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    if (c->started) {
        pthread_join(c->thread, NULL);
    }
    answer_all(&c->arrived);
}

void courier_free(struct courier *c)
{
    mem_free(c->dirty);
    mem_free(c->keep);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}
