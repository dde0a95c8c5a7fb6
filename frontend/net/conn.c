#include "frontend/net/conn.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "frontend/net/conn_internal.h"
#include "frontend/net/fiber.h"
#include "frontend/net/net_metrics.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define SESSION_ALIGN 16
#define LINGER_MS 2000
#define LINGER_BYTES_MAX (1024 * 1024)  /* a peer that goes on sending what nobody reads is cut off */
#define RAW_BYTES_MAX (4 * 1024 * 1024) /* more than the backends can have on their way when reading stops */

static void conn_turn(struct loop *l, struct loop_defer *d);

/* --- life --- */

static void on_received(void *user, const uint8_t *p, int n)
{
    conn_in_received(user, p, n);
}

static void on_sent(void *user, int n)
{
    conn_out_sent(user, n);
}

static const struct io_sink conn_sink = {.received = on_received, .sent = on_sent};

static void ip_text(const struct sockaddr_storage *a, char out[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a;
    const char *p = NULL;
    if (a->ss_family == AF_INET) {
        p = inet_ntop(AF_INET, &v4->sin_addr, out, INET6_ADDRSTRLEN);
    } else if (a->ss_family == AF_INET6) {
        p = inet_ntop(AF_INET6, &v6->sin6_addr, out, INET6_ADDRSTRLEN);
    }
    if (p == NULL) {
        out[0] = '\0';
    }
}

static uint64_t next_id(void)
{
    static uint64_t last; /* atomic */
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

static void on_timer(struct loop *l, struct loop_timer *t)
{
    (void)l;
    struct conn *c = LIST_ENTRY(t, struct conn, timer);
    if (c->state == CONN_HANDSHAKE || c->securing) {
        metric_inc(&net_metric_tls_failures);
        c->tls_failed = true;
        conn_abort(c);
    } else if (c->state == CONN_LINGER) {
        conn_abort(c);
    }
    conn_turn_soon(c); /* the idle timer: the turn looks at the clock */
}

static void set_socket_options(int fd)
{
    const int on = 1;
    const int keep_idle_s = 300;
    const int unsent_bytes = 128 * 1024;
    /* Advice to the kernel; a socket that refuses it (not TCP) works without. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keep_idle_s, sizeof(keep_idle_s));
    /* What a slow client has yet to take waits in our accounted buffers, not in megabytes of the kernel's. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof(unsent_bytes));
}

static struct conn *conn_alloc(struct loop *l, const struct conn_env *env, int fd, const struct sockaddr_storage *peer)
{
    const size_t head_bytes = (sizeof(struct conn) + SESSION_ALIGN - 1) / SESSION_ALIGN * SESSION_ALIGN;
    struct conn *c = mem_zalloc(head_bytes + env->proto->session_bytes);
    if (c == NULL) {
        return NULL;
    }
    c->session = (uint8_t *)c + head_bytes;
    c->loop = l;
    c->env = env;
    c->fd = fd;
    c->id = next_id();
    c->idle_ms = env->proto->idle_ms;
    c->active_ms = l->now_ms;
    c->peer = *peer;
    ip_text(peer, c->peer_ip);
    list_init(&c->node);
    loop_defer_init(&c->turn, conn_turn);
    buf_init(&c->raw, RAW_BYTES_MAX);
    buf_init(&c->in, env->proto->in_bytes_max);
    buf_init(&c->out, SIZE_MAX);
    buf_init(&c->wire, SIZE_MAX);
    loop_timer_init(&c->timer, on_timer);
    loop_timer_init(&c->stall, conn_out_stalled);
    c->state = env->implicit_tls ? CONN_HANDSHAKE : CONN_OPEN;
    return c;
}

enum err conn_new(struct loop *l, const struct conn_env *env, int fd, const struct sockaddr_storage *peer,
                  struct list *all)
{
    struct conn *c = conn_alloc(l, env, fd, peer);
    if (c == NULL) {
        return ERR_NOMEM;
    }
    if (env->implicit_tls) {
        enum err e = tls_session_new(env->tls, env->proto->alpn, &c->raw, &c->tls);
        if (e != OK) {
            mem_free(c);
            return e;
        }
        loop_timer_arm(l, &c->timer, env->handshake_ms);
    }
    enum err e = io_attach(l->io, fd, &conn_sink, c, &c->sock);
    if (e != OK) {
        loop_timer_cancel(l, &c->timer);
        tls_session_free(c->tls);
        mem_free(c);
        return e;
    }
    set_socket_options(fd);
    list_push_back(all, &c->node);
    metric_add(&net_metric_connections, 1);
    conn_in_pace(c);
    conn_turn_soon(c);
    return OK;
}

static void conn_free(struct conn *c)
{
    ASSERT(c->fiber == NULL);
    loop_timer_cancel(c->loop, &c->timer);
    loop_timer_cancel(c->loop, &c->stall);
    loop_defer_cancel(&c->turn);
    io_close(c->loop->io, c->sock);
    conn_handle_detach(c);
    tls_session_free(c->tls);
    buf_fini(&c->raw);
    buf_fini(&c->in);
    buf_fini(&c->out);
    if (!c->sending) { /* else the block belongs to the operation, and io frees it */
        buf_fini(&c->wire);
    }
    list_remove(&c->node);
    metric_add(&net_metric_connections, -1);
    c->env->released(c->env->owner, c->env, &c->peer);
    mem_free(c);
}

void conn_turn_soon(struct conn *c)
{
    if (c->starved) { /* something happened while it waited for a fiber: it may not need one any more */
        c->starved = false;
        loop_defer_cancel(&c->turn);
    }
    loop_defer(c->loop, &c->turn);
}

void conn_wake(struct conn *c, unsigned reasons)
{
    if ((c->waiting & reasons) != 0) {
        fiber_wake(c->fiber);
    }
}

void conn_park(struct conn *c, enum conn_wait reason)
{
    ASSERT(c->fiber == fiber_self());
    c->waiting = reason;
    fiber_park();
    c->waiting = 0;
}

void conn_abort(struct conn *c)
{
    c->dead = true;
    conn_wake(c, CONN_WAIT_ANY);
    conn_turn_soon(c);
}

void conn_drain(struct conn *c)
{
    if (!c->draining) {
        c->draining = true;
        c->events |= CONN_EVENT_BIT(CONN_EVENT_DRAIN);
        conn_turn_soon(c);
    }
}

void conn_force(struct conn *c)
{
    c->forced = true;
    c->draining = true;
    c->close_wanted = true;
    conn_wake(c, CONN_WAIT_ANY);
    conn_turn_soon(c);
}

/* --- the session's fiber --- */

static enum err deliver(struct conn *c, enum conn_event ev)
{
    const struct conn_proto *proto = c->env->proto;
    c->events &= ~CONN_EVENT_BIT(ev);
    enum err e = OK;
    if (proto->event != NULL) {
        e = proto->event(c, c->session, ev);
    } else if (ev != CONN_EVENT_NOTIFY) {
        e = ERR_CLOSED;
    }
    if (ev == CONN_EVENT_TIMEOUT) {
        c->active_ms = c->loop->now_ms; /* kept alive: it has its idle time again */
    }
    return e;
}

static enum err run_input(struct conn *c)
{
    c->fresh = false;
    c->in_input = true;
    enum err e = c->env->proto->input(c, c->session);
    c->in_input = false;
    c->active_ms = c->loop->now_ms;
    if (e == OK && !c->fresh && c->in.len >= c->in.limit_bytes) {
        return ERR_LIMIT; /* full of what the protocol cannot use: it would never be called again */
    }
    return e;
}

/* The next callback to run; false when there is none. */
static bool session_step(struct conn *c, enum err *out_err)
{
    if (c->close_wanted || c->dead) {
        return false;
    }
    conn_in_refill(c);
    if (!c->opened) {
        c->opened = true;
        *out_err = c->env->proto->open(c, c->session);
        c->active_ms = c->loop->now_ms;
    } else if ((c->events & CONN_EVENT_BIT(CONN_EVENT_DRAIN)) != 0) {
        *out_err = deliver(c, CONN_EVENT_DRAIN);
    } else if (c->fresh) {
        *out_err = run_input(c);
    } else if ((c->events & CONN_EVENT_BIT(CONN_EVENT_NOTIFY)) != 0) {
        *out_err = deliver(c, CONN_EVENT_NOTIFY);
    } else if ((c->events & CONN_EVENT_BIT(CONN_EVENT_TIMEOUT)) != 0) {
        *out_err = deliver(c, CONN_EVENT_TIMEOUT);
    } else {
        return false;
    }
    return true;
}

static void conn_fiber(void *arg)
{
    struct conn *c = arg;
    c->fiber = fiber_self();
    enum err e = OK;
    while (session_step(c, &e)) {
        if (e != OK) {
            c->close_wanted = true;
        }
    }
    c->fiber = NULL;
    conn_turn_soon(c);
}

static bool has_work(const struct conn *c)
{
    return !c->opened || c->fresh || c->events != 0;
}

/* --- turns --- */

static void start_fiber(struct conn *c)
{
    enum err e = fiber_spawn(c->loop, conn_fiber, c);
    if (e == ERR_LIMIT) {
        fiber_pool_wait(c->loop, &c->turn); /* its turn comes when a fiber is free */
        c->starved = true;
    } else if (e != OK) {
        c->close_wanted = true;
        conn_turn_soon(c);
    }
}

static void become_idle(struct conn *c)
{
    buf_shrink(&c->raw);
    buf_shrink(&c->in);
    buf_shrink(&c->out);
    if (!c->sending) {
        buf_shrink(&c->wire);
    }
    if (c->tls != NULL) {
        buf_shrink(tls_session_out(c->tls));
    }
    uint64_t now = c->loop->now_ms;
    if (c->idle_ms == 0) {
        loop_timer_cancel(c->loop, &c->timer);
        return;
    }
    uint64_t due = c->active_ms + c->idle_ms;
    if (due <= now) {
        c->events |= CONN_EVENT_BIT(CONN_EVENT_TIMEOUT);
        start_fiber(c);
    } else if (!c->timer.armed || c->timer.at_ms > due) { /* an early timer looks again when it fires */
        loop_timer_arm(c->loop, &c->timer, due - now);
    }
}

/* The only place where the state changes. */
static void conn_enter(struct conn *c, enum conn_state to)
{
    ASSERT(to > c->state);
    c->state = to;
    loop_timer_cancel(c->loop, &c->timer);
}

static void enter_closing(struct conn *c)
{
    conn_enter(c, CONN_CLOSING);
    if (c->opened) {
        c->env->proto->close(c, c->session);
        c->opened = false;
    }
    conn_handle_detach(c);
    c->events = 0;
    buf_reset(&c->in);
    buf_shrink(&c->in);
    buf_reset(&c->raw);
    buf_shrink(&c->raw);
    conn_in_pace(c);
}

static bool turn_closing(struct conn *c)
{
    if (c->dead || c->forced) {
        return false;
    }
    if (c->tls_up && !c->notify_sent && !c->tls_failed && conn_unsent(c) == 0) {
        c->notify_sent = true;
        tls_session_shutdown(c->tls);
        conn_out_push(c);
    }
    if (conn_unsent(c) > 0) {
        return !c->dead;
    }
    if (c->eof) {
        return false;
    }
    (void)shutdown(c->fd, SHUT_WR); /* failing: the peer has gone, which the next receive tells */
    conn_enter(c, CONN_LINGER);
    loop_timer_arm(c->loop, &c->timer, LINGER_MS);
    conn_in_pace(c);
    return true;
}

static bool turn_open(struct conn *c)
{
    if (!c->dead && !c->close_wanted) {
        conn_in_refill(c);
        if (has_work(c)) {
            start_fiber(c);
            return true;
        }
        if (!c->eof) {
            become_idle(c);
            return true;
        }
    }
    enter_closing(c);
    return turn_closing(c);
}

static bool turn_handshake(struct conn *c)
{
    bool fine = !c->dead && !c->close_wanted && !c->tls_failed;
    if (fine && c->tls_up) { /* commands and the end may have come together with the end of the handshake */
        conn_enter(c, CONN_OPEN);
        return turn_open(c);
    }
    if (fine && !c->draining && !c->eof) {
        return true;
    }
    enter_closing(c);
    return turn_closing(c);
}

/* False: the connection is over. */
static bool turn_state(struct conn *c)
{
    switch (c->state) {
    case CONN_HANDSHAKE:
        return turn_handshake(c);
    case CONN_OPEN:
        return turn_open(c);
    case CONN_CLOSING:
        return turn_closing(c);
    case CONN_LINGER:
        return !c->dead && !c->eof && c->lingered_bytes <= LINGER_BYTES_MAX;
    }
    UNREACHABLE();
}

static void conn_turn(struct loop *l, struct loop_defer *d)
{
    (void)l;
    struct conn *c = LIST_ENTRY(d, struct conn, turn);
    c->starved = false;
    conn_out_push(c);
    if (c->fiber == NULL && !turn_state(c)) {
        conn_free(c);
    }
}

/* --- the protocol's view --- */

void *conn_session(struct conn *c)
{
    return c->session;
}

struct loop *conn_loop(struct conn *c)
{
    return c->loop;
}

void *conn_user(struct conn *c)
{
    return c->env->user;
}

const struct conn_proto *conn_proto(const struct conn *c)
{
    return c->env->proto;
}

uint64_t conn_id(const struct conn *c)
{
    return c->id;
}

const char *conn_peer_ip(const struct conn *c)
{
    return c->peer_ip;
}

const char *conn_local_ip(const struct conn *c)
{
    struct conn *m = (struct conn *)(uintptr_t)c; /* asked for by few: looked up at the first call */
    struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof(a);
    if (c->local_ip[0] == '\0' && getsockname(c->fd, (struct sockaddr *)&a, &n) == 0) {
        ip_text(&a, m->local_ip);
    }
    return c->local_ip;
}

uint16_t conn_peer_port(const struct conn *c)
{
    if (c->peer.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&c->peer)->sin6_port);
    }
    return c->peer.ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)(const void *)&c->peer)->sin_port) : 0;
}

const struct sockaddr_storage *conn_peer_addr(const struct conn *c)
{
    return &c->peer;
}

void conn_set_idle_ms(struct conn *c, uint64_t idle_ms)
{
    c->idle_ms = idle_ms;
    conn_turn_soon(c);
}

void conn_close(struct conn *c)
{
    c->close_wanted = true;
    conn_turn_soon(c);
}

bool conn_draining(const struct conn *c)
{
    return c->draining;
}
