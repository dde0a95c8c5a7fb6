#include <stdlib.h>

#include "toy.h"

namespace
{

constexpr uint32_t SHARDS = 3;

/* PB_SIM_SEED=n runs that seed alone; PB_SIM_SEEDS=n runs more of them. */
uint64_t env(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v == nullptr ? otherwise : strtoull(v, nullptr, 10);
}

TEST(ReplicationSim, SurvivesRandomLoadAndFaults)
{
    uint64_t only = env("PB_SIM_SEED", 0);
    uint64_t seeds = only != 0 ? only : env("PB_SIM_SEEDS", 300);
    uint64_t acks = 0;
    for (uint64_t seed = only != 0 ? only : 1; seed <= seeds && !HasFailure(); seed++) {
        SCOPED_TRACE("PB_SIM_SEED=" + std::to_string(seed));
        Toy toy(SHARDS);
        sim::Options o;
        o.node.shards = SHARDS;
        o.node.log_entries_max = 1 + seed % 12;
        o.node.dead_retention_ms = seed % 3 == 0 ? 5000 : 0;
        o.ops_per_step = 1 + static_cast<int>(seed % 9);
        o.steps = 40;
        sim::run(seed, &toy, o);
        acks += toy.acks;
    }
    EXPECT_GT(acks, 10u);
}

/* The same script with one fault at a given place; returns how many places there are. */
struct Script {
    Toy toy{SHARDS};
    sim::NodeOptions options;
    sim::Node node;
    explicit Script(uint64_t seed) : options(make()), node(seed, &toy, options)
    {
    }
    static sim::NodeOptions make()
    {
        sim::NodeOptions o;
        o.shards = SHARDS;
        o.log_entries_max = 3;
        return o;
    }
    void load()
    {
        struct kv_txn *t;
        for (int turn = 0; turn < 12 && !node.crashed(); turn++) {
            if (turn == 6) { /* a clean restart; the fault stays set */
                node.stop();
                ASSERT_EQ(node.start(), OK);
                node.turn();
                continue;
            }
            ASSERT_EQ(kv_begin(node.kv, false, &t), OK);
            for (int i = 0; i < 4; i++) {
                sim::Op op;
                op.shard = static_cast<uint32_t>(rng_below(&node.rng, SHARDS));
                if (toy.propose(op.shard, t, &node.rng, &op)) {
                    node.submit(op);
                }
            }
            kv_abort(t);
            node.turn();
            node.advance(50);
        }
    }
    void recover()
    {
        struct kv_mem_faults none = {};
        *kv_mem_faults(node.kv) = none;
        if (node.crashed()) {
            ASSERT_TRUE(node.restart());
        }
        node.settle();
        node.check();
        ASSERT_TRUE(node.restart());
        toy.finish(&node);
    }
};

TEST(ReplicationSim, SurvivesACrashAtEveryCommitBoundary)
{
    Script clean(5);
    ASSERT_EQ(clean.node.start(), OK);
    clean.node.turn();
    clean.load();
    uint64_t commits = kv_mem_commits(clean.node.kv);
    ASSERT_GT(commits, 10u);
    for (uint64_t nth = 1; nth <= commits && !HasFailure(); nth++) {
        for (bool before : {true, false}) {
            SCOPED_TRACE("commit " + std::to_string(nth) + (before ? " before" : " after"));
            Script s(5);
            ASSERT_EQ(s.node.start(), OK);
            struct kv_mem_faults *f = kv_mem_faults(s.node.kv);
            (before ? f->crash_before_commit_nth : f->crash_after_commit_nth) = nth;
            s.node.turn();
            s.load();
            ASSERT_TRUE(s.node.crashed());
            s.recover();
        }
    }
}

TEST(ReplicationSim, SurvivesAFullDiskAtEveryWriteAndEveryCommit)
{
    Script clean(6);
    ASSERT_EQ(clean.node.start(), OK);
    clean.node.turn();
    clean.load();
    uint64_t fired = 0;
    for (uint64_t nth = 1; nth <= kv_mem_operations(clean.node.kv) && !HasFailure(); nth++) {
        SCOPED_TRACE("write " + std::to_string(nth));
        Script s(6);
        ASSERT_EQ(s.node.start(), OK);
        kv_mem_faults(s.node.kv)->put_full_nth = nth;
        s.node.turn();
        s.load();
        if (kv_mem_faults(s.node.kv)->put_full_nth != 0) {
            break; /* past the last write */
        }
        fired++;
        s.recover();
    }
    EXPECT_GT(fired, 100u);
    for (uint64_t nth = 1; nth <= kv_mem_commits(clean.node.kv) && !HasFailure(); nth++) {
        SCOPED_TRACE("commit " + std::to_string(nth));
        Script s(6);
        ASSERT_EQ(s.node.start(), OK);
        kv_mem_faults(s.node.kv)->commit_full_nth = nth;
        s.node.turn();
        s.load();
        s.recover();
    }
}

} // namespace
