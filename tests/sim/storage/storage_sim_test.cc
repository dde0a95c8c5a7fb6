#include <stdlib.h>

#include "world.h"

namespace
{

/* PB_SIM_SEED=n runs that seed alone; PB_SIM_SEEDS=n runs more of them; PB_SIM_COUNTS=1 says what happened. */
uint64_t env(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v == nullptr ? otherwise : strtoull(v, nullptr, 10);
}

mail::WorldOptions options_of(uint64_t seed)
{
    mail::WorldOptions o;
    o.shards = 3 + seed % 2;
    o.steps = 30 + static_cast<int>(seed % 7) * 10;
    o.ops_per_step = 2 + static_cast<int>(seed % 11);
    o.handoff_outages = env("PB_SIM_HANDOFF_OUTAGES", 0) != 0;
    o.trace = env("PB_SIM_TRACE", 0) != 0;
    o.node.shards = o.shards;
    o.node.log_entries_max = 1 + seed % 13;
    o.node.dead_retention_ms = seed % 3 == 0 ? 60000 : 0;
    if (seed % 4 == 1) { /* more keywords than the row has bits */
        o.keywords_percent = 60;
        o.accounts_max = 2;
    }
    if (seed % 40 == 7) { /* copies, undoing and purges of several entries */
        o.bulk = true;
        o.shards = o.node.shards = 2;
        o.accounts_max = 1;
        o.steps = 60;
    }
    if (seed % 5 == 0) { /* no faults: long histories */
        o.crash_percent = 0;
        o.full_percent = 0;
        o.nomem_percent = 0;
        o.steps = 120;
    }
    return o;
}

TEST(StorageSim, KeepsItsPromisesUnderRandomLoadAndFaults)
{
    uint64_t only = env("PB_SIM_SEED", 0);
    uint64_t seeds = only != 0 ? only : env("PB_SIM_SEEDS", 200);
    uint64_t acks = 0;
    std::map<std::string, uint64_t> counts;
    for (uint64_t seed = only != 0 ? only : env("PB_SIM_FROM", 1); seed <= seeds && !HasFailure(); seed++) {
        SCOPED_TRACE("PB_SIM_SEED=" + std::to_string(seed));
        mail::World w(seed, options_of(seed));
        w.run();
        acks += w.acks;
        for (const auto &[what, n] : w.counts) {
            counts[what] += n;
        }
    }
    EXPECT_GT(acks, 100u);
    for (const auto &[what, n] : counts) {
        if (env("PB_SIM_COUNTS", 0) != 0) {
            printf("%10llu %s\n", static_cast<unsigned long long>(n), what.c_str());
        }
    }
}

mail::WorldOptions script()
{
    mail::WorldOptions o = options_of(3);
    o.steps = 40;
    o.ops_per_step = 12;
    return o;
}

TEST(StorageSim, SurvivesACrashAtEveryCommitBoundary)
{
    uint64_t crashes = 0;
    for (uint64_t nth = 3; !HasFailure(); nth++) {
        SCOPED_TRACE("commit " + std::to_string(nth));
        mail::World before(11, script());
        mail::World after(11, script());
        bool came = before.run_with_one_fault(nth, 0, 0);
        came = after.run_with_one_fault(0, nth, 0) || came;
        if (!came) {
            break; /* past the last one */
        }
        crashes++;
    }
    EXPECT_GT(crashes, 30u);
}

TEST(StorageSim, SurvivesAFullDiskAtWritesAllOverTheLoad)
{
    uint64_t fired = 0;
    for (uint64_t nth = 1; !HasFailure(); nth += 1 + nth / 12) {
        SCOPED_TRACE("write " + std::to_string(nth));
        mail::World w(11, script());
        if (!w.run_with_one_fault(0, 0, nth)) {
            break;
        }
        fired++;
    }
    EXPECT_GT(fired, 30u);
}

} // namespace
