#include "proto/rpc/client.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/rpc/nng_common.h"

#define INFLIGHT_DEFAULT 4096
#define TICK_MS 10
#define IDLE_TICKS 100 /* ticks without a call before the timer thread goes to sleep for good */
#define EXPIRE_BATCH 64

/* A context of nng and what it carries. It is in the free list, or has been given to nng: then exactly one callback is
 * to come. A call that timed out is taken off its slot; the slot stays with nng until the reply comes or the link ends
 * (cancelling is where nng 1.5 crashes). */
struct slot {
    struct rpc_client *client;
    nng_ctx ctx;
    nng_aio *aio;
    bool sending; /* the aio runs the send; else the receive */
    struct rpc_call *call;
    struct u128 request_id;
    uint64_t deadline_ms;
    struct slot *next_free;
};

struct rpc_client {
    nng_socket sock;
    int pipe; /* atomic: id of the live pipe, 0 = none; one dialer has one pipe at a time */
    uint32_t slots_max;
    pthread_mutex_t mutex; /* all below, and slot->call */
    pthread_cond_t wake;
    struct slot **slots; /* made as the load asks for them */
    uint32_t n_slots;
    struct slot *free;
    uint32_t waiting; /* slots with a call */
    bool closing;
    bool timer_asleep;
    pthread_t timer;
};

/* --- completion --- */

static enum err reply_decode(nng_msg *m, const struct u128 *id, struct rpc_reply *out)
{
    struct rpc_reply r;
    memset(&r, 0, sizeof(r));
    enum err e = rpc_frame_decode(slice_make(nng_msg_body(m), nng_msg_len(m)), &r.head, &r.meta, &r.attach);
    if (e != OK || !r.head.reply || !u128_eq(&r.head.request_id, id)) {
        return ERR_CORRUPT;
    }
    r.msg = m;
    *out = r;
    return OK;
}

static struct rpc_call *slot_take_call(struct slot *s)
{
    struct rpc_call *call = s->call;
    if (call != NULL) {
        s->call = NULL;
        s->client->waiting--;
    }
    return call;
}

/* The slot is free again before `done` runs; nothing touches it afterwards. msg may be NULL. */
static void slot_complete(struct slot *s, enum err status, nng_msg *msg)
{
    struct rpc_client *c = s->client;
    struct rpc_reply reply;
    memset(&reply, 0, sizeof(reply));
    if (msg != NULL && status == OK) {
        status = reply_decode(msg, &s->request_id, &reply);
    }
    (void)pthread_mutex_lock(&c->mutex);
    struct rpc_call *call = slot_take_call(s);
    s->next_free = c->free;
    c->free = s;
    (void)pthread_mutex_unlock(&c->mutex);
    if (msg != NULL && (call == NULL || status != OK)) {
        nng_msg_free(msg);
    }
    if (call != NULL) {
        call->status = status;
        call->reply = reply;
        call->done(call);
    }
}

static void slot_callback(void *arg)
{
    struct slot *s = arg;
    int rv = nng_aio_result(s->aio);
    nng_msg *msg = NULL;
    if (s->sending && rv == 0) {
        s->sending = false;
        nng_ctx_recv(s->ctx, s->aio);
        return;
    }
    if (s->sending || rv == 0) {
        msg = nng_aio_get_msg(s->aio); /* the unsent request, or the reply */
        nng_aio_set_msg(s->aio, NULL);
    }
    if (rv != 0) {
        slot_complete(s, rv == NNG_ENOMEM ? ERR_NOMEM : ERR_CLOSED, msg);
        return;
    }
    slot_complete(s, OK, msg);
}

/* --- deadlines --- */

static uint32_t expired_collect(struct rpc_client *c, uint64_t now, struct rpc_call **out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_slots && n < EXPIRE_BATCH; i++) {
        struct slot *s = c->slots[i];
        if (s->call != NULL && now >= s->deadline_ms) {
            out[n++] = slot_take_call(s);
        }
    }
    return n;
}

static void calls_fail(struct rpc_call **calls, uint32_t n, enum err status)
{
    for (uint32_t i = 0; i < n; i++) {
        memset(&calls[i]->reply, 0, sizeof(calls[i]->reply));
        calls[i]->status = status;
        calls[i]->done(calls[i]);
    }
}

static void timer_wait(struct rpc_client *c, uint32_t *idle_ticks)
{
    *idle_ticks = c->waiting > 0 ? 0 : *idle_ticks + 1;
    if (*idle_ticks > IDLE_TICKS) {
        c->timer_asleep = true;
        while (c->timer_asleep && !c->closing) {
            (void)pthread_cond_wait(&c->wake, &c->mutex);
        }
        *idle_ticks = 0;
        return;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    struct timespec ts = {0, TICK_MS * 1000000L};
    (void)nanosleep(&ts, NULL);
    (void)pthread_mutex_lock(&c->mutex);
}

static void *timer_main(void *arg)
{
    struct rpc_client *c = arg;
    struct rpc_call *expired[EXPIRE_BATCH];
    uint32_t idle_ticks = 0;
    (void)pthread_mutex_lock(&c->mutex);
    while (!c->closing) {
        uint32_t n = c->waiting == 0 ? 0 : expired_collect(c, clock_mono_ms(clock_system()), expired);
        if (n > 0) {
            (void)pthread_mutex_unlock(&c->mutex);
            calls_fail(expired, n, ERR_TIMEOUT);
            (void)pthread_mutex_lock(&c->mutex);
        }
        if (n < EXPIRE_BATCH) {
            timer_wait(c, &idle_ticks);
        }
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* --- slots --- */

static struct slot *slot_new(struct rpc_client *c)
{
    struct slot *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->client = c;
    if (nng_aio_alloc(&s->aio, slot_callback, s) != 0) {
        mem_free(s);
        return NULL;
    }
    if (nng_ctx_open(&s->ctx, c->sock) != 0) {
        nng_aio_free(s->aio);
        mem_free(s);
        return NULL;
    }
    nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
    return s;
}

/* With the mutex held. */
static enum err slot_get(struct rpc_client *c, struct slot **out)
{
    struct slot *s = c->free;
    if (s != NULL) {
        c->free = s->next_free;
        *out = s;
        return OK;
    }
    if (c->n_slots == c->slots_max) {
        return ERR_OVERLOAD;
    }
    s = slot_new(c);
    if (s == NULL) {
        return ERR_NOMEM;
    }
    c->slots[c->n_slots++] = s;
    *out = s;
    return OK;
}

static enum err slot_assign(struct rpc_client *c, struct rpc_call *call, struct slot **out)
{
    enum err e = ERR_CLOSED;
    (void)pthread_mutex_lock(&c->mutex);
    if (!c->closing) {
        e = slot_get(c, out);
    }
    if (e == OK) {
        struct slot *s = *out;
        s->request_id = call->head.request_id;
        s->deadline_ms = clock_mono_ms(clock_system()) + call->timeout_ms;
        s->call = call;
        s->sending = true;
        c->waiting++;
        if (c->timer_asleep) {
            c->timer_asleep = false;
            (void)pthread_cond_signal(&c->wake);
        }
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return e;
}

enum err rpc_client_send(struct rpc_client *c, struct rpc_call *call)
{
    ASSERT(call->done != NULL);
    if (call->meta.n > RPC_FRAME_BYTES_MAX || call->attach.n > RPC_FRAME_BYTES_MAX ||
        RPC_HEAD_BYTES + call->meta.n + call->attach.n > RPC_FRAME_BYTES_MAX) {
        return ERR_LIMIT;
    }
    if (!rpc_client_connected(c)) {
        return ERR_UNAVAILABLE;
    }
    call->head.reply = false;
    call->head.meta_bytes = (uint32_t)call->meta.n;
    call->head.attach_bytes = (uint32_t)call->attach.n;
    nng_msg *m = rpc_nng_msg(&call->head, call->meta, call->attach);
    if (m == NULL) {
        return ERR_NOMEM;
    }
    struct slot *s;
    enum err e = slot_assign(c, call, &s);
    if (e != OK) {
        nng_msg_free(m);
        return e;
    }
    nng_aio_set_msg(s->aio, m);
    nng_ctx_send(s->ctx, s->aio);
    return OK;
}

/* --- blocking call --- */

static void call_done(struct rpc_call *call)
{
    (void)sem_post((sem_t *)call->user);
}

static enum err link_wait(const struct rpc_client *c, uint64_t until_ms)
{
    while (!rpc_client_connected(c)) {
        if (clock_mono_ms(clock_system()) >= until_ms) {
            return ERR_UNAVAILABLE;
        }
        struct timespec ts = {0, 5000000};
        (void)nanosleep(&ts, NULL);
    }
    return OK;
}

enum err rpc_client_call(struct rpc_client *c, struct rpc_call *call)
{
    uint64_t until_ms = clock_mono_ms(clock_system()) + call->timeout_ms;
    enum err e = link_wait(c, until_ms);
    if (e != OK) {
        return e;
    }
    sem_t sem;
    if (sem_init(&sem, 0, 0) != 0) {
        return ERR_NOMEM;
    }
    call->done = call_done;
    call->user = &sem;
    e = rpc_client_send(c, call);
    if (e == OK) {
        while (sem_wait(&sem) != 0) {
        }
        e = call->status;
    }
    (void)sem_destroy(&sem);
    return e;
}

/* --- life --- */

static void pipe_added(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct rpc_client *c = arg;
    (void)ev;
    __atomic_store_n(&c->pipe, nng_pipe_id(p), __ATOMIC_RELEASE);
}

/* The next pipe may be there before the last one's removal is told. */
static void pipe_removed(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct rpc_client *c = arg;
    int id = nng_pipe_id(p);
    (void)ev;
    (void)__atomic_compare_exchange_n(&c->pipe, &id, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool rpc_client_connected(const struct rpc_client *c)
{
    return __atomic_load_n(&c->pipe, __ATOMIC_ACQUIRE) != 0;
}

/* RESENDTIME first: contexts inherit it. With it a cut link fails the request (ECONNRESET) and nothing is ever sent
 * twice. */
static int client_socket(struct rpc_client *c, const char *url)
{
    int rv;
    if ((rv = nng_socket_set_ms(c->sock, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE)) != 0 ||
        (rv = rpc_nng_socket_limits(c->sock)) != 0 ||
        (rv = nng_pipe_notify(c->sock, NNG_PIPE_EV_ADD_POST, pipe_added, c)) != 0 ||
        (rv = nng_pipe_notify(c->sock, NNG_PIPE_EV_REM_POST, pipe_removed, c)) != 0) {
        return rv;
    }
    return rpc_nng_dial(c->sock, url);
}

static enum err client_start(struct rpc_client *c, const struct rpc_client_config *cfg, struct buf *why)
{
    rpc_nng_init();
    int rv = nng_req0_open(&c->sock);
    if (rv != 0) {
        return rpc_nng_error(rv, "open", cfg->url, why);
    }
    rv = client_socket(c, cfg->url);
    if (rv == 0 && pthread_create(&c->timer, NULL, timer_main, c) != 0) {
        rv = NNG_ENOMEM;
    }
    if (rv != 0) {
        enum err e = rpc_nng_error(rv, "dial", cfg->url, why);
        (void)nng_close(c->sock);
        return e;
    }
    return OK;
}

enum err rpc_client_open(const struct rpc_client_config *cfg, struct rpc_client **out, struct buf *why)
{
    struct rpc_client *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->slots_max = cfg->inflight_max == 0 ? INFLIGHT_DEFAULT : cfg->inflight_max;
    c->slots = mem_calloc(c->slots_max, sizeof(struct slot *));
    enum err e = c->slots == NULL ? ERR_NOMEM : OK;
    (void)pthread_mutex_init(&c->mutex, NULL);
    (void)pthread_cond_init(&c->wake, NULL);
    if (e == OK) {
        e = client_start(c, cfg, why);
    }
    if (e != OK) {
        (void)pthread_cond_destroy(&c->wake);
        (void)pthread_mutex_destroy(&c->mutex);
        mem_free(c->slots);
        mem_free(c);
        return e;
    }
    *out = c;
    return OK;
}

static void outstanding_fail(struct rpc_client *c)
{
    struct rpc_call *calls[EXPIRE_BATCH];
    uint32_t n;
    do {
        (void)pthread_mutex_lock(&c->mutex);
        n = expired_collect(c, UINT64_MAX, calls);
        (void)pthread_mutex_unlock(&c->mutex);
        calls_fail(calls, n, ERR_CLOSED);
    } while (n > 0);
}

void rpc_client_close(struct rpc_client *c)
{
    if (c == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&c->mutex);
    c->closing = true;
    (void)pthread_cond_signal(&c->wake);
    (void)pthread_mutex_unlock(&c->mutex);
    (void)pthread_join(c->timer, NULL);
    outstanding_fail(c);
    (void)nng_close(c->sock);
    for (uint32_t i = 0; i < c->n_slots; i++) {
        nng_aio_stop(c->slots[i]->aio);
        nng_aio_free(c->slots[i]->aio);
        mem_free(c->slots[i]);
    }
    (void)pthread_cond_destroy(&c->wake);
    (void)pthread_mutex_destroy(&c->mutex);
    mem_free(c->slots);
    mem_free(c);
}

void rpc_reply_fini(struct rpc_reply *r)
{
    if (r->msg != NULL) {
        nng_msg_free(r->msg);
    }
    memset(r, 0, sizeof(*r));
}
