/* One connection's TLS on its non-blocking socket, for stream.c. BoringSSL's types stay in tls*.c.
 *
 * Threads: one at a time (the stream's mutex). Small stacks suffice. */
#ifndef PROTO_RPC_TLS_SESSION_H
#define PROTO_RPC_TLS_SESSION_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/rpc/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_tls_session;

/* The descriptor stays the caller's and must stay open. accepted: we are the server. ERR_NOMEM. */
MUST_CHECK enum err rpc_tls_session_new(const struct rpc_tls *tls, int fd, bool accepted, struct rpc_tls_session **out);
void rpc_tls_session_free(struct rpc_tls_session *t);

/* OK: done, the peer has proved itself (to a client: as far as it can see; the server may still refuse). ERR_TIMEOUT:
 * goes on when the socket is readable or writable. ERR_TLS, ERR_CLOSED: over. */
MUST_CHECK enum err rpc_tls_session_handshake(struct rpc_tls_session *t);
/* As read and write on the socket, after the handshake: errno is EAGAIN, or EPROTO for a failure of TLS. Less than n
 * may be written; what was refused with EAGAIN must be offered again, with at least as many bytes. */
ssize_t rpc_tls_session_read(struct rpc_tls_session *t, void *p, size_t n);
ssize_t rpc_tls_session_write(struct rpc_tls_session *t, const void *p, size_t n);
/* Why it failed; NULL when TLS did not. */
const char *rpc_tls_session_failure(const struct rpc_tls_session *t);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_TLS_SESSION_H */
