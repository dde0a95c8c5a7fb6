/* The inside of a server, for server*.c only. */
#ifndef FRONTEND_NET_SERVER_INTERNAL_H
#define FRONTEND_NET_SERVER_INTERNAL_H

#include <pthread.h>

#include "frontend/net/conn_internal.h"
#include "frontend/net/ip_limit.h"
#include "frontend/net/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One address a listener is bound to; "*:port" gives two. */
struct server_address {
    struct sockaddr_storage addr;
    socklen_t len;
};

#define SERVER_ADDRESSES_MAX 2

/* What a listener_config became; shared by all loops. */
struct server_listener {
    struct conn_env env;
    char *refusal; /* NULL: none */
    struct server_address addresses[SERVER_ADDRESSES_MAX];
    unsigned n_addresses;
};

/* A listening socket of one loop. */
struct server_socket {
    struct server_loop *owner;
    const struct server_listener *listener;
    int fd; /* io's once attached is set */
    bool attached;
    struct io_sock sock;
};

/* One thread. All but the counters is touched by its own loop only, once it runs. */
struct server_loop {
    struct server *server;
    struct loop *loop;
    pthread_t thread;
    bool started;
    struct server_socket *sockets;
    unsigned n_sockets;
    struct list conns;
    struct loop_timer retry; /* accepting again after EMFILE */
    struct loop_task task_start;
    struct loop_task task_drain;
    struct loop_task task_force;
};

struct server {
    struct server_config cfg;
    enum io_backend backend;
    struct server_listener *listeners;
    unsigned n_listeners;
    struct server_loop *loops;
    unsigned n_loops;
    struct ip_limit *ip_limit;
    unsigned connections;   /* atomic: all that live */
    unsigned limited;       /* atomic: those that connections_max counts */
    unsigned operators;     /* atomic: those that it does not */
    unsigned accepting;     /* atomic: loops that have not closed their listeners */
    bool drained;           /* the caller's thread */
    uint64_t complained_ms; /* atomic: when a failing accept was logged last */
};

/* server_listen.c: addresses and sockets. Errors are in why. */
MUST_CHECK enum err server_address_parse(const char *text, struct server_listener *out_listener, struct buf *why);
/* Binds and listens on one address; port 0 is replaced by the kernel's choice in a. shared: SO_REUSEPORT;
 * else an address that is taken is tried for three seconds. */
MUST_CHECK enum err server_address_listen(struct server_address *a, bool shared, int *out_fd, struct buf *why);

/* server_accept.c: on the loop's thread. */
/* Attaches the sockets and starts accepting. */
void server_accept_start(struct loop *l, struct loop_task *t);
/* Takes what is queued in the kernel, closes the listeners, sends CONN_EVENT_DRAIN to all. */
void server_accept_drain(struct loop *l, struct loop_task *t);
/* Ends all connections. */
void server_accept_force(struct loop *l, struct loop_task *t);
void server_accept_retry(struct loop *l, struct loop_timer *t);
void server_accept_released(void *owner, const struct conn_env *env, const struct sockaddr_storage *peer);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_SERVER_INTERNAL_H */
