/* Several nodes in one thread, from one seed: each has a volume on a kv_mem with crash semantics and a clock of its own
 * that drifts; between them is a network that delays, loses, cuts and partitions in one direction or both. What is
 * replicated, and who asks for it, is a workload's, which derives from World (toy.h; tests/sim/mail). Here is checked
 * that
 *
 *     - replicas apply the same entry at the same index with the same result, and never another one later
 *     - when the faults stop, everybody agrees within a bounded time, byte for byte, and repl_check finds nothing
 *
 * The same seed gives the same run: print it in SCOPED_TRACE. */
#ifndef TESTS_SIM_CLUSTER_CLUSTER_H
#define TESTS_SIM_CLUSTER_CLUSTER_H

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backup.h"
#include "replication/volume.h"
#include "storage/kv/kv_mem.h"
#include "table.h"

namespace cluster
{

/* How a read is asked for; all but the first are wrong, and the checkers find them. */
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
    uint64_t log_age_ms = 0;
    uint64_t copy_bytes_per_s = 0;
    int ops_per_s = 40;
    unsigned election_ms = 0;  /* 0: the volume's own */
    uint64_t dead_ms = 5000;   /* a node that died comes back within it */
    int long_dead_percent = 0; /* of the deaths: four times as long */
    uint64_t stall_ms = 9000;
    int crash_per_min = 6;     /* of each node */
    int cut_per_min = 10;      /* of each pair: what is under way is lost */
    int partition_per_min = 3; /* somebody cannot send to somebody, for a while */
    int blackout_per_min = 0;  /* all nodes die at their next commits */
    int full_per_min = 4;      /* a write fails */
    int stall_per_min = 0;     /* a disk does not answer for a while: no turns, but reads and pings go on */
    int lag_per_min = 0;       /* a leader's clock runs slow while nobody hears it: it believes to lead for long */
    int change_per_min = 0;    /* of the configuration */
    int table_per_min = 0;     /* of the node table, which the leaders follow (instead of change_per_min) */
    int backup_per_min = 0;    /* backups begun, one at a time, of workloads that can be restored */
    uint64_t quiet_ms = 15000; /* a replica that hears no leader for so long asks whether it is still a member */
    int transfer_per_min = 2;
    int loss_percent = 1; /* of the messages */
    uint64_t delay_ms = 5;
    uint64_t commit_ms = 2;              /* at most */
    int drift_percent = 5;               /* of the clocks' rates, at most, faster or slower */
    bool drift_most = false;             /* each clock at one of the ends */
    int slow_permille = -700;            /* a clock that lags */
    unsigned lease_percent = 0;          /* volume_config.lease_drift_percent */
    uint64_t skew_ms = 0;                /* of the wall clocks, at most */
    int jump_per_min = 0;                /* of each wall clock, by a minute at most */
    int hand_over_and_stall_percent = 0; /* of the transfers */
    size_t body_max = 9000;
    int staged_percent = 10; /* of the operations: a body in pieces */
    int reads_per_s = 60;
    Reads reads = Reads::ASKED;
    bool complain = true; /* of a stale read; else they are counted */
    bool compare = true;  /* false: nobody looks into the nodes, only clients complain */
    bool trace = false;
};

struct Counts {
    uint64_t acks, refused, unknown, elections, crashes, messages, changes, emptied, backups, commits, bytes;
    uint64_t reads, reads_refused, reads_late, reads_stale, reads_leased;
};

class Node;

/* Fields as in struct proposal. done is called once: ERR_CLOSED when the node dies first. */
struct Proposal {
    uint32_t shard = 0;
    bool grows = false;
    std::string data;
    std::string body;
    uint64_t staged_index = 0;
    uint64_t staged_offset = 0;
    std::function<void(enum err, const std::string &)> done;
};

/* An entry as a replica applied it. id: of its content; result: of what apply answered. */
struct Applied {
    uint64_t id, term, result;
    bool operator==(const Applied &o) const
    {
        return id == o.id && term == o.term && result == o.result;
    }
};

class World
{
  public:
    World(uint64_t seed, const Options &o);
    virtual ~World();
    World(const World &) = delete;
    World &operator=(const World &) = delete;
    /* Load and faults, then the end: convergence and all checks. */
    void run();
    /* The parts of run(): the founder takes the others in; time with faults; the end. */
    void begin();
    void step_ms(uint64_t ms);
    void end();

    /* Where each index of a shard was seen first, and what it was. */
    void see(const Node *n, uint32_t shard, uint64_t index, const Applied &what);
    uint64_t now() const
    {
        return now_;
    }

    Options options;
    Counts counts = {};
    std::vector<std::map<uint64_t, Applied>> seen; /* by shard */
    std::vector<std::unique_ptr<Node>> nodes;

  protected:
    friend class Node;
    friend class Backup;
    /* --- the workload --- */
    /* The node's process starts: a fresh state machine for the shard, and its key prefix. stopped: the process ended,
     * the volume is closed. */
    virtual struct repl_fsm open(Node *n, uint32_t shard) = 0;
    virtual void opened(Node *, uint32_t, const uint8_t *)
    {
    }
    virtual void stopped(Node *)
    {
    }
    virtual void turned(Node *)
    {
    }
    /* Every millisecond, also when quiet(). */
    virtual void clients() = 0;
    /* Nothing is under way that would still change something. */
    virtual bool idle()
    {
        return true;
    }
    /* Of the committed rows, after each start (and at the end: all is applied). */
    virtual void check_rows(Node *, struct kv_txn *, bool)
    {
    }
    /* Makes a state machine for a shard that is restored, gives it to `use` with where to tell its prefix, and throws
     * it away. Only with options.backup_per_min. */
    virtual void
    restored(uint32_t,
             const std::function<void(const struct repl_fsm &, const std::function<void(const uint8_t *)> &)> &)
    {
        FAIL() << "this workload cannot be restored";
    }
    /* After the first leaders, before the faults begin. */
    virtual void prepare()
    {
    }
    virtual void check_end()
    {
    }

    bool chance(int percent);
    bool per_min(int n);
    uint64_t below(uint64_t n);
    bool quiet() const
    {
        return quiet_;
    }
    Node *leader_of(uint32_t shard);
    std::string standing();
    /* For destructors of workloads: everything under way is answered. */
    void close();
    struct rng *rng()
    {
        return &rng_;
    }

  private:
    struct Link {
        std::deque<std::pair<uint64_t, std::string>> way; /* arrives at, bytes */
        uint64_t blocked_until = 0;
    };
    struct Frame {
        uint64_t from, to;
        std::string bytes;
    };
    void send(Node *from, uint64_t to, const std::string &message);
    void send_frame(Node *from, uint64_t to, const std::string &frame);
    void deliver();
    void deliver_frames();
    void isolate(size_t i, uint64_t until);
    void faults();
    void node_faults(Node *n);
    void network_faults();
    void change_something();
    void leftovers(Node *n);
    struct Leftover {
        uint64_t quiet_since = 0;
        uint64_t answer_at = 0; /* 0: nobody was asked */
        uint64_t term = 0;
        bool gone = false;
    };
    void ask_members(Node *n, uint32_t shard, Leftover *o);
    void change_table();
    void pin_something();
    bool link_is_up(const Node *a, uint64_t b);
    struct placement_step place(Node *n, uint32_t shard, const struct volume_status &st);
    void follow_table(Node *n);
    bool obeys_table(uint32_t shard, std::string *why);
    bool add_server(uint32_t shard, unsigned id, std::vector<struct raft_server_info> *all);
    bool wait_for_leaders(uint64_t ms);
    bool agree(std::string *why);
    bool agrees(uint32_t shard, std::string *why);
    void compare_states();
    std::map<std::string, std::string> rows_of(Node *n, uint32_t shard);
    std::map<std::string, std::string> state_of(struct kv *kv, const uint8_t prefix[5]);
    Backup backup_{this};

    uint64_t now_ = 1000;
    bool quiet_ = false;
    bool started_ = false; /* the first members are there */
    struct rng rng_;
    std::vector<std::vector<Link>> links_;                        /* [from][to] */
    std::multimap<uint64_t, Frame> frames_;                       /* by arrival: pings and their answers */
    std::map<std::pair<uint64_t, uint32_t>, Leftover> leftovers_; /* by node and shard */
    Table table_;
    std::map<uint64_t, Follows> tables_; /* by node */
};

} // namespace cluster

#endif /* TESTS_SIM_CLUSTER_CLUSTER_H */
