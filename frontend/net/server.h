/* The threads of a frontend: N loops, each with an SO_REUSEPORT listener for every configured address, and the drain.
 *
 * Limits here: connections in all, connections per client IP (IPv6 by /64) over all listeners of the process but the
 * operators'; a refused connection gets proto's refusal line if it has one and is closed. */
#ifndef FRONTEND_NET_SERVER_H
#define FRONTEND_NET_SERVER_H

#include "frontend/net/conn.h"
#include "frontend/net/loop.h"
#include "frontend/net/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

struct server;

struct listener_config {
    const char *address; /* "127.0.0.1:2143", "[::1]:2143", "*:2143" (both families) */
    const struct conn_proto *proto;
    void *user;              /* conn_user() */
    struct tls_context *tls; /* NULL: no TLS at all */
    bool implicit_tls;       /* handshake first (IMAPS, submissions, POP3S) */
    const char *refusal;     /* e.g. "* BYE too many connections\r\n", sent to connections over a limit; may be NULL */
    bool operators;          /* the limits do not count it: who looks after a flooded server must get through */
};

struct server_config {
    enum io_backend backend;
    unsigned threads;         /* 0 = one a CPU */
    unsigned connections_max; /* process-wide */
    unsigned connections_per_ip_max;
    unsigned fibers_max;     /* per loop */
    uint64_t handshake_ms;   /* TLS handshake limit */
    uint64_t write_stall_ms; /* slow-client eviction: no byte taken for so long */
    size_t out_bytes_high;   /* conn_write blocks above it */
};

/* Binds every listener before it returns (so that the caller can drop privileges or fail cleanly: the address and errno
 * are in why), starts the threads. */
MUST_CHECK enum err server_start(const struct server_config *cfg, const struct listener_config *listeners, size_t n,
                                 struct server **out_server, struct buf *why);
unsigned server_loops(const struct server *s);
struct loop *server_loop(struct server *s, unsigned i);
/* Stops accepting, sends CONN_EVENT_DRAIN to every session, waits up to grace_ms for them to end, closes the rest.
 * Blocks; not from a loop thread. */
void server_drain(struct server *s, uint64_t grace_ms);
/* Stops the threads and frees. */
void server_stop(struct server *s);
/* The port of the i-th listener: the kernel's choice when the configured port was 0. */
uint16_t server_port(const struct server *s, unsigned listener);
/* Current connections, for metrics and readiness. */
unsigned server_connections(const struct server *s);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_SERVER_H */
