/* Several nodes in one thread, from one seed: each has a volume on a kv_mem with crash semantics and a clock of its own
 * that drifts; between them is a network that delays, loses, cuts and partitions in one direction or both. Outside
 * checkers see every committed entry of every replica:
 *
 *     - replicas apply the same entry at the same index, and never another one later
 *     - what was acknowledged is applied, once; what was refused is not
 *     - a read sees all that was acknowledged, or read, before it began
 *     - when the faults stop, everybody agrees within a bounded time, byte for byte, and repl_check finds nothing
 *
 * The same seed gives the same run: print it in SCOPED_TRACE. */
#ifndef TESTS_SIM_CLUSTER_CLUSTER_H
#define TESTS_SIM_CLUSTER_CLUSTER_H

#include <gtest/gtest.h>

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "replication/volume.h"
#include "storage/kv/kv_mem.h"

namespace cluster
{

/* How a read is answered; all but the first are wrong, and the checker finds them. */
enum class Reads {
    ASKED,
    UNASKED,    /* by whoever believes to lead */
    ANY_ANSWER, /* an answer counts for whatever is asked when it comes */
};

struct Options {
    unsigned nodes = 3;
    unsigned voters = 3; /* to begin with; the others wait to be added */
    uint32_t shards = 2;
    uint64_t ms = 60000; /* with faults; then they stop */
    uint64_t log_entries_max = 1000;
    uint64_t log_bytes_max = 1 << 20;
    int ops_per_s = 40;
    int crash_per_min = 6;     /* of each node */
    int cut_per_min = 10;      /* of each pair: what is under way is lost */
    int partition_per_min = 3; /* somebody cannot send to somebody, for a while */
    int full_per_min = 4;      /* a write fails */
    int lag_per_min = 0;       /* a leader's clock runs slow while nobody hears it: it believes to lead for long */
    int change_per_min = 0;    /* of the configuration */
    int transfer_per_min = 2;
    int loss_percent = 1; /* of the messages */
    uint64_t delay_ms = 5;
    uint64_t commit_ms = 2; /* at most */
    int drift_percent = 5;  /* of the clocks */
    size_t body_max = 9000;
    int staged_percent = 10; /* of the operations: a body in pieces */
    int reads_per_s = 60;
    Reads reads = Reads::ASKED;
    bool trace = false;
};

struct Counts {
    uint64_t acks, refused, unknown, elections, crashes, messages, changes, commits, bytes;
    uint64_t reads, reads_refused, reads_late, reads_stale;
};

class Node;

/* What the outside knows of a shard. */
struct Facts {
    std::map<uint64_t, std::pair<uint64_t, uint64_t>> at; /* index -> id, term; of every replica that committed it */
    std::map<uint64_t, uint64_t> acked;                   /* id -> index */
    std::set<uint64_t> refused;                           /* last answer of an id that nobody tries again */
    uint64_t seen = 0; /* highest index that was acknowledged or read: what a read that begins now must see */
};

/* One client operation, tried until it is answered or given up. */
struct Op {
    uint64_t id = 0;
    uint32_t shard = 0;
    std::string data;
    std::string body;
    uint64_t staged_index = 0;
    uint64_t staged_offset = 0;
    int tries = 0;
    bool given_up = false; /* after it the outside does not care any more */
};
using OpRef = std::shared_ptr<Op>;

class World
{
  public:
    World(uint64_t seed, const Options &o);
    ~World();
    World(const World &) = delete;
    World &operator=(const World &) = delete;
    /* Load and faults, then the end: convergence and all checks. */
    void run();

    /* For scripted tests. */
    void step_ms(uint64_t ms);
    bool wait_for_leaders(uint64_t ms);
    void end();

    Options options;
    Counts counts = {};
    std::vector<Facts> facts; /* by shard */
    std::vector<std::unique_ptr<Node>> nodes;

  private:
    friend class Node;
    struct Upload {
        uint64_t index = 0; /* of the reservation */
        uint64_t have = 0;
        int pieces_left = 0;
        bool busy = false;
    };
    struct Link {
        std::deque<std::pair<uint64_t, std::string>> way; /* arrives at, bytes */
        uint64_t blocked_until = 0;
    };
    bool chance(int percent);
    bool per_min(int n);
    uint64_t below(uint64_t n);
    void send(Node *from, uint64_t to, const std::string &message);
    void isolate(size_t i, uint64_t until);
    void send_frame(Node *from, uint64_t to, const std::string &frame);
    void deliver();
    void deliver_frames();
    void faults();
    void clients();
    void readers();
    void attempt(const OpRef &op);
    void answered(const OpRef &op, enum err status, const std::string &result);
    void change_something();
    Node *leader_of(uint32_t shard);
    bool agree(std::string *why);
    std::string standing();
    void compare_states();

    uint64_t now_ = 1000;
    bool quiet_ = false;
    struct rng rng_;
    std::vector<std::vector<Link>> links_; /* [from][to] */
    struct Frame {
        uint64_t from, to;
        std::string bytes;
    };
    std::multimap<uint64_t, Frame> frames_; /* by arrival: pings and their answers */
    std::vector<std::pair<uint64_t, OpRef>> retries_;
    std::vector<Upload> uploads_;
    std::map<uint64_t, size_t> upload_of_; /* op id -> shard */
    uint64_t next_id_ = 1;
    uint64_t load_credit_ = 0;
    uint64_t read_credit_ = 0;
};

} // namespace cluster

#endif /* TESTS_SIM_CLUSTER_CLUSTER_H */
