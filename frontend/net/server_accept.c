/* Accepting, limits and the end of connections: all of it on the loop's own thread. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/net/net_metrics.h"
#include "frontend/net/server_internal.h"
#include "proto/base/log.h"

#define RETRY_MS 100
#define COMPLAIN_EVERY_MS 60000
#define OPERATORS_MAX 64

/* --- limits --- */

/* A place among at most max (0: any number). */
static enum err place_take(unsigned *taken, unsigned max)
{
    if (__atomic_add_fetch(taken, 1, __ATOMIC_RELAXED) <= max || max == 0) {
        return OK;
    }
    (void)__atomic_sub_fetch(taken, 1, __ATOMIC_RELAXED);
    return ERR_LIMIT;
}

static enum err enter(struct server *s, const struct conn_env *env, const struct sockaddr_storage *peer)
{
    enum err e =
        env->operators ? place_take(&s->operators, OPERATORS_MAX) : place_take(&s->limited, s->cfg.connections_max);
    if (e == OK && !env->operators) {
        e = ip_limit_enter(s->ip_limit, peer);
        if (e != OK) {
            (void)__atomic_sub_fetch(&s->limited, 1, __ATOMIC_RELAXED);
        }
    }
    if (e == OK) {
        (void)__atomic_add_fetch(&s->connections, 1, __ATOMIC_RELAXED);
    }
    return e;
}

void server_accept_released(void *owner, const struct conn_env *env, const struct sockaddr_storage *peer)
{
    struct server *s = owner;
    if (env->operators) {
        (void)__atomic_sub_fetch(&s->operators, 1, __ATOMIC_RELAXED);
    } else {
        ip_limit_leave(s->ip_limit, peer);
        (void)__atomic_sub_fetch(&s->limited, 1, __ATOMIC_RELAXED);
    }
    (void)__atomic_sub_fetch(&s->connections, 1, __ATOMIC_RELEASE);
}

/* One try, never waiting: a refused client that does not take its line goes without. */
static void refuse(const struct server_listener *listener, int fd)
{
    metric_inc(&net_metric_refused);
    if (listener->refusal != NULL && !listener->env.implicit_tls) {
        ssize_t n = send(fd, listener->refusal, strlen(listener->refusal), MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n;
        (void)shutdown(fd, SHUT_WR);
    }
    (void)close(fd);
}

/* --- accepting --- */

static bool out_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void complain_rarely(struct server *s, uint64_t now_ms, int error)
{
    uint64_t last = __atomic_load_n(&s->complained_ms, __ATOMIC_RELAXED);
    if (last != 0 && now_ms - last < COMPLAIN_EVERY_MS) {
        return;
    }
    __atomic_store_n(&s->complained_ms, now_ms, __ATOMIC_RELAXED);
    log_error("net.accept", "connections cannot be accepted", LOG_I64("errno", error), LOG_STR("text", strerror(error)),
              LOG_STR("remedy", out_of_resources(error) ? "raise the limit of open files or of memory" : ""));
}

/* Stops all of this loop's listeners for a moment: trying at once would only burn the processor. */
static void accept_failed(struct server_loop *sl, int error)
{
    if (error == ECONNABORTED || error == EINTR || error == EPROTO) {
        return; /* the client's fault */
    }
    complain_rarely(sl->server, sl->loop->now_ms, error);
    for (unsigned i = 0; i < sl->n_sockets; i++) {
        if (sl->sockets[i].attached) {
            io_accept_stop(sl->loop->io, sl->sockets[i].sock);
        }
    }
    loop_timer_arm(sl->loop, &sl->retry, RETRY_MS);
}

void server_accept_retry(struct loop *l, struct loop_timer *t)
{
    struct server_loop *sl = LIST_ENTRY(t, struct server_loop, retry);
    for (unsigned i = 0; i < sl->n_sockets; i++) {
        if (sl->sockets[i].attached) {
            io_accept_start(l->io, sl->sockets[i].sock);
        }
    }
}

static void take(struct server_socket *ss, int fd)
{
    struct server_loop *sl = ss->owner;
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(peer);
    metric_inc(&net_metric_accepted);
    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0) {
        (void)close(fd); /* reset before we looked */
        return;
    }
    if (enter(sl->server, &ss->listener->env, &peer) != OK) {
        refuse(ss->listener, fd);
        return;
    }
    if (conn_new(sl->loop, &ss->listener->env, fd, &peer, &sl->conns) != OK) {
        server_accept_released(sl->server, &ss->listener->env, &peer);
        refuse(ss->listener, fd);
    }
}

static void on_accepted(void *user, int fd)
{
    struct server_socket *ss = user;
    if (fd >= 0) {
        take(ss, fd);
    } else {
        accept_failed(ss->owner, -fd);
    }
}

static const struct io_sink accept_sink = {.accepted = on_accepted};

void server_accept_start(struct loop *l, struct loop_task *t)
{
    struct server_loop *sl = LIST_ENTRY(t, struct server_loop, task_start);
    for (unsigned i = 0; i < sl->n_sockets; i++) {
        struct server_socket *ss = &sl->sockets[i];
        if (io_attach(l->io, ss->fd, &accept_sink, ss, &ss->sock) == OK) {
            ss->attached = true;
            io_accept_start(l->io, ss->sock);
        } else {
            (void)close(ss->fd);
            log_error("net.listen", "a listener of this thread could not be started", LOG_U64("thread", l->index));
        }
    }
}

/* --- the end --- */

/* Clients whose connection the kernel has made already would be reset by the close. */
static void take_queued(struct server_socket *ss)
{
    int flags = fcntl(ss->fd, F_GETFL);
    if (flags < 0 || fcntl(ss->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return;
    }
    for (int fd; (fd = accept4(ss->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        take(ss, fd);
    }
}

void server_accept_drain(struct loop *l, struct loop_task *t)
{
    struct server_loop *sl = LIST_ENTRY(t, struct server_loop, task_drain);
    loop_timer_cancel(l, &sl->retry);
    for (unsigned i = 0; i < sl->n_sockets; i++) {
        struct server_socket *ss = &sl->sockets[i];
        if (ss->attached) {
            take_queued(ss);
            ss->attached = false;
            io_close(l->io, ss->sock);
        }
    }
    LIST_FOREACH_SAFE (n, &sl->conns) {
        conn_drain(LIST_ENTRY(n, struct conn, node));
    }
    (void)__atomic_sub_fetch(&sl->server->accepting, 1, __ATOMIC_RELEASE);
}

void server_accept_force(struct loop *l, struct loop_task *t)
{
    (void)l;
    struct server_loop *sl = LIST_ENTRY(t, struct server_loop, task_force);
    LIST_FOREACH_SAFE (n, &sl->conns) {
        conn_force(LIST_ENTRY(n, struct conn, node));
    }
}
