/* Does the simulator find bugs? Each of eight, planted in the code that runs in it, must be found within a bounded
 * number of seeds, and without one there must be nothing to find. A seed runs in a process of its own.
 * PB_SIM_FROM, PB_SIM_SEEDS: from which seed on, how many; PB_SIM_ALL=1: not only the first that finds it;
 * PB_SIM_CLIENTS_ONLY=1: nobody looks into the nodes; PB_SIM_SWARM=1: under the faults of sim_mail. */
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "../mail/swarm.h"
#include "proto/base/plant.h"

enum plant plant_sown = PLANT_NONE;

namespace
{

constexpr uint64_t SEEDS_MAX = 40;
constexpr unsigned SECONDS_MAX = 20;

/* What the bug lives on. */
using Faults = std::function<void(post::PostOptions *)>;

/* What the seed printed; *found: it failed. */
std::string run(uint64_t seed, enum plant plant, const Faults &faults, bool *found)
{
    int pipe_fds[2];
    EXPECT_EQ(pipe(pipe_fds), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_fds[1], STDOUT_FILENO);
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[0]);
        alarm(SECONDS_MAX); /* what does not end is found, too */
        plant_sown = plant;
        post::PostOptions o = post::env("PB_SIM_SWARM", 0) != 0 ? post::swarm(seed) : post::fierce(seed);
        faults(&o);
        o.compare = post::env("PB_SIM_CLIENTS_ONLY", 0) == 0;
        {
            post::Post w(seed, o);
            w.run();
        }
        fflush(stdout);
        _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    close(pipe_fds[1]);
    std::string out;
    char some[4096];
    for (ssize_t n = read(pipe_fds[0], some, sizeof(some)); n > 0; n = read(pipe_fds[0], some, sizeof(some))) {
        out.append(some, static_cast<size_t>(n));
    }
    close(pipe_fds[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    *found = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return out;
}

/* The first complaint. */
std::string complaint(const std::string &out)
{
    size_t at = out.find(": Failure\n");
    at = at == std::string::npos ? 0 : at + sizeof(": Failure\n") - 1;
    return out.substr(at, out.find("Google Test trace", at) - at).substr(0, 400);
}

void must_be_found(enum plant plant, const Faults &faults)
{
    uint64_t from = post::env("PB_SIM_FROM", 1);
    uint64_t max = post::env("PB_SIM_SEEDS", SEEDS_MAX);
    uint64_t n = 0;
    for (uint64_t seed = from; seed < from + max; seed++) {
        bool found;
        std::string out = run(seed, plant, faults, &found);
        n += found;
        if (found && (n == 1 || post::env("PB_SIM_ALL", 0) != 0)) {
            printf("found by seed %llu:\n%s\n", static_cast<unsigned long long>(seed), complaint(out).c_str());
        }
        if (found && post::env("PB_SIM_ALL", 0) == 0) {
            return;
        }
    }
    printf("found by %llu of %llu seeds\n", static_cast<unsigned long long>(n), static_cast<unsigned long long>(max));
    EXPECT_GT(n, 0u);
}

TEST(Planted, AnEntryAcknowledgedBeforeTheCommitIsFound)
{
    must_be_found(PLANT_EARLY_ACK, [](post::PostOptions *o) { o->blackout_per_min = 30; });
}

TEST(Planted, AnEntryAppliedBeforeItIsInTheLogIsFound)
{
    must_be_found(PLANT_EARLY_APPLY, [](post::PostOptions *o) {
        o->crash_per_min = 15;
        o->loss_percent = 4;
    });
}

TEST(Planted, AReadThatNobodyConfirmedIsFound)
{
    must_be_found(PLANT_NONE, [](post::PostOptions *o) {
        o->stall_per_min = 8;
        o->reads = cluster::Reads::UNASKED;
    });
}

TEST(Planted, DedupeRecordsThatACopyLeavesOutAreFound)
{
    must_be_found(PLANT_DEDUPE_LOST, [](post::PostOptions *o) {
        o->crash_per_min = 10;
        o->log_entries_max = 20;
    });
}

TEST(Planted, AUidCounterThatIsNotRolledBackIsFound)
{
    must_be_found(PLANT_UID_UNROLLED, [](post::PostOptions *o) { o->full_per_min = 10; });
}

TEST(Planted, ALeaseThatTakesNoDriftIntoAccountIsFound)
{
    must_be_found(PLANT_LEASE_DRIFT, [](post::PostOptions *o) {
        post::lease(o, 20);
        o->lag_per_min = 20;
        o->slow_permille = -200;
        o->election_ms = 2000;
        o->silence_ms = 100;
        o->devices = 8;
        o->folder_percent = o->staged_percent = 0;
        o->delay_ms = o->commit_ms = 1;
        o->write_percent = 4; /* who writes looks for another leader at once */
    });
}

TEST(Planted, ALeaseThatOutlivesATransferIsFound)
{
    must_be_found(PLANT_LEASE_KEPT, [](post::PostOptions *o) {
        post::lease(o, 5);
        o->transfer_per_min = 20;
        o->hand_over_and_stall_percent = 50;
    });
}

TEST(Planted, AMoveWhoseFenceLetsWritesPassIsFound)
{
    must_be_found(PLANT_MOVE_FENCE, [](post::PostOptions *o) {
        o->shards = 3;
        o->move_per_min = 200;
        o->call_loss_percent = 10;
        o->staged_percent = 0; /* nothing that a fence would wait for */
        o->write_percent = 80;
    });
}

TEST(Planted, WithoutABugNothingIsFound)
{
    for (uint64_t seed = 1; seed <= 3 && !HasFailure(); seed++) {
        bool found;
        auto all = [](post::PostOptions *o) {
            o->crash_per_min = o->stall_per_min = o->full_per_min = 4;
            o->loss_percent = 4;
            o->log_entries_max = 20;
            o->partition_per_min = o->transfer_per_min = 10;
            o->hand_over_and_stall_percent = 50;
            post::lease(o, 20);
            o->shards = 3;
            o->move_per_min = 200;
        };
        std::string out = run(seed, PLANT_NONE, all, &found);
        EXPECT_FALSE(found) << out;
    }
}

/* Servers that lag behind many changes of their group, beside some that have left it. */
TEST(Planted, AVoteOfWhoThrewItsLogAwayIsFound)
{
    must_be_found(PLANT_NO_FLOOR, [](post::PostOptions *o) {
        o->nodes = o->voters = 5;
        o->table_per_min = 40;
        o->partition_per_min = 6;
        o->quiet_ms = 3000;
    });
}

} // namespace
