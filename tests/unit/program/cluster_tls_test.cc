#include "program/cluster_tls.h"

#include <cstring>
#include <string>
#include <thread>

#include "tests/unit/proto/rpc/rpc_fixture.h"

namespace
{

struct Keys {
    std::string certificate, key, node_ca, frontend_ca;
};

enum err open_side(const Keys &k, enum cluster_side side, struct rpc_tls **out, std::string *why = nullptr)
{
    struct config c;
    memset(&c, 0, sizeof(c));
    c.cluster_certificate = k.certificate.c_str();
    c.cluster_key = k.key.c_str();
    c.cluster_node_ca = k.node_ca.c_str();
    c.cluster_frontend_ca = k.frontend_ca.c_str();
    struct buf text;
    buf_init(&text, 4096);
    enum err e = cluster_tls_open(&c, side, out, &text);
    if (why != nullptr) {
        why->assign((const char *)buf_slice(&text).p, buf_slice(&text).n);
    }
    buf_fini(&text);
    return e;
}

Keys node_keys()
{
    Certs &c = certs_shared();
    return {c.node_pem, c.node_key, c.node_ca_pem, c.frontend_ca_pem};
}

/* Whether a client gets through to a server. */
bool reaches(const struct rpc_tls *client, const struct rpc_tls *server)
{
    Server srv;
    srv.handler = Server::echo;
    std::string url = fresh_url("tcp");
    tls_of_test = server;
    EXPECT_EQ(OK, srv.open(url));
    tls_of_test = client;
    struct rpc_client *c = client_open(url);
    tls_of_test = nullptr;
    bool up = eventually([&] { return rpc_client_connected(c); }, 1000ms);
    rpc_client_close(c);
    return up;
}

} // namespace

TEST(ClusterTls, WithoutACertificateThereIsNone)
{
    struct rpc_tls *t = (struct rpc_tls *)1;
    EXPECT_EQ(OK, open_side({}, CLUSTER_SIDE_RPC, &t));
    EXPECT_EQ(nullptr, t);
}

TEST(ClusterTls, HalfOfItIsRefused)
{
    const struct {
        std::string Keys::*missing;
        const char *words;
    } cases[] = {{&Keys::certificate, "cluster.certificate is not"},
                 {&Keys::key, "cluster.key is not"},
                 {&Keys::node_ca, "cluster.node_ca is not"}};
    for (const auto &x : cases) {
        Keys k = node_keys();
        k.*x.missing = "";
        struct rpc_tls *t = nullptr;
        std::string why;
        EXPECT_EQ(ERR_INVAL, open_side(k, CLUSTER_SIDE_PEER, &t, &why));
        EXPECT_NE(std::string::npos, why.find(x.words)) << why;
    }
    Keys only_ca;
    only_ca.frontend_ca = certs_shared().frontend_ca_pem;
    struct rpc_tls *t = nullptr;
    EXPECT_EQ(ERR_INVAL, open_side(only_ca, CLUSTER_SIDE_FRONTEND, &t));
}

TEST(ClusterTls, AFileThatIsMissingIsNamed)
{
    Keys k = node_keys();
    k.frontend_ca = "/nowhere/frontend-ca.pem";
    struct rpc_tls *t = nullptr;
    std::string why;
    EXPECT_EQ(ERR_IO, open_side(k, CLUSTER_SIDE_RPC, &t, &why));
    EXPECT_NE(std::string::npos, why.find("/nowhere/frontend-ca.pem")) << why;
}

TEST(ClusterTls, FrontendsReachTheRpcSideAndNotThePeerSide)
{
    Certs &c = certs_shared();
    struct rpc_tls *rpc = nullptr, *peer = nullptr, *front = nullptr;
    ASSERT_EQ(OK, open_side(node_keys(), CLUSTER_SIDE_RPC, &rpc));
    ASSERT_EQ(OK, open_side(node_keys(), CLUSTER_SIDE_PEER, &peer));
    Keys f = {c.files.certificate("front.pem", c.frontend), c.files.key("front.key", c.frontend), c.node_ca_pem, ""};
    ASSERT_EQ(OK, open_side(f, CLUSTER_SIDE_FRONTEND, &front));
    EXPECT_TRUE(reaches(front, rpc));
    EXPECT_TRUE(reaches(peer, rpc));
    EXPECT_TRUE(reaches(peer, peer));
    EXPECT_FALSE(reaches(front, peer));
    EXPECT_FALSE(reaches(peer, front));
    EXPECT_FALSE(reaches(nullptr, rpc));
    for (struct rpc_tls *t : {rpc, peer, front}) {
        rpc_tls_close(t);
    }
}
