#include <stdlib.h>

#include "toy.h"

namespace
{

/* PB_SIM_SEED=n runs that seed alone; PB_SIM_SEEDS=n runs more of them, from PB_SIM_FROM; PB_SIM_COUNTS=1
 * says what happened, PB_SIM_TRACE=1 when. */
uint64_t env(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v == nullptr ? otherwise : strtoull(v, nullptr, 10);
}

#ifdef PB_SANITIZE_address
constexpr uint64_t SEEDS = 8; /* five times as slow */
#else
constexpr uint64_t SEEDS = 40;
#endif

/* Clocks as bad as it allows. */
void lease(cluster::Options *o, int drift_percent)
{
    o->drift_percent = drift_percent;
    o->drift_most = true;
    o->slow_permille = -10 * drift_percent;
    o->lease_percent = drift_percent == 5 ? 11 : 50; /* 1.05 / 0.95, 1.2 / 0.8 */
}

/* A swarm: each seed has its own mix. */
cluster::Options options_of(uint64_t seed)
{
    cluster::Options o;
    o.ms = env("PB_SIM_MS", 60000);
    o.nodes = seed % 3 == 0 ? 5 : 3;
    o.voters = seed % 7 == 0 ? 1 : o.nodes;
    o.shards = 1 + seed % 3;
    o.log_entries_max = seed % 3 == 1 ? 40 : 100000; /* a short log: who was away catches up by a copy */
    o.log_bytes_max = 1 << 30;
    o.log_age_ms = seed % 3 == 2 ? 10000 : 0;
    o.crash_per_min = static_cast<int>(seed % 5) * 4;
    o.cut_per_min = static_cast<int>(seed % 4) * 10;
    o.partition_per_min = static_cast<int>(seed % 6);
    o.full_per_min = seed % 4 == 1 ? 10 : 0;
    o.stall_per_min = seed % 5 == 3 ? 4 : 0;
    o.change_per_min = seed % 2 == 0 ? 40 : 0;
    o.table_per_min = seed % 4 == 2 ? 20 : 0;
    if (o.table_per_min > 0) {
        o.change_per_min = 0;
        o.nodes = seed % 3 == 0 ? 7 : 5;
    }
    o.quiet_ms = seed % 8 == 0 ? 15000 : env("PB_SIM_QUIET_MS", 3000);
    o.transfer_per_min = static_cast<int>(seed % 3) * 4;
    o.loss_percent = static_cast<int>(seed % 4);
    o.delay_ms = seed % 5 == 2 ? 60 : 5;
    o.commit_ms = seed % 4 == 2 ? 40 : 3;
    o.ops_per_s = 10 + static_cast<int>(seed % 8) * 10;
    o.lag_per_min = seed % 4 == 3 ? 4 : 0;
    o.body_max = seed % 9 == 4 ? 60000 : 9000;
    o.copy_bytes_per_s = seed % 2 == 1 ? 120 * o.body_max : 0; /* copies wait for their turn */
    o.trace = env("PB_SIM_TRACE", 0) != 0;
    o.jump_per_min = seed % 6 == 5 ? 6 : 0;
    if (env("PB_SIM_LEASE", seed / 4 % 2 == 0)) {
        lease(&o, seed % 2 == 0 ? 5 : 20);
        o.hand_over_and_stall_percent = seed % 7 < 3 ? 30 : 0;
    }
    return o;
}

TEST(ClusterSim, KeepsItsPromisesUnderRandomLoadAndFaults)
{
    uint64_t only = env("PB_SIM_SEED", 0);
    uint64_t seeds = only != 0 ? only : env("PB_SIM_SEEDS", SEEDS);
    cluster::Counts all = {};
    for (uint64_t seed = only != 0 ? only : env("PB_SIM_FROM", 1); seed <= seeds && !HasFailure(); seed++) {
        SCOPED_TRACE("PB_SIM_SEED=" + std::to_string(seed));
        cluster::Toy w(seed, options_of(seed));
        w.run();
        all.acks += w.counts.acks;
        all.elections += w.counts.elections;
        all.crashes += w.counts.crashes;
        all.changes += w.counts.changes;
        all.emptied += w.counts.emptied;
        all.messages += w.counts.messages;
        all.unknown += w.counts.unknown;
        all.commits += w.counts.commits;
        all.reads += w.counts.reads;
        all.reads_refused += w.counts.reads_refused;
        all.reads_late += w.counts.reads_late;
        all.reads_leased += w.counts.reads_leased;
    }
    EXPECT_GT(all.acks, 100u);
    EXPECT_GT(all.elections, only == 0 && seeds > 3 ? 10u : 0u);
    EXPECT_GT(all.reads, only != 0 ? 0 : all.acks / 2);
    EXPECT_GE(all.reads_leased, only != 0 ? 0 : all.reads / 20);
    if (env("PB_SIM_COUNTS", 0) != 0) {
        printf("%llu reads, %llu under a lease, %llu refused, %llu in vain\n",
               static_cast<unsigned long long>(all.reads), static_cast<unsigned long long>(all.reads_leased),
               static_cast<unsigned long long>(all.reads_refused), static_cast<unsigned long long>(all.reads_late));
        printf("%llu acks, %llu tried again, %llu elections, %llu crashes, %llu changes, %llu left, %llu messages, "
               "%llu commits\n",
               static_cast<unsigned long long>(all.acks), static_cast<unsigned long long>(all.unknown),
               static_cast<unsigned long long>(all.elections), static_cast<unsigned long long>(all.crashes),
               static_cast<unsigned long long>(all.changes), static_cast<unsigned long long>(all.emptied),
               static_cast<unsigned long long>(all.messages), static_cast<unsigned long long>(all.commits));
    }
}

/* Leaders that are cut off or replaced while they do not hear of it. */
cluster::Options restless(cluster::Reads reads)
{
    cluster::Options o;
    o.ms = env("PB_SIM_MS", 30000);
    o.shards = 1;
    o.crash_per_min = 0;
    o.full_per_min = 0;
    o.partition_per_min = 1;
    o.transfer_per_min = 2;
    o.lag_per_min = 8;
    o.delay_ms = 40;
    o.ops_per_s = 60;
    o.reads_per_s = 300;
    o.reads = reads;
    o.complain = reads == cluster::Reads::ASKED;
    return o;
}

uint64_t stale_reads(const cluster::Options &o)
{
    uint64_t stale = 0;
    for (uint64_t seed = 2; seed <= (o.complain ? env("PB_SIM_SEEDS", 3) : 3) && stale == 0; seed++) {
        cluster::Toy w(seed, o);
        w.run();
        stale += w.counts.reads_stale;
        EXPECT_GT(w.counts.reads, 1000u);
        EXPECT_EQ(w.counts.reads_leased > w.counts.reads / 2, o.lease_percent != 0);
    }
    return stale;
}

TEST(ClusterSim, TheCheckerFindsReadsThatAreNotLinearizable)
{
    EXPECT_GT(stale_reads(restless(cluster::Reads::UNASKED)), 0u);
    EXPECT_GT(stale_reads(restless(cluster::Reads::ANY_ANSWER)), 0u);
    EXPECT_EQ(stale_reads(restless(cluster::Reads::ASKED)), 0u);
}

/* A leader that is cut off, with a clock as slow as is allowed, and slower. */
TEST(ClusterSim, TheCheckerFindsALeaseWhoseClockDriftsTooFar)
{
    cluster::Options o = restless(cluster::Reads::ASKED);
    lease(&o, 20);
    EXPECT_EQ(stale_reads(o), 0u);
    o.slow_permille = -700;
    o.complain = false;
    EXPECT_GT(stale_reads(o), 0u);
}

} // namespace
