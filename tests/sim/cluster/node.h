/* One simulated node: store, clock, volume, and a state machine whose applies the outside sees when they are durable.
 */
#ifndef TESTS_SIM_CLUSTER_NODE_H
#define TESTS_SIM_CLUSTER_NODE_H

#include "cluster.h"
#include "replication/reads.h"

namespace cluster
{

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
    World *world = nullptr;
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

struct NodeClock {
    struct clock base; /* first: the C side sees this */
    uint64_t mono_ms;
    uint64_t wall_ms;
};

class Node
{
  public:
    Node(World *w, uint64_t id, uint64_t seed, bool founder);
    ~Node();
    Node(const Node &) = delete;
    Node &operator=(const Node &) = delete;

    void start();
    void stop(); /* the process ends; what it was asked is lost */
    void power_on();
    void turn();
    void submit(const OpRef &op);
    void receive(const std::string &message);
    void receive_frame(uint64_t from, const std::string &frame);
    void read(uint32_t shard);
    void tick_reads();
    bool alive() const
    {
        return volume != nullptr;
    }
    struct node_id nid() const
    {
        return node_id{id};
    }
    bool status(uint32_t shard, struct volume_status *out);
    void check_rows();

    const uint64_t id;
    struct kv *kv = nullptr;
    struct volume *volume = nullptr;
    NodeClock clock;
    struct rng rng;
    std::vector<Machine> machines;
    uint64_t busy_until = 0; /* a commit takes time */
    uint64_t wake_at = 0;
    uint64_t dead_until = 0;
    uint64_t reads_at = 0; /* when repl_reads_tick wants to be called */
    int drift_permille = 0;
    uint64_t slow_until = 0;

  private:
    struct Flight;
    struct Mail;
    struct Read;
    static void done(struct proposal *p, enum err status, struct slice result);
    static void send(void *ctx, struct node_id to, bool bulk, struct slice message);
    static void release(struct repl_received *r);
    static void send_frame(void *ctx, struct node_id to, struct slice frame);
    static void read_done(struct repl_read *r, enum err status);
    void look(uint32_t shard, uint64_t floor);
    void trace(uint32_t shard);
    World *world_;
    struct repl_reads *reads_ = nullptr;
    std::string last_ping_;
    std::map<uint32_t, std::string> traced_;
    bool founder_;
    std::list<Flight *> flights_;
    std::vector<Flight *> queued_;
    std::vector<Mail *> mail_;
    size_t mail_held_ = 0;
    std::map<uint32_t, bool> led_;
};

} // namespace cluster

#endif /* TESTS_SIM_CLUSTER_NODE_H */
