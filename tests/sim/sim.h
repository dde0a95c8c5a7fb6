/* One storage node in one thread, from one seed: its disk is a kv_mem with crash semantics, its clock and its
 * randomness are simulated. What is simulated on it is a Workload: state machines, the proposals made to them, and the
 * checks of what must hold.
 *
 *     MyWorkload w(seed);
 *     sim::Options o;               // faults and their rates
 *     sim::run(seed, &w, o);        // EXPECTs inside w.check() and w.answered()
 *
 * or, for a scripted test, drive a sim::Node directly. The same seed gives the same run: print it in SCOPED_TRACE. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

#include "replication/volume.h"
#include "storage/kv/kv_mem.h"

namespace sim
{

/* A proposal; fields as in struct proposal. `tag` is the workload's. */
struct Op {
    uint32_t shard = 0;
    bool grows = false;
    std::string data;
    std::string body;
    uint64_t staged_index = 0;
    uint64_t staged_offset = 0;
    uint64_t tag = 0;
};

class Workload
{
  public:
    virtual ~Workload() = default;
    /* The node starts: a fresh state machine for the shard. Called again after each crash, when what it had in memory
     * is gone. */
    virtual struct repl_fsm open(uint32_t shard) = 0;
    /* The shard's key prefix, before the first apply. */
    virtual void prefix(uint32_t shard, const uint8_t prefix[5]) = 0;
    /* A random proposal; false = none now. `t` reads the committed state. */
    virtual bool propose(uint32_t shard, struct kv_txn *t, struct rng *r, Op *out) = 0;
    virtual void answered(const Op &op, enum err status, const std::string &result) = 0;
    /* The node died with the proposal unanswered: it may or may not have happened. */
    virtual void lost(const Op &op) = 0;
    /* After each restart (all shards lead) and at the end, on a snapshot. */
    virtual void check(uint32_t shard, struct kv_txn *t) = 0;
    /* At the very end, faults off, everything answered: a last scripted part. */
    virtual void finish(class Node *)
    {
    }
};

struct Clock {
    struct clock base; /* first: the C side sees this */
    uint64_t mono_ms;
    uint64_t wall_ms;
};

struct NodeOptions {
    uint32_t shards = 3;
    uint64_t log_entries_max = 8;
    uint64_t log_bytes_max = 256 * 1024;
    uint64_t dead_retention_ms = 0;
    uint64_t reserve_bytes = 0;
    struct kv *kv = nullptr; /* a store of the caller's instead of a kv_mem: then nothing crashes */
};

class Node
{
  public:
    Node(uint64_t seed, Workload *w, const NodeOptions &o);
    ~Node();
    Node(const Node &) = delete;
    Node &operator=(const Node &) = delete;

    /* Opens the volume and its replicas; does not run a turn. */
    enum err start();
    /* The process ends (the store stays); unanswered proposals are lost. */
    void stop();
    /* After a crash: power on, start, turns until all shards lead. False when they do not within some turns. */
    bool restart();

    void submit(const Op &op);
    /* One turn over what was submitted. Notices a crash of the store. Returns volume_turn's wait. */
    uint64_t turn();
    /* Turns, without faults, until nothing is left to do; then all shards must lead. */
    void settle();
    void advance(uint64_t ms);
    bool crashed() const;
    bool all_lead();
    size_t unanswered() const
    {
        return flights.size() + queued.size();
    }
    /* The rows of replication (replication/check.h), then the workload's. */
    void check();

    struct kv *kv;
    struct volume *volume = nullptr;
    Clock clock;
    struct rng rng;

  private:
    struct Flight;
    static void done(struct proposal *p, enum err status, struct slice result);
    Workload *workload;
    NodeOptions options;
    bool owns_kv;
    std::list<Flight *> flights; /* given to the volume */
    std::list<Flight *> queued;  /* for the next turn */
};

struct Options {
    NodeOptions node;
    int steps = 60;        /* turns with load */
    int ops_per_step = 6;  /* at most */
    int crash_percent = 8; /* of the turns, before or after the commit */
    int full_percent = 8;  /* of the turns: in a write or in the commit */
    int nomem_percent = 4;
    bool restart_cleanly = true; /* now and then */
};

/* Random load and faults, then no faults, settle and a last check. */
void run(uint64_t seed, Workload *w, const Options &o);

} // namespace sim

#endif /* TESTS_SIM_SIM_H */
