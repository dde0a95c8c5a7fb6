/* Each seed has its own mix of faults, sizes and load. */
#ifndef TESTS_SIM_MAIL_SWARM_H
#define TESTS_SIM_MAIL_SWARM_H

#include <stdlib.h>

#include "post.h"
#include "proto/base/rng.h"

namespace post
{

inline uint64_t env(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v == nullptr ? otherwise : strtoull(v, nullptr, 10);
}

/* Reads under a lease, and clocks as bad as it allows. */
inline void lease(PostOptions *o, int drift_percent)
{
    o->drift_percent = drift_percent;
    o->drift_most = true;
    o->lease_percent = drift_percent == 0 ? 1 : drift_percent == 5 ? 11 : 50; /* 1.05 / 0.95, 1.2 / 0.8 */
}

inline PostOptions swarm(uint64_t seed)
{
    PostOptions o;
    struct rng r;
    rng_seeded_init(&r, seed * 1000003);
    auto one_of = [&](std::initializer_list<uint64_t> list) { return *(list.begin() + rng_below(&r, list.size())); };
    auto some = [&](std::initializer_list<uint64_t> list) { return static_cast<int>(one_of(list)); };
    o.ms = env("PB_SIM_MS", 20000);
    o.trace = env("PB_SIM_TRACE", 0) != 0;
    o.nodes = static_cast<unsigned>(one_of({3, 3, 3, 5}));
    o.voters = static_cast<unsigned>(one_of({1, o.nodes, o.nodes, o.nodes, o.nodes}));
    o.shards = static_cast<uint32_t>(one_of({2, 2, 3, 4}));
    o.accounts = static_cast<unsigned>(one_of({1, 2, 2, 3}));
    o.devices = static_cast<unsigned>(one_of({2, 3, 4}));
    o.pause_ms = one_of({100, 300, 800});
    o.log_entries_max = one_of({20, 60, 100000}); /* a short log: who was away catches up by a copy */
    o.log_bytes_max = 1 << 30;
    o.election_ms = static_cast<unsigned>(one_of({0, 0, 600}));
    o.long_dead_percent = some({0, 20});
    o.crash_per_min = some({0, 4, 10, 20});
    o.blackout_per_min = some({0, 0, 2, 6});
    o.cut_per_min = some({0, 10, 30});
    o.partition_per_min = some({0, 2, 6, 12});
    o.full_per_min = some({0, 0, 10, 30});
    o.stall_per_min = some({0, 0, 3, 8});
    o.change_per_min = some({0, 0, 40});
    o.quiet_ms = 3000;
    o.table_per_min = o.change_per_min == 0 ? some({0, 20}) : 0;
    o.transfer_per_min = some({0, 4, 10});
    o.backup_per_min = some({0, 100});
    o.loss_percent = some({0, 1, 3});
    o.delay_ms = one_of({2, 5, 60});
    o.commit_ms = one_of({2, 3, 40});
    o.drift_percent = some({0, 5});
    o.skew_ms = one_of({0, 20000});
    o.write_percent = some({40, 60, 80});
    o.folder_percent = some({2, 8, 20});
    o.remove_percent = some({5, 15, 30});
    o.staged_percent = some({0, 6, 20});
    o.mail_max = one_of({400, 2000, 16000});
    o.call_delay_ms = one_of({2, 4, 50});
    o.call_loss_percent = some({0, 1, 6});
    o.call_partition_per_min = some({0, 1, 6});
    o.deadline_ms = one_of({4000, 15000});
    o.silence_ms = one_of({700, 2500});
    o.call_late_percent = some({0, 2, 10});
    o.jump_per_min = some({0, 0, 6});
    if (one_of({0, 1}) != 0 || env("PB_SIM_LEASE", 0) != 0) {
        lease(&o, some({0, 5, 20}));
        o.hand_over_and_stall_percent = some({0, 30});
    }
    o.move_per_min = o.shards > 2 ? some({0, 30, 120}) : 0; /* the first shard is the directory's: nobody leaves it */
    o.move_per_min = static_cast<int>(env("PB_SIM_MOVES", static_cast<uint64_t>(o.move_per_min)));
    return o;
}

/* Much to do, and leaders that change soon: for bugs that must be found within some seeds. */
inline PostOptions fierce(uint64_t seed)
{
    PostOptions o = swarm(seed);
    o.nodes = o.voters = 3;
    o.shards = 2;
    o.accounts = 2;
    o.devices = 4;
    o.pause_ms = 100;
    o.election_ms = 600;
    o.dead_ms = 600;
    o.long_dead_percent = 40;
    o.delay_ms = 5;
    o.commit_ms = 3;
    o.crash_per_min = o.blackout_per_min = o.stall_per_min = o.partition_per_min = o.full_per_min = 0;
    o.cut_per_min = o.change_per_min = o.table_per_min = o.transfer_per_min = o.loss_percent = 0;
    o.log_entries_max = 100000;
    o.silence_ms = 700;
    o.call_delay_ms = 4;
    o.call_loss_percent = 1;
    o.lease_percent = 0;
    o.hand_over_and_stall_percent = o.jump_per_min = o.move_per_min = 0;
    return o;
}

} // namespace post

#endif /* TESTS_SIM_MAIL_SWARM_H */
