#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "frontend/net/io_internal.h"
#include "net_fixture.h"

using namespace net_test;

namespace
{

/* A loop in its own thread. */
class RunningLoop
{
  public:
    explicit RunningLoop(enum io_backend b, unsigned fibers_max = 0)
    {
        struct loop_config cfg = {};
        cfg.backend = b;
        cfg.fibers_max = fibers_max;
        EXPECT_EQ(loop_new(&cfg, &loop), OK);
        thread = std::thread([this] { loop_run(loop); });
    }
    ~RunningLoop()
    {
        loop_stop(loop);
        thread.join();
        loop_free(loop);
    }
    /* Runs f on the loop's stack and waits for it. */
    void on_loop(std::function<void()> f)
    {
        struct Task {
            struct loop_task task;
            std::function<void()> f;
            std::atomic<bool> done;
        } t = {{}, f, {false}};
        t.task.fn = [](struct loop *, struct loop_task *lt) {
            Task *self = (Task *)lt;
            self->f();
            self->done = true;
        };
        loop_post(loop, &t.task);
        EXPECT_TRUE(eventually([&] { return t.done.load(); }));
    }
    struct loop *loop = nullptr;
    std::thread thread;
};

struct TestTimer {
    struct loop_timer timer;
    std::atomic<uint64_t> fired_ms;
    std::atomic<int> count;
};

void note(struct loop *, struct loop_timer *t)
{
    TestTimer *self = (TestTimer *)t;
    self->fired_ms = now_ms();
    self->count++;
}

} // namespace

class LoopTest : public BothBackends
{
};
NET_BOTH_BACKENDS(LoopTest);

TEST_P(LoopTest, timers_fire_late_by_little_and_never_early)
{
    RunningLoop l(GetParam());
    static TestTimer timers[64];
    uint64_t start = now_ms();
    l.on_loop([&] {
        start = now_ms();
        for (int i = 0; i < 64; i++) {
            timers[i].count = 0;
            loop_timer_init(&timers[i].timer, note);
            loop_timer_arm(l.loop, &timers[i].timer, (uint64_t)i * 7);
        }
    });
    EXPECT_TRUE(eventually([&] { return timers[63].count == 1; }));
    for (int i = 0; i < 64; i++) {
        EXPECT_EQ(timers[i].count, 1);
        uint64_t took = timers[i].fired_ms - start;
        EXPECT_GE(took + 2, (uint64_t)i * 7) << i; /* two clocks, each cut to milliseconds */
        EXPECT_LE(took, (uint64_t)i * 7 + 300) << i;
    }
}

TEST_P(LoopTest, a_timer_armed_after_a_long_wait_counts_from_now)
{
    RunningLoop l(GetParam());
    sleep_ms(300); /* the loop sleeps in the kernel: its clock must be read anew */
    static TestTimer t;
    t.count = 0;
    uint64_t start = 0;
    l.on_loop([&] {
        start = now_ms();
        loop_timer_init(&t.timer, note);
        loop_timer_arm(l.loop, &t.timer, 100);
    });
    EXPECT_TRUE(eventually([&] { return t.count == 1; }));
    EXPECT_GE(t.fired_ms - start + 2, 100U);
}

TEST_P(LoopTest, a_cancelled_timer_does_not_fire_and_can_be_armed_again)
{
    RunningLoop l(GetParam());
    static TestTimer t;
    t.count = 0;
    l.on_loop([&] {
        loop_timer_init(&t.timer, note);
        loop_timer_arm(l.loop, &t.timer, 30);
        loop_timer_cancel(l.loop, &t.timer);
        loop_timer_cancel(l.loop, &t.timer);
    });
    sleep_ms(100);
    EXPECT_EQ(t.count, 0);
    l.on_loop([&] {
        loop_timer_arm(l.loop, &t.timer, 10000);
        loop_timer_arm(l.loop, &t.timer, 10);
    });
    EXPECT_TRUE(eventually([&] { return t.count == 1; }));
}

TEST_P(LoopTest, work_posted_by_many_threads_is_all_done)
{
    RunningLoop l(GetParam());
    struct Task {
        struct loop_task task;
        std::atomic<int> *sum;
    };
    std::atomic<int> sum{0};
    const int per_thread = 5000;
    std::vector<std::vector<Task>> tasks(4);
    for (auto &v : tasks) {
        v.resize(per_thread);
        for (auto &t : v) {
            t.sum = &sum;
            t.task.fn = [](struct loop *, struct loop_task *lt) { (*((Task *)lt)->sum)++; };
        }
    }
    std::vector<std::thread> threads;
    for (auto &v : tasks) {
        threads.emplace_back([&l, &v] {
            for (auto &t : v) {
                loop_post(l.loop, &t.task);
            }
        });
    }
    for (auto &t : threads) {
        t.join();
    }
    EXPECT_TRUE(eventually([&] { return sum == 4 * per_thread; }));
}

TEST_P(LoopTest, what_was_posted_before_the_stop_is_done)
{
    static std::atomic<int> done;
    done = 0;
    static struct loop_task tasks[10];
    {
        RunningLoop l(GetParam());
        for (auto &t : tasks) {
            t.fn = [](struct loop *, struct loop_task *) { done++; };
            loop_post(l.loop, &t);
        }
    }
    EXPECT_EQ(done, 10);
}

namespace
{

struct Pair {
    struct loop *loop;
    struct fiber *a = nullptr;
    struct fiber *b = nullptr;
    int turn = 0; /* 0: a, 1: b */
    int rounds = 0;
    std::atomic<int> finished{0};
};

void ping(void *arg)
{
    Pair *p = (Pair *)arg;
    p->a = fiber_self();
    while (p->rounds < 10000) {
        while (p->turn != 0) {
            fiber_park();
        }
        p->turn = 1;
        if (p->b != nullptr) {
            fiber_wake(p->b);
        }
    }
    p->finished++;
}

void pong(void *arg)
{
    Pair *p = (Pair *)arg;
    p->b = fiber_self();
    double x = 1.5; /* floating point survives the switch */
    while (p->rounds < 10000) {
        while (p->turn != 1) {
            fiber_park();
        }
        x = x * 1.0000001;
        p->turn = 0;
        p->rounds++;
        fiber_wake(p->a);
    }
    EXPECT_GT(x, 1.5);
    p->b = nullptr; /* nobody may wake it any more */
    p->finished++;
}

} // namespace

TEST_P(LoopTest, fibers_wake_each_other_without_losing_a_wake)
{
    RunningLoop l(GetParam());
    Pair p;
    p.loop = l.loop;
    l.on_loop([&] {
        EXPECT_EQ(fiber_self(), nullptr);
        EXPECT_EQ(fiber_loop(), l.loop);
        EXPECT_EQ(fiber_spawn(l.loop, ping, &p), OK);
        EXPECT_EQ(fiber_spawn(l.loop, pong, &p), OK);
    });
    EXPECT_TRUE(eventually([&] { return p.finished == 2; }));
    EXPECT_EQ(p.rounds, 10000);
}

TEST_P(LoopTest, a_wake_before_the_park_is_kept)
{
    RunningLoop l(GetParam());
    static std::atomic<bool> passed;
    passed = false;
    l.on_loop([&] {
        EXPECT_EQ(fiber_spawn(
                      l.loop,
                      [](void *) {
                          fiber_wake(fiber_self());
                          fiber_park();
                          passed = true;
                      },
                      nullptr),
                  OK);
    });
    EXPECT_TRUE(passed);
}

TEST_P(LoopTest, the_fiber_limit_is_told)
{
    RunningLoop l(GetParam(), 3);
    static std::atomic<int> ended;
    ended = 0;
    auto nap = [](void *) {
        fiber_sleep(50);
        ended++;
    };
    l.on_loop([&] {
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(fiber_spawn(l.loop, nap, nullptr), OK);
        }
        EXPECT_EQ(fiber_spawn(l.loop, nap, nullptr), ERR_LIMIT);
    });
    EXPECT_TRUE(eventually([&] { return ended == 3; }));
    sleep_ms(20);
    l.on_loop([&] { EXPECT_EQ(fiber_spawn(l.loop, nap, nullptr), OK); });
    EXPECT_TRUE(eventually([&] { return ended == 4; }));
}

namespace
{

struct Load {
    struct loop *loop;
    std::atomic<int> ended{0};
    unsigned spawned = 0;
};

/* Each fiber uses its stack deeply, sleeps odd times and starts others. */
unsigned dig(unsigned depth)
{
    volatile char pad[512];
    pad[depth % sizeof(pad)] = (char)depth;
    return depth == 0 ? 1U : dig(depth - 1) + (unsigned)(pad[depth % sizeof(pad)] != (char)depth);
}

void worker(void *arg)
{
    Load *w = (Load *)arg;
    unsigned id = w->spawned++;
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_EQ(dig(20 + id % 40), 1U);
        fiber_sleep((id * 7 + i * 13) % 40);
        EXPECT_EQ(fiber_loop(), w->loop);
    }
    if (w->spawned < 3000) {
        EXPECT_EQ(fiber_spawn(w->loop, worker, w), OK);
    }
    w->ended++;
}

} // namespace

TEST_P(LoopTest, many_fibers_sleep_and_start_others)
{
    RunningLoop l(GetParam());
    Load w;
    w.loop = l.loop;
    l.on_loop([&] {
        for (int i = 0; i < 500; i++) {
            EXPECT_EQ(fiber_spawn(l.loop, worker, &w), OK);
        }
    });
    EXPECT_TRUE(eventually([&] { return w.ended >= 3000; }));
    sleep_ms(100);
    EXPECT_EQ((unsigned)w.ended, w.spawned);
}

/* --- a ring where everything overflows --- */

class TinyRingTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (!have_io_uring()) {
            GTEST_SKIP() << "io_uring is not available here";
        }
        before = io_ring_sizes;
        io_ring_sizes = {4, 8, 2, 256};
    }
    void TearDown() override
    {
        if (before.buffers != 0) {
            io_ring_sizes = before;
        }
    }
    struct io_ring_sizes before = {};
};

TEST_F(TinyRingTest, nothing_is_lost)
{
    Server::Options o;
    o.high = 4096;
    Server s(IO_BACKEND_IO_URING, o);
    std::vector<Client> clients;
    const std::string body(20000, 'q');
    for (int i = 0; i < 100; i++) {
        clients.emplace_back(s.port());
        ASSERT_TRUE(clients.back().send("LIT 20000\r\n" + body + "ECHO " + std::to_string(i) + "\r\nBIG 30000\r\n"));
    }
    for (int i = 0; i < 100; i++) {
        Client &c = clients[(size_t)i];
        EXPECT_EQ(c.line(), "HELLO");
        EXPECT_EQ(c.line(), "+");
        EXPECT_EQ(c.line().substr(0, 9), "LIT 20000");
        EXPECT_EQ(c.line(), std::to_string(i));
        EXPECT_EQ(c.line().size(), 30000U);
    }
    for (size_t i = 0; i < clients.size(); i += 2) {
        clients[i].reset();
    }
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 50; }));
}

/* --- the choice of the backend --- */

namespace
{

/* Runs in a child: decides, prints "<err> <backend> <why>" into a pipe. */
std::string decide_in_child(enum io_backend want, const std::function<void()> &prepare)
{
    int p[2];
    if (pipe(p) != 0) {
        return "pipe";
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        prepare();
        enum io_backend got = IO_BACKEND_AUTO;
        struct buf why;
        buf_init(&why, 4096);
        enum err e = loop_backend_decide(want, &got, &why);
        std::string s = std::string(err_name(e)) + " " + std::to_string(got) + " " +
                        std::string((const char *)buf_slice(&why).p, buf_slice(&why).n);
        ssize_t n = write(p[1], s.data(), s.size());
        _exit(n < 0);
    }
    close(p[1]);
    std::string s;
    char b[4096];
    for (ssize_t n; (n = read(p[0], b, sizeof(b))) > 0 || (n < 0 && errno == EINTR);) {
        s.append(b, n > 0 ? (size_t)n : 0);
    }
    close(p[0]);
    waitpid(pid, nullptr, 0);
    return s;
}

void deny_io_uring(int error)
{
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the number */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {4, f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0) {
        _exit(9);
    }
}

} // namespace

TEST(LoopBackendTest, a_denied_io_uring_falls_back_when_automatic)
{
    for (int error : {EPERM, ENOSYS, ENOMEM, EINVAL, EOPNOTSUPP}) {
        EXPECT_EQ(decide_in_child(IO_BACKEND_AUTO, [&] { deny_io_uring(error); }),
                  "OK " + std::to_string(IO_BACKEND_EPOLL) + " ");
    }
}

TEST(LoopBackendTest, a_strict_request_is_refused_with_the_cause_and_the_remedy)
{
    const std::pair<int, const char *> cases[] = {
        {EPERM, "seccomp"}, {ENOSYS, "seccomp"}, {ENOMEM, "ulimit -l"}, {EINVAL, "too old"}};
    for (auto &c : cases) {
        std::string s = decide_in_child(IO_BACKEND_IO_URING, [&] { deny_io_uring(c.first); });
        EXPECT_EQ(s.substr(0, 15), "ERR_UNSUPPORTED") << s;
        EXPECT_NE(s.find("errno " + std::to_string(c.first)), std::string::npos) << s;
        EXPECT_NE(s.find(c.second), std::string::npos) << s;
    }
}

TEST(LoopBackendTest, a_memlock_limit_is_named)
{
    if (!have_io_uring() || geteuid() != 0) {
        GTEST_SKIP() << "needs io_uring and root";
    }
    std::string s = decide_in_child(IO_BACKEND_IO_URING, [] {
        struct rlimit none = {0, 0};
        if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || setuid(65534) != 0) {
            _exit(9);
        }
    });
    if (s.substr(0, 2) == "OK") {
        GTEST_SKIP() << "this kernel does not charge rings";
    }
    EXPECT_NE(s.find("ulimit -l"), std::string::npos) << s;
}

TEST(LoopBackendTest, epoll_needs_no_probe)
{
    EXPECT_EQ(decide_in_child(IO_BACKEND_EPOLL, [] { deny_io_uring(EPERM); }),
              "OK " + std::to_string(IO_BACKEND_EPOLL) + " ");
}
