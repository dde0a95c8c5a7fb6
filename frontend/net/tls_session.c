#include "frontend/net/tls_session.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "frontend/net/tls_internal.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define DESCRIPTION_BYTES 56

struct tls_session {
    SSL *ssl;
    struct tls_context *ctx;
    struct tls_set *set; /* a reference, during the handshake */
    const char *alpn;
    struct buf *in; /* the connection's */
    struct buf out;
    char description[DESCRIPTION_BYTES];
};

/* --- BoringSSL's view: a BIO over the two buffers --- */

static int bio_read(BIO *bio, char *p, int n)
{
    struct tls_session *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0 || tls->in->len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t some = (size_t)n < tls->in->len ? (size_t)n : tls->in->len;
    memcpy(p, buf_slice(tls->in).p, some);
    buf_consume(tls->in, some);
    return (int)some;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct tls_session *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0 || buf_append(&tls->out, p, (size_t)n) != OK) {
        return -1; /* no retry: the session fails */
    }
    return n;
}

static long bio_ctrl(BIO *bio, int cmd, long larg, void *parg)
{
    (void)bio;
    (void)larg;
    (void)parg;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method; /* written once, kept for the life of the process */

static void bio_method_make(void)
{
    bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tls_session");
    if (bio_method != NULL) {
        int ok = BIO_meth_set_read(bio_method, bio_read) & BIO_meth_set_write(bio_method, bio_write) &
                 BIO_meth_set_ctrl(bio_method, bio_ctrl);
        ASSERT(ok == 1);
    }
}

static BIO *bio_make(struct tls_session *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, bio_method_make); /* cannot fail with these arguments */
    BIO *bio = bio_method == NULL ? NULL : BIO_new(bio_method);
    if (bio != NULL) {
        BIO_set_data(bio, tls);
        BIO_set_init(bio, 1);
    }
    return bio;
}

static struct tls_session *session_of(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}

/* --- callbacks during the handshake --- */

static int on_server_name(SSL *ssl, int *out_alert, void *arg)
{
    (void)out_alert;
    (void)arg;
    struct tls_session *tls = session_of(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL || tls->set == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    const struct tls_entry *e = tls_set_find(tls->set, name);
    if (e != &tls->set->entries[0]) {
        (void)SSL_set_SSL_CTX(ssl,
                              e->ssl_ctx); /* on failure the default certificate stays, which the client will judge */
    }
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301, 3.2. A client that offers protocols of which none is ours was sent here by an attacker (ALPACA) or by
 * mistake. */
static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *arg)
{
    (void)arg;
    const char *want = session_of(ssl)->alpn;
    if (want == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    for (unsigned i = 0; i < in_len && in[i] <= in_len - i - 1; i += in[i] + 1U) {
        if (slice_eq_str(slice_make(in + i + 1, in[i]), want)) {
            *out = in + i + 1;
            *out_len = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, int encrypt)
{
    return tls_tickets_key(session_of(ssl)->ctx->tickets, name, iv, cipher, hmac, encrypt);
}

void tls_session_configure(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_alpn_select_cb(ssl_ctx, on_alpn, NULL);
    int ok = SSL_CTX_set_tlsext_servername_callback(ssl_ctx, on_server_name) &
             SSL_CTX_set_tlsext_ticket_key_cb(ssl_ctx, on_ticket_key) &
             SSL_CTX_set_session_id_context(ssl_ctx, (const uint8_t *)"pillarbox", 9);
    ASSERT(ok == 1); /* constants */
}

/* --- life --- */

enum err tls_session_new(struct tls_context *ctx, const char *alpn, struct buf *in, struct tls_session **out_tls)
{
    struct tls_session *tls = mem_zalloc(sizeof(*tls));
    if (tls == NULL) {
        return ERR_NOMEM;
    }
    tls->ctx = ctx;
    tls->alpn = alpn;
    tls->in = in;
    buf_init(&tls->out, SIZE_MAX);
    tls->set = tls_set_ref(ctx);
    tls->ssl = SSL_new(tls->set->entries[0].ssl_ctx);
    BIO *bio = tls->ssl == NULL ? NULL : bio_make(tls);
    if (bio == NULL) {
        ERR_clear_error();
        tls_session_free(tls);
        return ERR_NOMEM;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_accept_state(tls->ssl);
    SSL_set_shed_handshake_config(tls->ssl, 1);
    *out_tls = tls;
    return OK;
}

void tls_session_free(struct tls_session *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    tls_set_unref(tls->set);
    buf_fini(&tls->out);
    mem_free(tls);
}

struct buf *tls_session_out(struct tls_session *tls)
{
    return &tls->out;
}

/* --- work --- */

static void handshake_done(struct tls_session *tls)
{
    (void)snprintf(tls->description, sizeof(tls->description), "%s %s", SSL_get_version(tls->ssl),
                   SSL_CIPHER_standard_name(SSL_get_current_cipher(tls->ssl)));
    tls_set_unref(tls->set); /* the SSL keeps its own SSL_CTX */
    tls->set = NULL;
}

enum tls_progress tls_session_handshake(struct tls_session *tls)
{
    ERR_clear_error();
    int r = SSL_do_handshake(tls->ssl);
    if (r == 1) {
        handshake_done(tls);
        return TLS_PROGRESS_DONE;
    }
    int error = SSL_get_error(tls->ssl, r);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ ? TLS_PROGRESS_MORE : TLS_PROGRESS_FAILED;
}

enum err tls_session_read(struct tls_session *tls, uint8_t *p, size_t cap, size_t *out_n)
{
    ERR_clear_error();
    int r = SSL_read(tls->ssl, p, cap < INT_MAX ? (int)cap : INT_MAX);
    if (r > 0) {
        *out_n = (size_t)r;
        return OK;
    }
    int error = SSL_get_error(tls->ssl, r);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ) {
        *out_n = 0;
        return OK;
    }
    return error == SSL_ERROR_ZERO_RETURN ? ERR_CLOSED : ERR_TLS;
}

enum err tls_session_write(struct tls_session *tls, struct slice s)
{
    ERR_clear_error();
    while (s.n > 0) {
        int r = SSL_write(tls->ssl, s.p, s.n < INT_MAX ? (int)s.n : INT_MAX);
        if (r <= 0) {
            ERR_clear_error();
            return ERR_TLS;
        }
        s = slice_sub(s, (size_t)r, s.n);
    }
    return OK;
}

void tls_session_shutdown(struct tls_session *tls)
{
    ERR_clear_error();
    if (SSL_in_init(tls->ssl) == 0) {
        (void)SSL_shutdown(tls->ssl); /* sends ours; the peer's may come or not */
    }
    ERR_clear_error();
}

const char *tls_session_description(const struct tls_session *tls)
{
    return tls->description;
}

enum err tls_session_export(struct tls_session *tls, const char *label, uint8_t *out, size_t n)
{
    ERR_clear_error();
    int ok = SSL_export_keying_material(tls->ssl, out, n, label, strlen(label), NULL, 0, 0);
    ERR_clear_error();
    return ok == 1 ? OK : ERR_TLS;
}
