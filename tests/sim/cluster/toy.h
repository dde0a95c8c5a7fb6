/* The workload of sim_cluster: a state machine that records what it was given, and the outside's checks: what was
 * acknowledged is applied, once; a read sees all that was acknowledged, or read, before it began; bodies read back as
 * they were written. */
#ifndef TESTS_SIM_CLUSTER_TOY_H
#define TESTS_SIM_CLUSTER_TOY_H

#include "cluster.h"
#include "node.h"

namespace cluster
{

class Toy;

/* State of the machine, under the shard's prefix:
 *   'd' id(8)       index(8) of the entry that did it: a retry finds it
 *   'e' index(8)    id(8) term(8)
 *   'b' index(8)    id(8) bytes(8) of a body that lives
 *   's' index(8)    id(8) bytes(8): reservation of a staged body, and what its chunks added
 * Entry: kind(1) id(8) argument(8) filler. W write; K kill the body of entry `argument`; R reserve; C use what is
 * staged at `argument`; A abort it. */
class Machine
{
  public:
    Toy *world = nullptr;
    Node *node = nullptr;
    uint32_t shard = 0;
    uint8_t prefix[5] = {};
    struct Seen {
        uint64_t index, id, term;
    };
    std::vector<Seen> open; /* applied, not committed */

    struct repl_fsm fsm();
    static enum err apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t body_bytes,
                          struct buf *result);
    static void committed(void *ctx);
    static void aborted(void *ctx);
    static enum err staged(void *ctx, struct kv_txn *t, uint64_t index, uint32_t bytes);
    static void moved(void *ctx, const uint8_t prefix[5]);
    void see(const Seen &s);
    uint64_t last_index(struct kv_txn *t);
    void check_entries(struct kv_txn *t);
    void check_bodies(struct kv_txn *t);
};

std::string entry(char kind, uint64_t id, uint64_t argument, size_t filler);
std::string body_of(uint64_t id, size_t n);

/* One client operation, tried until it is answered or given up. */
struct Op {
    uint64_t id = 0;
    Proposal p;
    int tries = 0;
};
using OpRef = std::shared_ptr<Op>;

class Toy : public World
{
  public:
    Toy(uint64_t seed, const Options &o);
    ~Toy() override;

  protected:
    struct repl_fsm open(Node *n, uint32_t shard) override;
    void opened(Node *n, uint32_t shard, const uint8_t *prefix) override;
    void clients() override;
    void check_rows(Node *n, struct kv_txn *t, bool at_end) override;
    void check_end() override;

  private:
    struct Upload {
        uint64_t index = 0; /* of the reservation */
        uint64_t have = 0;
        int pieces_left = 0;
        bool busy = false;
    };
    void propose();
    void readers();
    void look(Node *n, uint32_t shard, uint64_t floor, enum err status);
    void attempt(const OpRef &op);
    void answered(const OpRef &op, enum err status, const std::string &result);
    void upload_answered(const OpRef &op, Upload *u, enum err status, const std::string &result);

    std::vector<std::vector<Machine>> machines_;      /* [node][shard] */
    std::vector<std::map<uint64_t, uint64_t>> acked_; /* by shard: id -> index */
    std::vector<uint64_t> floors_;                    /* by shard: highest index that was acknowledged or read */
    std::vector<std::pair<uint64_t, OpRef>> retries_;
    std::vector<Upload> uploads_;
    std::map<uint64_t, size_t> upload_of_; /* op id -> shard */
    uint64_t next_id_ = 1;
    uint64_t load_credit_ = 0;
    uint64_t read_credit_ = 0;
};

} // namespace cluster

#endif /* TESTS_SIM_CLUSTER_TOY_H */
