#include "proto/rpc/redial.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/rpc/refusal.h"

#define BACKOFF_MS_MIN 20
#define BACKOFF_MS_MAX 1000
#define DIAL_MS 5000
#define LASTING_MS 200   /* a connection that ends sooner was a failed attempt: the peer turns us away */
#define GREETING_MS 5000 /* a peer that accepts and says nothing is not there */

struct rpc_redial {
    struct rpc_redial_ops ops;
    void *user;
    const char *from;
    const struct rpc_tls *tls;
    size_t queued_bytes_max;
    uint32_t silence_ms;
    char *url; /* the thread's */
    struct rpc_refusal refusal;
    struct rpc_poller poller;
    pthread_t thread;
    pthread_rwlock_t lock;     /* stream and next_url: senders read, the thread and rpc_redial_turn write */
    struct rpc_stream *stream; /* NULL between connections */
    char *next_url;            /* when turned */
    bool turned;               /* atomic */
    uint32_t up;               /* atomic */
    bool stopping;             /* atomic */
};

static bool redial_stopping(const struct rpc_redial *r)
{
    return __atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE);
}

/* The connection, or the wait for the next, is to end. */
static bool redial_disturbed(const struct rpc_redial *r)
{
    return redial_stopping(r) || __atomic_load_n(&r->turned, __ATOMIC_ACQUIRE);
}

/* --- the stream's callbacks --- */

static void stream_open(void *user)
{
    struct rpc_redial *r = user;
    __atomic_store_n(&r->up, 1, __ATOMIC_RELEASE);
    if (r->ops.on_up != NULL) {
        r->ops.on_up(r->user);
    }
}

static void stream_frame(void *user, uint64_t tag, nng_msg *m)
{
    struct rpc_redial *r = user;
    r->ops.on_frame(r->user, tag, m);
}

static const struct rpc_stream_ops stream_ops = {.on_open = stream_open, .on_frame = stream_frame};

/* --- the thread --- */

static void stream_set(struct rpc_redial *r, struct rpc_stream *s)
{
    (void)pthread_rwlock_wrlock(&r->lock);
    r->stream = s;
    (void)pthread_rwlock_unlock(&r->lock);
}

/* Runs the connection until it ends. */
static void redial_serve(struct rpc_redial *r, struct rpc_stream *s)
{
    uint64_t greet_until = clock_mono_ms(clock_system()) + GREETING_MS;
    bool alive = true;
    while (alive && !redial_disturbed(r)) {
        struct rpc_poll_event ev[2];
        bool up = rpc_redial_is_up(r);
        int n = rpc_poller_wait(&r->poller, ev, 2, up ? -1 : GREETING_MS);
        for (int i = 0; i < n; i++) {
            alive = ev[i].source == NULL ? alive : rpc_stream_run(s, ev[i].hangup);
        }
        if (!rpc_redial_is_up(r) && clock_mono_ms(clock_system()) >= greet_until) {
            alive = false;
        }
    }
}

static struct rpc_stream *redial_stream(struct rpc_redial *r)
{
    int fd;
    struct rpc_stream *s;
    if (rpc_socket_connect(r->url, r->from, DIAL_MS, r->poller.event, &fd) != 0) {
        return NULL;
    }
    if (r->silence_ms > 0) {
        rpc_socket_hurry(fd, r->silence_ms);
    }
    if (rpc_stream_open(fd, &r->poller, r, &stream_ops, r, &s) != OK) {
        rpc_socket_close(fd);
        return NULL;
    }
    rpc_stream_limit(s, r->queued_bytes_max);
    if (r->tls != NULL && rpc_url_is_tcp(r->url) && rpc_stream_secure(s, r->tls, false) != OK) {
        rpc_stream_free(s);
        return NULL;
    }
    return s;
}

static void redial_complain(struct rpc_redial *r, struct rpc_stream *s)
{
    const char *why = rpc_stream_tls_failure(s);
    if (why != NULL) {
        rpc_refusal_log(&r->refusal, "rpc.tls_failed", r->url, why);
    }
}

/* One connection, from dialing to its end. Returns whether it was one for a while. */
static bool redial_once(struct rpc_redial *r)
{
    struct rpc_stream *s = redial_stream(r);
    if (s == NULL) {
        return false;
    }
    stream_set(r, s);
    uint64_t since = clock_mono_ms(clock_system());
    redial_serve(r, s);
    bool was_up = __atomic_exchange_n(&r->up, 0, __ATOMIC_ACQ_REL) != 0;
    stream_set(r, NULL);
    if (was_up) {
        r->ops.on_down(r->user);
    }
    redial_complain(r, s);
    rpc_stream_free(s);
    return was_up && clock_mono_ms(clock_system()) - since >= LASTING_MS;
}

static void redial_pause(struct rpc_redial *r, uint64_t ms)
{
    struct rpc_poll_event ev;
    uint64_t until = clock_mono_ms(clock_system()) + ms;
    for (uint64_t now = until - ms; now < until && !redial_disturbed(r); now = clock_mono_ms(clock_system())) {
        (void)rpc_poller_wait(&r->poller, &ev, 1, (int)(until - now));
    }
}

/* The wake-up that told of it is used up first: it would end the next connect. */
static void url_take(struct rpc_redial *r)
{
    struct rpc_poll_event ev;
    (void)rpc_poller_wait(&r->poller, &ev, 1, 0);
    (void)pthread_rwlock_wrlock(&r->lock);
    if (__atomic_exchange_n(&r->turned, false, __ATOMIC_ACQ_REL)) {
        mem_free(r->url);
        r->url = r->next_url;
        r->next_url = NULL;
    }
    (void)pthread_rwlock_unlock(&r->lock);
}

static void redial_idle(struct rpc_redial *r)
{
    struct rpc_poll_event ev;
    while (!redial_disturbed(r)) {
        (void)rpc_poller_wait(&r->poller, &ev, 1, -1);
    }
}

static void *redial_main(void *arg)
{
    struct rpc_redial *r = arg;
    uint64_t backoff_ms = BACKOFF_MS_MIN;
    while (!redial_stopping(r)) {
        if (__atomic_load_n(&r->turned, __ATOMIC_ACQUIRE)) {
            url_take(r);
            backoff_ms = BACKOFF_MS_MIN;
            continue; /* the wake-up may have been the end's */
        }
        if (r->url == NULL) {
            redial_idle(r);
            continue;
        }
        if (redial_once(r)) {
            backoff_ms = BACKOFF_MS_MIN;
        }
        redial_pause(r, backoff_ms);
        backoff_ms = backoff_ms * 2 < BACKOFF_MS_MAX ? backoff_ms * 2 : BACKOFF_MS_MAX;
    }
    return NULL;
}

/* --- life --- */

static int redial_start(struct rpc_redial *r, const char *url)
{
    int error = url == NULL ? 0 : r->url == NULL ? ENOMEM : rpc_socket_check(url);
    if (error != 0 || (error = rpc_poller_open(&r->poller)) != 0) {
        return error;
    }
    if ((error = pthread_create(&r->thread, NULL, redial_main, r)) != 0) {
        rpc_poller_close(&r->poller);
    }
    return error;
}

static void redial_free(struct rpc_redial *r)
{
    (void)pthread_rwlock_destroy(&r->lock);
    mem_free(r->url);
    mem_free(r->next_url);
    mem_free(r);
}

enum err rpc_redial_open(const struct rpc_redial_config *cfg, struct rpc_redial **out, struct buf *why)
{
    struct rpc_redial *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->ops = *cfg->ops;
    r->user = cfg->user;
    r->from = cfg->from;
    r->tls = cfg->tls;
    r->queued_bytes_max = cfg->queued_bytes_max;
    r->silence_ms = cfg->silence_ms;
    r->url = cfg->url == NULL ? NULL : mem_strdup(cfg->url);
    (void)pthread_rwlock_init(&r->lock, NULL);
    int error = redial_start(r, cfg->url);
    if (error != 0) {
        redial_free(r);
        return rpc_socket_error(error, "dial", cfg->url == NULL ? "" : cfg->url, why);
    }
    *out = r;
    return OK;
}

enum err rpc_redial_turn(struct rpc_redial *r, const char *url)
{
    char *copy = url == NULL ? NULL : mem_strdup(url);
    if (url != NULL && copy == NULL) {
        return ERR_NOMEM;
    }
    (void)pthread_rwlock_wrlock(&r->lock);
    mem_free(r->next_url);
    r->next_url = copy;
    __atomic_store_n(&r->turned, true, __ATOMIC_RELEASE);
    (void)pthread_rwlock_unlock(&r->lock);
    rpc_poller_wake(&r->poller);
    return OK;
}

void rpc_redial_close(struct rpc_redial *r)
{
    if (r == NULL) {
        return;
    }
    __atomic_store_n(&r->stopping, true, __ATOMIC_RELEASE);
    rpc_poller_wake(&r->poller);
    (void)pthread_join(r->thread, NULL);
    rpc_poller_close(&r->poller);
    redial_free(r);
}

bool rpc_redial_is_up(const struct rpc_redial *r)
{
    return __atomic_load_n(&r->up, __ATOMIC_ACQUIRE) != 0;
}

enum err rpc_redial_send(struct rpc_redial *r, uint64_t tag, nng_msg *m)
{
    enum err e = ERR_CLOSED;
    (void)pthread_rwlock_rdlock(&r->lock);
    if (r->stream != NULL) {
        e = rpc_stream_send(r->stream, tag, m, 0);
    }
    (void)pthread_rwlock_unlock(&r->lock);
    return e;
}
