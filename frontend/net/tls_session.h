/* One server-side TLS session over memory: ciphertext comes from the buffer that its connection fills, goes to a buffer
 * that the connection sends. No sockets, no waiting; BoringSSL stays inside tls*.c. One thread at a time. */
#ifndef FRONTEND_NET_TLS_SESSION_H
#define FRONTEND_NET_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "frontend/net/tls.h"
#include "proto/base/buf.h"
#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tls_session;

enum tls_progress { TLS_PROGRESS_MORE, TLS_PROGRESS_DONE, TLS_PROGRESS_FAILED };

/* in: ciphertext, owned by the caller and outliving the session. alpn: the one protocol to select, static; NULL = any
 * or none. ERR_NOMEM. */
MUST_CHECK enum err tls_session_new(struct tls_context *ctx, const char *alpn, struct buf *in,
                                    struct tls_session **out_tls);
void tls_session_free(struct tls_session *tls);
/* Ciphertext to send, also after a failure (the alert); the caller takes it from here. */
struct buf *tls_session_out(struct tls_session *tls);
enum tls_progress tls_session_handshake(struct tls_session *tls);
/* Decrypts up to cap bytes. OK with *out_n = 0: more input is needed. ERR_CLOSED: the peer's close_notify. ERR_TLS:
 * broken. */
MUST_CHECK enum err tls_session_read(struct tls_session *tls, uint8_t *p, size_t cap, size_t *out_n);
/* Encrypts all of s into the out buffer. ERR_TLS, ERR_NOMEM. */
MUST_CHECK enum err tls_session_write(struct tls_session *tls, struct slice s);
/* Puts a close_notify into the out buffer. */
void tls_session_shutdown(struct tls_session *tls);
/* "TLSv1.3 TLS_AES_128_GCM_SHA256", valid as long as the session. */
const char *tls_session_description(const struct tls_session *tls);
/* RFC 5705 keying material without context. ERR_TLS before the handshake is done. */
MUST_CHECK enum err tls_session_export(struct tls_session *tls, const char *label, uint8_t *out, size_t n);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_TLS_SESSION_H */
