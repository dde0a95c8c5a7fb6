/* Mutual TLS between our processes: TLS 1.3 only, both sides show a certificate that chains to one of the CAs. Names
 * are not checked: who holds a certificate of the CA belongs to the cluster. For tcp streams only (stream.h).
 *
 * Threads: one struct rpc_tls serves any number of clients and servers on any threads. It outlives all of them. */
#ifndef PROTO_RPC_TLS_H
#define PROTO_RPC_TLS_H

#include <stddef.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_tls;

/* Paths of PEM files; not kept. */
struct rpc_tls_config {
    const char *certificate; /* the chain, leaf first */
    const char *key;
    const char *const *cas; /* at least one file; each may hold several certificates */
    size_t n_cas;
};

/* ERR_IO, ERR_TLS (not PEM, or the key is of another certificate), ERR_NOMEM; the file and the reason go to why. */
MUST_CHECK enum err rpc_tls_open(const struct rpc_tls_config *cfg, struct rpc_tls **out, struct buf *why);
void rpc_tls_close(struct rpc_tls *tls);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_TLS_H */
