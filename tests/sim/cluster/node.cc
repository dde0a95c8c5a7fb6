#include "node.h"

#include "proto/base/bytes.h"
#include "replication/check.h"
#include "replication/reads_frame.h"

namespace cluster
{

struct Node::Flight {
    struct proposal p; /* first */
    Node *node;
    Proposal asked;
};

struct Node::Read {
    struct repl_read r; /* first */
    std::function<void(enum err)> done;
};

/* What came in one delivery. */
struct Node::Mail {
    struct repl_received r; /* first */
    Node *node;
    std::string bytes;
};

namespace
{

uint64_t mono_ms(struct clock *c)
{
    return reinterpret_cast<NodeClock *>(c)->mono_ms;
}

uint64_t wall_ms(struct clock *c)
{
    return reinterpret_cast<NodeClock *>(c)->wall_ms;
}

} // namespace

Node::Node(World *w, uint64_t n, uint64_t seed, bool founder) : id(n), world_(w), founder_(founder)
{
    rng_seeded_init(&rng, seed);
    clock.base.mono_ms = mono_ms;
    clock.base.wall_ms = wall_ms;
    clock.mono_ms = 1000 + 100000 * n;
    clock.wall_ms = 1700000000000;
    clock.rest = 0;
    EXPECT_EQ(kv_mem_new(&kv), OK);
}

Node::~Node()
{
    stop();
    kv_close(kv);
}

void Node::send(void *ctx, struct node_id to, bool, struct slice message)
{
    Node *n = static_cast<Node *>(ctx);
    n->world_->send(n, to.v, std::string(reinterpret_cast<const char *>(message.p), message.n));
}

void Node::start()
{
    struct volume_config vc = {};
    vc.kv = kv;
    vc.clock = &clock.base;
    vc.rng = &rng;
    vc.log_entries_max = world_->options.log_entries_max;
    vc.log_bytes_max = world_->options.log_bytes_max;
    vc.log_age_ms = world_->options.log_age_ms;
    vc.copy_bytes_per_s = world_->options.copy_bytes_per_s;
    vc.sole_entries_max = 8;
    vc.election_ms = world_->options.election_ms;
    vc.heartbeat_ms = world_->options.election_ms / 6;
    vc.lease_drift_percent = world_->options.lease_percent;
    vc.send = send;
    vc.send_ctx = this;
    ASSERT_EQ(volume_open(&vc, &volume), OK);
    starts++;
    for (uint32_t s = 0; s < world_->options.shards; s++) {
        struct repl_fsm fsm = world_->open(this, s);
        struct shard_id shard = {s};
        uint8_t prefix[5];
        enum err e = founder_ ? volume_replica_open(volume, shard, nid(), &fsm)
                              : volume_replica_join(volume, shard, nid(), &fsm);
        ASSERT_EQ(e, OK) << "node " << id << " cannot open its replica of shard " << s << " again";
        ASSERT_EQ(volume_state_prefix(volume, shard, prefix), OK);
        world_->opened(this, s, prefix);
    }
    const struct repl_reads_config rc = {volume, nid(), rng_u64(&rng), this, send_frame};
    ASSERT_EQ(repl_reads_new(&rc, &reads_), OK);
    wake_at = 0;
    busy_until = 0;
    reads_at = 0;
}

void Node::stop()
{
    if (volume == nullptr) {
        return;
    }
    repl_reads_free(reads_);
    volume_pulls_end(volume);
    volume_close(volume);
    volume = nullptr;
    for (Mail *m : mail_) {
        delete m;
    }
    mail_.clear();
    EXPECT_EQ(mail_held_, 0u) << "the volume kept a message";
    world_->stopped(this);
    std::vector<Proposal> lost;
    for (Flight *f : flights_) {
        lost.push_back(std::move(f->asked));
        delete f;
    }
    for (Flight *f : queued_) {
        lost.push_back(std::move(f->asked));
        delete f;
    }
    flights_.clear();
    queued_.clear();
    for (const Proposal &p : lost) {
        p.done(ERR_CLOSED, "");
    }
}

void Node::power_on()
{
    if (world_->options.trace) {
        printf("%llu node %llu power on\n", static_cast<unsigned long long>(world_->now_),
               static_cast<unsigned long long>(id));
    }
    kv_mem_reopen(kv);
    start();
    if (world_->options.compare && !testing::Test::HasFailure()) {
        check_rows(false);
    }
}

void Node::done(struct proposal *p, enum err status, struct slice result)
{
    Flight *f = reinterpret_cast<Flight *>(p);
    Node *n = f->node;
    Proposal asked = std::move(f->asked);
    n->flights_.remove(f);
    delete f;
    asked.done(status, std::string(reinterpret_cast<const char *>(result.p), result.n));
}

void Node::submit(const Proposal &p)
{
    Flight *f = new Flight();
    f->node = this;
    f->asked = p;
    f->p.shard = p.shard;
    f->p.grows = p.grows;
    f->p.data = slice_make(f->asked.data.data(), f->asked.data.size());
    f->p.body = slice_make(f->asked.body.data(), f->asked.body.size());
    f->p.staged_index = p.staged_index;
    f->p.staged_offset = p.staged_offset;
    f->p.done = done;
    queued_.push_back(f);
    wake_at = 0;
}

void Node::release(struct repl_received *r)
{
    Mail *m = reinterpret_cast<Mail *>(r);
    m->node->mail_held_--;
    delete m;
}

void Node::receive(uint64_t from, const std::string &message)
{
    Mail *m = new Mail();
    uint8_t n[4];
    put_le32(n, static_cast<uint32_t>(message.size()));
    m->node = this;
    m->bytes = std::string(reinterpret_cast<char *>(n), 4) + message;
    m->r.bytes = slice_make(m->bytes.data(), m->bytes.size());
    m->r.from.v = from;
    m->r.release = release;
    mail_.push_back(m);
    wake_at = 0;
}

void Node::turn()
{
    struct proposal *list = nullptr;
    struct repl_received *received = nullptr;
    for (auto it = queued_.rbegin(); it != queued_.rend(); ++it) {
        (*it)->p.node.next = list == nullptr ? nullptr : &list->node;
        list = &(*it)->p;
        flights_.push_back(*it);
    }
    queued_.clear();
    for (auto it = mail_.rbegin(); it != mail_.rend(); ++it) {
        (*it)->r.node.next = received == nullptr ? nullptr : &received->node;
        received = &(*it)->r;
        mail_held_++;
    }
    mail_.clear();
    uint64_t commits = kv_mem_commits(kv);
    uint64_t wait = volume_turn(volume, list, received);
    wake_at = world_->now_ + wait + (wait == 0 ? 1 : 0);
    tick_reads(); /* what it answers may propose */
    if (kv_mem_commits(kv) != commits) {
        busy_until = world_->now_ + world_->below(world_->options.commit_ms + 1);
        world_->counts.commits++;
    }
    world_->turned(this);
    for (uint32_t s = 0; s < world_->options.shards; s++) {
        uint64_t term;
        bool leads = volume_leads(volume, shard_id{s}, &term);
        world_->counts.elections += leads && !led_[s];
        led_[s] = leads;
        if (world_->options.trace) {
            trace(s);
        }
    }
}

/* --- reads --- */

void Node::send_frame(void *ctx, struct node_id to, struct slice frame)
{
    Node *n = static_cast<Node *>(ctx);
    std::string bytes(reinterpret_cast<const char *>(frame.p), frame.n);
    if (bytes[0] == READS_FRAME_PING) {
        n->last_ping_ = bytes;
    }
    n->world_->send_frame(n, to.v, bytes);
}

void Node::receive_frame(uint64_t from, const std::string &frame)
{
    std::string bytes = frame;
    if (bytes[0] == READS_FRAME_PING) {
        repl_reads_ping(reads_, node_id{from}, slice_make(bytes.data(), bytes.size()));
        return;
    }
    if (world_->options.reads == Reads::ANY_ANSWER && !last_ping_.empty()) {
        bytes.replace(4, 16, last_ping_, 4, 16); /* life and round */
    }
    repl_reads_pong(reads_, node_id{from}, slice_make(bytes.data(), bytes.size()), clock.mono_ms);
}

void Node::tick_reads()
{
    uint64_t wait = repl_reads_tick(reads_, clock.mono_ms);
    reads_at = wait == UINT64_MAX ? UINT64_MAX : world_->now_ + wait;
}

void Node::read(uint32_t shard, uint64_t patience_ms, std::function<void(enum err)> done)
{
    if (world_->options.reads == Reads::UNASKED) {
        uint64_t term;
        done(volume_leads(volume, shard_id{shard}, &term) ? OK : ERR_NOT_LEADER);
        return;
    }
    Read *r = new Read();
    r->done = std::move(done);
    r->r.shard.v = shard;
    r->r.deadline_ms = clock.mono_ms + patience_ms;
    r->r.done = read_done;
    reads_at = 0;
    struct volume_read at;
    bool leased = volume_read_begin(volume, r->r.shard, &at) && !at.alone && clock.mono_ms < at.lease_ms;
    world_->counts.reads_leased += leased;
    repl_reads_begin(reads_, &r->r, clock.mono_ms);
}

void Node::read_done(struct repl_read *r, enum err status)
{
    Read *self = reinterpret_cast<Read *>(r);
    EXPECT_TRUE(status == OK || status == ERR_NOT_LEADER || status == ERR_UNAVAILABLE) << status;
    self->done(status);
    delete self;
}

/* What changed of a shard's standing. */
void Node::trace(uint32_t shard)
{
    struct volume_status st;
    if (!status(shard, &st)) {
        return;
    }
    std::string now = "term " + std::to_string(st.term) + " follows " + std::to_string(st.leader.v) +
                      (st.serves ? " serves" : "") + " servers";
    for (size_t i = 0; i < st.n_servers; i++) {
        now += " " + std::to_string(st.servers[i].node.v) + "svp"[st.servers[i].role];
    }
    now += st.changing ? " (changing)" : "";
    if (now != traced_[shard]) {
        printf("%llu node %llu shard %u: %s, log %llu..%llu committed %llu applied %llu\n",
               static_cast<unsigned long long>(world_->now_), static_cast<unsigned long long>(id), shard, now.c_str(),
               static_cast<unsigned long long>(st.log_first), static_cast<unsigned long long>(st.log_last),
               static_cast<unsigned long long>(st.commit), static_cast<unsigned long long>(st.applied));
        traced_[shard] = now;
    }
}

bool Node::status(uint32_t shard, struct volume_status *out)
{
    return volume != nullptr && volume_status(volume, shard_id{shard}, out) == OK;
}

static void on_problem(void *ctx, const char *what, struct slice key)
{
    ADD_FAILURE() << "node " << static_cast<Node *>(ctx)->id << ": " << what << " at a key of " << key.n << " bytes, '"
                  << (key.n > 4 ? static_cast<char>(key.p[4]) : '?') << "'";
}

static void on_replica(void *, struct shard_id, const uint8_t *)
{
}

static void on_body(void *, const uint8_t *, uint64_t, uint16_t, uint64_t, bool)
{
}

void Node::check_rows(bool at_end)
{
    struct kv_txn *t;
    struct repl_check_totals totals;
    const struct repl_check rows = {this, on_problem, on_replica, on_body};
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(repl_check_run(t, &rows, &totals), OK);
    world_->check_rows(this, t, at_end);
    kv_abort(t);
}

} // namespace cluster
