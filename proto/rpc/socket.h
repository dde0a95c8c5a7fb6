/* The sockets under a stream: tcp://host:port (host may be "*" or "[::1]") and ipc:///path, non-blocking, and an epoll
 * set with a wake-up. Errors are errno. */
#ifndef PROTO_RPC_SOCKET_H
#define PROTO_RPC_SOCKET_H

#include <stdbool.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

bool rpc_url_is_inproc(const char *url);
bool rpc_url_is_tcp(const char *url);

/* Listens. An ipc path that nobody listens on any more is taken over; mode 0600. 0 and the descriptor, or errno. */
MUST_CHECK int rpc_socket_listen(const char *url, int *out_fd);
/* Connects; blocks up to timeout_ms, or until `cancel` (an eventfd, -1: none) is readable: ECANCELED. A tcp connection
 * leaves from the host of the url `from`, if that is one address of this machine (NULL: from any). */
MUST_CHECK int rpc_socket_connect(const char *url, const char *from, int timeout_ms, int cancel, int *out_fd);
/* Accepts one: EAGAIN when there is none. */
MUST_CHECK int rpc_socket_accept(int listen_fd, int *out_fd);
void rpc_socket_close(int fd);
/* A tcp peer that vanished is noticed after about five seconds instead of a minute; one that takes nothing of what we
 * send, be it gone or slow, after silence_ms. */
void rpc_socket_hurry(int fd, uint32_t silence_ms);
/* Whether the url is one of ours; names are not resolved. */
MUST_CHECK int rpc_socket_check(const char *url);
/* EADDRINUSE -> ERR_EXISTS, EACCES -> ERR_PERM, EINVAL -> ERR_INVAL, ENOMEM -> ERR_NOMEM, else ERR_IO. "what url: text"
 * goes to why (may be NULL). */
enum err rpc_socket_error(int error, const char *what, const char *url, struct buf *why);

/* Edge-triggered for reading, writing and hang-up: a source reads until EAGAIN or re-arms itself. */
struct rpc_poller {
    int epoll;
    int event;
};

struct rpc_poll_event {
    void *source; /* NULL: rpc_poller_wake */
    bool hangup;
};

MUST_CHECK int rpc_poller_open(struct rpc_poller *p);
void rpc_poller_close(struct rpc_poller *p);
MUST_CHECK int rpc_poller_add(struct rpc_poller *p, int fd, void *source);
/* The source's event comes again if it is readable or writable now. Any thread. */
void rpc_poller_rearm(struct rpc_poller *p, int fd, void *source);
void rpc_poller_remove(struct rpc_poller *p, int fd);
/* Any thread. */
void rpc_poller_wake(struct rpc_poller *p);
/* How many events came, at most max; 0 after timeout_ms (-1: none). */
int rpc_poller_wait(struct rpc_poller *p, struct rpc_poll_event *out, int max, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_SOCKET_H */
