/* The thread that asks the nodes for the map and watches whether they answer. */
#include <time.h>

#include "frontend/session/nodes_internal.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/metrics.h"
#include "proto/base/rng.h"
#include "proto/rpc/method.h"

#define REFRESH_MS 1000
#define POKE_MS 50
#define TICK_MS 250
#define CIRCUIT_MS 2000
#define PROBE_MS 30000
#define ARENA_BYTES (1024 * 1024)

METRIC_COUNTER(metric_circuits, "pillarbox_circuit_opens_total",
               "Storage nodes that stopped answering although their link is up");

static void probe_done(struct rpc_call *c)
{
    struct node *n = c->user;
    (void)pthread_mutex_lock(&n->map->lock);
    n->probed = true;
    (void)pthread_cond_signal(&n->map->wake);
    (void)pthread_mutex_unlock(&n->map->lock);
}

static void probe_send(struct node *n, uint64_t now)
{
    if (n->probing || node_state(n) != NODE_LIVE || !rpc_client_connected(n->client)) {
        return;
    }
    n->probe = (struct rpc_call){.head = {.method = METHOD_MAP,
                                          .request_id = rng_u128(rng_system()),
                                          .issue_ms = clock_wall_ms(clock_system()),
                                          .budget_ms = PROBE_MS},
                                 .timeout_ms = PROBE_MS,
                                 .done = probe_done,
                                 .user = n};
    n->probed = false;
    n->probing = true;
    n->sent_ms = now;
    if (rpc_client_send(n->client, &n->probe) != OK) {
        n->probing = false;
    }
}

static void circuit_close(struct node *n)
{
    if (n->circuit) {
        __atomic_store_n(&n->circuit, false, __ATOMIC_RELEASE);
        log_info("frontend.circuit", "the node answers again", LOG_U64("node", n->id), LOG_STR("rpc", n->rpc));
    }
}

static void circuit_check(struct node *n, uint64_t now)
{
    if (n->probing && !n->circuit && now - n->sent_ms >= CIRCUIT_MS) {
        __atomic_store_n(&n->circuit, true, __ATOMIC_RELEASE);
        metric_inc(&metric_circuits);
        log_warn("frontend.circuit", "the node does not answer", LOG_U64("node", n->id), LOG_STR("rpc", n->rpc));
    }
}

/* The circuit stays as it is when the answer is merely late: a cut link is seen by whoever asks for it. */
static void probe_finish(struct nodes *m, struct node *n, struct arena *arena)
{
    n->probing = false;
    if (n->probe.status == OK && n->probe.reply.head.status == OK) {
        nodes_absorb(m, n, n->probe.reply.meta, arena);
    }
    if (n->probe.status != ERR_TIMEOUT) {
        circuit_close(n);
    }
    rpc_reply_fini(&n->probe.reply);
}

static bool probe_answered(struct node *n)
{
    (void)pthread_mutex_lock(&n->map->lock);
    bool answered = n->probing && n->probed;
    (void)pthread_mutex_unlock(&n->map->lock);
    return answered;
}

static void node_turn(struct nodes *m, struct node *n, uint64_t now, struct arena *arena)
{
    if (node_state(n) == NODE_FREE) {
        return;
    }
    if (probe_answered(n)) {
        probe_finish(m, n, arena);
    }
    circuit_check(n, now);
    bool up = rpc_client_connected(n->client);
    if (up && !n->was_up) {
        probe_send(n, now); /* it may be what everybody waits for */
    }
    n->was_up = up;
    if (node_state(n) == NODE_RETIRED && __atomic_load_n(&n->users, __ATOMIC_SEQ_CST) == 0) {
        node_close(n);
    }
}

static bool refresh_due(struct nodes *m, uint64_t now)
{
    uint64_t age = now - m->polled_ms;
    if (age >= POKE_MS && __atomic_load_n(&m->poked, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&m->poked, false, __ATOMIC_RELEASE);
        return true;
    }
    return age >= (m->table == NULL ? POKE_MS : REFRESH_MS);
}

/* For an answer, a link, or its last user. */
static bool node_waits(const struct node *n)
{
    uint32_t state = node_state(n);
    return state == NODE_RETIRED || (state == NODE_LIVE && (n->probing || !n->was_up));
}

/* Returns how long there is nothing to do. */
static uint64_t refresh_turn(struct nodes *m, struct arena *arena)
{
    uint64_t now = clock_mono_ms(clock_system());
    bool waiting = false;
    for (unsigned i = 0; i < m->n_slots; i++) {
        node_turn(m, &m->nodes[i], now, arena);
    }
    if (refresh_due(m, now)) {
        m->polled_ms = now;
        for (unsigned i = 0; i < m->n_slots; i++) {
            probe_send(&m->nodes[i], now);
        }
    }
    for (unsigned i = 0; i < m->n_slots; i++) {
        waiting = waiting || node_waits(&m->nodes[i]);
    }
    uint64_t pause = m->table == NULL || __atomic_load_n(&m->poked, __ATOMIC_ACQUIRE) ? POKE_MS
                     : waiting                                                        ? TICK_MS
                                                                                      : REFRESH_MS;
    uint64_t next = m->polled_ms + (pause == POKE_MS ? POKE_MS : REFRESH_MS);
    return next > now && next - now < pause ? next - now : pause;
}

static bool probes_answered(const struct nodes *m)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        if (m->nodes[i].probing && m->nodes[i].probed) {
            return true;
        }
    }
    return false;
}

/* With the lock held. A poke ends the wait too: then the pause is what is left of POKE_MS. */
static void refresh_wait(struct nodes *m, uint64_t ms)
{
    struct timespec ts;
    uint64_t until_us = clock_perf_us() + ms * 1000; /* CLOCK_MONOTONIC */
    ts.tv_sec = (time_t)(until_us / 1000000);
    ts.tv_nsec = (long)(until_us % 1000000) * 1000;
    (void)pthread_cond_clockwait(&m->wake, &m->lock, CLOCK_MONOTONIC, &ts);
}

static void *refresh_main(void *arg)
{
    struct nodes *m = arg;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    (void)pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        (void)pthread_mutex_unlock(&m->lock);
        uint64_t pause = refresh_turn(m, &arena);
        (void)pthread_mutex_lock(&m->lock);
        bool poked = __atomic_load_n(&m->poked, __ATOMIC_ACQUIRE);
        if (!m->stop && !probes_answered(m) && (!poked || pause <= POKE_MS)) {
            refresh_wait(m, pause);
        }
    }
    (void)pthread_mutex_unlock(&m->lock);
    arena_fini(&arena);
    return NULL;
}

enum err nodes_refresh_start(struct nodes *m)
{
    if (pthread_create(&m->thread, NULL, refresh_main, m) != 0) {
        return ERR_NOMEM;
    }
    m->thread_started = true;
    return OK;
}

void nodes_refresh_stop(struct nodes *m)
{
    (void)pthread_mutex_lock(&m->lock);
    m->stop = true;
    (void)pthread_cond_signal(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
    if (m->thread_started) {
        (void)pthread_join(m->thread, NULL);
    }
}
