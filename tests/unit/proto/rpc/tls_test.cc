#include "rpc_fixture.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <poll.h>

#include <fcntl.h>

#include "proto/rpc/tls_session.h"

namespace
{

/* How a server and a client that have these certificates get on. */
struct Pair {
    std::string url = fresh_url("tcp");
    Server srv;

    explicit Pair(const struct rpc_tls *server, uint32_t greeting_ms = 0)
    {
        srv.handler = Server::echo;
        srv.greeting_ms = greeting_ms;
        tls_of_test = server;
        EXPECT_EQ(OK, srv.open(url));
    }

    ~Pair()
    {
        tls_of_test = nullptr;
    }

    bool works(const struct rpc_tls *client, uint32_t within_ms = 60000)
    {
        tls_of_test = client;
        struct rpc_client *c = client_open(url);
        struct rpc_call call = call_make("meta", std::string(100000, 'a'), within_ms);
        enum err e = rpc_client_call(c, &call);
        EXPECT_TRUE(e == OK || e == ERR_UNAVAILABLE) << e;
        rpc_reply_fini(&call.reply);
        rpc_client_close(c);
        return e == OK;
    }
};

/* Handshakes as far as it gets, then reads: what came inside TLS, a greeting or nothing before the end, and why it
 * ended. */
std::string session_read(const std::string &url, const struct rpc_tls *tls, std::string *why)
{
    RawClient raw(url, false);
    fcntl(raw.fd, F_SETFL, O_NONBLOCK);
    struct rpc_tls_session *t;
    EXPECT_EQ(OK, rpc_tls_session_new(tls, raw.fd, false, &t));
    std::string got;
    bool ready = false;
    for (int i = 0; got.size() < 8 && i < 6000; i++) {
        char b[1000];
        if (!ready) {
            enum err e = rpc_tls_session_handshake(t);
            ready = e == OK;
            if (!ready && e != ERR_TIMEOUT) {
                break;
            }
        }
        ssize_t n = ready ? rpc_tls_session_read(t, b, sizeof(b)) : -1;
        if (n > 0) {
            got.append(b, (size_t)n);
        } else if (ready && (n == 0 || errno != EAGAIN)) {
            break;
        }
        struct pollfd p = {raw.fd, POLLIN, 0};
        poll(&p, 1, 10);
    }
    *why = rpc_tls_session_failure(t) == nullptr ? "" : rpc_tls_session_failure(t);
    rpc_tls_session_free(t);
    return got;
}

} // namespace

/* --- files --- */

TEST(Tls, EveryFileThatIsMissingOrWrongIsNamed)
{
    Certs &c = certs_shared();
    CertFolder files;
    std::string other_key = files.key("other.key", c.frontend);
    std::string nonsense = files.text("nonsense.pem", "this is no certificate\n");
    std::string torn = files.text("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const struct {
        std::string certificate, key, ca;
        enum err e;
        std::string path, words;
    } cases[] = {
        {"/nowhere/a.pem", c.node_key, c.node_ca_pem, ERR_IO, "/nowhere/a.pem", "No such file"},
        {c.node_pem, "/nowhere/a.key", c.node_ca_pem, ERR_IO, "/nowhere/a.key", "No such file"},
        {c.node_pem, c.node_key, "/nowhere/ca.pem", ERR_IO, "/nowhere/ca.pem", "No such file"},
        {c.node_pem, other_key, c.node_ca_pem, ERR_TLS, other_key, "does not fit"},
        {nonsense, c.node_key, c.node_ca_pem, ERR_TLS, nonsense, "no certificate"},
        {torn, c.node_key, c.node_ca_pem, ERR_TLS, torn, "no certificate"},
        {c.node_pem, nonsense, c.node_ca_pem, ERR_TLS, nonsense, "no private key"},
        {c.node_pem, c.node_key, nonsense, ERR_TLS, nonsense, "no certificate"},
    };
    for (const auto &x : cases) {
        struct rpc_tls *t = nullptr;
        std::string why;
        EXPECT_EQ(x.e, tls_open(x.certificate, x.key, {x.ca}, &t, &why)) << why;
        EXPECT_EQ(nullptr, t);
        EXPECT_NE(std::string::npos, why.find(x.path)) << why;
        EXPECT_NE(std::string::npos, why.find(x.words)) << why;
    }
    struct rpc_tls *t = nullptr;
    std::string why;
    EXPECT_EQ(ERR_TLS, tls_open(c.node_pem, c.node_key, {}, &t, &why));
    EXPECT_NE(std::string::npos, why.find("no CA")) << why;
}

/* --- who may --- */

TEST(Tls, EachCaThatTheServerTrustsIsEnough)
{
    Pair p(certs_shared().node_1);
    EXPECT_TRUE(p.works(certs_shared().front));
    EXPECT_TRUE(p.works(certs_shared().peer));
}

TEST(Tls, AFrontendIsNobodyWhereOnlyNodesMay)
{
    Pair p(certs_shared().peer);
    EXPECT_FALSE(p.works(certs_shared().front, 400));
    EXPECT_TRUE(p.works(certs_shared().peer));
}

TEST(Tls, AClientOfAnotherCaOrWithoutATimelyCertificateIsRefusedAndTheServerLives)
{
    Pair p(certs_shared().node_1);
    EXPECT_FALSE(p.works(certs_shared().stranger, 400));
    EXPECT_FALSE(p.works(certs_shared().late, 400));
    EXPECT_TRUE(p.works(certs_shared().front));
    EXPECT_EQ(1u, p.srv.arrivals_count());
}

TEST(Tls, TwoCasOfOneRootAreNotTakenForEachOther)
{
    Identity root("root", true), node_ca("node CA", true, &root), frontend_ca("frontend CA", true, &root);
    Identity node("node-1", false, &node_ca), frontend("frontend-1", false, &frontend_ca);
    CertFolder files;
    std::string nodes = files.certificate("nodes.pem", node_ca);
    struct rpc_tls *n = nullptr, *f = nullptr;
    ASSERT_EQ(OK, tls_open(files.certificate("n.pem", node), files.key("n.key", node), {nodes}, &n));
    ASSERT_EQ(OK, tls_open(files.chain("f.pem", {&frontend, &frontend_ca, &root}), files.key("f.key", frontend),
                           {nodes}, &f));
    {
        Pair p(n);
        EXPECT_TRUE(p.works(n)); /* though nobody has the root */
        EXPECT_FALSE(p.works(f, 400));
    }
    rpc_tls_close(n);
    rpc_tls_close(f);
}

TEST(Tls, AServerOfAnotherCaIsNotBelieved)
{
    Pair p(certs_shared().stranger); /* which would take this client */
    EXPECT_FALSE(p.works(certs_shared().peer, 400));
    EXPECT_EQ(0u, p.srv.arrivals_count());
}

TEST(Tls, ARefusedClientSeesNotEvenTheGreeting)
{
    Pair p(certs_shared().node_1);
    std::string why;
    EXPECT_EQ("PBXRPC1\n", session_read(p.url, certs_shared().front, &why));
    EXPECT_EQ("", session_read(p.url, certs_shared().stranger, &why));
    EXPECT_NE("", why);
}

TEST(Tls, AClientWithoutACertificateSeesNothing)
{
    Pair p(certs_shared().node_1);
    RawClient raw(p.url, false);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, raw.fd);
    char b[100];
    (void)SSL_connect(ssl); /* done before the server has looked for the certificate */
    EXPECT_LE(SSL_read(ssl, b, sizeof(b)), 0);
    uint32_t code = ERR_peek_error();
    EXPECT_EQ(ERR_LIB_SSL, ERR_GET_LIB(code));
    EXPECT_EQ(SSL_R_TLSV1_CERTIFICATE_REQUIRED, ERR_GET_REASON(code)) << ERR_reason_error_string(code);
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    EXPECT_TRUE(p.works(certs_shared().front));
}

TEST(Tls, OlderTlsIsRefused)
{
    Pair p(certs_shared().node_1);
    RawClient raw(p.url, false);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, raw.fd);
    EXPECT_LE(SSL_connect(ssl), 0);
    EXPECT_EQ(SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, ERR_GET_REASON(ERR_peek_error()));
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

TEST(Tls, APlainClientOfATlsPortSeesNoGreeting)
{
    Pair p(certs_shared().node_1);
    EXPECT_FALSE(p.works(nullptr, 400));
    RawClient raw(p.url, false);
    ASSERT_TRUE(raw.put("PBXRPC1\n" + RawClient::framed(std::string(100, 'x'), 1)));
    std::string got;
    char b[100];
    for (ssize_t n; (n = recv(raw.fd, b, sizeof(b), 0)) > 0;) {
        got.append(b, (size_t)n);
    }
    EXPECT_EQ(std::string::npos, got.find("PBX"));
    EXPECT_LT(got.size(), 20u); /* an alert */
    EXPECT_TRUE(p.works(certs_shared().front));
}

TEST(Tls, ATlsClientOfAPlainPortGetsNowhereAndOthersDo)
{
    Pair p(nullptr);
    EXPECT_FALSE(p.works(certs_shared().front, 400));
    EXPECT_TRUE(p.works(nullptr));
}

TEST(Tls, OnlyTcpIsMeant)
{
    for (const char *transport : {"ipc", "inproc"}) {
        Server srv;
        srv.handler = Server::echo;
        std::string url = fresh_url(transport);
        tls_of_test = certs_shared().node_1;
        ASSERT_EQ(OK, srv.open(url));
        tls_of_test = nullptr;
        struct rpc_client *c = client_open(url);
        struct rpc_call call = call_make("meta", "");
        EXPECT_EQ(OK, rpc_client_call(c, &call)) << transport;
        rpc_reply_fini(&call.reply);
        rpc_client_close(c);
    }
}

/* --- hostile peers --- */

TEST(Tls, WhoNeverFinishesTheHandshakeIsCutOff)
{
    Pair p(certs_shared().node_1, 1000);
    uint64_t before = clock_mono_ms(clock_system());
    RawClient silent(p.url, false), slow(p.url, false);
    ASSERT_TRUE(slow.put("\x16\x03\x01"));
    char b;
    for (RawClient *r : {&silent, &slow}) {
        EXPECT_EQ(0, recv(r->fd, &b, 1, 0));
    }
    EXPECT_GE(clock_mono_ms(clock_system()) - before, 990u);
    EXPECT_TRUE(p.works(certs_shared().front));
}

TEST(Tls, RefusalsAreLoggedOnceASecond)
{
    testing::internal::CaptureStderr();
    {
        Pair p(certs_shared().node_1);
        for (int i = 0; i < 30; i++) {
            RawClient raw(p.url, false);
            ASSERT_TRUE(raw.put("GET / HTTP/1.0\r\n\r\n"));
            std::string rest;
            (void)raw.get(1000, &rest);
        }
    }
    std::string log = testing::internal::GetCapturedStderr();
    int lines = 0;
    for (size_t at = 0; (at = log.find("\"rpc.refused\"", at)) != std::string::npos; at++) {
        lines++;
    }
    EXPECT_GE(lines, 1) << log;
    EXPECT_LE(lines, 3) << log;
    EXPECT_NE(std::string::npos, log.find("HTTP_REQUEST")) << log;
}

/* --- traffic --- */

TEST(Tls, ManyThreadsSendAtOnceAndEveryAnswerIsRight)
{
    Pair p(certs_shared().node_1);
    tls_of_test = certs_shared().front;
    struct rpc_client *c = client_open(p.url);
    ASSERT_TRUE(eventually([&] { return rpc_client_connected(c); }));
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int t = 0; t < 8; t++) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 15; i++) {
                std::string meta(1 + (size_t)(t * 7919 + i * 104729) % 60000, (char)('a' + t));
                struct rpc_call call = call_make(meta, std::string((size_t)i * 10000, (char)('A' + t)));
                if (rpc_client_call(c, &call) == OK && slice_eq(call.reply.meta, call.meta) &&
                    slice_eq(call.reply.attach, call.attach)) {
                    right++;
                }
                rpc_reply_fini(&call.reply);
            }
        });
    }
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_EQ(120, right);
    rpc_client_close(c);
}

TEST(Tls, CuttingABusyLinkAgainAndAgainLosesNoCompletion)
{
    Certs &certs = certs_shared();
    int port = free_port();
    Server srv;
    srv.handler = Server::echo;
    tls_of_test = certs.node_1;
    ASSERT_EQ(OK, srv.open("tcp://127.0.0.1:" + std::to_string(port)));
    Proxy proxy(port);
    tls_of_test = certs.front;
    struct rpc_client *clients[2]; /* so that enough are cut before the pauses between attempts grow long */
    for (struct rpc_client *&c : clients) {
        c = client_open("tcp://127.0.0.1:" + std::to_string(proxy.port), 256);
    }
    tls_of_test = nullptr;
    for (int round = 0; round < 5; round++) {
        for (struct rpc_client *c : clients) {
            ASSERT_TRUE(eventually([&] { return rpc_client_connected(c); }));
        }
        Flock f(120);
        int sent = 0;
        for (size_t i = 0; i < 120; i++) {
            std::string meta(i / 2 % 2 == 0 ? 5000 : 60000, 'x');
            sent += f.send(clients[i % 2], i, meta, 50000) == OK ? 1 : 0;
            if (i == 60) {
                proxy.cut();
            }
        }
        ASSERT_TRUE(eventually([&] { return f.done == sent; })) << round;
    }
    {
        std::lock_guard<std::mutex> g(srv.mutex);
        for (auto &a : srv.arrivals) {
            EXPECT_EQ(1, a.second);
        }
    }
    for (struct rpc_client *c : clients) {
        rpc_client_close(c);
    }
}
