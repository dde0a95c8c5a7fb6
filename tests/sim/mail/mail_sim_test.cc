#include "swarm.h"

namespace
{

/* PB_SIM_SEED=n runs that seed alone; PB_SIM_SEEDS=n runs up to that one, from PB_SIM_FROM; PB_SIM_MS: with faults;
 * PB_SIM_COUNTS=1 says what happened, PB_SIM_TRACE=1 when. */
#ifdef PB_SANITIZE_address
constexpr uint64_t SEEDS = 6; /* five times as slow */
#else
constexpr uint64_t SEEDS = 30;
#endif

TEST(MailSim, KeepsItsPromisesUnderRandomLoadAndFaults)
{
    uint64_t only = post::env("PB_SIM_SEED", 0);
    uint64_t seeds = only != 0 ? only : post::env("PB_SIM_SEEDS", SEEDS);
    uint64_t acks = 0;
    std::map<std::string, uint64_t> happened;
    for (uint64_t seed = only != 0 ? only : post::env("PB_SIM_FROM", 1); seed <= seeds && !HasFailure(); seed++) {
        SCOPED_TRACE("PB_SIM_SEED=" + std::to_string(seed));
        post::PostOptions o = post::swarm(seed);
        o.confirm_checks = post::env("PB_SIM_CONFIRM_CHECKS", 1) != 0;
        post::Post w(seed, o);
        w.run();
        acks += w.counts.acks;
        w.happened["elections"] += w.counts.elections;
        w.happened["reads under a lease"] += w.counts.reads_leased;
        w.happened["crashes"] += w.counts.crashes;
        w.happened["changes of a configuration"] += w.counts.changes;
        w.happened["backups restored"] += w.counts.backups;
        w.happened["replicas thrown away"] += w.counts.emptied;
        w.happened["commits"] += w.counts.commits;
        for (const auto &[what, n] : w.happened) {
            happened[what] += n;
        }
    }
    EXPECT_GT(acks, only != 0 ? 0u : 100u);
    for (const auto &[what, n] : happened) {
        if (post::env("PB_SIM_COUNTS", 0) != 0) {
            printf("%10llu %s\n", static_cast<unsigned long long>(n), what.c_str());
        }
    }
}

} // namespace
