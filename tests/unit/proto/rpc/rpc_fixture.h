/* What the tests of proto/rpc share: servers, clients, links that can be cut, peers that speak raw bytes. */
#ifndef TESTS_UNIT_PROTO_RPC_RPC_FIXTURE_H
#define TESTS_UNIT_PROTO_RPC_RPC_FIXTURE_H

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/rng.h"
#include "proto/rpc/client.h"
#include "proto/rpc/method.h"
#include "proto/rpc/server.h"

#include "certs_fixture.h"

using namespace std::chrono_literals;

namespace
{

/* What servers and clients of this test use over tcp; NULL: plain. */
[[maybe_unused]] const struct rpc_tls *tls_of_test = nullptr;

[[maybe_unused]] int free_port()
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof(a);
    EXPECT_EQ(0, bind(fd, (struct sockaddr *)&a, n));
    EXPECT_EQ(0, getsockname(fd, (struct sockaddr *)&a, &n));
    close(fd);
    return ntohs(a.sin_port);
}

/* A fresh address of a transport. */
[[maybe_unused]] std::string fresh_url(const std::string &transport)
{
    static std::atomic<int> n{0};
    int i = n++;
    if (transport == "tcp" || transport == "tls") {
        return "tcp://127.0.0.1:" + std::to_string(free_port());
    }
    if (transport == "ipc") {
        return "ipc:///tmp/pb-rpc-test-" + std::to_string(getpid()) + "-" + std::to_string(i);
    }
    return "inproc://rpc-test-" + std::to_string(i);
}

/* Waits for what must come. How long that may take on a busy machine says nothing: a test of a time limit measures. */
[[maybe_unused]] bool eventually(const std::function<bool()> &f, std::chrono::milliseconds within = 60000ms)
{
    auto until = std::chrono::steady_clock::now() + within;
    while (!f()) {
        if (std::chrono::steady_clock::now() > until) {
            return false;
        }
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

/* A server whose handler is a lambda; counts what arrives, by request id. */
struct Server {
    struct rpc_server *s = nullptr;
    std::function<void(struct rpc_request *)> handler;
    std::mutex mutex;
    std::map<std::string, int> arrivals;
    std::vector<struct rpc_request *> held;

    static void on_request(void *user, struct rpc_request *r)
    {
        Server *self = (Server *)user;
        {
            std::lock_guard<std::mutex> g(self->mutex);
            self->arrivals[std::string((char *)r->head.request_id.b, 16)]++;
        }
        self->handler(r);
    }

    static void echo(struct rpc_request *r)
    {
        rpc_request_reply(r, OK, 0, r->meta, r->attach);
    }

    void hold(struct rpc_request *r)
    {
        std::lock_guard<std::mutex> g(mutex);
        held.push_back(r);
    }

    /* Holds until told otherwise. */
    std::atomic<bool> answers{false};

    void hold_or_echo(struct rpc_request *r)
    {
        answers ? echo(r) : hold(r);
    }

    void release()
    {
        std::vector<struct rpc_request *> now;
        {
            std::lock_guard<std::mutex> g(mutex);
            now.swap(held);
        }
        for (struct rpc_request *r : now) {
            echo(r); /* may let a waiting request in: no lock that on_request takes */
        }
    }

    size_t arrivals_count()
    {
        std::lock_guard<std::mutex> g(mutex);
        return arrivals.size();
    }

    size_t held_count()
    {
        std::lock_guard<std::mutex> g(mutex);
        return held.size();
    }

    uint32_t greeting_ms = 0;

    enum err open(const std::string &url, const std::string &pub = "", uint32_t contexts = 64)
    {
        const char *u = url.c_str();
        const char *p = pub.c_str();
        struct rpc_server_config cfg = {};
        cfg.urls = &u;
        cfg.n_urls = 1;
        cfg.pub_urls = &p;
        cfg.n_pub_urls = pub.empty() ? 0 : 1;
        cfg.contexts = contexts;
        cfg.user = this;
        cfg.on_request = on_request;
        cfg.tls = tls_of_test;
        cfg.greeting_ms = greeting_ms;
        struct buf why;
        buf_init(&why, 1024);
        enum err e = rpc_server_open(&cfg, &s, &why);
        buf_fini(&why);
        return e;
    }

    void close()
    {
        rpc_server_stop(s);
        release();
        rpc_server_close(s);
        s = nullptr;
    }

    ~Server()
    {
        if (s != nullptr) {
            close();
        }
    }
};

[[maybe_unused]] struct rpc_client *client_open(const std::string &url, uint32_t inflight = 0)
{
    struct rpc_client_config cfg = {url.c_str(), inflight, tls_of_test};
    struct rpc_client *c = nullptr;
    EXPECT_EQ(OK, rpc_client_open(&cfg, &c, nullptr));
    return c;
}

/* Copies that live as long as the test program, one of each text: callers pass temporaries. */
[[maybe_unused]] struct slice keep(const std::string &text)
{
    static std::mutex mutex;
    static std::set<std::string> all;
    std::lock_guard<std::mutex> g(mutex);
    const std::string &kept = *all.insert(text).first;
    return slice_make(kept.data(), kept.size());
}

[[maybe_unused]] struct rpc_call call_make(const std::string &meta, const std::string &attach,
                                           uint32_t timeout_ms = 60000)
{
    struct rpc_call call = {};
    call.head.method = METHOD_STATUS;
    call.head.request_id = rng_u128(rng_system());
    call.head.budget_ms = timeout_ms;
    call.meta = keep(meta);
    call.attach = keep(attach);
    call.timeout_ms = timeout_ms;
    return call;
}

/* Calls in flight whose completions are counted. */
struct Flock {
    std::vector<struct rpc_call> calls;
    std::atomic<int> done{0};
    std::map<int, std::atomic<int>> by_status;

    explicit Flock(size_t n) : calls(n)
    {
        for (int i = 0; i <= ERR_MAX; i++) {
            by_status[i] = 0;
        }
    }

    static void on_done(struct rpc_call *c)
    {
        Flock *f = (Flock *)c->user;
        f->by_status[c->status]++;
        rpc_reply_fini(&c->reply);
        f->done++;
    }

    enum err send(struct rpc_client *c, size_t i, const std::string &meta, uint32_t timeout_ms)
    {
        calls[i] = call_make(meta, "", timeout_ms);
        calls[i].done = on_done;
        calls[i].user = this;
        return rpc_client_send(c, &calls[i]);
    }
};

/* A link that can be cut: a TCP forwarder between client and server. */
struct Proxy {
    int listen_fd, port;
    int server_port;
    std::atomic<bool> stop{false};
    std::vector<int> fds;
    std::mutex mutex;
    std::thread acceptor;
    std::vector<std::thread> pumps;

    explicit Proxy(int to) : port(free_port()), server_port(to)
    {
        listen_fd = socket(AF_INET, SOCK_STREAM, 0);
        int one = 1;
        setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        struct sockaddr_in a = address(port);
        EXPECT_EQ(0, bind(listen_fd, (struct sockaddr *)&a, sizeof(a)));
        EXPECT_EQ(0, listen(listen_fd, 16));
        acceptor = std::thread([this] { run(); });
    }

    static struct sockaddr_in address(int port)
    {
        struct sockaddr_in a = {};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.sin_port = htons((uint16_t)port);
        return a;
    }

    static void pump(int from, int to)
    {
        char b[65536];
        ssize_t n;
        while ((n = recv(from, b, sizeof(b), 0)) > 0 && send(to, b, (size_t)n, MSG_NOSIGNAL) == n) {
        }
        shutdown(from, SHUT_RDWR);
        shutdown(to, SHUT_RDWR);
    }

    void run()
    {
        int in;
        while ((in = accept(listen_fd, nullptr, nullptr)) >= 0) {
            int out = socket(AF_INET, SOCK_STREAM, 0);
            struct sockaddr_in a = address(server_port);
            if (connect(out, (struct sockaddr *)&a, sizeof(a)) != 0) {
                close(in);
                close(out);
                continue;
            }
            std::lock_guard<std::mutex> g(mutex);
            fds.push_back(in);
            fds.push_back(out);
            pumps.emplace_back(pump, in, out);
            pumps.emplace_back(pump, out, in);
        }
    }

    void cut()
    {
        std::lock_guard<std::mutex> g(mutex);
        for (int fd : fds) {
            shutdown(fd, SHUT_RDWR);
        }
    }

    ~Proxy()
    {
        shutdown(listen_fd, SHUT_RDWR);
        acceptor.join();
        cut();
        for (std::thread &t : pumps) {
            t.join();
        }
        for (int fd : fds) {
            close(fd);
        }
        close(listen_fd);
    }
};

/* Speaks what is below the frames by itself. */
struct RawClient {
    int fd = -1;

    explicit RawClient(const std::string &url, bool greet = true)
    {
        dial(url);
        struct timeval tv = {60, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
        if (greet) {
            put("PBXRPC1\n");
            std::string greeting;
            EXPECT_TRUE(get(8, &greeting));
            EXPECT_EQ("PBXRPC1\n", greeting);
        }
    }

    void dial(const std::string &url)
    {
        if (url.rfind("tcp", 0) == 0) {
            struct sockaddr_in a = {};
            a.sin_family = AF_INET;
            a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            a.sin_port = htons((uint16_t)std::stoi(url.substr(url.rfind(':') + 1)));
            fd = socket(AF_INET, SOCK_STREAM, 0);
            ASSERT_EQ(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
        } else {
            struct sockaddr_un a = {};
            a.sun_family = AF_UNIX;
            strncpy(a.sun_path, url.substr(6).c_str(), sizeof(a.sun_path) - 1);
            fd = socket(AF_UNIX, SOCK_STREAM, 0);
            ASSERT_EQ(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
        }
    }

    ~RawClient()
    {
        end();
    }

    void end()
    {
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    }

    bool put(const std::string &b)
    {
        return send(fd, b.data(), b.size(), MSG_NOSIGNAL) == (ssize_t)b.size();
    }

    bool get(size_t n, std::string *out)
    {
        out->assign(n, 0);
        return recv(fd, &(*out)[0], n, MSG_WAITALL) == (ssize_t)n;
    }

    static std::string framed(const std::string &bytes, uint64_t tag)
    {
        std::string prefix(16, 0);
        put_le32((uint8_t *)&prefix[0], (uint32_t)bytes.size());
        put_le64((uint8_t *)&prefix[8], tag);
        return prefix + bytes;
    }

    bool get_frame(uint64_t want_tag, std::string *reply)
    {
        std::string prefix;
        if (!get(16, &prefix)) {
            return false;
        }
        EXPECT_EQ(want_tag, get_le64((const uint8_t *)&prefix[8]));
        return get(get_le32((const uint8_t *)&prefix[0]), reply);
    }

    /* 0 when a reply came. */
    int ask(const std::string &bytes, std::string *reply)
    {
        return put(framed(bytes, 77)) && get_frame(77, reply) ? 0 : -1;
    }
};

struct Listener {
    struct rpc_subscriber *s = nullptr;
    std::mutex mutex;
    std::vector<struct rpc_hint> hints;
    std::atomic<int> ups{0}, downs{0};

    explicit Listener(const std::string &url)
    {
        struct rpc_subscriber_config cfg = {};
        cfg.url = url.c_str();
        cfg.user = this;
        cfg.on_hint = [](void *u, const struct rpc_hint *h) {
            Listener *l = (Listener *)u;
            std::lock_guard<std::mutex> g(l->mutex);
            l->hints.push_back(*h);
        };
        cfg.tls = tls_of_test;
        cfg.on_link = [](void *u, bool up) { up ? ((Listener *)u)->ups++ : ((Listener *)u)->downs++; };
        EXPECT_EQ(OK, rpc_subscriber_open(&cfg, &s, nullptr));
    }

    ~Listener()
    {
        rpc_subscriber_close(s);
    }

    size_t count()
    {
        std::lock_guard<std::mutex> g(mutex);
        return hints.size();
    }
};

} // namespace

#endif /* TESTS_UNIT_PROTO_RPC_RPC_FIXTURE_H */
