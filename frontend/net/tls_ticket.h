/* Session ticket keys of the process: shared by all certificates and kept across reloads; a new key every 12 hours, the
 * one before still opens tickets (and makes the client get a new one). Thread-safe. */
#ifndef FRONTEND_NET_TLS_TICKET_H
#define FRONTEND_NET_TLS_TICKET_H

#include <openssl/ssl.h>

#include "proto/base/clock.h"
#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TLS_TICKET_KEY_MS (12ULL * 3600 * 1000)

struct tls_tickets;

/* The clock is the caller's and outlives it. */
MUST_CHECK enum err tls_tickets_new(struct clock *clock, struct tls_tickets **out_tickets);
void tls_tickets_free(struct tls_tickets *t);
/* The body of BoringSSL's ticket key callback (SSL_CTX_set_tlsext_ticket_key_cb), with its return values: sealing 1 or
 * -1; opening 0 = unknown key, 1 = fine, 2 = fine but give the client a new one. */
int tls_tickets_key(struct tls_tickets *t, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                    int encrypt);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_TLS_TICKET_H */
