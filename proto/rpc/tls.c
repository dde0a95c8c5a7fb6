/* Certificates and keys from PEM files. */
#include "proto/rpc/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "proto/base/file.h"
#include "proto/base/mem.h"
#include "proto/rpc/tls_internal.h"

#define PEM_BYTES_MAX (1024 * 1024)
#define CERTIFICATES_MAX 64 /* a file */
#define ERROR_TEXT_BYTES 256

static enum err complain(struct buf *why, const char *path, const char *what, enum err e)
{
    if (why != NULL && buf_printf(why, "%s: %s", path, what) != OK) {
        buf_reset(why);
    }
    return e;
}

static enum err complain_tls(struct buf *why, const char *path, const char *what)
{
    char text[ERROR_TEXT_BYTES];
    ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
    ERR_clear_error();
    if (why != NULL && buf_printf(why, "%s: %s: %s", path, what, text) != OK) {
        buf_reset(why);
    }
    return ERR_TLS;
}

/* --- certificates --- */

/* False: BoringSSL's error queue has the reason. */
typedef bool certificate_use(SSL_CTX *ctx, X509 *x, size_t index);

static bool use_own(SSL_CTX *ctx, X509 *x, size_t index)
{
    return index == 0 ? SSL_CTX_use_certificate(ctx, x) == 1 : SSL_CTX_add1_chain_cert(ctx, x) == 1;
}

static bool use_ca(SSL_CTX *ctx, X509 *x, size_t index)
{
    (void)index;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1;
}

/* True when the parser stopped because nothing more follows. */
static bool at_end_of_pem(void)
{
    uint32_t code = ERR_peek_last_error();
    bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (end) {
        ERR_clear_error();
    }
    return end;
}

static enum err certificates_parse(SSL_CTX *ctx, const char *path, BIO *bio, certificate_use *use, struct buf *why)
{
    for (size_t i = 0;; i++) {
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (x == NULL) {
            return i > 0 && at_end_of_pem() ? OK : complain_tls(why, path, "no certificate");
        }
        bool fits = i < CERTIFICATES_MAX;
        bool used = fits && use(ctx, x, i);
        X509_free(x);
        if (!fits) {
            return complain(why, path, "too many certificates", ERR_LIMIT);
        }
        if (!used) {
            return complain_tls(why, path, "unusable certificate");
        }
    }
}

static enum err certificates_load(SSL_CTX *ctx, const char *path, certificate_use *use, struct buf *why)
{
    struct buf pem;
    buf_init(&pem, PEM_BYTES_MAX);
    enum err e = file_read(path, &pem, why);
    if (e == OK) {
        BIO *bio = BIO_new_mem_buf(buf_slice(&pem).p, (int)pem.len);
        e = bio == NULL ? ERR_NOMEM : certificates_parse(ctx, path, bio, use, why);
        BIO_free(bio);
    }
    buf_fini(&pem);
    return e;
}

/* A key with a passphrase is refused instead of asking on the terminal. */
static int no_passphrase(char *out, int n, int rwflag, void *user)
{
    (void)out;
    (void)n;
    (void)rwflag;
    (void)user;
    return 0;
}

static enum err key_parse(SSL_CTX *ctx, const char *path, struct slice pem, struct buf *why)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (key == NULL) {
        return complain_tls(why, path, "no private key without passphrase");
    }
    bool ok = SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return ok ? OK : complain_tls(why, path, "the key does not fit the certificate");
}

static enum err key_load(SSL_CTX *ctx, const char *path, struct buf *why)
{
    struct buf pem;
    buf_init(&pem, PEM_BYTES_MAX);
    enum err e = file_read(path, &pem, why);
    if (e == OK) {
        e = key_parse(ctx, path, buf_slice(&pem), why);
    }
    if (pem.base != NULL) {
        OPENSSL_cleanse(pem.base, pem.cap);
    }
    buf_fini(&pem);
    return e;
}

/* --- life --- */

/* PARTIAL_CHAIN: the CAs given are where trust begins, also when one of them was itself issued by somebody. Without it
 * two CAs below one root could not be told apart. */
static SSL_CTX *context_new(void)
{
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    if (c == NULL) {
        return NULL;
    }
    bool ok = SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) == 1 &&
              X509_STORE_set_flags(SSL_CTX_get_cert_store(c), X509_V_FLAG_PARTIAL_CHAIN) == 1;
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* returns the old mode */
    (void)SSL_CTX_set_options(c, SSL_OP_NO_TICKET);              /* every connection proves itself anew */
    (void)SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!ok) {
        SSL_CTX_free(c);
        return NULL;
    }
    return c;
}

static enum err files_load(SSL_CTX *ctx, const struct rpc_tls_config *cfg, struct buf *why)
{
    enum err e = certificates_load(ctx, cfg->certificate, use_own, why);
    if (e == OK) {
        e = key_load(ctx, cfg->key, why);
    }
    for (size_t i = 0; e == OK && i < cfg->n_cas; i++) {
        e = certificates_load(ctx, cfg->cas[i], use_ca, why);
    }
    return e;
}

enum err rpc_tls_open(const struct rpc_tls_config *cfg, struct rpc_tls **out, struct buf *why)
{
    if (cfg->n_cas == 0) {
        return complain(why, cfg->certificate, "no CA to judge others by", ERR_TLS);
    }
    struct rpc_tls *tls = mem_zalloc(sizeof(*tls));
    if (tls == NULL) {
        return ERR_NOMEM;
    }
    ERR_clear_error();
    tls->ctx = context_new();
    enum err e = tls->ctx == NULL ? ERR_NOMEM : files_load(tls->ctx, cfg, why);
    if (e != OK) {
        rpc_tls_close(tls);
        return e;
    }
    *out = tls;
    return OK;
}

void rpc_tls_close(struct rpc_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->ctx);
    mem_free(tls);
}
