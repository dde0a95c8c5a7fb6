/* CAs and certificates in files, and TLS made from them. */
#ifndef TESTS_UNIT_PROTO_RPC_CERTS_FIXTURE_H
#define TESTS_UNIT_PROTO_RPC_CERTS_FIXTURE_H

#include <gtest/gtest.h>

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "proto/rpc/tls.h"

namespace
{

/* A key and its certificate, signed by itself or by another. */
struct Identity {
    EVP_PKEY *key;
    X509 *x;

    Identity(const std::string &cn, bool ca, const Identity *issuer = nullptr, long days = 1)
    {
        static long serial = 1;
        EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
        EC_KEY_generate_key(ec);
        key = EVP_PKEY_new();
        EVP_PKEY_assign_EC_KEY(key, ec);
        x = X509_new();
        X509_set_version(x, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
        X509_gmtime_adj(X509_getm_notBefore(x), -2 * 86400);
        X509_gmtime_adj(X509_getm_notAfter(x), days * 86400);
        X509_NAME *name = X509_get_subject_name(x);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn.c_str(), -1, -1, 0);
        X509_set_issuer_name(x, issuer == nullptr ? name : X509_get_subject_name(issuer->x));
        X509_set_pubkey(x, key);
        BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
        bc->ca = ca ? 0xff : 0;
        EXPECT_EQ(1, X509_add1_ext_i2d(x, NID_basic_constraints, bc, 1, 0));
        BASIC_CONSTRAINTS_free(bc);
        EXPECT_GT(X509_sign(x, issuer == nullptr ? key : issuer->key, EVP_sha256()), 0);
    }

    ~Identity()
    {
        X509_free(x);
        EVP_PKEY_free(key);
    }

    Identity(const Identity &) = delete;
    Identity &operator=(const Identity &) = delete;
};

/* Files in a folder that goes with the object. */
class CertFolder
{
  public:
    CertFolder()
    {
        char path[] = "/tmp/pb-rpc-certs-XXXXXX";
        EXPECT_NE(nullptr, mkdtemp(path));
        folder = path;
    }

    ~CertFolder()
    {
        for (const std::string &p : paths) {
            remove(p.c_str());
        }
        remove(folder.c_str());
    }

    std::string text(const std::string &name, const std::string &content)
    {
        std::string path = folder + "/" + name;
        FILE *f = fopen(path.c_str(), "w");
        EXPECT_EQ(content.size(), fwrite(content.data(), 1, content.size(), f));
        fclose(f);
        paths.push_back(path);
        return path;
    }

    std::string chain(const std::string &name, const std::vector<const Identity *> &all)
    {
        BIO *b = BIO_new(BIO_s_mem());
        for (const Identity *i : all) {
            PEM_write_bio_X509(b, i->x);
        }
        return text(name, bio_text(b));
    }

    std::string certificate(const std::string &name, const Identity &i)
    {
        return chain(name, {&i});
    }

    std::string key(const std::string &name, const Identity &i)
    {
        BIO *b = BIO_new(BIO_s_mem());
        PEM_write_bio_PrivateKey(b, i.key, nullptr, nullptr, 0, nullptr, nullptr);
        return text(name, bio_text(b));
    }

  private:
    std::string folder;
    std::vector<std::string> paths;

    static std::string bio_text(BIO *b)
    {
        const uint8_t *p;
        size_t n;
        EXPECT_EQ(1, BIO_mem_contents(b, &p, &n));
        std::string s((const char *)p, n);
        BIO_free(b);
        return s;
    }
};

[[maybe_unused]] enum err tls_open(const std::string &certificate, const std::string &key,
                                   const std::vector<std::string> &cas, struct rpc_tls **out,
                                   std::string *why = nullptr)
{
    std::vector<const char *> c;
    for (const std::string &s : cas) {
        c.push_back(s.c_str());
    }
    struct rpc_tls_config cfg = {certificate.c_str(), key.c_str(), c.data(), c.size()};
    struct buf text;
    buf_init(&text, 4096);
    enum err e = rpc_tls_open(&cfg, out, &text);
    if (why != nullptr) {
        why->assign((const char *)buf_slice(&text).p, buf_slice(&text).n);
    }
    buf_fini(&text);
    return e;
}

/* What a cluster has, and what a stranger brings. Made once: keys take a while under a sanitizer. */
struct Certs {
    Identity node_ca{"node CA", true}, frontend_ca{"frontend CA", true}, foreign_ca{"node CA", true};
    Identity node{"node-1", false, &node_ca}, frontend{"frontend-1", false, &frontend_ca};
    Identity foreign{"node-1", false, &foreign_ca}, expired{"node-3", false, &node_ca, -1};
    CertFolder files;
    std::string node_ca_pem, frontend_ca_pem, foreign_ca_pem, node_pem, node_key;
    struct rpc_tls *node_1;   /* trusts nodes and frontends */
    struct rpc_tls *peer;     /* the same certificate, trusts nodes only */
    struct rpc_tls *front;    /* a frontend */
    struct rpc_tls *stranger; /* of a CA that nobody here knows; it believes in our nodes */
    struct rpc_tls *late;     /* a node whose certificate has expired */

    Certs()
    {
        node_ca_pem = files.certificate("node-ca.pem", node_ca);
        frontend_ca_pem = files.certificate("frontend-ca.pem", frontend_ca);
        foreign_ca_pem = files.certificate("foreign-ca.pem", foreign_ca);
        node_pem = files.certificate("node.pem", node);
        node_key = files.key("node.key", node);
        EXPECT_EQ(OK, tls_open(node_pem, node_key, {node_ca_pem, frontend_ca_pem}, &node_1));
        EXPECT_EQ(OK, tls_open(node_pem, node_key, {node_ca_pem}, &peer));
        EXPECT_EQ(OK,
                  tls_open(files.certificate("f.pem", frontend), files.key("f.key", frontend), {node_ca_pem}, &front));
        EXPECT_EQ(OK,
                  tls_open(files.certificate("x.pem", foreign), files.key("x.key", foreign), {node_ca_pem}, &stranger));
        EXPECT_EQ(OK, tls_open(files.certificate("l.pem", expired), files.key("l.key", expired), {node_ca_pem}, &late));
    }

    ~Certs()
    {
        for (struct rpc_tls *t : {node_1, peer, front, stranger, late}) {
            rpc_tls_close(t);
        }
    }
};

[[maybe_unused]] Certs &certs_shared()
{
    static Certs c;
    return c;
}

} // namespace

#endif /* TESTS_UNIT_PROTO_RPC_CERTS_FIXTURE_H */
