/* Three nodes with threads of their own. */
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <string>
#include <thread>

#include "fake_volume.h"
#include "proto/base/clock.h"
#include "replication/reads.h"

namespace
{

constexpr uint32_t SHARDS = 5;

uint64_t now_ms()
{
    return clock_mono_ms(clock_system());
}

struct Frame {
    uint64_t from;
    std::string bytes;
};

struct Node {
    uint64_t id;
    struct volume volume;
    struct repl_reads *reads;
    Node *all;
    std::mutex lock;
    std::condition_variable wake;
    std::deque<Frame> inbox;
    bool stop = false;
    std::thread link;

    static void send(void *ctx, struct node_id to, struct slice frame)
    {
        Node *self = static_cast<Node *>(ctx);
        Node *other = &self->all[to.v - 1];
        std::lock_guard<std::mutex> hold(other->lock);
        other->inbox.push_back({self->id, std::string(reinterpret_cast<const char *>(frame.p), frame.n)});
        other->wake.notify_one();
    }
    void run()
    {
        std::unique_lock<std::mutex> hold(lock);
        while (!stop) {
            if (inbox.empty()) {
                wake.wait(hold);
                continue;
            }
            Frame f = inbox.front();
            inbox.pop_front();
            hold.unlock();
            struct slice bytes = slice_make(f.bytes.data(), f.bytes.size());
            if (f.bytes[0] == 2) {
                repl_reads_ping(reads, {f.from}, bytes);
            } else {
                repl_reads_pong(reads, {f.from}, bytes, now_ms());
            }
            hold.lock();
        }
    }
};

struct Read {
    struct repl_read r; /* first */
    std::atomic<int> answers{0};
    enum err status = OK;
    static void done(struct repl_read *r, enum err status)
    {
        Read *self = reinterpret_cast<Read *>(r);
        self->status = status;
        self->answers++;
    }
};

/* done is slow here; who stops waits for it. */
struct Slow {
    struct repl_read r; /* first */
    std::atomic<int> entered{0};
    std::atomic<int> left{0};
    static void done(struct repl_read *r, enum err)
    {
        Slow *self = reinterpret_cast<Slow *>(r);
        self->entered++;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        self->left++;
    }
};

TEST(ReadsThreads, TheStopWaitsForAnswersThatAreBeingGiven)
{
    struct volume v;
    Slow slow;
    v.shards[0].leads_term = 5;
    v.shards[0].commit = 1;
    v.shards[0].alone = true;
    const struct repl_reads_config cfg = {&v, {1}, 1, nullptr, nullptr};
    struct repl_reads *reads;
    ASSERT_EQ(repl_reads_new(&cfg, &reads), OK);
    memset(&slow.r, 0, sizeof(slow.r));
    slow.r.deadline_ms = UINT64_MAX;
    slow.r.done = Slow::done;
    repl_reads_begin(reads, &slow.r, 0);
    {
        std::lock_guard<std::mutex> hold(v.lock);
        v.shards[0].applied = 1;
    }
    std::thread writer([&] { repl_reads_tick(reads, 0); });
    while (slow.entered == 0) {
        std::this_thread::yield();
    }
    repl_reads_stop(reads);
    EXPECT_EQ(slow.left, 1);
    writer.join();
    repl_reads_free(reads);
}

TEST(ReadsThreads, EveryReadIsAnsweredOnceByWhicheverThread)
{
    Node nodes[3];
    for (uint64_t i = 0; i < 3; i++) {
        Node *n = &nodes[i];
        n->id = i + 1;
        n->all = nodes;
        for (uint32_t s = 0; s < SHARDS; s++) {
            n->volume.shards[s].term = 5;
            n->volume.shards[s].commit = n->volume.shards[s].applied = 1;
            n->volume.shards[s].voters = {1, 2, 3};
            n->volume.shards[s].leads_term = i == 0 ? 5 : 0;
        }
        const struct repl_reads_config cfg = {&n->volume, {n->id}, i, n, Node::send};
        ASSERT_EQ(repl_reads_new(&cfg, &n->reads), OK);
        n->link = std::thread([n] { n->run(); });
    }
    std::atomic<bool> over{false};
    std::thread writer([&] { /* what the volume's thread does: it commits, applies, ticks */
                             for (uint64_t i = 2; !over; i++) {
                                 for (uint32_t s = 0; s < SHARDS; s++) {
                                     FakeShard *f = &nodes[0].volume.shards[s];
                                     std::lock_guard<std::mutex> hold(nodes[0].volume.lock);
                                     f->applied = f->commit;
                                     f->commit += i % 2;
                                     f->configuration = i / 64;
                                     f->leads_term = s == 4 && i % 64 == 0 ? 0 : 5;
                                 }
                                 repl_reads_tick(nodes[0].reads, now_ms());
                                 std::this_thread::yield();
                             }
    });
    std::atomic<int> ok{0};
    std::vector<std::thread> clients;
    for (int c = 0; c < 3; c++) {
        clients.emplace_back([&, c] {
            for (int i = 0; i < 500; i++) {
                Read r;
                memset(&r.r, 0, sizeof(r.r));
                r.r.shard.v = static_cast<uint32_t>(i + c) % SHARDS;
                r.r.deadline_ms = now_ms() + (i % 50 == 0 ? 0 : 20000);
                r.r.done = Read::done;
                repl_reads_begin(nodes[0].reads, &r.r, now_ms());
                while (r.answers == 0) {
                    std::this_thread::yield();
                }
                EXPECT_EQ(r.answers, 1);
                EXPECT_TRUE(r.status == OK || (r.status == ERR_UNAVAILABLE && i % 50 == 0) ||
                            (r.status == ERR_NOT_LEADER && r.r.shard.v == 4))
                    << r.status;
                ok += r.status == OK;
            }
        });
    }
    for (std::thread &t : clients) {
        t.join();
    }
    over = true;
    writer.join();
    for (Node &n : nodes) {
        {
            std::lock_guard<std::mutex> hold(n.lock);
            n.stop = true;
            n.wake.notify_one();
        }
        n.link.join();
    }
    for (Node &n : nodes) {
        repl_reads_free(n.reads);
    }
    EXPECT_GT(ok, 1000);
}

} // namespace
