/* Certificates and keys from PEM files, and the names they are good for. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "frontend/net/tls_internal.h"
#include "proto/base/file.h"
#include "proto/base/mem.h"

#define PEM_BYTES_MAX (1024 * 1024)
#define CHAIN_MAX 16
#define NAMES_MAX 4096
#define ERROR_TEXT_BYTES 256

/* TLS 1.2: forward secrecy and AEAD only (RFC 9325, 4.2). TLS 1.3 has its own. */
#define CIPHERS_TLS12                                                                                                  \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

void tls_error_text(char *out, size_t n)
{
    uint32_t code = ERR_peek_error();
    ERR_error_string_n(code, out, n);
    ERR_clear_error();
}

static enum err complain(struct buf *why, const char *path, const char *what, enum err e)
{
    enum err ignored = buf_printf(why, "%s: %s", path, what);
    (void)ignored; /* the text is an extra */
    return e;
}

static enum err complain_tls(struct buf *why, const char *path, const char *what)
{
    char text[ERROR_TEXT_BYTES];
    tls_error_text(text, sizeof(text));
    enum err ignored = buf_printf(why, "%s: %s: %s", path, what, text);
    (void)ignored;
    return ERR_TLS;
}

static unsigned line_at(struct slice pem, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset && i < pem.n; i++) {
        line += pem.p[i] == '\n';
    }
    return line;
}

static enum err complain_pem(struct buf *why, const char *path, struct slice pem, size_t offset, const char *what)
{
    char text[ERROR_TEXT_BYTES];
    tls_error_text(text, sizeof(text));
    enum err ignored = buf_printf(why, "%s: %s in what begins at line %u: %s", path, what, line_at(pem, offset), text);
    (void)ignored;
    return ERR_TLS;
}

/* --- chain and key --- */

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

static bool use_certificate(SSL_CTX *ssl_ctx, X509 *x, size_t index)
{
    return index == 0 ? SSL_CTX_use_certificate(ssl_ctx, x) == 1 : SSL_CTX_add1_chain_cert(ssl_ctx, x) == 1;
}

static enum err load_chain(SSL_CTX *ssl_ctx, const char *path, struct slice pem, struct buf *why)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (bio == NULL) {
        return complain(why, path, err_text(ERR_NOMEM), ERR_NOMEM);
    }
    enum err e = OK;
    for (size_t i = 0; e == OK; i++) {
        size_t offset = pem.n - BIO_pending(bio);
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (x == NULL && i > 0 && at_end_of_pem()) {
            break;
        }
        if (x == NULL) {
            e = complain_pem(why, path, pem, offset, "no certificate");
        } else if (i >= CHAIN_MAX) {
            e = complain(why, path, "the chain is too long", ERR_TLS);
        } else if (!use_certificate(ssl_ctx, x, i)) {
            e = complain_pem(why, path, pem, offset, "unusable certificate");
        }
        X509_free(x);
    }
    BIO_free(bio);
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

static enum err load_key(SSL_CTX *ssl_ctx, const char *path, struct slice pem, struct buf *why)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (key == NULL) {
        return complain_pem(why, path, pem, 0, "no private key without passphrase");
    }
    bool ok = SSL_CTX_use_PrivateKey(ssl_ctx, key) == 1 && SSL_CTX_check_private_key(ssl_ctx) == 1;
    EVP_PKEY_free(key);
    return ok ? OK : complain_tls(why, path, "the key does not fit the certificate");
}

static enum err load_both(SSL_CTX *ssl_ctx, const struct tls_certificate *files, struct buf *why)
{
    struct buf pem;
    buf_init(&pem, PEM_BYTES_MAX);
    enum err e = file_read(files->chain_pem, &pem, why);
    if (e == OK) {
        e = load_chain(ssl_ctx, files->chain_pem, buf_slice(&pem), why);
    }
    buf_reset(&pem);
    if (e == OK) {
        e = file_read(files->key_pem, &pem, why);
    }
    if (e == OK) {
        e = load_key(ssl_ctx, files->key_pem, buf_slice(&pem), why);
    }
    if (pem.base != NULL) {
        OPENSSL_cleanse(pem.base, pem.cap);
    }
    buf_fini(&pem);
    return e;
}

/* --- names --- */

static enum err add_name(struct tls_entry *e, const uint8_t *p, size_t n)
{
    char **names = mem_realloc(e->names, (e->n_names + 1) * sizeof(*names));
    if (names == NULL) {
        return ERR_NOMEM;
    }
    e->names = names;
    char *name = mem_alloc(n + 1);
    if (name == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        name[i] = (char)ascii_lower(p[i]);
    }
    name[n] = '\0';
    e->names[e->n_names++] = name;
    return OK;
}

/* subjectAltName (RFC 5280, 4.2.1.6); the common name only when there is none. */
static enum err collect_names(struct tls_entry *e, const X509 *leaf)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    enum err r = OK;
    for (size_t i = 0; sans != NULL && r == OK && i < sk_GENERAL_NAME_num(sans) && i < NAMES_MAX; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(sans, i);
        if (g->type == GEN_DNS) {
            const uint8_t *p = ASN1_STRING_get0_data(g->d.dNSName);
            r = add_name(e, p, (size_t)ASN1_STRING_length(g->d.dNSName));
        }
    }
    char cn[256];
    int n = sans == NULL ? X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, cn, sizeof(cn)) : -1;
    if (n > 0) {
        r = add_name(e, (const uint8_t *)cn, strlen(cn));
    }
    GENERAL_NAMES_free(sans);
    ERR_clear_error();
    return r;
}

/* --- an entry --- */

static SSL_CTX *ssl_ctx_make(void)
{
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    if (c == NULL) {
        return NULL;
    }
    bool ok =
        SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 && SSL_CTX_set_strict_cipher_list(c, CIPHERS_TLS12) == 1;
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* returns the old mode: tickets only */
    if (!ok) {
        SSL_CTX_free(c);
        return NULL;
    }
    tls_session_configure(c);
    return c;
}

void tls_entry_fini(struct tls_entry *e)
{
    SSL_CTX_free(e->ssl_ctx);
    for (size_t i = 0; i < e->n_names; i++) {
        mem_free(e->names[i]);
    }
    mem_free(e->names);
}

enum err tls_load(const struct tls_certificate *files, struct tls_entry *out_entry, struct buf *why)
{
    struct tls_entry entry = {.ssl_ctx = ssl_ctx_make()};
    ERR_clear_error();
    if (entry.ssl_ctx == NULL) {
        return complain(why, files->chain_pem, err_text(ERR_NOMEM), ERR_NOMEM);
    }
    enum err e = load_both(entry.ssl_ctx, files, why);
    if (e == OK) {
        e = collect_names(&entry, SSL_CTX_get0_certificate(entry.ssl_ctx));
    }
    if (e != OK) {
        tls_entry_fini(&entry);
        return e;
    }
    *out_entry = entry;
    return OK;
}
