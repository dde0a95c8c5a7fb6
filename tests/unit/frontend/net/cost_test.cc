/* What a connection costs. The rate is printed, not judged: run it with --gtest_also_run_disabled_tests. */
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

#include "tls_fixture.h"

using namespace net_test;

/* Sanitizers bring their own allocator, shadow and larger stacks: there is nothing to measure then. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace
{

/* One arena, so that mallinfo2 sees the loops' memory too. Before any thread starts. */
const int one_arena = mallopt(M_ARENA_MAX, 1);

size_t heap_bytes()
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Clients in another process, so that only the server's memory is counted. The child is made before any thread of the
 * server; it connects when told the port, and reports when all its connections are idle. */
class OtherProcess
{
  public:
    OtherProcess(int n, bool tls)
    {
        int down[2];
        int up[2];
        if (pipe(down) != 0 || pipe(up) != 0) {
            abort();
        }
        pid = fork();
        if (pid == 0) {
            ::close(down[1]);
            ::close(up[0]);
            child(n, tls, down[0], up[1]);
            _exit(0);
        }
        ::close(down[0]);
        ::close(up[1]);
        to = down[1];
        from = up[0];
    }
    ~OtherProcess()
    {
        ::close(to);
        ::close(from);
        waitpid(pid, nullptr, 0);
    }
    bool connect_all(uint16_t port)
    {
        char ok = 0;
        ssize_t n = write(to, &port, sizeof(port));
        while (n == (ssize_t)sizeof(port) && read(from, &ok, 1) < 0 && errno == EINTR) {
        }
        return ok == 'k';
    }

  private:
    static void child(int n, bool tls, int in, int out)
    {
        uint16_t port = 0;
        if (read(in, &port, sizeof(port)) != (ssize_t)sizeof(port)) {
            return;
        }
        std::vector<std::unique_ptr<TlsClient>> secure;
        std::vector<Client> plain;
        for (int i = 0; i < n; i++) {
            std::string got;
            if (tls) {
                secure.push_back(std::make_unique<TlsClient>(port));
                if (!secure.back()->handshake()) {
                    return;
                }
                secure.back()->line();
                secure.back()->send("ECHO x\r\nBIG 5000\r\n");
                got = secure.back()->line();
                secure.back()->line();
            } else {
                plain.emplace_back(port);
                plain.back().line();
                plain.back().send("ECHO x\r\nBIG 5000\r\n");
                got = plain.back().line();
                plain.back().line();
            }
            if (got != "x") {
                return;
            }
        }
        ssize_t w = write(out, "k", 1);
        char b;
        w = read(in, &b, 1); /* until the parent closes */
        (void)w;
    }
    pid_t pid;
    int to;
    int from;
};

/* Processor time that the loop's thread has used. */
uint64_t loop_cpu_us(struct loop *l)
{
    struct Task {
        struct loop_task task;
        std::atomic<uint64_t> us;
    } t = {{}, {0}};
    t.task.fn = [](struct loop *, struct loop_task *lt) {
        struct timespec ts;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        ((Task *)lt)->us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
    };
    loop_post(l, &t.task);
    EXPECT_TRUE(eventually([&] { return t.us != 0; }));
    return t.us;
}

} // namespace

class CostTest : public BothBackends
{
  protected:
    double idle_bytes(int n, struct tls_context *tls)
    {
        OtherProcess clients(n, tls != nullptr);
        Server::Options o;
        o.tls = tls;
        o.implicit_tls = tls != nullptr;
        Server s(GetParam(), o);
        {
            OtherProcess warm(50, tls != nullptr); /* pools and tables have their size */
            EXPECT_TRUE(warm.connect_all(s.port()));
        }
        EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
        size_t before = heap_bytes();
        EXPECT_TRUE(clients.connect_all(s.port()));
        EXPECT_EQ(server_connections(s.server), (unsigned)n);
        sleep_ms(100);
        return (double)(heap_bytes() - before) / n;
    }
};
NET_BOTH_BACKENDS(CostTest);

TEST_P(CostTest, an_idle_plaintext_connection_costs_a_kilobyte)
{
    ASSERT_EQ(one_arena, 1);
    double bytes = idle_bytes(1000, nullptr);
    printf("idle plaintext connection: %.0f bytes of heap\n", bytes);
    EXPECT_LE(bytes, 1024 + (double)line_proto.session_bytes);
}

TEST_P(CostTest, an_idle_tls_connection_keeps_no_record_buffers)
{
    Certs certs;
    certs.add("x.example", "x.example");
    ASSERT_EQ(certs.open(), OK);
    double bytes = idle_bytes(500, certs.ctx);
    printf("idle TLS connection: %.0f bytes of heap\n", bytes);
    EXPECT_LE(bytes, 10 * 1024);
}

namespace
{

size_t resident_bytes()
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long size = 0;
    unsigned long resident = 0;
    if (f == nullptr || fscanf(f, "%lu %lu", &size, &resident) != 2) {
        resident = 0;
    }
    if (f != nullptr) {
        fclose(f);
    }
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Touches most of a stack. */
void deep_fiber(void *arg)
{
    volatile char pad[100 * 1024];
    for (size_t i = 0; i < sizeof(pad); i += 1024) {
        pad[i] = 1;
    }
    fiber_sleep(100);
    (*(std::atomic<int> *)arg)++;
}

struct SpawnTask {
    struct loop_task task;
    std::atomic<int> *ended;
    int n;
};

} // namespace

TEST_P(CostTest, stacks_of_idle_fibers_are_given_back)
{
    struct loop_config cfg = {};
    cfg.backend = GetParam();
    struct loop *l = nullptr;
    ASSERT_EQ(loop_new(&cfg, &l), OK);
    std::thread thread([&] { loop_run(l); });
    size_t before = resident_bytes();
    std::atomic<int> ended{0};
    SpawnTask t = {{}, &ended, 200};
    t.task.fn = [](struct loop *loop, struct loop_task *lt) {
        for (int i = 0; i < ((SpawnTask *)lt)->n; i++) {
            EXPECT_EQ(fiber_spawn(loop, deep_fiber, ((SpawnTask *)lt)->ended), OK);
        }
    };
    loop_post(l, &t.task);
    EXPECT_TRUE(eventually([&] { return ended == 200; }));
    EXPECT_GT(resident_bytes(), before + 15 * 1024 * 1024);
    EXPECT_TRUE(eventually([&] { return resident_bytes() < before + 3 * 1024 * 1024; }, 5000));
    loop_stop(l);
    thread.join();
    loop_free(l);
}

namespace
{

unsigned bottomless(unsigned n)
{
    volatile char pad[1024];
    pad[n % sizeof(pad)] = 1;
    return n == UINT32_MAX ? 0 : bottomless(n + 1) + (unsigned)pad[n % sizeof(pad)];
}

void overflow()
{
    struct loop_config cfg = {};
    cfg.backend = IO_BACKEND_EPOLL;
    struct loop *l = nullptr;
    if (loop_new(&cfg, &l) != OK) {
        exit(1);
    }
    struct loop_task t = {};
    t.fn = [](struct loop *loop, struct loop_task *) {
        enum err e = fiber_spawn(
            loop, [](void *) { exit(bottomless(0) == 7 ? 2 : 3); }, nullptr);
        exit(e == OK ? 4 : 5);
    };
    loop_post(l, &t);
    loop_run(l);
}

} // namespace

TEST(FiberDeathTest, an_overflowing_stack_meets_its_guard_page)
{
    EXPECT_EXIT(overflow(), ::testing::KilledBySignal(SIGSEGV), "");
}

TEST_P(CostTest, DISABLED_echo_round_trips_on_one_loop)
{
    const int connections = 64;
    Server s(GetParam(), {});
    std::atomic<bool> stop{false};
    uint64_t total = 0;
    std::thread driver([&] {
        std::vector<Client> c;
        std::vector<struct pollfd> fds;
        for (int i = 0; i < connections; i++) {
            c.emplace_back(s.port());
            c.back().line();
            c.back().send("ECHO 0123456789\r\n");
            fds.push_back({c.back().fd(), POLLIN, 0});
        }
        while (!stop) {
            poll(fds.data(), fds.size(), 100);
            for (auto &f : fds) {
                char b[64];
                if ((f.revents & POLLIN) != 0 && recv(f.fd, b, sizeof(b), 0) == 12) {
                    total++;
                    if (::send(f.fd, "ECHO 0123456789\r\n", 17, MSG_NOSIGNAL) != 17) {
                        return;
                    }
                }
            }
        }
    });
    uint64_t start = now_ms();
    uint64_t cpu = loop_cpu_us(server_loop(s.server, 0));
    sleep_ms(3000);
    cpu = loop_cpu_us(server_loop(s.server, 0)) - cpu;
    stop = true;
    driver.join();
    printf("echo round trips on one loop, %d connections, client on the other core: %.0f/s, %.1f us of the loop's "
           "processor each\n",
           connections, (double)total * 1000.0 / (double)(now_ms() - start), (double)cpu / (double)total);
}

#endif
