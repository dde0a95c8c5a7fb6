/* One simulated node: store, clock, volume. */
#ifndef TESTS_SIM_CLUSTER_NODE_H
#define TESTS_SIM_CLUSTER_NODE_H

#include "cluster.h"
#include "replication/reads.h"

namespace cluster
{

struct NodeClock {
    struct clock base; /* first: the C side sees this */
    uint64_t mono_ms;
    uint64_t wall_ms;
    uint64_t rest; /* of a millisecond, in thousandths */
    /* A millisecond, at its rate. */
    void pass(int permille)
    {
        rest += static_cast<uint64_t>(permille);
        mono_ms += rest / 1000;
        rest %= 1000;
        wall_ms++;
    }
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
    void submit(const Proposal &p);
    void receive(uint64_t from, const std::string &message);
    void receive_frame(uint64_t from, const std::string &frame);
    /* A linearizable read: done(OK) when a snapshot opened now has all that it must see; at once with Reads::UNASKED.
     * ERR_UNAVAILABLE when the node dies. */
    void read(uint32_t shard, uint64_t patience_ms, std::function<void(enum err)> done);
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
    /* Of replication, then the workload's. */
    void check_rows(bool at_end);

    const uint64_t id;
    struct kv *kv = nullptr;
    struct volume *volume = nullptr;
    NodeClock clock;
    struct rng rng;
    uint64_t busy_until = 0; /* a commit takes time */
    uint64_t wake_at = 0;
    uint64_t dead_until = 0;
    bool stays_away = false; /* for longer, when it dies */
    uint64_t reads_at = 0;   /* when repl_reads_tick wants to be called */
    int drift_permille = 0;
    uint64_t slow_until = 0;
    uint64_t starts = 0; /* of its process */

  private:
    struct Flight;
    struct Mail;
    struct Read;
    static void done(struct proposal *p, enum err status, struct slice result);
    static void send(void *ctx, struct node_id to, bool bulk, struct slice message);
    static void release(struct repl_received *r);
    static void send_frame(void *ctx, struct node_id to, struct slice frame);
    static void read_done(struct repl_read *r, enum err status);
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
