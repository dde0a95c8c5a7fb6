/* What the tests of frontend/net share: a blocking client socket with time limits, a small line protocol, a server on a
 * free loopback port, both I/O backends as parameters. */
#ifndef TESTS_UNIT_FRONTEND_NET_NET_FIXTURE_H
#define TESTS_UNIT_FRONTEND_NET_NET_FIXTURE_H

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "frontend/net/conn.h"
#include "frontend/net/fiber.h"
#include "frontend/net/loop.h"
#include "frontend/net/server.h"

namespace net_test
{

inline void sleep_ms(unsigned ms)
{
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

inline uint64_t now_ms()
{
    return (uint64_t)std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/* Polls until the condition holds; false after 10 s. */
inline bool eventually(const std::function<bool()> &f, unsigned limit_ms = 10000)
{
    for (unsigned t = 0; t < limit_ms; t += 5) {
        if (f()) {
            return true;
        }
        sleep_ms(5);
    }
    return f();
}

inline bool have_io_uring()
{
    static const bool have = [] {
        enum io_backend got;
        struct buf why;
        buf_init(&why, 4096);
        bool ok = loop_backend_decide(IO_BACKEND_IO_URING, &got, &why) == OK;
        buf_fini(&why);
        return ok;
    }();
    return have;
}

class Client
{
  public:
    Client() = default;
    explicit Client(uint16_t port, int rcvbuf = 0, const char *ip = "127.0.0.1")
    {
        fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (rcvbuf > 0) {
            setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
        }
        int on = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct timeval tv = {10, 0};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
        setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
        struct sockaddr_in a = {};
        a.sin_family = AF_INET;
        a.sin_port = htons(port);
        inet_pton(AF_INET, ip, &a.sin_addr);
        ok_ = connect(fd_, (struct sockaddr *)&a, sizeof(a)) == 0;
        if (!ok_ && errno == EINTR) { /* the connection goes on being made */
            struct pollfd p = {fd_, POLLOUT, 0};
            while (poll(&p, 1, 10000) < 0 && errno == EINTR) {
            }
            int error = 0;
            socklen_t n = sizeof(error);
            ok_ = getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0;
        }
    }
    Client(const Client &) = delete;
    Client &operator=(const Client &) = delete;
    Client(Client &&o) noexcept : fd_(o.fd_), ok_(o.ok_), buffered_(std::move(o.buffered_))
    {
        o.fd_ = -1;
    }
    ~Client()
    {
        shut();
    }
    void shut()
    {
        if (fd_ >= 0) {
            ::close(fd_);
            fd_ = -1;
        }
    }
    void reset()
    {
        struct linger l = {1, 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
        shut();
    }
    bool ok() const
    {
        return ok_;
    }
    int fd() const
    {
        return fd_;
    }
    bool send(const std::string &s)
    {
        size_t off = 0;
        while (off < s.size()) {
            ssize_t n = ::send(fd_, s.data() + off, s.size() - off, MSG_NOSIGNAL);
            if (n <= 0) {
                return false;
            }
            off += (size_t)n;
        }
        return true;
    }
    void half_close()
    {
        ::shutdown(fd_, SHUT_WR);
    }
    /* One line with its CRLF removed; "<eof>", "<timeout>" or "<error>" when there is none. */
    std::string line()
    {
        for (;;) {
            size_t at = buffered_.find("\r\n");
            if (at != std::string::npos) {
                std::string l = buffered_.substr(0, at);
                buffered_.erase(0, at + 2);
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
        while (buffered_.size() < n) {
            if (!fill().empty()) {
                break;
            }
        }
        std::string r = buffered_.substr(0, n);
        buffered_.erase(0, n);
        return r;
    }
    /* Everything until the end. */
    std::string rest(std::string *how = nullptr)
    {
        std::string e;
        while ((e = fill()).empty()) {
        }
        if (how != nullptr) {
            *how = e;
        }
        std::string r;
        r.swap(buffered_);
        return r;
    }

  private:
    std::string fill()
    {
        char b[65536];
        ssize_t n;
        do { /* a ring of this thread that goes away interrupts system calls */
            n = recv(fd_, b, sizeof(b), 0);
        } while (n < 0 && errno == EINTR);
        if (n > 0) {
            buffered_.append(b, (size_t)n);
            return "";
        }
        return n == 0 ? "<eof>" : errno == EAGAIN ? "<timeout>" : "<error>";
    }
    int fd_ = -1;
    bool ok_ = false;
    std::string buffered_;
};

/* Shared with the protocol through conn_user. */
struct Shared {
    std::atomic<int> opened{0};
    std::atomic<int> closed{0};
    std::atomic<int> notified{0};
    std::atomic<int> timeouts{0};
    std::atomic<int> drains{0};
    std::atomic<int> last_err{0};
    std::atomic<bool> keep_on_timeout{false};
    std::atomic<bool> hold_on_drain{false};
    std::atomic<struct conn_handle *> handle{nullptr};
    std::atomic<size_t> peak_input{0};
};

/* The line protocol of these tests; see line_proto.cc. */
extern const struct conn_proto line_proto;
extern const struct conn_proto line_proto_short_idle; /* 300 ms */
extern const struct conn_proto line_proto_alpn;       /* "imap" */

class Server
{
  public:
    struct Options {
        unsigned threads = 1;
        unsigned max = 0;
        unsigned per_ip = 0;
        unsigned fibers = 0;
        uint64_t stall_ms = 5000;
        uint64_t handshake_ms = 2000;
        size_t high = 64 * 1024;
        const struct conn_proto *proto = &line_proto;
        struct tls_context *tls = nullptr;
        bool implicit_tls = false;
    };
    Server(enum io_backend backend, const Options &o)
    {
        struct server_config cfg = {};
        cfg.backend = backend;
        cfg.threads = o.threads;
        cfg.connections_max = o.max;
        cfg.connections_per_ip_max = o.per_ip;
        cfg.fibers_max = o.fibers;
        cfg.handshake_ms = o.handshake_ms;
        cfg.write_stall_ms = o.stall_ms;
        cfg.out_bytes_high = o.high;
        struct listener_config l = {};
        l.address = "127.0.0.1:0";
        l.proto = o.proto;
        l.user = &shared;
        l.tls = o.tls;
        l.implicit_tls = o.implicit_tls;
        l.refusal = "REFUSED\r\n";
        struct buf why;
        buf_init(&why, 4096);
        EXPECT_EQ(server_start(&cfg, &l, 1, &server, &why), OK)
            << std::string((const char *)buf_slice(&why).p, buf_slice(&why).n);
        buf_fini(&why);
    }
    ~Server()
    {
        stop();
    }
    void stop()
    {
        if (server != nullptr) {
            server_stop(server);
            server = nullptr;
        }
    }
    uint16_t port() const
    {
        return server_port(server, 0);
    }
    Shared shared;
    struct server *server = nullptr;
};

class BothBackends : public ::testing::TestWithParam<enum io_backend>
{
  protected:
    void SetUp() override
    {
        if (GetParam() == IO_BACKEND_IO_URING && !have_io_uring()) {
            GTEST_SKIP() << "io_uring is not available here";
        }
    }
};

inline std::string backend_name(const ::testing::TestParamInfo<enum io_backend> &i)
{
    return i.param == IO_BACKEND_EPOLL ? "epoll" : "io_uring";
}

} // namespace net_test

#define NET_BOTH_BACKENDS(suite)                                                                                       \
    INSTANTIATE_TEST_SUITE_P(Backends, suite, ::testing::Values(IO_BACKEND_IO_URING, IO_BACKEND_EPOLL),                \
                             net_test::backend_name)

#endif /* TESTS_UNIT_FRONTEND_NET_NET_FIXTURE_H */
