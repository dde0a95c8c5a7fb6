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

} // namespace
