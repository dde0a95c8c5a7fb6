#include "post.h"

#include "../storage/wire.h"
#include "proto/base/hash.h"
#include "proto/rpc/flags.h"
#include "replication/log.h"
#include "storage/check/check.h"

namespace post
{

constexpr uint64_t CACHE_BYTES = 64 * 1024;
constexpr uint64_t HOUSEKEEPING_MS = 1000;

Post::Post(uint64_t seed, const PostOptions &o) : World(seed, o), post(o), machines_(o.nodes), caches_(o.nodes)
{
    for (auto &m : machines_) {
        m.resize(o.shards);
    }
}

Post::~Post()
{
    close();
}

void Post::later(uint64_t ms, std::function<void()> what)
{
    later_.emplace(now() + ms, std::move(what));
}

/* --- the state machine: storage's, and what it applied and answered --- */

enum err Post::apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t body_bytes,
                     struct buf *result)
{
    Machine *m = static_cast<Machine *>(ctx);
    struct buf own;
    buf_init(&own, REPL_RESULT_BYTES_MAX);
    struct buf *out = result == nullptr ? &own : result;
    enum err e = m->inner.apply(m->inner.ctx, t, pos, data, body_bytes, out);
    if (e == OK) {
        struct slice r = buf_slice(out);
        m->open.emplace_back(pos.index, cluster::Applied{hash_stable(data.p, data.n), pos.term, hash_stable(r.p, r.n)});
    }
    buf_fini(&own);
    return e;
}

void Post::committed(void *ctx)
{
    Machine *m = static_cast<Machine *>(ctx);
    m->inner.committed(m->inner.ctx);
    for (const auto &[index, what] : m->open) {
        m->post->see(m->node, m->shard, index, what);
    }
    m->open.clear();
}

void Post::aborted(void *ctx)
{
    Machine *m = static_cast<Machine *>(ctx);
    m->inner.aborted(m->inner.ctx);
    m->open.clear();
}

enum err Post::staged(void *ctx, struct kv_txn *t, uint64_t index, uint32_t bytes)
{
    Machine *m = static_cast<Machine *>(ctx);
    return m->inner.staged(m->inner.ctx, t, index, bytes);
}

void Post::moved(void *ctx, const uint8_t prefix[5])
{
    Machine *m = static_cast<Machine *>(ctx);
    storage_fsm_set_prefix(m->fsm, prefix);
    m->post->happened["replicas replaced by a copy"]++;
}

struct repl_fsm Post::open(cluster::Node *n, uint32_t shard)
{
    struct storage_fsm_config cfg = {};
    auto &m = machines_[n->id - 1][shard];
    m = std::make_unique<Machine>();
    m->post = this;
    m->node = n;
    m->shard = shard;
    cfg.shard.v = shard;
    EXPECT_EQ(storage_fsm_new(&cfg, &m->fsm), OK);
    storage_fsm_bind(m->fsm, &m->inner);
    if (caches_[n->id - 1] == nullptr) {
        EXPECT_EQ(read_cache_new(CACHE_BYTES, &caches_[n->id - 1]), OK);
    }
    return {m.get(), apply, committed, aborted, staged, moved};
}

void Post::restored(
    uint32_t shard,
    const std::function<void(const struct repl_fsm &, const std::function<void(const uint8_t *)> &)> &use)
{
    struct storage_fsm_config cfg = {};
    struct storage_fsm *fsm = nullptr;
    struct repl_fsm bound = {};
    cfg.shard.v = shard;
    EXPECT_EQ(storage_fsm_new(&cfg, &fsm), OK);
    storage_fsm_bind(fsm, &bound);
    use(bound, [fsm](const uint8_t *prefix) { storage_fsm_set_prefix(fsm, prefix); });
    storage_fsm_free(fsm);
}

void Post::opened(cluster::Node *n, uint32_t shard, const uint8_t *prefix)
{
    storage_fsm_set_prefix(machine(n, shard).fsm, prefix);
}

void Post::stopped(cluster::Node *n)
{
    for (auto &m : machines_[n->id - 1]) {
        storage_fsm_free(m->fsm);
        m->fsm = nullptr;
    }
    read_cache_free(caches_[n->id - 1]);
    caches_[n->id - 1] = nullptr;
}

/* Somebody takes the hints, as storage/node does. */
void Post::turned(cluster::Node *n)
{
    for (auto &m : machines_[n->id - 1]) {
        size_t events;
        (void)storage_fsm_events(m->fsm, &events);
    }
}

/* --- time --- */

bool Post::idle()
{
    return calls_.empty() && later_.empty() && !moving_;
}

void Post::clients()
{
    while (!later_.empty() && later_.begin()->first <= now()) {
        auto what = std::move(later_.begin()->second);
        later_.erase(later_.begin());
        what();
    }
    watch_calls();
    moves();
    if (quiet()) {
        return;
    }
    for (auto &d : devices_) {
        if (!d->busy && now() >= d->next_at) {
            use(d.get());
        }
        if (per_min(post.call_partition_per_min)) {
            cut_[{d->number, 1 + below(nodes.size())}] = now() + 100 + below(8000);
        }
    }
    if (now() % HOUSEKEEPING_MS == 0) {
        housekeep();
    }
}

/* A step of the leader's purging. */
void Post::housekeep()
{
    for (auto &n : nodes) {
        for (uint32_t s = 0; s < options.shards && n->alive(); s++) {
            uint64_t term;
            struct kv_txn *t;
            uint8_t prefix[5];
            Pb__OpPurge op = PB__OP_PURGE__INIT;
            bool due = false;
            if (!volume_leads(n->volume, shard_id{s}, &term) || kv_begin(n->kv, false, &t) != OK) {
                continue;
            }
            EXPECT_EQ(volume_state_prefix(n->volume, shard_id{s}, prefix), OK);
            enum err e = housekeeping_purge_due(t, prefix, n->clock.wall_ms, &machine(n.get(), s).housekeeping,
                                                &op.account, &op.mailbox, &due);
            kv_abort(t);
            if (e == OK && due) {
                CallRef c = own_call(n.get(), s, METHOD_PURGE, op.account, mail::pack(&op.base));
                happened["purge steps"]++;
                propose(n.get(), c, false, [](const Answer &) {});
            }
        }
    }
}

/* --- accounts --- */

void Post::prepare()
{
    for (uint32_t i = 0; i < options.shards * post.accounts; i++) {
        auto a = std::make_unique<Account>();
        a->id = 1 + i;
        a->shard = i % options.shards;
        for (unsigned k = 0; k < post.devices; k++) {
            auto d = std::make_unique<Device>();
            d->number = devices_.size();
            d->account = a.get();
            devices_.push_back(std::move(d));
        }
        accounts_[a->id] = std::move(a);
    }
    for (auto &[id, a] : accounts_) {
        Pb__OpAccountCreate op = PB__OP_ACCOUNT_CREATE__INIT;
        std::string name = "u" + std::to_string(id) + "@sim.test";
        op.account = id;
        op.name = mail::text(name);
        CallRef c = call(devices_[(id - 1) * post.devices].get(), METHOD_ACCOUNT_CREATE, &op.base);
        c->done = [](const Answer &r, Span) { EXPECT_EQ(r.status, OK); };
        start(c);
    }
    for (int i = 0; i < 100 && !idle(); i++) {
        step_ms(100);
    }
    ASSERT_TRUE(idle());
    for (auto &[id, a] : accounts_) {
        Device *d = devices_[(id - 1) * post.devices].get();
        list(d);
    }
    for (int i = 0; i < 100 && !idle(); i++) {
        step_ms(100);
    }
    for (auto &[id, a] : accounts_) {
        for (auto &[box, b] : a->boxes) {
            b.kind = b.names.count("Archive") != 0 ? Kind::ARCHIVE
                     : b.names.count("Trash") != 0 ? Kind::TRASH
                                                   : Kind::BIRTH;
        }
        ASSERT_EQ(a->boxes.size(), 6u);
    }
}

/* --- checks --- */

static void on_finding(void *ctx, const struct check_finding *f)
{
    ADD_FAILURE() << "node " << static_cast<cluster::Node *>(ctx)->id << ": " << f->what << " at a key of " << f->key.n
                  << " bytes, '" << (f->key.n > 5 ? static_cast<char>(f->key.p[5]) : '?') << "'";
}

void Post::check_rows(cluster::Node *n, struct kv_txn *t, bool at_end)
{
    if (!at_end && !chance(post.check_percent)) {
        return;
    }
    for (uint32_t s = 0; s < options.shards; s++) {
        uint8_t prefix[5];
        struct repl_meta meta;
        struct check_totals totals = {};
        EXPECT_EQ(volume_state_prefix(n->volume, shard_id{s}, prefix), OK);
        enum err e = log_meta_get(t, get_be32(prefix), &meta);
        if (e == ERR_NOTFOUND || meta.applied == 0) {
            continue; /* it has joined nothing yet */
        }
        struct check_config cfg = {on_finding, n, false, meta.applied};
        EXPECT_EQ(e, OK);
        EXPECT_EQ(storage_check(t, prefix, &cfg, &totals), OK);
        happened["replicas verified"]++;
    }
}

/* Every mailbox, row and body, as the leader has it now. */
void Post::read_everything(Account *a)
{
    unsigned places = 0;
    uint32_t shard = where(*a, &places);
    cluster::Node *n = leader_of(shard);
    EXPECT_EQ(places, 1u) << "an account lives in one shard";
    happened["accounts that ended elsewhere"] += shard != a->shard;
    auto now_read = [&](enum method m, const ProtobufCMessage *op,
                        const std::function<void(const Answer &, Span)> &then) {
        Answer r;
        Span s = {stamp(), 0};
        Call c;
        c.shard = shard;
        c.method = m;
        c.account = a->id;
        c.op = mail::pack(op);
        r.status = read(n, c, &r);
        r.sure = true;
        s.ended = stamp();
        then(r, s);
    };
    Pb__ReadMailboxes op = PB__READ_MAILBOXES__INIT;
    op.account = a->id;
    now_read(METHOD_MAILBOXES, &op.base, [&](const Answer &r, Span s) {
        ASSERT_EQ(r.status, OK);
        listed(a, r, s);
    });
    for (auto &[id, b] : a->boxes) {
        if (b.gone != NEVER) {
            continue;
        }
        Pb__ReadSelect sel = PB__READ_SELECT__INIT;
        sel.account = a->id;
        sel.mailbox = id;
        now_read(METHOD_SELECT, &sel.base, [&](const Answer &r, Span s) {
            ASSERT_EQ(r.status, OK);
            selected(a, id, nullptr, r, s);
        });
        std::vector<uint32_t> uids;
        for (const auto &[uid, row] : b.rows) {
            uids.push_back(uid);
        }
        std::string all = mail::pack_uids(uids);
        Pb__ReadFetch fetch = PB__READ_FETCH__INIT;
        fetch.account = a->id;
        fetch.mailbox = id;
        fetch.uids = mail::bytes_of(all);
        fetch.columns = FETCH_COL_FLAGS | FETCH_COL_MODSEQ | FETCH_COL_SIZE;
        now_read(METHOD_FETCH, &fetch.base, [&](const Answer &r, Span s) { fetched(a, id, uids, r, s); });
        for (uint32_t uid : uids) {
            Pb__ReadBody body = PB__READ_BODY__INIT;
            body.account = a->id;
            body.mailbox = id;
            body.uid = uid;
            body.length = UINT32_MAX;
            now_read(METHOD_BODY, &body.base, [&](const Answer &r, Span s) { read_body(a, id, uid, r, s); });
        }
    }
}

void Post::check_end()
{
    for (auto &[id, a] : accounts_) {
        SCOPED_TRACE("account " + std::to_string(id));
        read_everything(a.get());
        ledger.count(*a);
        for (const auto &[marker, f] : a->fates) {
            happened["mail acknowledged"] += f.acked;
            happened["mail of unknown fate"] += !f.acked && !f.impossible;
        }
    }
}

} // namespace post
