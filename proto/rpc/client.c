#include "proto/rpc/client_internal.h"

#include <string.h>
#include <time.h>

#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define INFLIGHT_DEFAULT 4096
#define TICK_MS 10
#define EXPIRE_BATCH 64

/* --- completion --- */

struct rpc_call *client_slot_take(struct client_slot *s)
{
    struct rpc_call *call = s->call;
    if (call != NULL) {
        s->call = NULL;
        s->client->waiting--;
    }
    return call;
}

void client_slot_release(struct client_slot *s)
{
    s->generation++;
    s->next_free = s->client->free;
    s->client->free = s;
}

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

void client_call_finish(struct rpc_call *call, enum err status, const struct u128 *id, nng_msg *msg)
{
    struct rpc_reply reply;
    memset(&reply, 0, sizeof(reply));
    if (call != NULL && msg != NULL && status == OK) {
        status = reply_decode(msg, id, &reply);
    }
    if (msg != NULL && reply.msg == NULL) {
        nng_msg_free(msg);
    }
    if (call != NULL) {
        call->status = status;
        call->reply = reply;
        call->done(call);
    }
}

/* --- deadlines --- */

/* With the mutex held: calls past their deadline, at most EXPIRE_BATCH. Over a stream the slot is free at once. */
static uint32_t expired_collect(struct rpc_client *c, uint64_t now, struct rpc_call **out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_slots && n < EXPIRE_BATCH; i++) {
        struct client_slot *s = c->slots[i];
        if (s->call != NULL && now >= s->deadline_ms) {
            out[n++] = client_slot_take(s);
            if (c->port == NULL) {
                client_slot_release(s);
            }
        }
    }
    return n;
}

static void calls_fail(struct rpc_call **calls, uint32_t n, enum err status)
{
    for (uint32_t i = 0; i < n; i++) {
        client_call_finish(calls[i], status, NULL, NULL);
    }
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

/* When a call with this deadline is looked for: on a grid, so that many different deadlines are not as many looks. */
static uint64_t look_ms(uint64_t deadline_ms)
{
    return deadline_ms - deadline_ms % TICK_MS + TICK_MS;
}

/* With the mutex held. */
static uint64_t next_look_ms(const struct rpc_client *c)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < c->n_slots && c->waiting > 0; i++) {
        const struct client_slot *s = c->slots[i];
        if (s->call != NULL && look_ms(s->deadline_ms) < next) {
            next = look_ms(s->deadline_ms);
        }
    }
    return next;
}

/* Until a call may have expired. slot_assign brings it forward for a call with an earlier deadline. */
static void timer_wait(struct rpc_client *c)
{
    c->look_at_ms = next_look_ms(c);
    for (uint64_t now = clock_mono_ms(clock_system()); !c->closing && now < c->look_at_ms;
         now = clock_mono_ms(clock_system())) {
        if (c->look_at_ms == UINT64_MAX) {
            (void)pthread_cond_wait(&c->wake, &c->mutex);
            continue;
        }
        uint64_t at_us = clock_perf_us() + (c->look_at_ms - now) * 1000;
        struct timespec ts = {.tv_sec = (time_t)(at_us / 1000000), .tv_nsec = (long)(at_us % 1000000) * 1000};
        (void)pthread_cond_clockwait(&c->wake, &c->mutex, CLOCK_MONOTONIC, &ts);
    }
}

static void *timer_main(void *arg)
{
    struct rpc_client *c = arg;
    struct rpc_call *expired[EXPIRE_BATCH];
    (void)pthread_mutex_lock(&c->mutex);
    while (!c->closing) {
        uint32_t n = c->waiting == 0 ? 0 : expired_collect(c, clock_mono_ms(clock_system()), expired);
        if (n > 0) {
            (void)pthread_mutex_unlock(&c->mutex);
            calls_fail(expired, n, ERR_TIMEOUT);
            (void)pthread_mutex_lock(&c->mutex);
        }
        if (n < EXPIRE_BATCH) {
            timer_wait(c);
        }
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static void timer_stop(struct rpc_client *c)
{
    (void)pthread_mutex_lock(&c->mutex);
    c->closing = true;
    (void)pthread_cond_signal(&c->wake);
    (void)pthread_mutex_unlock(&c->mutex);
    (void)pthread_join(c->timer, NULL);
}

/* --- slots --- */

static struct client_slot *slot_new(struct rpc_client *c)
{
    struct client_slot *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->client = c;
    s->index = c->n_slots;
    return s;
}

/* With the mutex held. */
static enum err slot_get(struct rpc_client *c, struct client_slot **out)
{
    struct client_slot *s = c->free;
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

static enum err slot_assign(struct rpc_client *c, struct rpc_call *call, struct client_slot **out, uint64_t *out_tag)
{
    enum err e = ERR_CLOSED;
    (void)pthread_mutex_lock(&c->mutex);
    if (!c->closing) {
        e = slot_get(c, out);
    }
    if (e == OK) {
        struct client_slot *s = *out;
        s->request_id = call->head.request_id;
        s->deadline_ms = clock_mono_ms(clock_system()) + call->timeout_ms;
        s->call = call;
        *out_tag = (uint64_t)s->generation << 32 | s->index;
        c->waiting++;
        c->unreplied += c->port != NULL ? 1 : 0;
        if (look_ms(s->deadline_ms) < c->look_at_ms) {
            c->look_at_ms = look_ms(s->deadline_ms);
            (void)pthread_cond_signal(&c->wake);
        }
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return e;
}

/* The call of a tag, if it still waits; its slot is then free. */
static struct rpc_call *slot_find(struct rpc_client *c, uint64_t tag, struct u128 *out_id)
{
    uint32_t index = (uint32_t)tag;
    struct rpc_call *call = NULL;
    (void)pthread_mutex_lock(&c->mutex);
    struct client_slot *s = index < c->n_slots ? c->slots[index] : NULL;
    if (s != NULL && s->generation == (uint32_t)(tag >> 32) && s->call != NULL) {
        call = client_slot_take(s);
        *out_id = s->request_id;
        client_slot_release(s);
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return call;
}

/* --- the stream's side --- */

static void link_frame(void *user, uint64_t tag, nng_msg *m)
{
    struct u128 id;
    struct rpc_call *call = slot_find(user, tag, &id);
    client_call_finish(call, OK, &id, m);
}

static void link_down(void *user)
{
    outstanding_fail(user);
}

static const struct rpc_redial_ops link_ops = {.on_up = NULL, .on_frame = link_frame, .on_down = link_down};

static enum err stream_send(struct rpc_client *c, uint64_t tag, nng_msg *m)
{
    struct u128 id;
    enum err e = rpc_redial_send(c->redial, tag, m);
    if (e == OK) {
        return OK;
    }
    nng_msg_free(m);
    /* The link went down meanwhile; if that has failed the call already, `done` was called and all is said. */
    if (slot_find(c, tag, &id) == NULL) {
        return OK;
    }
    return e == ERR_CLOSED ? ERR_UNAVAILABLE : e;
}

static enum err call_send(struct rpc_client *c, struct rpc_call *call)
{
    call->head.reply = false;
    call->head.meta_bytes = (uint32_t)call->meta.n;
    call->head.attach_bytes = (uint32_t)call->attach.n;
    nng_msg *m = rpc_nng_msg(&call->head, call->meta, call->attach);
    if (m == NULL) {
        return ERR_NOMEM;
    }
    struct client_slot *s;
    uint64_t tag;
    enum err e = slot_assign(c, call, &s, &tag);
    if (e != OK) {
        nng_msg_free(m);
        return e;
    }
    if (c->port == NULL) {
        return stream_send(c, tag, m);
    }
    client_inproc_send(s, m);
    return OK;
}

bool rpc_client_cancel(struct rpc_client *c, const struct rpc_call *call)
{
    bool found = false;
    (void)pthread_mutex_lock(&c->mutex);
    for (uint32_t i = 0; i < c->n_slots && !found; i++) {
        struct client_slot *s = c->slots[i];
        if (s->call == call) {
            found = client_slot_take(s) != NULL;
            if (c->port == NULL) {
                client_slot_release(s);
            }
        }
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return found;
}

enum err rpc_client_send(struct rpc_client *c, struct rpc_call *call)
{
    ASSERT(call->done != NULL);
    if (call->meta.n > RPC_FRAME_BYTES_MAX || call->attach.n > RPC_FRAME_BYTES_MAX ||
        RPC_HEAD_BYTES + call->meta.n + call->attach.n > RPC_FRAME_BYTES_MAX) {
        return ERR_LIMIT;
    }
    if (c->port == NULL) {
        return rpc_redial_is_up(c->redial) ? call_send(c, call) : ERR_UNAVAILABLE;
    }
    if (!inproc_port_enter(c->port)) {
        return ERR_UNAVAILABLE;
    }
    enum err e = call_send(c, call);
    if (e != OK) {
        inproc_port_leave(c->port);
    }
    return e;
}

/* --- life --- */

bool rpc_client_connected(const struct rpc_client *c)
{
    return c->port != NULL ? inproc_port_bound(c->port) : rpc_redial_is_up(c->redial);
}

static enum err client_connect(struct rpc_client *c, const struct rpc_client_config *cfg, struct buf *why)
{
    rpc_nng_init();
    if (rpc_url_is_inproc(cfg->url)) {
        return inproc_port_get(cfg->url, &c->port);
    }
    struct rpc_redial_config rc = {.url = cfg->url, .ops = &link_ops, .user = c, .from = cfg->from, .tls = cfg->tls};
    return rpc_redial_open(&rc, &c->redial, why);
}

void client_free(struct rpc_client *c)
{
    if (c->port != NULL) {
        inproc_port_put(c->port);
    }
    for (uint32_t i = 0; i < c->n_slots; i++) {
        mem_free(c->slots[i]);
    }
    (void)pthread_cond_destroy(&c->wake);
    (void)pthread_mutex_destroy(&c->mutex);
    mem_free(c->slots);
    mem_free(c);
}

enum err rpc_client_open(const struct rpc_client_config *cfg, struct rpc_client **out, struct buf *why)
{
    struct rpc_client *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->slots_max = cfg->inflight_max == 0 ? INFLIGHT_DEFAULT : cfg->inflight_max;
    c->slots = mem_calloc(c->slots_max, sizeof(struct client_slot *));
    (void)pthread_mutex_init(&c->mutex, NULL);
    (void)pthread_cond_init(&c->wake, NULL);
    enum err e = c->slots == NULL ? ERR_NOMEM : client_connect(c, cfg, why);
    if (e == OK && pthread_create(&c->timer, NULL, timer_main, c) != 0) {
        if (c->redial != NULL) {
            rpc_redial_close(c->redial);
        }
        e = ERR_NOMEM;
    }
    if (e != OK) {
        client_free(c);
        return e;
    }
    *out = c;
    return OK;
}

void rpc_client_close(struct rpc_client *c)
{
    if (c == NULL) {
        return;
    }
    timer_stop(c);
    if (c->port != NULL) {
        outstanding_fail(c);
        client_inproc_close(c);
        return;
    }
    rpc_redial_close(c->redial); /* replies find their calls until it returns */
    outstanding_fail(c);
    client_free(c);
}

void rpc_reply_fini(struct rpc_reply *r)
{
    if (r->msg != NULL) {
        nng_msg_free(r->msg);
    }
    memset(r, 0, sizeof(*r));
}
