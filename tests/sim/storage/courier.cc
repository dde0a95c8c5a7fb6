/* What the node does by itself (storage/node/carry.c): handoffs and housekeeping; and the checks of the whole store. */
#include "replication/check.h"
#include "storage/apply/staging.h"
#include "storage/check/check.h"
#include "world.h"

namespace mail
{

constexpr uint32_t INLINE_MAX = 6000; /* larger ones are staged in the other shard */
constexpr uint64_t ROW = REPL_BODY_CHUNK_DATA;

/* --- handoffs --- */

static std::string step_id(uint32_t from, const Carry &c)
{
    struct u128 id = housekeeping_handoff_id({from}, c.due.index, c.due.to);
    return std::string(reinterpret_cast<const char *>(id.b), sizeof(id.b));
}

/* Calls f for each handoff of the shard. */
static void each_handoff(struct kv_txn *t, const uint8_t prefix[5],
                         const std::function<void(const struct handoff_due &, const std::string &)> &f)
{
    struct handoff_due due = {};
    struct buf op;
    enum err e;
    buf_init(&op, SIZE_MAX / 2);
    while ((e = housekeeping_handoff_next(t, prefix, due.index, due.to, &due, &op)) == OK) {
        f(due, std::string(reinterpret_cast<const char *>(buf_slice(&op).p), op.len));
        buf_reset(&op);
    }
    EXPECT_EQ(e, ERR_NOTFOUND);
    buf_fini(&op);
}

void World::courier(struct kv_txn *t)
{
    for (uint32_t s = 1; s < options_.shards; s++) {
        if (!quiet_ && chance(40)) {
            continue;
        }
        ShardRun &run = runs_[s];
        each_handoff(t, run.prefix, [&](const struct handoff_due &due, const std::string &op) {
            auto &c = run.carries[{due.index, due.to.v}];
            if (c == nullptr) {
                c = std::make_shared<Carry>();
                c->due = due;
                c->op = op;
                auto owed = model.shards[s].owed.find({due.index, due.to.v});
                ASSERT_TRUE(owed != model.shards[s].owed.end()) << "a handoff that nobody owes";
                c->content = owed->second.content;
                EXPECT_EQ(due.body_bytes, c->content->body.size());
            }
            carry_on(s, c, t);
        });
    }
}

/* Before a body is staged again: did the other shard take the mail, and the answer was lost? */
bool World::carried_before(uint32_t shard, const Carry &c, struct kv_txn *t)
{
    struct entry_head h = {};
    struct buf result;
    bool grows = false;
    bool done = false;
    std::string id = step_id(shard, c);
    h.method = METHOD_DELIVER;
    h.shard = c.due.to;
    h.entry_ms = node.clock.wall_ms;
    h.issue_ms = h.entry_ms;
    memcpy(h.request_id.b, id.data(), id.size());
    buf_init(&result, SIZE_MAX / 2);
    enum err e = storage_precheck(t, runs_[c.due.to.v].prefix, &h, slice_make(c.op.data(), c.op.size()), 0, &grows,
                                  &done, &result);
    buf_fini(&result);
    return e == OK && done;
}

void World::carry_on(uint32_t shard, const std::shared_ptr<Carry> &c, struct kv_txn *t)
{
    if (c->busy) {
        return;
    }
    struct buf body;
    buf_init(&body, SIZE_MAX / 2);
    EXPECT_EQ(
        repl_body_read(t, runs_[shard].prefix, c->due.body_index, c->due.body_ordinal, 0, c->due.body_bytes, &body),
        OK);
    EXPECT_TRUE(slice_eq(buf_slice(&body), slice_make(c->content->body.data(), c->content->body.size())))
        << "a handoff's body";
    buf_fini(&body);
    c->busy = true;
    c->delivered = c->delivered || carried_before(shard, *c, t);
    if (c->delivered) {
        carry_done(shard, c);
    } else if (c->due.body_bytes > INLINE_MAX && c->staged < c->due.body_bytes) {
        carry_stage(c);
    } else {
        carry_deliver(shard, c);
    }
}

void World::carry_stage(const std::shared_ptr<Carry> &c)
{
    auto op = unpack<Pb__OpDeliver>(c->op);
    uint64_t account = op->recipients[c->stager % op->n_recipients]->account;
    if (c->staged_index == 0) {
        Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
        begin.account = account;
        begin.size = c->due.body_bytes;
        RequestRef r = request(c->due.to.v, METHOD_STAGE_BEGIN, account, &begin.base);
        r->internal = true;
        r->done = [c, n = op->n_recipients](enum err status, const std::string &result) {
            c->busy = false;
            enum err e =
                status == OK ? err_from_wire(get_le32(reinterpret_cast<const uint8_t *>(result.data()))) : status;
            if (e == OK) {
                auto res = unpack<Pb__OpStageBeginResult>(result.substr(APPLY_RESULT_HEAD_BYTES));
                c->staged_index = res->staged_index;
                c->staged = 0;
            } else if (status == OK && ++c->stager >= n) {
                c->delivered = true; /* finally refused by all */
            }
        };
        queue_.push_back(r);
        return;
    }
    Pb__OpStageChunk chunk = PB__OP_STAGE_CHUNK__INIT;
    chunk.account = account;
    chunk.staged_index = c->staged_index;
    chunk.offset = static_cast<uint32_t>(c->staged);
    RequestRef r = request(c->due.to.v, METHOD_STAGE_CHUNK, account, &chunk.base);
    r->internal = true;
    r->staged_index = c->staged_index;
    r->staged_offset = c->staged;
    r->body = c->content->body.substr(c->staged, ROW * 2);
    r->done = [c, n = r->body.size()](enum err status, const std::string &) {
        c->busy = false;
        if (status == OK) {
            c->staged += n;
        } else {
            c->staged_index = 0; /* once more from the start */
        }
    };
    queue_.push_back(r);
}

void World::carry_deliver(uint32_t shard, const std::shared_ptr<Carry> &c)
{
    auto op = unpack<Pb__OpDeliver>(c->op);
    Pb__OpDeliver copy = *op;
    Pb__BodySource source = *op->body;
    source.staged_index = c->staged_index;
    copy.body = &source;
    RequestRef r = request(c->due.to.v, METHOD_DELIVER, 0, &copy.base);
    r->id = step_id(shard, *c);
    r->internal = true;
    r->content = c->content;
    r->handoff = c->due.index;
    r->handoff_from = shard;
    if (c->staged_index == 0) {
        r->body = c->content->body;
    }
    r->done = [this, c](enum err status, const std::string &result) {
        enum err e = status == OK ? err_from_wire(get_le32(reinterpret_cast<const uint8_t *>(result.data()))) : status;
        bool full = e == ERR_QUOTA && chance(60); /* tried once more, or given up */
        c->busy = false;
        c->delivered = status == OK && !full;
        if (full) {
            c->staged_index = 0;
            counts["handoffs to a full mailbox"]++;
        }
    };
    queue_.push_back(r);
}

void World::carry_done(uint32_t shard, const std::shared_ptr<Carry> &c)
{
    Pb__OpHandoffDone done = PB__OP_HANDOFF_DONE__INIT;
    done.index = c->due.index;
    done.shard = c->due.to.v;
    RequestRef r = request(shard, METHOD_HANDOFF_DONE, 0, &done.base);
    r->internal = true;
    r->done = [this, shard, c](enum err status, const std::string &) {
        c->busy = false;
        if (status == OK) {
            runs_[shard].carries.erase({c->due.index, c->due.to.v});
            counts["handoffs carried"]++;
        }
    };
    queue_.push_back(r);
}

/* --- housekeeping --- */

/* A removed account's copies go with one of the steps of its purge; which one is not the model's business. */
void World::forget_copies(uint32_t shard, struct kv_txn *t)
{
    for (auto &[id, a] : model.shards[shard].accounts) {
        for (auto it = a->copies.begin(); !a->live && it != a->copies.end();) {
            uint8_t key[30];
            struct slice v;
            memcpy(key, runs_[shard].prefix, 5);
            key[5] = 'c';
            put_be64(key + 6, id);
            memcpy(key + 14, it->first.data(), 16);
            it = kv_get(t, slice_make(key, sizeof(key)), &v) == OK ? std::next(it) : a->copies.erase(it);
        }
    }
}

/* As after a retention that changes all the time, or on a full disk. */
void World::drop_kept(uint32_t shard)
{
    Pb__OpKeptDrop op = PB__OP_KEPT_DROP__INIT;
    op.before_ms = chance(30) ? UINT64_MAX : node.clock.wall_ms - below(120000);
    RequestRef r = request(shard, METHOD_KEPT_DROP, 0, &op.base);
    r->internal = true;
    queue_.push_back(r);
}

void World::housekeep(uint32_t shard, struct kv_txn *t, bool always)
{
    if (shard > 0 && chance(4)) {
        drop_kept(shard);
    }
    ShardRun &run = runs_[shard];
    uint64_t account = 0;
    uint64_t mailbox = 0;
    bool due = false;
    forget_copies(shard, t);
    if (run.purging || (!always && chance(50))) {
        return;
    }
    ASSERT_EQ(housekeeping_purge_due(t, run.prefix, node.clock.wall_ms, &run.housekeeping, &account, &mailbox, &due),
              OK);
    if (!due) {
        return;
    }
    Pb__OpPurge op = PB__OP_PURGE__INIT;
    op.account = account;
    op.mailbox = mailbox;
    RequestRef r = request(shard, METHOD_PURGE, account, &op.base);
    r->internal = true;
    r->done = [&run](enum err, const std::string &) { run.purging = false; };
    run.purging = true;
    queue_.push_back(r);
    counts["purge steps"]++;
}

/* --- checks --- */

static void finding(void *, const struct check_finding *f)
{
    std::string key;
    for (size_t i = 0; i < f->key.n; i++) {
        char hex[4];
        snprintf(hex, sizeof(hex), "%02x", f->key.p[i]);
        key += hex;
    }
    ADD_FAILURE() << f->what << ": " << key;
}

Reader World::reader(uint32_t shard, struct kv_txn *t)
{
    return Reader(&model, shard, t, runs_[shard].prefix, cache_, runs_[shard].term);
}

void World::check(uint32_t shard, struct kv_txn *t)
{
    SCOPED_TRACE("shard " + std::to_string(shard));
    check_shard(shard, t);
    struct check_config cfg = {};
    struct check_totals totals;
    cfg.finding = finding;
    EXPECT_EQ(storage_check(t, runs_[shard].prefix, &cfg, &totals), OK);
}

/* Each open reservation, and no other, is there and charged what was staged under it. */
void World::check_staged(uint32_t shard, struct kv_txn *t)
{
    struct store s = {};
    struct account_row totals = {};
    uint64_t bytes = 0;
    s.t = t;
    memcpy(s.prefix, runs_[shard].prefix, sizeof(s.prefix));
    for (const auto &[index, st] : model.shards[shard].staged) {
        struct stage_row row = {};
        EXPECT_EQ(stage_get(&s, index, &row), OK) << "reservation " << index;
        EXPECT_EQ(row.account, st.account);
        EXPECT_EQ(row.size, st.size);
        EXPECT_EQ(row.staged, st.staged()) << "reservation " << index;
        bytes += st.staged();
    }
    enum err e = account_get(&s, {0}, &totals);
    EXPECT_TRUE(e == OK || e == ERR_NOTFOUND) << err_name(e);
    EXPECT_EQ(totals.uploads, model.shards[shard].staged.size());
    EXPECT_EQ(totals.staged_bytes, bytes);
}

void World::check_shard(uint32_t shard, struct kv_txn *t)
{
    Reader rd = reader(shard, t);
    size_t owed = 0;
    each_handoff(t, runs_[shard].prefix, [&](const struct handoff_due &due, const std::string &op) {
        auto it = model.shards[shard].owed.find({due.index, due.to.v});
        auto req = unpack<Pb__OpDeliver>(op);
        owed++;
        ASSERT_TRUE(it != model.shards[shard].owed.end()) << "a handoff that nobody owes";
        ASSERT_EQ(req->n_recipients, it->second.accounts.size());
        for (size_t i = 0; i < req->n_recipients; i++) {
            EXPECT_EQ(req->recipients[i]->account, it->second.accounts[i]);
        }
    });
    EXPECT_EQ(owed, model.shards[shard].owed.size()) << "a handoff is lost";
    check_staged(shard, t);
    if (shard == 0) {
        rd.check_directory();
    }
    for (const auto &[id, a] : model.shards[shard].accounts) {
        rd.check_account(*a, true, &rng_);
    }
}

/* --- the end --- */

void World::end()
{
    struct kv_mem_faults none = {};
    quiet_ = true;
    skew_ms_ = 0;
    for (int i = 0; i < 300 && !testing::Test::HasFailure(); i++) {
        bool owed = false;
        for (const ShardFacts &s : model.shards) {
            owed = owed || !s.owed.empty();
        }
        if (!owed && retries_.empty() && delayed_.empty() && node.unanswered() == 0) {
            break;
        }
        step(none, 0);
        node.advance(1000);
    }
    for (const ShardFacts &s : model.shards) {
        EXPECT_TRUE(s.owed.empty()) << "a handoff is not carried";
    }
    node.settle();
    node.check();
    recover();
    end_unfinished();
    if (!testing::Test::HasFailure()) {
        end_empty();
    }
}

/* What clients have begun and left: uploads go after an hour, copies in steps are undone after ten minutes. */
void World::end_unfinished()
{
    struct kv_mem_faults none = {};
    for (int i = 0; i < 160 && !testing::Test::HasFailure(); i++) {
        step(none, 0);
        node.advance(i < 20 ? 240000 : 1000);
    }
    for (const ShardFacts &s : model.shards) {
        EXPECT_TRUE(s.staged.empty()) << "an upload stays";
        for (const auto &[id, a] : s.accounts) {
            EXPECT_TRUE(!a->live || a->copies.empty()) << "a copy is not undone";
        }
    }
    node.check();
}

/* Everything goes: accounts, names, and with time the requests' records, uploads and copies. */
void World::end_empty()
{
    struct kv_mem_faults none = {};
    for (ShardFacts &s : model.shards) {
        for (auto &[id, a] : s.accounts) {
            Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
            op.account = id;
            queue_.push_back(request(a->shard, METHOD_ACCOUNT_REMOVE, id, &op.base));
        }
    }
    for (const auto &[name, n] : model.names) {
        Pb__OpDirAccountRemove op = PB__OP_DIR_ACCOUNT_REMOVE__INIT;
        op.name = text(name);
        queue_.push_back(request(0, METHOD_DIR_ACCOUNT_REMOVE, 0, &op.base));
    }
    for (const auto &[name, t] : model.aliases) {
        Pb__OpAliasSet op = PB__OP_ALIAS_SET__INIT;
        op.address = text(name);
        op.remove = true;
        queue_.push_back(request(0, METHOD_ALIAS_SET, 0, &op.base));
    }
    for (int i = 0; i < 150 && !testing::Test::HasFailure(); i++) {
        step(none, 0);
        node.advance(60000);
    }
    for (int i = 0; i < 40; i++) { /* the log moves on */
        for (uint32_t s = 0; s < options_.shards; s++) {
            Pb__OpPurge op = PB__OP_PURGE__INIT;
            RequestRef r = request(s, METHOD_PURGE, 0, &op.base);
            r->internal = true;
            queue_.push_back(r);
        }
        step(none, 0);
    }
    node.advance(3600000);
    node.settle();
    node.check();
    check_empty();
}

void World::check_empty()
{
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    ASSERT_EQ(kv_begin(node.kv, false, &t), OK);
    ASSERT_EQ(kv_cursor_open(t, &c), OK);
    for (uint32_t s = 0; s < options_.shards; s++) {
        std::string replica(reinterpret_cast<const char *>(runs_[s].prefix), 4);
        enum err e = kv_cursor_seek(c, slice_make(replica.data(), 4), &k, &v);
        for (; e == OK && memcmp(k.p, replica.data(), 4) == 0; e = kv_cursor_next(c, &k, &v)) {
            std::string key(reinterpret_cast<const char *>(k.p) + 4, k.n - 4);
            bool body = key[0] == 'B' || key[0] == 'Q';
            bool shard_account = key == std::string("Sa\0\0\0\0\0\0\0\0A", 11);
            bool directory = s == 0 && key.compare(0, 2, "Sd") == 0 && (key[2] == 'c' || key[2] == 'd');
            EXPECT_FALSE(body) << "a body of shard " << s << " stays";
            EXPECT_TRUE(key[0] != 'S' || shard_account || directory)
                << "a row of shard " << s << " stays, table " << key[1] << (key.size() > 10 ? key[10] : ' ');
        }
    }
    kv_cursor_close(c);
    kv_abort(t);
}

} // namespace mail
