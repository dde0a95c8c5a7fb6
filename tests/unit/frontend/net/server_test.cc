#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <thread>

#include "net_fixture.h"
#include "proto/base/metrics.h"

using namespace net_test;

class ServerTest : public BothBackends
{
};
NET_BOTH_BACKENDS(ServerTest);

TEST_P(ServerTest, refuses_connections_over_the_limit_with_a_line)
{
    Server::Options o;
    o.max = 3;
    Server s(GetParam(), o);
    std::vector<Client> clients;
    for (int i = 0; i < 3; i++) {
        clients.emplace_back(s.port());
        EXPECT_EQ(clients.back().line(), "HELLO");
    }
    {
        Client c(s.port());
        EXPECT_EQ(c.line(), "REFUSED");
        EXPECT_EQ(c.line(), "<eof>");
    }
    clients.clear();
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    Client c(s.port());
    EXPECT_EQ(c.line(), "HELLO");
}

TEST_P(ServerTest, limits_connections_of_one_address_over_all_threads)
{
    Server::Options o;
    o.per_ip = 4;
    o.threads = 2;
    Server s(GetParam(), o);
    int hello = 0;
    int refused = 0;
    std::vector<Client> clients;
    for (int i = 0; i < 12; i++) {
        clients.emplace_back(s.port());
        std::string l = clients.back().line();
        hello += l == "HELLO";
        refused += l == "REFUSED";
    }
    EXPECT_EQ(hello, 4);
    EXPECT_EQ(refused, 8);
    clients.clear();
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    Client again(s.port());
    EXPECT_EQ(again.line(), "HELLO");
}

TEST_P(ServerTest, the_operators_listener_answers_when_all_places_are_taken)
{
    struct server_config cfg = {};
    cfg.backend = GetParam();
    cfg.threads = 1;
    cfg.connections_max = 2;
    cfg.connections_per_ip_max = 2;
    Shared shared;
    struct listener_config l[2] = {};
    for (auto &one : l) {
        one.address = "127.0.0.1:0";
        one.proto = &line_proto;
        one.user = &shared;
        one.refusal = "REFUSED\r\n";
    }
    l[1].operators = true;
    struct server *s = nullptr;
    ASSERT_EQ(server_start(&cfg, l, 2, &s, nullptr), OK);
    {
        std::vector<Client> clients;
        for (int i = 0; i < 3; i++) { /* the operators' connections take no place either */
            clients.emplace_back(server_port(s, 1));
            EXPECT_EQ(clients.back().line(), "HELLO");
        }
        for (int i = 0; i < 2; i++) {
            clients.emplace_back(server_port(s, 0));
            EXPECT_EQ(clients.back().line(), "HELLO");
        }
        Client refused(server_port(s, 0));
        EXPECT_EQ(refused.line(), "REFUSED");
        Client operators(server_port(s, 1));
        EXPECT_EQ(operators.line(), "HELLO");
        EXPECT_EQ(server_connections(s), 6U);
    }
    EXPECT_TRUE(eventually([&] { return server_connections(s) == 0; }));
    server_stop(s);
}

TEST_P(ServerTest, several_threads_share_the_listener)
{
    Server::Options o;
    o.threads = 3;
    Server s(GetParam(), o);
    EXPECT_EQ(server_loops(s.server), 3U);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(loop_index(server_loop(s.server, i)), i);
    }
    for (int i = 0; i < 60; i++) {
        Client c(s.port());
        EXPECT_EQ(c.line(), "HELLO");
        c.send("QUIT\r\n");
        EXPECT_EQ(c.line(), "BYE");
    }
}

TEST_P(ServerTest, drain_says_goodbye_to_idle_sessions_and_lets_commands_finish)
{
    Server s(GetParam(), {});
    Client idle(s.port());
    Client busy(s.port());
    EXPECT_EQ(idle.line(), "HELLO");
    EXPECT_EQ(busy.line(), "HELLO");
    busy.send("SLEEP 200\r\nECHO also\r\n");
    sleep_ms(50);
    uint64_t start = now_ms();
    std::thread drain([&] { server_drain(s.server, 5000); });
    EXPECT_EQ(idle.line(), "* BYE draining");
    EXPECT_EQ(idle.line(), "<eof>");
    idle.shut();
    EXPECT_EQ(busy.line(), "slept");
    EXPECT_EQ(busy.line(), "also"); /* pipelined behind it, in the same call of input */
    EXPECT_EQ(busy.line(), "* BYE draining");
    EXPECT_EQ(busy.line(), "<eof>");
    busy.shut();
    Client late(s.port());
    EXPECT_FALSE(late.ok());
    drain.join();
    EXPECT_LT(now_ms() - start, 3000U);
    EXPECT_EQ(server_connections(s.server), 0U);
    EXPECT_EQ(s.shared.closed, 2);
}

TEST_P(ServerTest, drain_forces_what_does_not_end_in_time)
{
    Server s(GetParam(), {});
    s.shared.hold_on_drain = true;
    Client holds(s.port());
    Client reads(s.port());
    Client takes_nothing(s.port(), 4096);
    EXPECT_EQ(holds.line(), "HELLO");
    EXPECT_EQ(reads.line(), "HELLO");
    reads.send("LIT 100\r\n");
    EXPECT_EQ(reads.line(), "+");
    takes_nothing.send("BIG 10000000\r\n");
    sleep_ms(50);
    server_drain(s.server, 200);
    EXPECT_EQ(server_connections(s.server), 0U);
    EXPECT_EQ(s.shared.closed, 3);
    EXPECT_EQ((enum err)s.shared.last_err.load(), ERR_SHUTDOWN);
    EXPECT_EQ(holds.line(), "<eof>");
}

TEST_P(ServerTest, stop_without_drain_ends_everything)
{
    Server s(GetParam(), {});
    std::vector<Client> clients;
    for (int i = 0; i < 20; i++) {
        clients.emplace_back(s.port());
        EXPECT_EQ(clients.back().line(), "HELLO");
        clients.back().send(i % 2 == 0 ? "SLEEP 50\r\n" : "LIT 10\r\n");
    }
    s.stop();
    EXPECT_EQ(s.shared.closed, s.shared.opened);
}

TEST_P(ServerTest, a_listener_serves_both_families)
{
    struct server_config cfg = {};
    cfg.backend = GetParam();
    cfg.threads = 1;
    Shared shared;
    struct listener_config l[2] = {};
    l[0].address = "127.0.0.1:0";
    l[1].address = "[::1]:0";
    for (auto &x : l) {
        x.proto = &line_proto;
        x.user = &shared;
    }
    struct server *s = nullptr;
    struct buf why;
    buf_init(&why, 4096);
    enum err e = server_start(&cfg, l, 2, &s, &why);
    std::string text((const char *)buf_slice(&why).p, buf_slice(&why).n);
    buf_fini(&why);
    if (e != OK) {
        GTEST_SKIP() << text;
    }
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 a = {};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(server_port(s, 1));
    a.sin6_addr = in6addr_loopback;
    EXPECT_EQ(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    EXPECT_EQ(send(fd, "WHO\r\nQUIT\r\n", 11, 0), 11);
    std::string got;
    char b[100];
    for (ssize_t n; (n = recv(fd, b, sizeof(b), 0)) > 0;) {
        got.append(b, (size_t)n);
    }
    close(fd);
    EXPECT_EQ(got.substr(0, 11), "HELLO\r\n::1 ");
    server_stop(s);
}

TEST_P(ServerTest, running_out_of_descriptors_does_not_stop_accepting_for_good)
{
    Server s(GetParam(), {});
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    int probe = dup(0);
    ::close(probe);
    struct rlimit tight = {(rlim_t)probe + 6, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &tight);
    std::vector<Client> clients;
    for (int i = 0; i < 6; i++) {
        clients.emplace_back(s.port()); /* the last ones: connected by the kernel, not yet accepted */
    }
    sleep_ms(250);
    setrlimit(RLIMIT_NOFILE, &before);
    int served = 0;
    for (auto &c : clients) {
        if (c.ok()) {
            EXPECT_EQ(c.line(), "HELLO");
            served++;
        }
    }
    EXPECT_GE(served, 3);
    Client c(s.port());
    EXPECT_EQ(c.line(), "HELLO");
}

static std::string start_error(const char *address)
{
    struct server_config cfg = {};
    cfg.backend = IO_BACKEND_EPOLL;
    cfg.threads = 1;
    struct listener_config l = {};
    l.address = address;
    l.proto = &line_proto;
    struct server *s = nullptr;
    struct buf why;
    buf_init(&why, 4096);
    enum err e = server_start(&cfg, &l, 1, &s, &why);
    std::string text = std::string(err_name(e)) + " " + std::string((const char *)buf_slice(&why).p, buf_slice(&why).n);
    buf_fini(&why);
    if (e == OK) {
        server_stop(s);
    }
    return text;
}

TEST(ServerStartTest, wrong_addresses_are_explained)
{
    for (const char *a : {"", "25", "host:25", "1.2.3:25", "::1:25", "[1.2.3.4]:25", "127.0.0.1:", "127.0.0.1:70000",
                          "127.0.0.1:2x", "[::1:25", "[]:25", "localhost:25"}) {
        std::string e = start_error(a);
        EXPECT_EQ(e.substr(0, 10), "ERR_INVAL ") << a << ": " << e;
        EXPECT_NE(e.find(a), std::string::npos) << e;
    }
    EXPECT_NE(start_error("192.0.2.77:25").find("errno 99"), std::string::npos); /* not ours: EADDRNOTAVAIL */
    EXPECT_EQ(start_error("*:0").substr(0, 2), "OK");
}

TEST(ServerStartTest, a_port_in_use_is_told_even_by_the_same_user)
{
    Server s(IO_BACKEND_EPOLL, {});
    std::string e = start_error(("127.0.0.1:" + std::to_string(s.port())).c_str());
    EXPECT_EQ(e.substr(0, 7), "ERR_IO ") << e;
    EXPECT_NE(e.find("errno 98"), std::string::npos) << e;
    EXPECT_NE(e.find(std::to_string(s.port())), std::string::npos) << e;
}

/* The kernel closes an io_uring's sockets a moment after a killed process is gone. */
TEST(ServerStartTest, a_port_that_is_let_go_is_waited_for)
{
    auto before = std::make_unique<Server>(IO_BACKEND_EPOLL, Server::Options{});
    const std::string address = "127.0.0.1:" + std::to_string(before->port());
    std::thread ends([&before] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        before.reset();
    });
    EXPECT_EQ(start_error(address.c_str()), "OK ");
    ends.join();
}

TEST(ServerMetricsTest, connections_and_bytes_are_counted)
{
    Server s(IO_BACKEND_EPOLL, {});
    Client c(s.port());
    c.send("ECHO x\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "x");
    struct buf b;
    buf_init(&b, 1 << 20);
    ASSERT_EQ(metrics_render(&b), OK);
    std::string text((const char *)buf_slice(&b).p, buf_slice(&b).n);
    buf_fini(&b);
    for (const char *want : {"pillarbox_connections 1\n", "pillarbox_io_backend{backend=\"epoll\"} 1\n",
                             "pillarbox_io_backend{backend=\"io_uring\"} 0\n", "pillarbox_fibers 0\n"}) {
        EXPECT_NE(text.find(want), std::string::npos) << want << text;
    }
}
