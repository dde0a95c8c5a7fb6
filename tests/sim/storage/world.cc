#include "world.h"

#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "proto/rpc/flags.h"
#include "replication/log.h"

namespace mail
{

constexpr uint64_t ISSUE_MS_MAX = 300000; /* ARCHITECTURE, section 6.1 */

World::World(uint64_t seed, const WorldOptions &o)
    : node(seed, this, o.node), model(o.shards), options_(o), runs_(o.shards)
{
    rng_seeded_init(&rng_, seed * 7919 + 1);
    EXPECT_EQ(read_cache_new(32 * 1024, &cache_), OK);
}

World::~World()
{
    closing_ = true;
    node.stop();
    for (ShardRun &r : runs_) {
        storage_fsm_free(r.fsm);
    }
    read_cache_free(cache_);
}

bool World::chance(int percent)
{
    return rng_below(&rng_, 100) < static_cast<uint64_t>(percent);
}

uint64_t World::below(uint64_t n)
{
    return rng_below(&rng_, n);
}

/* --- sim::Workload --- */

struct repl_fsm World::open(uint32_t shard)
{
    struct storage_fsm_config cfg = {};
    struct repl_fsm fsm = {};
    storage_fsm_free(runs_[shard].fsm);
    runs_[shard].fsm = nullptr;
    cfg.shard.v = shard;
    EXPECT_EQ(storage_fsm_new(&cfg, &runs_[shard].fsm), OK);
    storage_fsm_bind(runs_[shard].fsm, &fsm);
    return fsm;
}

void World::prefix(uint32_t shard, const uint8_t prefix[5])
{
    memcpy(runs_[shard].prefix, prefix, sizeof(runs_[shard].prefix));
    storage_fsm_set_prefix(runs_[shard].fsm, prefix);
}

Entry World::entry_of(const Request &r, const struct entry_head &h) const
{
    Entry e;
    e.shard = r.shard;
    e.method = r.method;
    e.account = r.account;
    e.id = r.id;
    e.entry_ms = h.entry_ms;
    e.op = r.op;
    e.body_bytes = r.body.size();
    e.content = r.content;
    e.index = runs_[r.shard].index;
    e.term = runs_[r.shard].term;
    e.keep = h.keep;
    return e;
}

static struct entry_head head_of(const sim::Op &op)
{
    struct entry_head h = {};
    struct slice rest;
    EXPECT_EQ(entry_decode(slice_make(op.data.data(), op.data.size()), &h, &rest), OK);
    return h;
}

static uint64_t overflows(const Outcome &o)
{
    return o.mailbox != nullptr && o.mailbox->table.size() > FLAG_KEYWORDS_MAX && !o.rows.empty();
}

/* The entry of this attempt is in the log. */
Outcome World::apply(const RequestRef &r, const sim::Op &op, Entry *out)
{
    runs_[r->shard].index++;
    *out = entry_of(*r, head_of(op));
    if (r->handoff != 0) {
        delivered_ms_.emplace(std::make_tuple(r->handoff_from, r->handoff, r->shard), node.clock.wall_ms);
    }
    Outcome o = model.apply(*out);
    if (options_.trace) {
        printf("%llu s%u i%llu %s account %llu at %llu: %s%s modseq %llu\n", static_cast<unsigned long long>(step_),
               out->shard, static_cast<unsigned long long>(out->index), method_name(out->method),
               static_cast<unsigned long long>(out->account), static_cast<unsigned long long>(out->entry_ms),
               err_name(o.status), o.changed ? "" : ", no change", static_cast<unsigned long long>(o.modseq));
    }
    return o;
}

/* The same for a chunk of a staged body: what it must be answered. */
enum err World::apply_chunk(const sim::Op &op)
{
    uint64_t index = ++runs_[op.shard].index;
    enum err e = model.chunk(op.shard, op.staged_index, op.staged_offset, op.body.size());
    counts[std::string("chunk ") + err_name(e)]++;
    if (options_.trace) {
        printf("%llu s%u i%llu chunk of i%llu at %llu: %s\n", static_cast<unsigned long long>(step_), op.shard,
               static_cast<unsigned long long>(index), static_cast<unsigned long long>(op.staged_index),
               static_cast<unsigned long long>(op.staged_offset), err_name(e));
    }
    return e;
}

void World::answered(const sim::Op &op, enum err status, const std::string &result)
{
    RequestRef r = flights_.at(op.tag);
    mem_fail_nth(0); /* the faults are the node's, not the checker's */
    if (op.staged_index == 0 && status == OK) {
        Entry e;
        Outcome expected = apply(r, op, &e);
        check_result(&model, e, expected, result);
        acks++;
        counts["of messages with overflow flags"] += overflows(expected);
        counts["with a staged body"] += r->content != nullptr && r->body.empty() && expected.changed;
        counts[std::string(method_name(r->method)) + " " + err_name(expected.status)]++;
    } else if (status == ERR_FULL || status == ERR_OVERLOAD || status == ERR_UNAVAILABLE) {
        counts["not taken"]++;
    } else if (op.staged_index != 0) {
        EXPECT_STREQ(err_name(status), err_name(apply_chunk(op)));
    } else {
        ADD_FAILURE() << err_name(status);
    }
    answer(r, status, result);
}

void World::lost(const sim::Op &op)
{
    if (!closing_) {
        runs_[op.shard].lost.push_back(op);
    }
}

void World::answer(const RequestRef &r, enum err status, const std::string &result)
{
    if (r->done) {
        r->done(status, result);
    }
    if (r->internal || r->staged_index != 0) {
        return;
    }
    if ((status != OK && chance(80)) || (status == OK && !quiet_ && chance(options_.duplicate_percent))) {
        retry_later(r);
    }
}

void World::retry_later(const RequestRef &r)
{
    retries_.emplace_back(step_ + below(4), r);
}

/* --- requests --- */

RequestRef World::request(uint32_t shard, enum method m, uint64_t account, const ProtobufCMessage *op)
{
    auto r = std::make_shared<Request>();
    struct u128 id = rng_u128(&rng_);
    r->shard = shard;
    r->method = m;
    r->account = account;
    r->id.assign(reinterpret_cast<const char *>(id.b), sizeof(id.b));
    r->issue_ms = node.clock.wall_ms;
    r->op = pack(op);
    r->checked = m == METHOD_STAGE_BEGIN || m == METHOD_STAGE_CHUNK;
    return r;
}

void World::submit(const RequestRef &r)
{
    queue_.push_back(r);
    if (!quiet_ && !r->internal && r->staged_index == 0 && chance(options_.duplicate_percent / 2)) {
        queue_.push_back(r);
        counts["sent twice at once"]++;
    }
}

/* What the leader does with a request before the log; false: it was answered already. */
bool World::precheck(const RequestRef &r, struct kv_txn *t, const struct entry_head &h, bool *out_grows)
{
    struct buf result;
    bool done = false;
    buf_init(&result, SIZE_MAX / 2);
    enum err e = storage_precheck(t, runs_[r->shard].prefix, &h, slice_make(r->op.data(), r->op.size()),
                                  static_cast<uint32_t>(r->body.size()), out_grows, &done, &result);
    std::string bytes(reinterpret_cast<const char *>(buf_slice(&result).p), result.len);
    buf_fini(&result);
    if (r->method == METHOD_STAGE_CHUNK) {
        if (e != OK) {
            answer(r, e, "");
        }
        return e == OK;
    }
    Entry entry = entry_of(*r, h);
    entry.dry = true;
    bool known = model.shards[r->shard].done.count(r->id) != 0;
    Outcome expected = model.apply(entry);
    SCOPED_TRACE(std::string("precheck of ") + method_name(r->method));
    EXPECT_EQ(done, known);
    if (done && known) {
        check_result(&model, entry, expected, bytes);
        counts["retry answered before the log"]++;
        answer(r, OK, bytes);
        return false;
    }
    if (r->staged_index == 0 && e != OK) {
        EXPECT_STREQ(err_name(e), err_name(expected.status));
        answer(r, OK, "");
        counts["refused before the log"]++;
        return false;
    }
    return true;
}

bool World::attempt(const RequestRef &r, struct kv_txn *t)
{
    struct entry_head h = {};
    sim::Op op;
    bool grows = true;
    uint64_t now = static_cast<uint64_t>(static_cast<int64_t>(node.clock.wall_ms) + skew_ms_);
    uint64_t off = now > r->issue_ms ? now - r->issue_ms : r->issue_ms - now;
    if (off > ISSUE_MS_MAX && !r->internal) {
        counts["given up"]++;
        if (r->done) {
            r->done(ERR_EXPIRED, "");
        }
        return false;
    }
    h.method = static_cast<uint16_t>(r->method);
    h.shard.v = r->shard;
    h.account.v = r->account;
    h.entry_ms = now;
    h.keep = r->method == METHOD_EXPUNGE && chance(options_.keep_percent);
    h.issue_ms = r->internal ? now : r->issue_ms;
    memcpy(h.request_id.b, r->id.data(), sizeof(h.request_id.b));
    rng_fill(&rng_, h.random, sizeof(h.random));
    bool check = !r->internal && (r->checked || chance(15));
    if (check && !precheck(r, t, h, &grows)) {
        return false;
    }
    op.shard = r->shard;
    op.grows = grows;
    op.body = r->body;
    op.tag = flights_.size();
    op.staged_index = r->staged_index;
    op.staged_offset = r->staged_offset;
    if (r->staged_index == 0) {
        uint8_t head[ENTRY_HEAD_BYTES];
        entry_head_encode(&h, head);
        op.data = std::string(reinterpret_cast<char *>(head), sizeof(head)) + r->op;
    }
    flights_.push_back(r);
    if (!quiet_ && check && chance(10)) {
        delayed_.emplace_back(step_ + below(4), op);
        counts["checked early"]++;
        return true;
    }
    node.submit(op);
    return true;
}

/* --- turns --- */

uint64_t World::applied(uint32_t shard)
{
    struct kv_txn *t;
    struct repl_meta m = {};
    EXPECT_EQ(kv_begin(node.kv, false, &t), OK);
    EXPECT_EQ(log_meta_get(t, get_be32(runs_[shard].prefix), &m), OK);
    kv_abort(t);
    return m.applied;
}

void World::settle_indexes()
{
    for (uint32_t s = 0; s < options_.shards; s++) {
        uint64_t term = 0;
        EXPECT_TRUE(volume_leads(node.volume, {s}, &term));
        runs_[s].index = applied(s);
        runs_[s].term = term;
        for (const auto &[id, a] : model.shards[s].accounts) {
            modseq_before_[id] = a->modseq; /* hints die with the process */
        }
    }
}

/* What the log says was applied before the crash happened; the clients do not know. */
void World::resolve_lost(uint32_t shard)
{
    ShardRun &run = runs_[shard];
    uint64_t until = applied(shard);
    std::vector<sim::Op> ops;
    std::swap(ops, run.lost);
    for (const sim::Op &op : ops) {
        RequestRef r = flights_.at(op.tag);
        if (run.index < until) {
            Entry e;
            op.staged_index == 0 ? (void)apply(r, op, &e) : (void)apply_chunk(op);
            counts["done and not answered"]++;
        }
    }
    EXPECT_EQ(run.index, until) << "entries in the log that nobody sent";
    for (const sim::Op &op : ops) {
        answer(flights_.at(op.tag), ERR_UNAVAILABLE, "");
    }
}

void World::recover()
{
    node.stop();
    kv_mem_reopen(node.kv);
    for (uint32_t s = 0; s < options_.shards; s++) {
        runs_[s].carries.clear();
        runs_[s].purging = false;
        resolve_lost(s);
    }
    for (const auto &[at, op] : delayed_) {
        answer(flights_.at(op.tag), ERR_UNAVAILABLE, "");
    }
    delayed_.clear();
    read_cache_free(cache_);
    ASSERT_EQ(read_cache_new(32 * 1024, &cache_), OK);
    if (!quiet_ && chance(25)) { /* it dies again while it starts */
        struct kv_mem_faults f = {};
        (chance(50) ? f.crash_before_commit_nth : f.crash_after_commit_nth) = 1 + below(3);
        *kv_mem_faults(node.kv) = f;
        if (node.start() == OK) {
            node.turn();
            node.turn();
        }
        counts["crashes at start"]++;
    }
    ASSERT_TRUE(node.restart());
    settle_indexes();
    node.check();
}

void World::check_events()
{
    for (uint32_t s = 0; s < options_.shards; s++) {
        size_t n;
        std::map<uint64_t, uint64_t> last;
        const struct storage_event *ev = storage_fsm_events(runs_[s].fsm, &n);
        for (size_t i = 0; i < n; i++) {
            if (options_.trace) {
                printf("  event s%u account %llu mailbox %llu modseq %llu\n", s, (unsigned long long)ev[i].account.v,
                       (unsigned long long)ev[i].mailbox.v, (unsigned long long)ev[i].modseq);
            }
            EXPECT_GE(ev[i].modseq, last[ev[i].account.v]);
            last[ev[i].account.v] = ev[i].modseq;
        }
        for (const auto &[id, a] : model.shards[s].accounts) {
            uint64_t &before = modseq_before_[id];
            if (a->modseq != before) {
                EXPECT_EQ(last[id], a->modseq) << "no event tells the last change of account " << id;
            }
            before = a->modseq;
        }
    }
}

void World::begin()
{
    ASSERT_TRUE(node.restart());
    settle_indexes();
}

void World::step(const struct kv_mem_faults &faults, int nomem_nth)
{
    struct kv_txn *t;
    step_++;
    ASSERT_EQ(kv_begin(node.kv, false, &t), OK);
    clients(t);
    courier(t);
    for (uint32_t s = 0; s < options_.shards; s++) {
        housekeep(s, t, false);
    }
    for (size_t i = retries_.size(); i > 0; i--) {
        auto [at, r] = retries_.front();
        retries_.pop_front();
        if (at <= step_) {
            queue_.push_back(r);
        } else {
            retries_.emplace_back(at, r);
        }
    }
    for (size_t i = 0; i < queue_.size(); i++) { /* it may grow: answers bring the next request */
        attempt(RequestRef(queue_[i]), t);
    }
    queue_.clear();
    kv_abort(t);
    for (size_t i = delayed_.size(); i > 0; i--) {
        auto d = delayed_.front();
        delayed_.erase(delayed_.begin());
        if (d.first <= step_) {
            node.submit(d.second);
        } else {
            delayed_.push_back(d);
        }
    }
    *kv_mem_faults(node.kv) = faults;
    if (nomem_nth > 0) {
        mem_fail_nth(static_cast<unsigned long>(nomem_nth));
    }
    uint64_t wait = node.turn();
    mem_fail_nth(0);
    left_ = *kv_mem_faults(node.kv);
    if (!node.crashed()) {
        struct kv_mem_faults none = {};
        *kv_mem_faults(node.kv) = none;
        for (uint32_t s = 0; s < options_.shards; s++) {
            EXPECT_EQ(applied(s), runs_[s].index) << "shard " << s;
        }
        check_events();
    }
    node.advance(wait < 100 ? wait : below(100));
}

/* Whether a delivered handoff would be asked for again after its record is gone. */
bool World::may_jump(uint64_t ms)
{
    for (const auto &[key, since] : delivered_ms_) {
        const auto &[from, index, to] = key;
        bool open = model.shards[from].owed.count({index, to}) != 0;
        if (open && !options_.handoff_outages && node.clock.wall_ms + ms - since > 600000) {
            return false;
        }
    }
    return true;
}

void World::jump()
{
    static const uint64_t jumps_ms[] = {2000, 30000, 180000, 360000, 660000, 1000000, 1300000, 3900000};
    if (!chance(options_.jump_percent) || !delayed_.empty() || node.unanswered() > 0) {
        return; /* no entry is stamped and then waits for minutes */
    }
    if (chance(20)) {
        skew_ms_ = static_cast<int64_t>(below(240000)) - 120000; /* the wall clock was set */
        counts["clock set"]++;
    } else {
        uint64_t ms = jumps_ms[below(sizeof(jumps_ms) / sizeof(jumps_ms[0]))];
        node.advance(may_jump(ms) ? ms : 0);
        counts["time jumps"]++;
    }
}

bool World::run_with_one_fault(uint64_t crash_before, uint64_t crash_after, uint64_t put_full)
{
    bool came = false;
    struct kv_mem_faults f = {};
    quiet_ = false;
    begin();
    f.put_full_nth = put_full;
    for (int i = 0; i < options_.steps && !testing::Test::HasFailure(); i++) {
        uint64_t commits = kv_mem_commits(node.kv);
        f.crash_before_commit_nth = crash_before > commits ? crash_before - commits : 0;
        f.crash_after_commit_nth = crash_after > commits ? crash_after - commits : 0;
        step(f, 0);
        came = came || node.crashed() || (put_full != 0 && left_.put_full_nth == 0);
        f.put_full_nth = left_.put_full_nth;
        if (node.crashed()) {
            recover();
        }
    }
    if (!testing::Test::HasFailure()) {
        end();
    }
    return came;
}

void World::run()
{
    begin();
    for (int i = 0; i < options_.steps && !testing::Test::HasFailure(); i++) {
        struct kv_mem_faults f = {};
        jump();
        if (chance(options_.crash_percent)) {
            (chance(50) ? f.crash_before_commit_nth : f.crash_after_commit_nth) = 1 + below(2);
        }
        if (chance(options_.full_percent)) {
            if (chance(30)) {
                f.commit_full_nth = 1 + below(2);
            } else {
                f.put_full_nth = 1 + below(80);
            }
        }
        step(f, chance(options_.nomem_percent) ? static_cast<int>(1 + below(300)) : 0);
        if (node.crashed() || chance(2)) {
            counts[node.crashed() ? "crashes" : "restarts"]++;
            recover();
        }
    }
    if (!testing::Test::HasFailure()) {
        end();
    }
}

} // namespace mail
