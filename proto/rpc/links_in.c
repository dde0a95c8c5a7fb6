/* What we accept: one I/O thread for all connections. */
#include <errno.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/rpc/links_internal.h"

#define ACCEPTED_MAX 128
#define EVENTS_MAX 64
#define ACCEPT_RETRY_MS 100
#define HELLO_TICK_MS 500
#define EPOCH_KEEP_MS 60000 /* after the last connection: longer than a dead one can still speak */
#define FRAME_COST 128      /* of a frame, besides its bytes */

/* Freed at the end of a round of events, once it is closed. */
struct links_accepted {
    struct list node;
    struct rpc_links *links;
    struct rpc_stream *stream;
    struct links_node *peer; /* NULL: a stranger, no hello yet */
    enum rpc_lane lane;
    uint64_t hello_until_ms;
    bool closed;
};

static uint64_t now_ms(void)
{
    return clock_mono_ms(clock_system());
}

/* Nothing of it is delivered any more. */
static void accepted_close(struct links_accepted *a)
{
    struct rpc_links *l = a->links;
    if (a->closed) {
        return;
    }
    a->closed = true;
    rpc_stream_shut(a->stream);
    if (a->peer == NULL) {
        l->n_strangers--;
        return;
    }
    struct rpc_links_in *in = &a->peer->in[a->lane];
    (void)pthread_mutex_lock(&l->mutex);
    if (in->conn == a) {
        in->conn = NULL;
        in->paused = false;
        in->forget_ms = now_ms() + EPOCH_KEEP_MS;
    }
    (void)pthread_mutex_unlock(&l->mutex);
}

static void accepted_refuse(struct links_accepted *a, const char *why)
{
    rpc_refusal_log(&a->links->refusal, "links.refused", a->links->cfg.listen_url, why);
    accepted_close(a);
}

/* --- the hello --- */

/* With the mutex held: the epoch of the newest connection that still counts; 0: none does. */
static uint64_t epoch_held(const struct rpc_links_in *in)
{
    return in->conn != NULL || now_ms() < in->forget_ms ? in->epoch : 0;
}

/* With the mutex held: the reason to refuse, or NULL. A hello that waited in a queue while the node moved names the
 * place that it left: only the newest one's address counts, of either lane. */
static const char *dial_back(const struct rpc_hello *h, struct links_node *n)
{
    char url[RPC_HELLO_ADDRESS_BYTES_MAX + 1];
    if (n->told || h->address.n == 0 || h->epoch < epoch_held(&n->in[RPC_LANE_CONTROL]) ||
        h->epoch < epoch_held(&n->in[RPC_LANE_BULK])) {
        return NULL;
    }
    memcpy(url, h->address.p, h->address.n);
    url[h->address.n] = '\0';
    if (!links_address_ok(url)) {
        return "the hello's address is none";
    }
    return links_dial(n, url) == OK ? NULL : "no memory to dial back";
}

/* With the mutex held: the reason to refuse, or NULL. out_old is the connection that this one ends. */
static const char *hello_accept(struct links_accepted *a, const struct rpc_hello *h, struct links_accepted **out_old)
{
    struct links_node *n;
    enum err e = links_find_or_add(a->links, h->from, &n);
    if (e != OK) {
        return e == ERR_LIMIT ? "too many nodes" : "out of memory";
    }
    struct rpc_links_in *in = &n->in[h->lane];
    if (h->epoch <= epoch_held(in)) {
        return "the node has a newer connection";
    }
    const char *why = dial_back(h, n);
    if (why != NULL) {
        return why;
    }
    *out_old = in->conn;
    in->conn = a;
    in->epoch = h->epoch;
    in->paused = in->unreleased + RPC_LINKS_FRAME_BYTES_MAX + FRAME_COST > LINKS_WINDOW_BYTES;
    if (in->paused) {
        rpc_stream_pause(a->stream);
    }
    a->peer = n;
    a->lane = (enum rpc_lane)h->lane;
    return NULL;
}

static void hello_run(struct links_accepted *a, struct slice bytes)
{
    struct rpc_links *l = a->links;
    struct links_accepted *old = NULL;
    struct rpc_hello h;
    const char *why = NULL;
    enum err e = rpc_hello_decode(bytes, &h);
    if (e != OK) {
        why = e == ERR_UNSUPPORTED ? "a hello of another version" : "no hello";
    } else if (!u128_eq(&h.cluster, &l->cfg.cluster)) {
        why = "a node of another cluster";
    } else if (h.to.v != l->cfg.self.v) {
        why = "a node that looks for another";
    } else if (h.from.v == l->cfg.self.v) {
        why = "a node with our own id";
    } else {
        (void)pthread_mutex_lock(&l->mutex);
        why = hello_accept(a, &h, &old);
        (void)pthread_mutex_unlock(&l->mutex);
    }
    if (why != NULL) {
        accepted_refuse(a, why);
        return;
    }
    l->n_strangers--;
    if (old != NULL) {
        accepted_close(old);
    }
}

/* --- frames --- */

static struct rpc_links_frame *frame_make(struct links_accepted *a, nng_msg *m)
{
    struct rpc_links_frame *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        return NULL;
    }
    f->from.v = __atomic_load_n(&a->peer->id, __ATOMIC_ACQUIRE);
    f->lane = a->lane;
    f->bytes = slice_make(nng_msg_body(m), nng_msg_len(m));
    f->links = a->links;
    f->in = &a->peer->in[a->lane];
    f->msg = m;
    return f;
}

/* A frame without memory ends its connection: behind it others may not come. */
static void frame_run(struct links_accepted *a, nng_msg *m)
{
    struct rpc_links *l = a->links;
    bool fits = nng_msg_len(m) <= RPC_LINKS_FRAME_BYTES_MAX;
    struct rpc_links_frame *f = fits ? frame_make(a, m) : NULL;
    if (f == NULL) {
        nng_msg_free(m);
        accepted_refuse(a, fits ? "out of memory" : "a frame that is too long");
        return;
    }
    struct rpc_links_in *in = f->in;
    (void)pthread_mutex_lock(&l->mutex);
    in->unreleased += f->bytes.n + FRAME_COST;
    if (!in->paused && in->unreleased + RPC_LINKS_FRAME_BYTES_MAX + FRAME_COST > LINKS_WINDOW_BYTES) {
        in->paused = true;
        rpc_stream_pause(a->stream);
    }
    (void)pthread_mutex_unlock(&l->mutex);
    l->cfg.on_frame(l->cfg.user, f);
}

void rpc_links_release(struct rpc_links_frame *f)
{
    struct rpc_links *l = f->links;
    struct rpc_links_in *in = f->in;
    (void)pthread_mutex_lock(&l->mutex);
    ASSERT(in->unreleased >= f->bytes.n + FRAME_COST);
    in->unreleased -= f->bytes.n + FRAME_COST;
    if (in->paused && in->unreleased + RPC_LINKS_FRAME_BYTES_MAX + FRAME_COST <= LINKS_WINDOW_BYTES) {
        in->paused = false;
        rpc_stream_resume(in->conn->stream);
    }
    (void)pthread_mutex_unlock(&l->mutex);
    nng_msg_free(f->msg);
    mem_free(f);
}

static void accepted_frame(void *user, uint64_t tag, nng_msg *m)
{
    struct links_accepted *a = user;
    (void)tag;
    if (a->closed) {
        nng_msg_free(m);
    } else if (a->peer == NULL) {
        hello_run(a, slice_make(nng_msg_body(m), nng_msg_len(m)));
        nng_msg_free(m);
    } else {
        frame_run(a, m);
    }
}

static const struct rpc_stream_ops accepted_ops = {.on_frame = accepted_frame};

/* --- accepting --- */

/* When all places are taken the stranger that has waited longest gives way. */
static void place_make(struct rpc_links *l)
{
    LIST_FOREACH (it, &l->accepted) {
        struct links_accepted *a = LIST_ENTRY(it, struct links_accepted, node);
        if (a->peer == NULL && !a->closed) {
            accepted_refuse(a, "too many connections");
            return;
        }
    }
}

/* Takes fd in any case. */
static void accepted_new(struct rpc_links *l, int fd)
{
    if (l->n_accepted >= ACCEPTED_MAX) {
        place_make(l);
        rpc_socket_close(fd); /* the place is free after this round */
        return;
    }
    struct links_accepted *a = mem_zalloc(sizeof(*a));
    if (a == NULL || rpc_stream_open(fd, &l->poller, a, &accepted_ops, a, &a->stream) != OK) {
        rpc_socket_close(fd);
        mem_free(a);
        return;
    }
    if (l->cfg.tls != NULL && rpc_url_is_tcp(l->cfg.listen_url) &&
        rpc_stream_secure(a->stream, l->cfg.tls, true) != OK) {
        rpc_stream_free(a->stream);
        mem_free(a);
        return;
    }
    rpc_socket_hurry(fd, l->cfg.silence_ms);
    a->links = l;
    a->hello_until_ms = now_ms() + l->cfg.silence_ms;
    list_push_back(&l->accepted, &a->node);
    l->n_accepted++;
    l->n_strangers++;
}

/* Accepts all that wait: the event comes only once. */
static void port_accept(struct rpc_links *l)
{
    for (;;) {
        int fd, error = rpc_socket_accept(l->listen_fd, &fd);
        if (error == ECONNABORTED || error == EINTR) {
            continue;
        }
        if (error != 0) {
            l->starved = error != EAGAIN;
            return;
        }
        accepted_new(l, fd);
    }
}

static void accepted_run(struct links_accepted *a, bool hangup)
{
    if (a->closed || rpc_stream_run(a->stream, hangup)) {
        return;
    }
    const char *why = rpc_stream_tls_failure(a->stream);
    if (why != NULL && !a->closed) {
        accepted_refuse(a, why);
    }
    accepted_close(a);
}

static void strangers_expire(struct rpc_links *l)
{
    uint64_t now = l->n_strangers == 0 ? 0 : now_ms();
    LIST_FOREACH (it, &l->accepted) {
        struct links_accepted *a = LIST_ENTRY(it, struct links_accepted, node);
        if (now != 0 && !a->closed && a->peer == NULL && a->hello_until_ms <= now) {
            accepted_refuse(a, "no hello in time");
        }
    }
}

static void accepted_reap(struct rpc_links *l, bool all)
{
    LIST_FOREACH_SAFE (it, &l->accepted) {
        struct links_accepted *a = LIST_ENTRY(it, struct links_accepted, node);
        if (all) {
            accepted_close(a);
        }
        if (a->closed) {
            list_remove(&a->node);
            rpc_stream_free(a->stream);
            mem_free(a);
            l->n_accepted--;
        }
    }
}

static void *io_main(void *arg)
{
    struct rpc_links *l = arg;
    struct rpc_poll_event ev[EVENTS_MAX];
    while (!__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE)) {
        int wait_ms = l->starved ? ACCEPT_RETRY_MS : l->n_strangers > 0 ? HELLO_TICK_MS : -1;
        int n = rpc_poller_wait(&l->poller, ev, EVENTS_MAX, wait_ms);
        for (int i = 0; i < n; i++) {
            if (ev[i].source != NULL && ev[i].source != l) {
                accepted_run(ev[i].source, ev[i].hangup);
            } else if (ev[i].source == l) {
                port_accept(l);
            }
        }
        if (l->starved) {
            port_accept(l);
        }
        strangers_expire(l);
        accepted_reap(l, false);
    }
    accepted_reap(l, true);
    return NULL;
}

/* --- life --- */

int links_in_start(struct rpc_links *l)
{
    int error = rpc_poller_open(&l->poller);
    if (error != 0) {
        l->poller = (struct rpc_poller){-1, -1}; /* it has closed what it had */
        return error;
    }
    if ((error = rpc_socket_listen(l->cfg.listen_url, &l->listen_fd)) != 0 ||
        (error = rpc_poller_add(&l->poller, l->listen_fd, l)) != 0 ||
        (error = pthread_create(&l->io, NULL, io_main, l)) != 0) {
        return error;
    }
    l->io_running = true;
    return 0;
}

void links_in_stop(struct rpc_links *l)
{
    if (l->io_running) {
        rpc_poller_wake(&l->poller);
        (void)pthread_join(l->io, NULL);
        l->io_running = false;
    }
    if (l->listen_fd >= 0) {
        rpc_socket_close(l->listen_fd);
        l->listen_fd = -1;
    }
    rpc_poller_close(&l->poller);
    l->poller = (struct rpc_poller){-1, -1};
}
