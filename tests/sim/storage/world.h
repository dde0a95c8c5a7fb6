/* The mail workload: clients, the node's courier and housekeeping, and the checks, on one simulated node. */
#ifndef TESTS_SIM_STORAGE_WORLD_H
#define TESTS_SIM_STORAGE_WORLD_H

#include <deque>
#include <tuple>
#include <functional>
#include <list>

#include "../sim.h"
#include "model.h"
#include "reads.h"
#include "storage/apply/entry.h"
#include "storage/apply/housekeeping.h"
#include "storage/mailbox/read_cache.h"

namespace mail
{

struct WorldOptions {
    uint32_t shards = 3; /* the directory and two for mail */
    int steps = 50;
    int ops_per_step = 8;
    int crash_percent = 8; /* of the turns */
    int full_percent = 8;
    int nomem_percent = 5;
    int jump_percent = 6;
    int duplicate_percent = 8;
    int keywords_percent = 10; /* of the requests with keywords: they have dozens */
    int keep_percent = 60;     /* of what expunges */
    bool bulk = false;         /* large mailboxes, by copying into themselves */
    bool trace = false;        /* print every entry */
    size_t accounts_max = 5;
    bool handoff_outages = false; /* more than 15 minutes between a handoff's delivery and the removal of its row */
    sim::NodeOptions node;
};

/* One thing that a client (or the courier, or housekeeping) wants done: the same id in all attempts. */
struct Request {
    uint32_t shard = 0;
    enum method method = METHOD_PURGE;
    uint64_t account = 0;
    std::string id;
    uint64_t issue_ms = 0;
    std::string op;
    std::string body;
    std::shared_ptr<const Content> content;
    uint64_t staged_index = 0; /* a chunk */
    uint64_t staged_offset = 0;
    bool internal = false; /* the node's own: no client retries it */
    uint64_t handoff = 0;  /* index of the one that this delivers */
    uint32_t handoff_from = 0;
    bool checked = false; /* storage_precheck before each attempt, as the node does */
    std::function<void(enum err, const std::string &)> done; /* may be empty: after each attempt; OK: the status is in
                                                                the result */
};
using RequestRef = std::shared_ptr<Request>;

/* A large body on its way into a shard. */
struct Upload {
    uint32_t shard = 0;
    uint64_t account = 0;
    std::shared_ptr<const Content> content;
    uint32_t reserved = 0;
    uint64_t index = 0;
    uint64_t acked = 0;
    size_t next = 0; /* bytes of the chunk that follows: a retry is the same chunk */
    bool busy = false;
    bool over = false;
};

/* A handoff in the courier's hands; forgotten when the node stops. */
struct Carry {
    struct handoff_due due;
    std::string op;
    std::shared_ptr<const Content> content;
    uint64_t staged_index = 0;
    uint64_t staged = 0;
    size_t stager = 0; /* which recipient's account reserves */
    bool busy = false;
    bool delivered = false;
};

/* A selected mailbox somewhere, brought up to date now and then. */
struct Session {
    AccountRef account;
    MailboxRef mailbox;
    uint64_t modseq = 0;
    std::map<uint32_t, std::pair<Flags, uint64_t>> rows;
};

struct ShardRun {
    struct storage_fsm *fsm = nullptr;
    uint8_t prefix[5] = {};
    uint64_t index = 0; /* of the last entry that the model has */
    uint64_t term = 0;  /* of this leadership */
    std::vector<sim::Op> lost;
    struct housekeeping housekeeping = {};
    bool purging = false; /* a step is under way */
    std::map<std::pair<uint64_t, uint32_t>, std::shared_ptr<Carry>> carries;
};

class World : public sim::Workload
{
  public:
    World(uint64_t seed, const WorldOptions &o);
    ~World() override;
    World(const World &) = delete;
    World &operator=(const World &) = delete;

    /* sim::Workload */
    struct repl_fsm open(uint32_t shard) override;
    void prefix(uint32_t shard, const uint8_t prefix[5]) override;
    bool propose(uint32_t, struct kv_txn *, struct rng *, sim::Op *) override
    {
        return false;
    }
    void answered(const sim::Op &op, enum err status, const std::string &result) override;
    void lost(const sim::Op &op) override;
    void check(uint32_t shard, struct kv_txn *t) override;

    /* Random load and faults, then the end. */
    void run();
    /* The same without time jumps and with one fault: at the nth commit of the store, before or after it; at the nth
     * write. 0: none. False: the fault did not come. */
    bool run_with_one_fault(uint64_t crash_before, uint64_t crash_after, uint64_t put_full);
    /* One turn with what clients do; for scripted tests. */
    void begin();
    void step(const struct kv_mem_faults &faults, int nomem_nth);
    void recover();
    /* Faults off, everything answered and delivered, then all removed and purged: nothing may be left. */
    void end();

    sim::Node node;
    Model model;
    uint64_t acks = 0;
    std::map<std::string, uint64_t> counts; /* what happened, for the report */

  private:
    /* world.cc */
    bool chance(int percent);
    uint64_t below(uint64_t n);
    Outcome apply(const RequestRef &r, const sim::Op &op, Entry *out);
    enum err apply_chunk(const sim::Op &op);
    bool may_jump(uint64_t ms);
    void settle_indexes();
    void resolve_lost(uint32_t shard);
    uint64_t applied(uint32_t shard);
    Entry entry_of(const Request &r, const struct entry_head &h) const;
    RequestRef request(uint32_t shard, enum method m, uint64_t account, const ProtobufCMessage *op);
    void submit(const RequestRef &r);
    bool attempt(const RequestRef &r, struct kv_txn *t);
    bool precheck(const RequestRef &r, struct kv_txn *t, const struct entry_head &h, bool *out_grows);
    void answer(const RequestRef &r, enum err status, const std::string &result);
    void retry_later(const RequestRef &r);
    Reader reader(uint32_t shard, struct kv_txn *t);
    void check_events();
    void check_shard(uint32_t shard, struct kv_txn *t);
    void check_staged(uint32_t shard, struct kv_txn *t);
    void jump();

    /* clients.cc */
    void clients(struct kv_txn *t);
    void client_op();
    AccountRef some_account(uint32_t shard);
    MailboxRef some_mailbox(const Account &a, std::string *out_name);
    std::string some_name(const Account &a);
    std::string some_uids(const Mailbox &m);
    std::vector<std::string> some_keywords();
    std::shared_ptr<const Content> some_content(bool large);
    void op_deliver(const AccountRef &a, Upload *u);
    void op_append(const AccountRef &a, Upload *u);
    void op_store(const AccountRef &a);
    void op_expunge(const AccountRef &a);
    void op_undelete(const AccountRef &a);
    void op_copy(const AccountRef &a);
    void op_bulk(const AccountRef &a);
    void op_move(const AccountRef &a);
    void op_folder(const AccountRef &a);
    void op_misc(const AccountRef &a);
    void op_directory();
    void op_upload(uint32_t shard);
    void upload_begin(uint32_t shard);
    void upload_chunk(const std::shared_ptr<Upload> &u);
    void op_account();
    std::string address();

    /* courier.cc */
    void courier(struct kv_txn *t);
    void carry_on(uint32_t shard, const std::shared_ptr<Carry> &c, struct kv_txn *t);
    bool carried_before(uint32_t shard, const Carry &c, struct kv_txn *t);
    void carry_stage(const std::shared_ptr<Carry> &c);
    void carry_deliver(uint32_t shard, const std::shared_ptr<Carry> &c);
    void carry_done(uint32_t shard, const std::shared_ptr<Carry> &c);
    void forget_copies(uint32_t shard, struct kv_txn *t);
    void housekeep(uint32_t shard, struct kv_txn *t, bool always);
    void drop_kept(uint32_t shard);
    void end_unfinished();
    void end_empty();
    void check_empty();

    WorldOptions options_;
    struct rng rng_;
    std::vector<ShardRun> runs_;
    std::vector<RequestRef> flights_;                     /* by tag */
    std::deque<std::pair<uint64_t, RequestRef>> retries_; /* from this step on */
    std::vector<std::pair<uint64_t, sim::Op>> delayed_;   /* checked, on the way to the writer */
    std::vector<RequestRef> queue_;
    std::vector<std::shared_ptr<Upload>> uploads_;
    std::vector<Session> sessions_;
    std::map<uint64_t, uint64_t> modseq_before_;                                /* by account */
    std::map<std::tuple<uint32_t, uint64_t, uint32_t>, uint64_t> delivered_ms_; /* handoffs: from, index, to */
    struct kv_mem_faults left_ = {};                                            /* of the last turn's faults */
    struct read_cache *cache_ = nullptr;
    uint64_t step_ = 0;
    uint64_t next_id_ = 1;
    int64_t skew_ms_ = 0;
    bool quiet_ = false; /* no duplicates, no delays */
    bool closing_ = false;
};

} // namespace mail

#endif /* TESTS_SIM_STORAGE_WORLD_H */
