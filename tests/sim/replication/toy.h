/* A toy state machine that shows whether replication keeps its word, and the outside checker of it. Its state is a row
 * for each entry (who was applied at which index and term) and a row for each living body; bodies are generated from
 * the proposal's id. */
#ifndef TESTS_SIM_REPLICATION_TOY_H
#define TESTS_SIM_REPLICATION_TOY_H

#include <map>
#include <set>

#include "../sim.h"

struct ToyShard {
    uint8_t prefix[5] = {};
    int open_applies = 0; /* applied, neither committed nor aborted */
};

/* What the outside knows about a shard; survives crashes. */
struct ToyFacts {
    std::map<uint64_t, std::pair<uint64_t, uint64_t>> acked; /* id -> index, term */
    std::map<uint64_t, std::pair<uint64_t, uint64_t>> seen;  /* index -> id, term */
    std::set<uint64_t> refused;                              /* ids that must never appear */
    uint64_t last_acked_index = 0;
    uint64_t reserved = 0; /* index of an open reservation */
    uint64_t staged = 0;   /* bytes acknowledged of it */
};

class Toy : public sim::Workload
{
  public:
    explicit Toy(uint32_t shards, size_t data_max = 300) : shards_(shards), facts_(shards), data_max_(data_max)
    {
    }
    struct repl_fsm open(uint32_t shard) override;
    void prefix(uint32_t shard, const uint8_t prefix[5]) override;
    bool propose(uint32_t shard, struct kv_txn *t, struct rng *r, sim::Op *out) override;
    void answered(const sim::Op &op, enum err status, const std::string &result) override;
    void lost(const sim::Op &op) override;
    void check(uint32_t shard, struct kv_txn *t) override;
    void finish(sim::Node *n) override;

    /* Ids given from now on; several processes on one store must not share them. */
    void ids_from(uint64_t id)
    {
        next_id_ = id;
    }
    sim::Op write(uint32_t shard, size_t data_bytes, size_t body_bytes);
    uint64_t answers = 0;
    uint64_t acks = 0;

    static std::string body_of(uint64_t id, size_t n);
    /* For other harnesses over the same state machine. */
    static enum err apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t body_bytes,
                          struct buf *result);

  private:
    bool propose_kill(uint32_t shard, struct kv_txn *t, struct rng *r, sim::Op *out);
    bool propose_staged(uint32_t shard, struct kv_txn *t, struct rng *r, sim::Op *out);
    void check_bodies(uint32_t shard, struct kv_txn *t);
    std::vector<ToyShard> shards_;
    std::vector<ToyFacts> facts_;
    size_t data_max_;
    uint64_t next_id_ = 1;
};

#endif /* TESTS_SIM_REPLICATION_TOY_H */
