/* TLS contexts on BoringSSL: TLS 1.2 and 1.3, SNI, ALPN, tickets, reload. A context is shared by all loops
 * (thread-safe); tls_context_reload swaps certificates for new handshakes atomically, and a failed reload keeps the old
 * ones. */
#ifndef FRONTEND_NET_TLS_H
#define FRONTEND_NET_TLS_H

#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tls_context;

struct tls_certificate {
    const char *chain_pem; /* path: leaf first */
    const char *key_pem;   /* path */
};

struct tls_config {
    const struct tls_certificate
        *certificates; /* the first is the default; others are chosen by SNI from their names */
    size_t n_certificates;
};

/* ERR_TLS or ERR_IO with the reason (file, line of the PEM, BoringSSL's text) in why. Copies the config. */
MUST_CHECK enum err tls_context_new(const struct tls_config *cfg, struct tls_context **out_ctx, struct buf *why);
MUST_CHECK enum err tls_context_reload(struct tls_context *ctx, struct buf *why);
void tls_context_free(struct tls_context *ctx);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_TLS_H */
