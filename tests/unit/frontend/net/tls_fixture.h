/* Certificates made on the spot and a TLS client, on BoringSSL. */
#ifndef TESTS_UNIT_FRONTEND_NET_TLS_FIXTURE_H
#define TESTS_UNIT_FRONTEND_NET_TLS_FIXTURE_H

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <fstream>

#include "frontend/net/tls.h"
#include "net_fixture.h"

namespace net_test
{

class TempDir
{
  public:
    TempDir()
    {
        char t[] = "/tmp/pb_net_test_XXXXXX";
        path = mkdtemp(t);
    }
    ~TempDir()
    {
        std::string cmd = "rm -rf " + path;
        if (system(cmd.c_str()) != 0) {
            ADD_FAILURE() << cmd;
        }
    }
    std::string file(const std::string &name) const
    {
        return path + "/" + name;
    }
    std::string path;
};

inline void write_file(const std::string &path, const std::string &text)
{
    std::ofstream f(path, std::ios::trunc | std::ios::binary);
    f << text;
}

struct Pem {
    std::string cert;
    std::string key;
};

inline std::string bio_text(BIO *b)
{
    const uint8_t *p;
    size_t n;
    EXPECT_EQ(BIO_mem_contents(b, &p, &n), 1);
    std::string s((const char *)p, n);
    BIO_free(b);
    return s;
}

inline void add_names(X509 *x, std::string sans)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    sans += ",";
    for (size_t at; (at = sans.find(',')) != std::string::npos; sans.erase(0, at + 1)) {
        ASN1_IA5STRING *s = ASN1_IA5STRING_new();
        ASN1_STRING_set(s, sans.data(), (int)at);
        GENERAL_NAME *g = GENERAL_NAME_new();
        GENERAL_NAME_set0_value(g, GEN_DNS, s);
        sk_GENERAL_NAME_push(names, g);
    }
    EXPECT_EQ(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
}

/* Self-signed, P-256; sans is "a,b" or empty. */
inline Pem make_certificate(const std::string &cn, const std::string &sans, const char *passphrase = nullptr)
{
    static long serial = 1;
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EC_KEY_generate_key(ec);
    EVP_PKEY *key = EVP_PKEY_new();
    EVP_PKEY_assign_EC_KEY(key, ec);
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn.c_str(), -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    if (!sans.empty()) {
        add_names(x, sans);
    }
    EXPECT_GT(X509_sign(x, key, EVP_sha256()), 0);
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, x);
    Pem p;
    p.cert = bio_text(b);
    b = BIO_new(BIO_s_mem());
    EXPECT_EQ(PEM_write_bio_PrivateKey(b, key, passphrase == nullptr ? nullptr : EVP_aes_128_cbc(),
                                       (unsigned char *)passphrase, passphrase == nullptr ? 0 : (int)strlen(passphrase),
                                       nullptr, nullptr),
              1);
    p.key = bio_text(b);
    X509_free(x);
    EVP_PKEY_free(key);
    return p;
}

/* Certificate files in a folder of their own, and a context over them. */
class Certs
{
  public:
    void add(const std::string &cn, const std::string &sans)
    {
        std::string base = dir.file("c" + std::to_string(paths.size() / 2));
        paths.push_back(base + ".pem");
        paths.push_back(base + ".key");
        replace(paths.size() / 2 - 1, make_certificate(cn, sans));
    }
    void replace(size_t i, const Pem &p)
    {
        write_file(paths[2 * i], p.cert);
        write_file(paths[2 * i + 1], p.key);
    }
    enum err open(std::string *out_why = nullptr)
    {
        std::vector<struct tls_certificate> c;
        for (size_t i = 0; i < paths.size(); i += 2) {
            c.push_back({paths[i].c_str(), paths[i + 1].c_str()});
        }
        struct tls_config cfg = {c.data(), c.size()};
        return explained([&](struct buf *why) { return tls_context_new(&cfg, &ctx, why); }, out_why);
    }
    enum err reload(std::string *out_why = nullptr)
    {
        return explained([&](struct buf *why) { return tls_context_reload(ctx, why); }, out_why);
    }
    ~Certs()
    {
        tls_context_free(ctx);
    }
    TempDir dir;
    std::vector<std::string> paths;
    struct tls_context *ctx = nullptr;

  private:
    static enum err explained(const std::function<enum err(struct buf *)> &f, std::string *out_why)
    {
        struct buf why;
        buf_init(&why, 8192);
        enum err e = f(&why);
        if (out_why != nullptr) {
            *out_why = std::string((const char *)buf_slice(&why).p, buf_slice(&why).n);
        }
        buf_fini(&why);
        return e;
    }
};

/* A client that has a plain connection already and talks TLS on it. */
class TlsClient
{
  public:
    struct Options {
        std::string sni;
        std::string alpn; /* wire form, e.g. "\x04imap" */
        uint16_t max_version = TLS1_3_VERSION;
        SSL_SESSION *resume = nullptr;
    };
    TlsClient(uint16_t port, const Options &o) : plain(port)
    {
        init(o);
    }
    explicit TlsClient(uint16_t port) : TlsClient(port, Options())
    {
    }
    ~TlsClient()
    {
        SSL_free(ssl);
        SSL_CTX_free(ctx);
        SSL_SESSION_free(session);
    }
    bool handshake()
    {
        SSL_set_fd(ssl, plain.fd());
        int r;
        do { /* interrupted, as in Client::fill */
            r = SSL_connect(ssl);
        } while (r < 0 && SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ && errno == EINTR);
        if (r != 1) {
            note_error();
        }
        return r == 1;
    }
    bool send(const std::string &s)
    {
        return s.empty() || SSL_write(ssl, s.data(), (int)s.size()) == (int)s.size();
    }
    std::string line()
    {
        for (;;) {
            size_t at = buffered.find("\r\n");
            if (at != std::string::npos) {
                std::string l = buffered.substr(0, at);
                buffered.erase(0, at + 2);
                return l;
            }
            std::string e = fill();
            if (!e.empty()) {
                return e;
            }
        }
    }
    std::string exactly(size_t n)
    {
        while (buffered.size() < n && fill().empty()) {
        }
        std::string r = buffered.substr(0, n);
        buffered.erase(0, r.size());
        return r;
    }
    std::string peer_name()
    {
        X509 *x = SSL_get_peer_certificate(ssl);
        char cn[200] = "none";
        if (x != nullptr) {
            X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof(cn));
            X509_free(x);
        }
        return cn;
    }
    Client plain;
    SSL_CTX *ctx = nullptr;
    SSL *ssl = nullptr;
    SSL_SESSION *session = nullptr; /* the newest ticket */
    std::string buffered;
    std::string error;

  private:
    void init(const Options &o)
    {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(ctx, o.max_version);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(ctx, [](SSL *s, SSL_SESSION *n) {
            TlsClient *self = (TlsClient *)SSL_get_app_data(s);
            SSL_SESSION_free(self->session);
            self->session = n;
            return 1;
        });
        ssl = SSL_new(ctx);
        SSL_set_app_data(ssl, this);
        if (!o.sni.empty()) {
            SSL_set_tlsext_host_name(ssl, o.sni.c_str());
        }
        if (!o.alpn.empty()) {
            SSL_set_alpn_protos(ssl, (const uint8_t *)o.alpn.data(), (unsigned)o.alpn.size());
        }
        if (o.resume != nullptr) {
            SSL_set_session(ssl, o.resume);
        }
        SSL_set_connect_state(ssl);
    }
    void note_error()
    {
        char t[256];
        ERR_error_string_n(ERR_peek_error(), t, sizeof(t));
        error = t;
        ERR_clear_error();
    }
    std::string fill()
    {
        char b[32768];
        int n;
        do {
            n = SSL_read(ssl, b, sizeof(b));
        } while (n < 0 && SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ && errno == EINTR);
        if (n > 0) {
            buffered.append(b, (size_t)n);
            return "";
        }
        int e = SSL_get_error(ssl, n);
        note_error();
        return e == SSL_ERROR_ZERO_RETURN ? "<close_notify>" : n == 0 || e == SSL_ERROR_SYSCALL ? "<eof>" : "<error>";
    }
};

} // namespace net_test

#endif /* TESTS_UNIT_FRONTEND_NET_TLS_FIXTURE_H */
