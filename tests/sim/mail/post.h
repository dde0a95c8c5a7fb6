/* The mail workload of the cluster simulator: the replicas run the store's real state machine, nodes answer requests
 * as storage/node does, frontends call them with retries, deadlines and a map of leaders that may be old, and devices
 * use the mail. The ledger (ledger.h) hears what the devices hear, and nothing else. */
#ifndef TESTS_SIM_MAIL_POST_H
#define TESTS_SIM_MAIL_POST_H

#include "../cluster/cluster.h"
#include "../cluster/node.h"
#include "ledger.h"
#include "proto/rpc/method.h"
#include "storage/apply/entry.h"
#include "storage/apply/housekeeping.h"
#include "storage/apply/mover.h"
#include "storage/mailbox/read_cache.h"

struct ProtobufCMessage;

namespace post
{

struct PostOptions : cluster::Options {
    unsigned accounts = 2;   /* of each shard */
    unsigned devices = 2;    /* of each account */
    uint64_t pause_ms = 800; /* of a device between calls, at most */
    int write_percent = 60;
    int folder_percent = 6; /* of the writes: mailboxes made, renamed, deleted */
    int remove_percent = 12;
    int staged_percent = 6;
    size_t mail_max = 2000;
    uint64_t call_delay_ms = 4;
    int call_late_percent = 2;      /* of requests: they arrive when others of the same call are long answered */
    int call_loss_percent = 2;      /* of requests and of answers */
    int call_partition_per_min = 3; /* of each device and node */
    uint64_t deadline_ms = 15000;
    uint64_t silence_ms = 2500; /* then another node is asked */
    bool confirm_checks = true; /* false: what a leader checks before it proposes, it refuses unconfirmed */
    int check_percent = 10;     /* of the starts: the whole store is verified */
    int move_per_min = 0;       /* accounts that move to another shard: of three or more */
};

/* What came of a call. */
struct Answer {
    enum err status = ERR_TIMEOUT;
    std::string meta;
    std::string attach;
    uint32_t moved_to = 0; /* of ERR_MOVED */
    /* OK, or: it certainly has not happened and will not, whatever other attempts are under way. */
    bool sure = false;
};

/* One call of a frontend: the same id in all its attempts. */
struct Call {
    uint64_t number = 0;
    uint32_t shard = 0;
    enum method method = METHOD_PURGE;
    uint64_t account = 0;
    size_t device = 0;
    std::string id;
    uint64_t issue_ms = 0;
    std::string op;
    std::string body;
    uint64_t staged_index = 0; /* of a chunk */
    uint64_t staged_offset = 0;
    bool stays = false; /* what it names is in that shard only: it does not follow an account that moved */

    uint64_t begun = 0; /* stamp */
    uint64_t deadline = 0;
    uint64_t attempts = 0;
    uint64_t silent_at = 0; /* no answer to the last attempt by then: another one */
    unsigned open = 0;      /* attempts whose fate is unknown */
    bool finished = false;
    Answer answer;
    std::function<void(const Answer &, Span)> done;
};
using CallRef = std::shared_ptr<Call>;

/* A selected mailbox, brought up to date by SYNC. */
struct Session {
    uint64_t box = 0;
    uint32_t uidvalidity = 0;
    uint64_t modseq = 0;
    bool valid = false;
    std::set<uint32_t> uids;
};

struct Upload {
    uint64_t marker = 0;
    uint64_t index = 0;
    uint32_t shard = 0;
    size_t sent = 0;
    uint32_t size = 0;
};

struct Device {
    size_t number = 0;
    Account *account = nullptr;
    bool busy = false;
    uint64_t next_at = 0;
    Session session;
    std::map<uint64_t, uint32_t> shards; /* where it takes accounts to live, when that is not where they were made */
};

struct Drive;

class Post : public cluster::World
{
  public:
    Post(uint64_t seed, const PostOptions &o);
    ~Post() override;

    PostOptions post;
    Ledger ledger;
    std::map<std::string, uint64_t> happened; /* for the report */

  protected:
    struct repl_fsm open(cluster::Node *n, uint32_t shard) override;
    void opened(cluster::Node *n, uint32_t shard, const uint8_t *prefix) override;
    void stopped(cluster::Node *n) override;
    void turned(cluster::Node *n) override;
    void clients() override;
    bool idle() override;
    void check_rows(cluster::Node *n, struct kv_txn *t, bool at_end) override;
    void prepare() override;
    void check_end() override;
    void restored(
        uint32_t shard,
        const std::function<void(const struct repl_fsm &, const std::function<void(const uint8_t *)> &)> &use) override;

  private:
    struct Machine {
        Post *post = nullptr;
        cluster::Node *node = nullptr;
        uint32_t shard = 0;
        struct storage_fsm *fsm = nullptr;
        struct repl_fsm inner = {};
        std::vector<std::pair<uint64_t, cluster::Applied>> open;
        struct housekeeping housekeeping = {};
        std::map<uint64_t, std::shared_ptr<Drive>> drives;         /* moves, by account */
        std::map<std::pair<uint64_t, uint32_t>, uint64_t> carries; /* handoffs: not to be sent before */
    };
    using Reply = std::function<void(const Answer &)>;

    /* post.cc */
    static enum err apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t body_bytes,
                          struct buf *result);
    static void committed(void *ctx);
    static void aborted(void *ctx);
    static enum err staged(void *ctx, struct kv_txn *t, uint64_t index, uint32_t bytes);
    static void moved(void *ctx, const uint8_t prefix[5]);
    Machine &machine(const cluster::Node *n, uint32_t shard)
    {
        return *machines_[n->id - 1][shard];
    }
    void housekeep();
    void read_everything(Account *a);
    void later(uint64_t ms, std::function<void()> what);
    uint64_t stamp()
    {
        return ++stamp_;
    }

    /* frontend.cc */
    CallRef call(Device *d, enum method m, const ProtobufCMessage *op);
    void start(const CallRef &c);
    void attempt(const CallRef &c);
    void answered(const CallRef &c, uint64_t attempt, uint64_t node, const Answer &a, uint64_t hint);
    void finish(const CallRef &c, const Answer &a);
    void watch_calls();
    bool cut_off(const CallRef &c, uint64_t node);
    uint64_t &leader(const CallRef &c);

    /* moving.cc */
    CallRef own_call(cluster::Node *n, uint32_t shard, enum method m, uint64_t account, std::string op);
    void send_own(const CallRef &c, const Reply &reply);
    void start_move();
    void moves();
    void drive_moves(cluster::Node *n, uint32_t shard, const struct store *s);
    void drive(cluster::Node *n, const std::shared_ptr<Drive> &d, const struct store *s);
    void carry(cluster::Node *n, uint32_t shard, const struct store *s);
    void carried(cluster::Node *n, uint32_t shard, std::pair<uint64_t, uint32_t> key, const Answer &a);
    uint32_t where(const Account &a, unsigned *out_places);
    uint32_t believed(const Device &d, const Account &a) const;
    bool follow(const CallRef &c, const Answer &a);

    /* server.cc */
    void serve(cluster::Node *n, const CallRef &c, const Reply &reply);
    void serve_write(cluster::Node *n, const CallRef &c, const Reply &reply);
    bool precheck(cluster::Node *n, const CallRef &c, const Reply &reply, bool *out_grows);
    void propose(cluster::Node *n, const CallRef &c, bool grows, const Reply &reply);
    void serve_read(cluster::Node *n, const CallRef &c, const Reply &reply);
    void confirmed(cluster::Node *n, const CallRef &c, const Reply &reply, std::function<void()> then);
    enum err read(cluster::Node *n, const Call &c, Answer *out);

    /* device.cc: what devices do */
    void use(Device *d);
    bool write_mail(Device *d);
    bool remove_mail(Device *d);
    bool change_folders(Device *d);
    bool read_mail(Device *d);
    Box *some_box(Account *a, bool births);
    std::string name_of(const Account &a, const Box &b);
    std::vector<uint32_t> some_uids(const Box &b, size_t max, bool known_mail);
    void deliver(Device *d);
    void append(Device *d, const Upload *u);
    void upload(Device *d);
    void upload_more(Device *d, const std::shared_ptr<Upload> &u);
    void store(Device *d, Box *b);
    void expunge(Device *d, Box *b);
    void copy(Device *d, Box *b, bool move);
    void create(Device *d);
    void rename(Device *d, Box *b);
    void remove_box(Device *d, Box *b);
    void select(Device *d, Box *b);
    void sync(Device *d);
    void fetch(Device *d, Box *b);
    void body(Device *d, Box *b);
    void list(Device *d);

    /* answers.cc: what their answers tell the ledger */
    void delivered(const std::vector<Account *> &to, uint64_t marker, const Answer &a, Span s);
    void appended(Account *a, uint64_t marker, uint64_t box, const Answer &r, Span s);
    void stored(Account *a, uint64_t box, const std::vector<uint32_t> &uids, int mode, uint64_t flags, const Answer &r,
                Span s);
    void removed(Account *a, uint64_t box, const std::vector<uint32_t> &uids, uint64_t call,
                 const std::set<uint32_t> &gone, bool all, Span s);
    void expunged(Account *a, uint64_t box, const std::vector<uint32_t> &uids, uint64_t call, bool all, const Answer &r,
                  Span s);
    void copied(Account *a, uint64_t box, const std::vector<uint32_t> &uids, uint64_t call, bool move, const Answer &r,
                Span s);
    void selected(Account *a, uint64_t box, Session *session, const Answer &r, Span s);
    void synced(Account *a, Session *session, const Answer &r, Span s);
    void fetched(Account *a, uint64_t box, const std::vector<uint32_t> &uids, const Answer &r, Span s);
    void read_body(Account *a, uint64_t box, uint32_t uid, const Answer &r, Span s);
    void listed(Account *a, const Answer &r, Span s);

    std::vector<std::vector<std::unique_ptr<Machine>>> machines_; /* [node][shard] */
    std::vector<struct read_cache *> caches_;                     /* by node */
    std::multimap<uint64_t, std::function<void()>> later_;
    std::map<uint64_t, std::unique_ptr<Account>> accounts_;
    std::vector<std::unique_ptr<Device>> devices_;
    std::vector<CallRef> calls_;                              /* not finished */
    std::map<std::pair<size_t, uint32_t>, uint64_t> leaders_; /* device, shard */
    std::map<std::pair<size_t, uint64_t>, uint64_t> cut_;     /* device, node: until when */
    uint64_t stamp_ = 0;
    uint64_t next_marker_ = 1;
    uint64_t next_name_ = 1;
    uint64_t next_call_ = 1;
    bool moving_ = false; /* as of the last look */
};

} // namespace post

#endif /* TESTS_SIM_MAIL_POST_H */
