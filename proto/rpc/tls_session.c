#include "proto/rpc/tls_session.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "proto/rpc/tls_internal.h"

#define IN_BYTES (32 * 1024) /* read ahead: BoringSSL asks for each record's head and body apart */
#define FAILURE_BYTES 160

struct rpc_tls_session {
    SSL *ssl;
    int fd;
    size_t in_from, in_to;
    char failure[FAILURE_BYTES]; /* "": none */
    uint8_t in[IN_BYTES];
};

/* --- BoringSSL's view: a BIO over the socket --- */

static int bio_read(BIO *bio, char *p, int n)
{
    struct rpc_tls_session *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0) {
        return 0;
    }
    if (t->in_from == t->in_to) {
        ssize_t got;
        do {
            got = recv(t->fd, t->in, IN_BYTES, 0);
        } while (got < 0 && errno == EINTR);
        if (got <= 0) {
            if (got < 0 && errno == EAGAIN) {
                BIO_set_retry_read(bio);
            }
            return (int)got;
        }
        t->in_from = 0;
        t->in_to = (size_t)got;
    }
    size_t have = t->in_to - t->in_from;
    size_t some = (size_t)n < have ? (size_t)n : have;
    memcpy(p, t->in + t->in_from, some);
    t->in_from += some;
    return (int)some;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct rpc_tls_session *t = BIO_get_data(bio);
    ssize_t sent;
    BIO_clear_retry_flags(bio);
    do {
        sent = send(t->fd, p, n > 0 ? (size_t)n : 0, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EAGAIN) {
        BIO_set_retry_write(bio);
    }
    return (int)sent;
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
    bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "rpc_tls_session");
    if (bio_method != NULL) {
        int ok = BIO_meth_set_read(bio_method, bio_read) & BIO_meth_set_write(bio_method, bio_write) &
                 BIO_meth_set_ctrl(bio_method, bio_ctrl);
        ASSERT(ok == 1);
    }
}

static BIO *bio_make(struct rpc_tls_session *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, bio_method_make); /* cannot fail with these arguments */
    BIO *bio = bio_method == NULL ? NULL : BIO_new(bio_method);
    if (bio != NULL) {
        BIO_set_data(bio, t);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* --- life --- */

enum err rpc_tls_session_new(const struct rpc_tls *tls, int fd, bool accepted, struct rpc_tls_session **out)
{
    struct rpc_tls_session *t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->fd = fd;
    t->ssl = SSL_new(tls->ctx);
    BIO *bio = t->ssl == NULL ? NULL : bio_make(t);
    if (bio == NULL) {
        ERR_clear_error();
        rpc_tls_session_free(t);
        return ERR_NOMEM;
    }
    SSL_set_bio(t->ssl, bio, bio);
    if (accepted) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
    }
    *out = t;
    return OK;
}

void rpc_tls_session_free(struct rpc_tls_session *t)
{
    if (t == NULL) {
        return;
    }
    SSL_free(t->ssl);
    mem_free(t);
}

const char *rpc_tls_session_failure(const struct rpc_tls_session *t)
{
    return t->failure[0] == '\0' ? NULL : t->failure;
}

/* --- work --- */

/* The verdict on the peer's certificate says more than BoringSSL's CERTIFICATE_VERIFY_FAILED. */
static void failure_set(struct rpc_tls_session *t)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    long verdict = SSL_get_verify_result(t->ssl);
    if (t->failure[0] == '\0') {
        (void)snprintf(t->failure, sizeof(t->failure), "%s%s%s", reason == NULL ? "TLS failed" : reason,
                       verdict == X509_V_OK ? "" : ": ",
                       verdict == X509_V_OK ? "" : X509_verify_cert_error_string(verdict));
    }
}

/* > 0 as it is; else read's and write's results. */
static int result(struct rpc_tls_session *t, int r)
{
    int error = r > 0 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);
    if (error == SSL_ERROR_SSL) {
        failure_set(t);
    }
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_NONE:
        return r;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_SSL:
        errno = EPROTO;
        return -1;
    default:
        return 0; /* the peer's end, or the socket's */
    }
}

enum err rpc_tls_session_handshake(struct rpc_tls_session *t)
{
    ERR_clear_error();
    int r = result(t, SSL_do_handshake(t->ssl));
    return r > 0 ? OK : r == 0 ? ERR_CLOSED : errno == EAGAIN ? ERR_TIMEOUT : ERR_TLS;
}

ssize_t rpc_tls_session_read(struct rpc_tls_session *t, void *p, size_t n)
{
    ERR_clear_error();
    return result(t, SSL_read(t->ssl, p, n < INT_MAX ? (int)n : INT_MAX));
}

ssize_t rpc_tls_session_write(struct rpc_tls_session *t, const void *p, size_t n)
{
    ERR_clear_error();
    int r = result(t, SSL_write(t->ssl, p, n < INT_MAX ? (int)n : INT_MAX));
    if (r == 0) {
        errno = EPIPE;
        r = -1;
    }
    return r;
}
