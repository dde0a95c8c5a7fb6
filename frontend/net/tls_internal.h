/* What tls*.c share. BoringSSL's types stay inside them. */
#ifndef FRONTEND_NET_TLS_INTERNAL_H
#define FRONTEND_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <pthread.h>

#include "frontend/net/tls.h"
#include "frontend/net/tls_ticket.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One certificate with its key and the names it is good for. */
struct tls_entry {
    SSL_CTX *ssl_ctx;
    char **names; /* lower case; "*.example.org" matches one label */
    size_t n_names;
};

/* The certificates of one (re)load, immutable; counted, because handshakes under way keep what they began with. */
struct tls_set {
    unsigned refs; /* atomic */
    size_t n;
    struct tls_entry *entries; /* behind the set, in the same block */
};

struct tls_context {
    struct tls_certificate *certificates; /* owned copies of the paths */
    size_t n_certificates;
    struct tls_tickets *tickets;
    pthread_mutex_t lock;
    struct tls_set *set; /* under the lock */
};

/* tls.c */
struct tls_set *tls_set_ref(struct tls_context *ctx);
void tls_set_unref(struct tls_set *set);
/* The entry whose names match the server name, else the first. */
const struct tls_entry *tls_set_find(const struct tls_set *set, const char *server_name);

/* tls_load.c: reads chain and key, collects names. ERR_IO, ERR_TLS, ERR_NOMEM with the reason in why. */
MUST_CHECK enum err tls_load(const struct tls_certificate *files, struct tls_entry *out_entry, struct buf *why);
void tls_entry_fini(struct tls_entry *e);

/* tls_session.c: the callbacks that every SSL_CTX needs beyond certificate and key. */
void tls_session_configure(SSL_CTX *ssl_ctx);

/* The newest text of BoringSSL's error queue, which is emptied. */
void tls_error_text(char *out, size_t n);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_TLS_INTERNAL_H */
