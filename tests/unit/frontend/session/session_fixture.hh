/* A frontend's session layer over a real storage node: loops, connections and fibers of frontend/net, calls over RPC. A
 * test hands functions to run on a connection's fiber. */
#ifndef TESTS_UNIT_FRONTEND_SESSION_SESSION_FIXTURE_HH
#define TESTS_UNIT_FRONTEND_SESSION_SESSION_FIXTURE_HH

#include <arpa/inet.h>
#include <sys/socket.h>

#include <deque>
#include <memory>

#include "frontend/net/conn.h"
#include "frontend/net/fiber.h"
#include "frontend/net/server.h"
#include "frontend/session/auth.h"
#include "frontend/session/backend.h"
#include "proto/base/metrics.h"
#include "tests/unit/storage/node/node_fixture.hh"

/* One client connection and the session behind it. */
class Session
{
  public:
    using Work = std::function<void(struct conn *)>;
    std::atomic<int> notified{0};
    std::atomic<bool> closed{false};

    static const struct conn_proto proto;

    explicit Session(uint16_t port, const char *from = "127.0.0.1")
    {
        struct sockaddr_in a = {};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.sin_port = htons(port);
        {
            std::lock_guard<std::mutex> g(lobby_mutex());
            lobby().push_back(this);
        }
        fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in source = a;
        source.sin_port = 0;
        EXPECT_EQ(1, inet_pton(AF_INET, from, &source.sin_addr));
        EXPECT_EQ(0, bind(fd, (struct sockaddr *)&source, sizeof(source)));
        EXPECT_EQ(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
        char hello;
        EXPECT_EQ(1, recv(fd, &hello, 1, 0));
    }

    /* Starts it; done counts up when it has run. */
    void start(Work w)
    {
        std::lock_guard<std::mutex> g(mutex);
        works.push_back(std::move(w));
        EXPECT_EQ(1, send(fd, "x", 1, MSG_NOSIGNAL));
        started++;
    }

    void finish()
    {
        for (; started > 0; started--) {
            char c;
            ASSERT_EQ(1, recv(fd, &c, 1, 0));
        }
    }

    void run(Work w)
    {
        start(std::move(w));
        finish();
    }

    ~Session()
    {
        finish();
        ::close(fd);
        EXPECT_TRUE(eventually([&] { return closed.load(); }));
    }

  private:
    int fd = -1;
    int started = 0;
    std::mutex mutex;
    std::deque<Work> works;

    static std::mutex &lobby_mutex()
    {
        static std::mutex m;
        return m;
    }

    /* Connections are made one at a time: the first that waits is the one that was accepted. */
    static std::deque<Session *> &lobby()
    {
        static std::deque<Session *> l;
        return l;
    }

    static Session *of(void *memory)
    {
        return *(Session **)memory;
    }

    static enum err on_open(struct conn *c, void *memory)
    {
        {
            std::lock_guard<std::mutex> g(lobby_mutex());
            *(Session **)memory = lobby().front();
            lobby().pop_front();
        }
        return conn_write(c, ".", 1);
    }

    static enum err on_input(struct conn *c, void *memory)
    {
        Session *s = of(memory);
        while (conn_peek(c).n > 0) {
            conn_consume(c, 1);
            Work w;
            {
                std::lock_guard<std::mutex> g(s->mutex);
                w = std::move(s->works.front());
                s->works.pop_front();
            }
            w(c);
            enum err e = conn_write(c, ".", 1);
            if (e != OK) {
                return e;
            }
        }
        return OK;
    }

    static enum err on_event(struct conn *c, void *memory, enum conn_event ev)
    {
        (void)c;
        if (ev == CONN_EVENT_NOTIFY) {
            of(memory)->notified++;
        }
        return ev == CONN_EVENT_NOTIFY ? OK : ERR_CLOSED;
    }

    static void on_close(struct conn *c, void *memory)
    {
        (void)c;
        of(memory)->closed = true;
    }
};

inline const struct conn_proto Session::proto = {
    "test", nullptr, sizeof(Session *), 4096, 600000, on_open, on_input, on_event, on_close,
};

class SessionTest : public NodeTest
{
  protected:
    struct backend *backend = nullptr;
    struct auth *auth = nullptr;
    struct server *server = nullptr;

    void SetUp() override
    {
        NodeTest::SetUp();
        up();
        make_domain();
        backend_start();
        struct server_config cfg = {};
        cfg.backend = IO_BACKEND_EPOLL;
        cfg.threads = 2;
        cfg.write_stall_ms = 5000;
        cfg.out_bytes_high = 65536;
        struct listener_config l = {};
        l.address = "127.0.0.1:0";
        l.proto = &Session::proto;
        ASSERT_EQ(OK, server_start(&cfg, &l, 1, &server, nullptr));
    }

    void backend_start(uint32_t timeout_ms = 20000)
    {
        struct backend_config cfg = {};
        struct buf why;
        buf_init(&why, 1000);
        cfg.rpc_urls = rpc_url.c_str();
        cfg.pub_url = pub_url.c_str();
        cfg.timeout_ms = timeout_ms;
        ASSERT_EQ(OK, backend_open(&cfg, &backend, &why));
        buf_fini(&why);
        ASSERT_TRUE(eventually([&] { return backend_ready(backend); }));
    }

    void auth_start(const struct auth_config &options)
    {
        struct auth_config cfg = options;
        struct buf why;
        buf_init(&why, 1000);
        cfg.backend = backend;
        ASSERT_EQ(OK, auth_open(&cfg, &auth, &why));
        buf_fini(&why);
    }

    void TearDown() override
    {
        if (server != nullptr) {
            server_stop(server);
        }
        if (auth != nullptr) {
            auth_close(auth);
        }
        if (backend != nullptr) {
            backend_close(backend);
        }
        NodeTest::TearDown();
    }

    uint16_t port() const
    {
        return server_port(server, 0);
    }

    static struct account_ref ref_of(const Account &a)
    {
        struct account_ref r = {};
        r.id.v = a.id;
        r.shard.v = a.shard;
        snprintf(r.name, sizeof(r.name), "%s", a.name.c_str());
        return r;
    }

    /* A call of a fiber; only the status is kept. */
    enum err call_on(Session &s, const Account &a, enum method m, const ProtobufCMessage *msg, uint32_t timeout_ms = 0,
                     const std::string &attach = "")
    {
        enum err e = OK;
        s.run([&](struct conn *) {
            struct arena arena;
            struct backend_reply reply;
            struct backend_request req = {};
            arena_init(&arena, 1 << 20);
            req.shard.v = a.shard;
            req.account.v = a.id;
            req.method = m;
            req.message = msg;
            req.attach = slice_make(attach.data(), attach.size());
            req.timeout_ms = timeout_ms;
            e = backend_call(backend, &req, &arena, &reply);
            backend_reply_fini(&reply);
            arena_fini(&arena);
        });
        return e;
    }

    /* The value of a metric without labels. */
    static long metric(const std::string &name)
    {
        struct buf out;
        buf_init(&out, 1 << 20);
        EXPECT_EQ(OK, metrics_render(&out));
        std::string text((const char *)buf_slice(&out).p, out.len);
        buf_fini(&out);
        size_t at = text.find("\n" + name + " ");
        return at == std::string::npos ? 0 : std::stol(text.substr(at + name.size() + 2));
    }
};

#endif /* TESTS_UNIT_FRONTEND_SESSION_SESSION_FIXTURE_HH */
