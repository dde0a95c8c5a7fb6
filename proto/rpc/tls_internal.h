/* What tls.c and tls_session.c share. */
#ifndef PROTO_RPC_TLS_INTERNAL_H
#define PROTO_RPC_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "proto/rpc/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_tls {
    SSL_CTX *ctx; /* for both sides */
};

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_TLS_INTERNAL_H */
