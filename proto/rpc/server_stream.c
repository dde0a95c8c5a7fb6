#include "proto/rpc/server_internal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proto/base/clock.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/rpc/refusal.h"
#include "proto/rpc/stream.h"

#define LISTENERS_MAX 16
#define HINTS_QUEUED 1024 /* a subscriber */
#define ACCEPT_RETRY_MS 100
#define EVENTS_MAX 64
/* With TLS: who has not proved itself gets little time and room. */
#define GREETING_MS_DEFAULT 5000
#define GREETING_TICK_MS 500
#define STRANGERS_MAX 256

/* What the poller's events name. */
enum source_kind { SOURCE_PORT, SOURCE_PEER };

struct port {
    enum source_kind kind; /* first */
    int fd;
    char *url;
    bool pub;
    bool secure;
    struct rpc_refusal refusal;
    bool starved; /* accepting failed for want of descriptors or memory: tried again a little later */
};

/* An accepted connection. Freed by the I/O thread once it is closed and no request of it is with the handler. */
struct peer {
    enum source_kind kind; /* first */
    struct list node;
    struct stream_server *ss;
    struct rpc_stream *stream;
    struct port *port;
    uint64_t greet_until_ms; /* a stranger: no greeting inside TLS yet. 0: none. The I/O thread's. */
    bool pub;
    bool closed;
    bool paused;
    uint32_t handled; /* requests with the handler */
    uint32_t unsent;  /* replies not yet written */
};

struct stream_request {
    struct server_request r; /* first */
    struct peer *peer;
    uint64_t tag;
};

struct stream_server {
    struct rpc_server *srv;
    struct rpc_poller poller;
    pthread_t io;
    bool running;
    struct port ports[LISTENERS_MAX];
    uint32_t n_ports;
    uint32_t n_strangers;  /* the I/O thread's */
    pthread_mutex_t mutex; /* all below */
    struct list peers;
    uint32_t inflight; /* handled + unsent of all peers: at srv->contexts reading stops */
    uint32_t n_paused;
    bool stopping;
};

/* --- back-pressure --- */

/* With the mutex held: takes the peers that may read again, each with a use so that it stays. */
static uint32_t paused_take(struct stream_server *ss, struct peer **out, uint32_t max)
{
    uint32_t n = 0;
    if (ss->n_paused == 0 || ss->inflight >= ss->srv->contexts) {
        return 0;
    }
    LIST_FOREACH (it, &ss->peers) {
        struct peer *p = LIST_ENTRY(it, struct peer, node);
        if (p->paused && n < max) {
            p->paused = false;
            p->handled++;
            ss->n_paused--;
            out[n++] = p;
        }
    }
    return n;
}

/* With the mutex held. */
static void peer_unuse(struct peer *p)
{
    p->handled--;
    if (p->closed && p->handled == 0) {
        rpc_poller_wake(&p->ss->poller);
    }
}

/* Ends with the mutex unlocked. */
static void unlock_and_resume(struct stream_server *ss)
{
    struct peer *p[16];
    uint32_t n = paused_take(ss, p, 16);
    (void)pthread_mutex_unlock(&ss->mutex);
    for (uint32_t i = 0; i < n; i++) {
        rpc_stream_resume(p[i]->stream);
    }
    if (n > 0) {
        (void)pthread_mutex_lock(&ss->mutex);
        for (uint32_t i = 0; i < n; i++) {
            peer_unuse(p[i]);
        }
        (void)pthread_mutex_unlock(&ss->mutex);
    }
}

/* --- requests --- */

static void request_send(struct server_request *r, nng_msg *m)
{
    struct stream_request *q = (struct stream_request *)r;
    struct peer *p = q->peer;
    struct stream_server *ss = p->ss;
    (void)pthread_mutex_lock(&ss->mutex);
    p->unsent++;
    (void)pthread_mutex_unlock(&ss->mutex);
    bool sent = m != NULL && rpc_stream_send(p->stream, q->tag, m, 0) == OK;
    if (!sent && m != NULL) {
        nng_msg_free(m);
    }
    mem_free(q);
    (void)pthread_mutex_lock(&ss->mutex);
    if (!sent) {
        p->unsent--;
        ss->inflight--;
    }
    peer_unuse(p);
    unlock_and_resume(ss);
}

static void peer_sent(void *user, uint32_t n)
{
    struct peer *p = user;
    struct stream_server *ss = p->ss;
    if (p->pub) {
        return;
    }
    (void)pthread_mutex_lock(&ss->mutex);
    p->unsent -= n;
    ss->inflight -= n;
    unlock_and_resume(ss);
}

static void peer_frame(void *user, uint64_t tag, nng_msg *m)
{
    struct peer *p = user;
    struct stream_server *ss = p->ss;
    struct stream_request *q = p->pub ? NULL : mem_zalloc(sizeof(*q));
    if (q == NULL) {
        nng_msg_free(m); /* a subscriber says nothing; without memory the caller's deadline tells */
        return;
    }
    q->r.req.server = ss->srv;
    q->r.msg = m;
    q->r.send = request_send;
    q->peer = p;
    q->tag = tag;
    (void)pthread_mutex_lock(&ss->mutex);
    p->handled++;
    ss->inflight++;
    if (ss->inflight >= ss->srv->contexts && !p->paused) {
        p->paused = true;
        ss->n_paused++;
        rpc_stream_pause(p->stream);
    }
    (void)pthread_mutex_unlock(&ss->mutex);
    server_request_run(&q->r);
}

static void peer_known(void *user)
{
    struct peer *p = user;
    p->ss->n_strangers -= p->greet_until_ms != 0 ? 1 : 0;
    p->greet_until_ms = 0;
}

static const struct rpc_stream_ops peer_ops = {.on_open = peer_known, .on_frame = peer_frame, .on_sent = peer_sent};

/* --- the I/O thread --- */

/* Takes fd in any case. */
static void peer_new(struct stream_server *ss, int fd, struct port *port)
{
    struct peer *p = port->secure && ss->n_strangers >= STRANGERS_MAX ? NULL : mem_zalloc(sizeof(*p));
    if (p == NULL) {
        rpc_socket_close(fd);
        return;
    }
    p->kind = SOURCE_PEER;
    p->ss = ss;
    p->port = port;
    p->pub = port->pub;
    if (rpc_stream_open(fd, &ss->poller, p, &peer_ops, p, &p->stream) != OK) {
        rpc_socket_close(fd);
        mem_free(p);
        return;
    }
    if (port->secure) {
        if (rpc_stream_secure(p->stream, ss->srv->cfg.tls, true) != OK) {
            rpc_stream_free(p->stream);
            mem_free(p);
            return;
        }
        uint32_t ms = ss->srv->cfg.greeting_ms;
        p->greet_until_ms = clock_mono_ms(clock_system()) + (ms == 0 ? GREETING_MS_DEFAULT : ms);
        ss->n_strangers++;
    }
    (void)pthread_mutex_lock(&ss->mutex);
    list_push_back(&ss->peers, &p->node);
    (void)pthread_mutex_unlock(&ss->mutex);
}

/* Accepts all that wait: the event comes only once. */
static void port_accept(struct stream_server *ss, struct port *port)
{
    for (;;) {
        int fd, error = rpc_socket_accept(port->fd, &fd);
        if (error == ECONNABORTED || error == EINTR) {
            continue;
        }
        if (error != 0) {
            port->starved = error != EAGAIN;
            return;
        }
        peer_new(ss, fd, port);
    }
}

/* Frees the peers that are done, and lets others read when that made room. */
static void peers_reap(struct stream_server *ss)
{
    (void)pthread_mutex_lock(&ss->mutex);
    LIST_FOREACH_SAFE (it, &ss->peers) {
        struct peer *p = LIST_ENTRY(it, struct peer, node);
        if (!p->closed || p->handled > 0) {
            continue;
        }
        list_remove(&p->node);
        ss->inflight -= p->unsent;
        ss->n_paused -= p->paused ? 1 : 0;
        rpc_stream_free(p->stream);
        mem_free(p);
    }
    unlock_and_resume(ss);
}

static void peer_run(struct peer *p, bool hangup)
{
    struct stream_server *ss = p->ss;
    if (rpc_stream_run(p->stream, hangup)) {
        return;
    }
    const char *why = rpc_stream_tls_failure(p->stream);
    if (why != NULL && !p->closed) {
        rpc_refusal_log(&p->port->refusal, "rpc.refused", p->port->url, why);
    }
    peer_known(p); /* no matter any more */
    (void)pthread_mutex_lock(&ss->mutex);
    p->closed = true;
    (void)pthread_mutex_unlock(&ss->mutex);
}

/* Their end comes as an event. */
static void strangers_expire(struct stream_server *ss)
{
    uint64_t now = ss->n_strangers == 0 ? 0 : clock_mono_ms(clock_system());
    if (now == 0) {
        return;
    }
    (void)pthread_mutex_lock(&ss->mutex);
    LIST_FOREACH (it, &ss->peers) {
        struct peer *p = LIST_ENTRY(it, struct peer, node);
        if (p->greet_until_ms != 0 && p->greet_until_ms <= now) {
            rpc_stream_shut(p->stream);
        }
    }
    (void)pthread_mutex_unlock(&ss->mutex);
}

static bool ports_retry(struct stream_server *ss)
{
    bool starved = false;
    for (uint32_t i = 0; i < ss->n_ports; i++) {
        if (ss->ports[i].starved) {
            port_accept(ss, &ss->ports[i]);
            starved = starved || ss->ports[i].starved;
        }
    }
    return starved;
}

static bool io_done(struct stream_server *ss)
{
    (void)pthread_mutex_lock(&ss->mutex);
    bool done = ss->stopping;
    (void)pthread_mutex_unlock(&ss->mutex);
    return done;
}

static void *io_main(void *arg)
{
    struct stream_server *ss = arg;
    struct rpc_poll_event ev[EVENTS_MAX];
    bool starved = false;
    while (!io_done(ss)) {
        int wait_ms = starved ? ACCEPT_RETRY_MS : ss->n_strangers > 0 ? GREETING_TICK_MS : -1;
        int n = rpc_poller_wait(&ss->poller, ev, EVENTS_MAX, wait_ms);
        for (int i = 0; i < n; i++) {
            if (ev[i].source == NULL) {
                continue;
            }
            if (*(enum source_kind *)ev[i].source == SOURCE_PORT) {
                port_accept(ss, ev[i].source);
            } else {
                peer_run(ev[i].source, ev[i].hangup);
            }
        }
        strangers_expire(ss);
        starved = ports_retry(ss);
        peers_reap(ss);
    }
    return NULL;
}

/* --- life --- */

static int streams_open(struct rpc_server *srv)
{
    struct stream_server *ss = mem_zalloc(sizeof(*ss));
    if (ss == NULL) {
        return ENOMEM;
    }
    ss->srv = srv;
    list_init(&ss->peers);
    int error = rpc_poller_open(&ss->poller);
    if (error != 0) {
        mem_free(ss);
        return error;
    }
    (void)pthread_mutex_init(&ss->mutex, NULL);
    srv->streams = ss;
    return 0;
}

int server_stream_listen(struct rpc_server *srv, const char *url, bool pub)
{
    int error;
    if (srv->streams == NULL && (error = streams_open(srv)) != 0) {
        return error;
    }
    struct stream_server *ss = srv->streams;
    if (ss->n_ports == LISTENERS_MAX) {
        return EINVAL;
    }
    struct port *port = &ss->ports[ss->n_ports];
    port->kind = SOURCE_PORT;
    port->pub = pub;
    port->secure = srv->cfg.tls != NULL && rpc_url_is_tcp(url);
    if ((error = rpc_socket_listen(url, &port->fd)) != 0) {
        return error;
    }
    if ((port->url = mem_strdup(url)) == NULL) {
        rpc_socket_close(port->fd);
        return ENOMEM;
    }
    ss->n_ports++;
    return rpc_poller_add(&ss->poller, port->fd, port);
}

int server_stream_start(struct rpc_server *srv)
{
    struct stream_server *ss = srv->streams;
    if (ss == NULL) {
        return 0;
    }
    int error = pthread_create(&ss->io, NULL, io_main, ss);
    ss->running = error == 0;
    return error;
}

void server_stream_publish(struct rpc_server *srv, const uint8_t *p, size_t n)
{
    struct stream_server *ss = srv->streams;
    (void)pthread_mutex_lock(&ss->mutex);
    LIST_FOREACH (it, &ss->peers) {
        struct peer *peer = LIST_ENTRY(it, struct peer, node);
        nng_msg *m = NULL;
        if (!peer->pub || peer->closed || nng_msg_alloc(&m, n) != 0) {
            continue;
        }
        memcpy(nng_msg_body(m), p, n);
        if (rpc_stream_send(peer->stream, 0, m, HINTS_QUEUED) != OK) {
            nng_msg_free(m);
        }
    }
    (void)pthread_mutex_unlock(&ss->mutex);
}

bool server_stream_sending(struct rpc_server *srv)
{
    struct stream_server *ss = srv->streams;
    bool sending = false;
    if (ss == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&ss->mutex);
    LIST_FOREACH (it, &ss->peers) {
        struct peer *p = LIST_ENTRY(it, struct peer, node);
        sending = sending || (!p->closed && rpc_stream_sending(p->stream));
    }
    (void)pthread_mutex_unlock(&ss->mutex);
    return sending;
}

/* The handler holds no request any more. */
void server_stream_close(struct rpc_server *srv)
{
    struct stream_server *ss = srv->streams;
    if (ss == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&ss->mutex);
    ss->stopping = true;
    (void)pthread_mutex_unlock(&ss->mutex);
    rpc_poller_wake(&ss->poller);
    if (ss->running) {
        (void)pthread_join(ss->io, NULL);
    }
    LIST_FOREACH_SAFE (it, &ss->peers) {
        struct peer *p = LIST_ENTRY(it, struct peer, node);
        rpc_stream_free(p->stream);
        mem_free(p);
    }
    for (uint32_t i = 0; i < ss->n_ports; i++) {
        rpc_socket_close(ss->ports[i].fd);
        mem_free(ss->ports[i].url);
    }
    rpc_poller_close(&ss->poller);
    (void)pthread_mutex_destroy(&ss->mutex);
    mem_free(ss);
    srv->streams = NULL;
}
