#include "rpc_fixture.h"

#include <pthread.h>

#include "proto/base/mem.h"

TEST(Inproc, AHandlerThatAnswersAtOnceCompletesTheCallOnTheCallersThread)
{
    Server srv;
    std::thread::id handled_by;
    srv.handler = [&](struct rpc_request *r) {
        handled_by = std::this_thread::get_id();
        Server::echo(r);
    };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url));
    struct rpc_client *c = client_open(url);
    Flock f(1);
    ASSERT_EQ(OK, f.send(c, 0, "at once", 5000));
    EXPECT_EQ(1, f.done);
    EXPECT_EQ(std::this_thread::get_id(), handled_by);
    rpc_client_close(c);
}

TEST(Inproc, AClientMayComeBeforeItsServer)
{
    std::string url = fresh_url("inproc");
    struct rpc_client *c = client_open(url);
    EXPECT_FALSE(rpc_client_connected(c));
    Flock f(1);
    EXPECT_EQ(ERR_UNAVAILABLE, f.send(c, 0, "early", 1000));
    Server srv;
    srv.handler = Server::echo;
    ASSERT_EQ(OK, srv.open(url));
    EXPECT_TRUE(rpc_client_connected(c));
    EXPECT_EQ(OK, f.send(c, 0, "now", 1000));
    EXPECT_EQ(1, f.by_status[OK]);
    rpc_client_close(c);
}

TEST(Inproc, ACallThatTimedOutCountsAsInFlightUntilItsReply)
{
    Server srv;
    srv.handler = [&](struct rpc_request *r) { srv.hold_or_echo(r); };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url));
    struct rpc_client *c = client_open(url, 1);
    Flock f(2);
    ASSERT_EQ(OK, f.send(c, 0, "slow", 30));
    ASSERT_TRUE(eventually([&] { return f.done == 1; }));
    EXPECT_EQ(1, f.by_status[ERR_TIMEOUT]);
    EXPECT_EQ(ERR_OVERLOAD, f.send(c, 1, "next", 5000));
    srv.answers = true;
    srv.release();
    EXPECT_EQ(OK, f.send(c, 1, "next", 5000));
    EXPECT_EQ(1, f.by_status[OK]);
    EXPECT_EQ(2, f.done) << "the late reply completed something";
    rpc_client_close(c);
}

TEST(Inproc, RepliesThatComeAfterTheClientIsGoneAreThrownAway)
{
    Server srv;
    srv.handler = [&](struct rpc_request *r) { srv.hold(r); };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url, "", 4));
    struct rpc_client *c = client_open(url);
    Flock f(10);
    for (size_t i = 0; i < 10; i++) {
        ASSERT_EQ(OK, f.send(c, i, "x", 60000)); /* the last six wait in line */
    }
    rpc_client_close(c);
    EXPECT_EQ(10, f.by_status[ERR_CLOSED]);
    EXPECT_TRUE(eventually([&] {
        srv.release();
        return srv.arrivals.size() == 10;
    }));
    srv.close();
    EXPECT_EQ(10, f.done);
}

TEST(Inproc, WhatWaitsInLineIsRefusedByAServerThatStops)
{
    Server srv;
    srv.handler = [&](struct rpc_request *r) { srv.hold(r); };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url, "", 1));
    struct rpc_client *c = client_open(url);
    struct rpc_call late[3];
    std::vector<std::thread> callers;
    for (struct rpc_call &call : late) {
        call = call_make("late", "", 60000);
        callers.emplace_back([&] { EXPECT_EQ(OK, rpc_client_call(c, &call)); });
    }
    ASSERT_TRUE(eventually([&] { return srv.held_count() == 1; }));
    std::this_thread::sleep_for(50ms);
    srv.close();
    int refused = 0;
    for (size_t i = 0; i < 3; i++) {
        callers[i].join();
        refused += late[i].reply.head.status == ERR_UNAVAILABLE ? 1 : 0;
        rpc_reply_fini(&late[i].reply);
    }
    EXPECT_EQ(2, refused);
    EXPECT_EQ(1u, srv.arrivals.size());
    EXPECT_FALSE(rpc_client_connected(c));
    rpc_client_close(c);
}

namespace
{

/* Runs f on a thread with the stack of a fiber. */
void on_small_stack(const std::function<void()> &f)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    ASSERT_EQ(0, pthread_create(
                     &thread, &attr,
                     [](void *p) -> void * {
                         (*(const std::function<void()> *)p)();
                         return nullptr;
                     },
                     (void *)&f));
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attr);
}

} // namespace

TEST(Inproc, ALongLineOfRequestsThatAreRefusedAtOnceNeedsNoStack)
{
    Server srv;
    srv.handler = [&](struct rpc_request *r) { srv.hold_or_echo(r); };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url, "", 1));
    struct rpc_client *c = client_open(url);
    Flock f(4000);
    for (size_t i = 0; i < 4000; i++) {
        ASSERT_EQ(OK, f.send(c, i, "x", 60000));
    }
    srv.answers = true;
    on_small_stack([&] { srv.release(); });
    EXPECT_EQ(4000, f.done);
    rpc_client_close(c);
}

TEST(Inproc, ASendThatFailsLeavesNothingTheServerWaitsFor)
{
    Server srv;
    srv.handler = [&](struct rpc_request *r) { srv.hold(r); };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url));
    struct rpc_client *c = client_open(url, 1);
    Flock f(2);
    mem_fail_nth(1);
    enum err e = f.send(c, 0, "no slot", 60000);
    mem_fail_nth(0);
    EXPECT_EQ(ERR_NOMEM, e);
    ASSERT_EQ(OK, f.send(c, 0, "held", 60000));
    EXPECT_EQ(ERR_OVERLOAD, f.send(c, 1, "one too many", 60000));
    srv.close();
    EXPECT_EQ(1, f.done);
    rpc_client_close(c);
}

TEST(Inproc, AServerHasOneNameWithinItsProcess)
{
    std::string one = fresh_url("inproc"), two = fresh_url("inproc");
    const char *urls[] = {one.c_str(), two.c_str()};
    struct rpc_server_config cfg = {};
    cfg.urls = urls;
    cfg.n_urls = 2;
    cfg.on_request = [](void *, struct rpc_request *) {};
    struct rpc_server *s = nullptr;
    struct buf why;
    buf_init(&why, 1024);
    EXPECT_EQ(ERR_INVAL, rpc_server_open(&cfg, &s, &why));
    EXPECT_NE(std::string::npos, std::string((const char *)why.base + why.off, why.len).find(two));
    buf_fini(&why);
    struct rpc_client *c = client_open(one);
    EXPECT_FALSE(rpc_client_connected(c)) << "the first name outlived the failure";
    rpc_client_close(c);
}

TEST(Inproc, TheLineIsFedAsRepliesMakeRoom)
{
    Server srv;
    srv.handler = [&](struct rpc_request *r) { srv.hold(r); };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url, "", 3));
    struct rpc_client *c = client_open(url);
    Flock f(20);
    for (size_t i = 0; i < 20; i++) {
        ASSERT_EQ(OK, f.send(c, i, "x", 60000));
    }
    for (int answered = 3; answered < 20; answered += 3) {
        EXPECT_EQ(3u, srv.held_count());
        srv.release();
        EXPECT_EQ(answered, f.done);
    }
    srv.release();
    EXPECT_EQ(20, f.by_status[OK]);
    rpc_client_close(c);
}

namespace
{

/* A call whose completion takes until it is let go. */
struct SlowCall {
    struct rpc_call call = call_make("slow to complete", "", 60000);
    std::atomic<bool> entered{false}, go{false};

    SlowCall()
    {
        call.user = this;
        call.done = [](struct rpc_call *c) {
            SlowCall *self = (SlowCall *)c->user;
            rpc_reply_fini(&c->reply);
            self->entered = true;
            while (!self->go) {
                std::this_thread::sleep_for(1ms);
            }
        };
    }
};

/* Whether f, on a thread of its own, returns only once the call is let go. */
bool waits_for(SlowCall *slow, const std::function<void()> &f)
{
    std::atomic<bool> returned{false};
    std::thread t([&] {
        f();
        returned = true;
    });
    std::this_thread::sleep_for(50ms);
    bool waited = !returned;
    slow->go = true;
    t.join();
    return waited;
}

} // namespace

TEST(Inproc, AServerThatClosesWaitsForRefusalsOnTheirWay)
{
    Server srv;
    srv.handler = Server::echo;
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url));
    struct rpc_client *c = client_open(url);
    rpc_server_stop(srv.s);
    SlowCall slow;
    std::thread caller([&] { EXPECT_EQ(OK, rpc_client_send(c, &slow.call)); });
    ASSERT_TRUE(eventually([&] { return slow.entered.load(); }));
    EXPECT_TRUE(waits_for(&slow, [&] { srv.close(); }));
    caller.join();
    rpc_client_close(c);
}

TEST(Inproc, AClientThatClosesWaitsForCompletionsOnTheirWay)
{
    Server srv;
    srv.handler = [&](struct rpc_request *r) { srv.hold(r); };
    std::string url = fresh_url("inproc");
    ASSERT_EQ(OK, srv.open(url));
    struct rpc_client *c = client_open(url);
    SlowCall slow;
    ASSERT_EQ(OK, rpc_client_send(c, &slow.call));
    std::thread replier([&] { srv.release(); });
    ASSERT_TRUE(eventually([&] { return slow.entered.load(); }));
    EXPECT_TRUE(waits_for(&slow, [&] { rpc_client_close(c); }));
    replier.join();
}

/* Everything at once: callers on several threads, replies from another, a server that comes and goes, clients too. */
TEST(Inproc, ServersAndClientsThatComeAndGoUnderLoadLoseNoCompletion)
{
    std::string url = fresh_url("inproc");
    std::atomic<bool> stop{false};
    std::atomic<int> sent{0}, done{0}, ok{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++) {
        threads.emplace_back([&, t] {
            while (!stop) {
                struct rpc_client *c = client_open(url, 8);
                Flock f(200);
                int mine = 0;
                for (size_t i = 0; i < 200; i++) {
                    mine += f.send(c, i, "load", i % 7 == 0 ? 1 : 60000) == OK ? 1 : 0;
                    if (i % 16 == 0) {
                        std::this_thread::yield();
                    }
                }
                if (t != 0) {
                    EXPECT_TRUE(eventually([&] { return f.done == mine; }));
                }
                rpc_client_close(c);
                EXPECT_EQ(mine, f.done);
                sent += mine;
                done += f.done;
                ok += f.by_status[OK];
            }
        });
    }
    for (int round = 0; round < 30; round++) {
        std::atomic<int> n{0};
        Server srv;
        srv.handler = [&](struct rpc_request *r) { ++n % 3 == 0 ? Server::echo(r) : srv.hold(r); };
        ASSERT_EQ(OK, srv.open(url, "", 4));
        for (int i = 0; i < 10; i++) {
            std::this_thread::sleep_for(1ms);
            srv.release();
        }
    }
    stop = true;
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_EQ(sent, done);
    EXPECT_GT(ok, 100);
}
