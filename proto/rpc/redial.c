#include "proto/rpc/redial.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define BACKOFF_MS_MIN 20
#define BACKOFF_MS_MAX 1000
#define DIAL_MS 5000
#define GREETING_MS 5000 /* a peer that accepts and says nothing is not there */

struct rpc_redial {
    struct rpc_redial_ops ops;
    void *user;
    char *url;
    struct rpc_poller poller;
    pthread_t thread;
    pthread_rwlock_t lock;     /* stream: senders read, the thread writes */
    struct rpc_stream *stream; /* NULL between connections */
    uint32_t up;               /* atomic */
    bool stopping;             /* atomic */
};

static bool redial_stopping(const struct rpc_redial *r)
{
    return __atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE);
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
    while (alive && !redial_stopping(r)) {
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

/* One connection, from dialing to its end. Returns whether it ever was up. */
static bool redial_once(struct rpc_redial *r)
{
    int fd;
    struct rpc_stream *s;
    if (rpc_socket_connect(r->url, DIAL_MS, r->poller.event, &fd) != 0) {
        return false;
    }
    if (rpc_stream_open(fd, &r->poller, r, &stream_ops, r, &s) != OK) {
        rpc_socket_close(fd);
        return false;
    }
    stream_set(r, s);
    redial_serve(r, s);
    bool was_up = __atomic_exchange_n(&r->up, 0, __ATOMIC_ACQ_REL) != 0;
    stream_set(r, NULL);
    if (was_up) {
        r->ops.on_down(r->user);
    }
    rpc_stream_free(s);
    return was_up;
}

static void redial_pause(struct rpc_redial *r, uint64_t ms)
{
    struct rpc_poll_event ev;
    uint64_t until = clock_mono_ms(clock_system()) + ms;
    for (uint64_t now = until - ms; now < until && !redial_stopping(r); now = clock_mono_ms(clock_system())) {
        (void)rpc_poller_wait(&r->poller, &ev, 1, (int)(until - now));
    }
}

static void *redial_main(void *arg)
{
    struct rpc_redial *r = arg;
    uint64_t backoff_ms = BACKOFF_MS_MIN;
    while (!redial_stopping(r)) {
        if (redial_once(r)) {
            backoff_ms = BACKOFF_MS_MIN;
        }
        redial_pause(r, backoff_ms);
        backoff_ms = backoff_ms * 2 < BACKOFF_MS_MAX ? backoff_ms * 2 : BACKOFF_MS_MAX;
    }
    return NULL;
}

/* --- life --- */

static int redial_start(struct rpc_redial *r)
{
    int error = r->url == NULL ? ENOMEM : rpc_socket_check(r->url);
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
    mem_free(r);
}

enum err rpc_redial_open(const char *url, const struct rpc_redial_ops *ops, void *user, struct rpc_redial **out,
                         struct buf *why)
{
    struct rpc_redial *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->ops = *ops;
    r->user = user;
    r->url = mem_strdup(url);
    (void)pthread_rwlock_init(&r->lock, NULL);
    int error = redial_start(r);
    if (error != 0) {
        redial_free(r);
        return rpc_socket_error(error, "dial", url, why);
    }
    *out = r;
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
