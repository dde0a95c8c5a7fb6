#include "sim.h"

#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "replication/check.h"

namespace sim
{

struct Node::Flight {
    struct proposal p; /* first */
    Node *node;
    Op op;
};

namespace
{

uint64_t mono_ms(struct clock *c)
{
    return reinterpret_cast<Clock *>(c)->mono_ms;
}

uint64_t wall_ms(struct clock *c)
{
    return reinterpret_cast<Clock *>(c)->wall_ms;
}

constexpr int START_TURNS_MAX = 100;
constexpr int SETTLE_TURNS_MAX = 20000;
constexpr struct node_id NODE = {7};

} // namespace

Node::Node(uint64_t seed, Workload *w, const NodeOptions &o)
    : kv(o.kv), workload(w), options(o), owns_kv(o.kv == nullptr)
{
    rng_seeded_init(&rng, seed);
    clock.base.mono_ms = mono_ms;
    clock.base.wall_ms = wall_ms;
    clock.mono_ms = 1000;
    clock.wall_ms = 1700000000000;
    if (owns_kv) {
        EXPECT_EQ(kv_mem_new(&kv), OK);
    }
}

Node::~Node()
{
    stop();
    if (owns_kv) {
        kv_close(kv);
    }
}

enum err Node::start()
{
    struct volume_config vc = {};
    vc.kv = kv;
    vc.clock = &clock.base;
    vc.rng = &rng;
    vc.log_entries_max = options.log_entries_max;
    vc.log_bytes_max = options.log_bytes_max;
    vc.dead_retention_ms = options.dead_retention_ms;
    vc.reserve_bytes = options.reserve_bytes;
    enum err e = volume_open(&vc, &volume);
    for (uint32_t s = 0; e == OK && s < options.shards; s++) {
        struct repl_fsm fsm = workload->open(s);
        struct shard_id shard = {s};
        uint8_t prefix[5];
        e = volume_replica_open(volume, shard, NODE, &fsm);
        if (e == OK) {
            e = volume_state_prefix(volume, shard, prefix);
        }
        if (e == OK) {
            workload->prefix(s, prefix);
        }
    }
    if (e != OK) {
        stop();
    }
    return e;
}

void Node::stop()
{
    if (volume != nullptr) {
        volume_close(volume);
        volume = nullptr;
    }
    for (std::list<Flight *> *l : {&flights, &queued}) {
        for (Flight *f : *l) {
            workload->lost(f->op);
            delete f;
        }
        l->clear();
    }
}

bool Node::restart()
{
    stop();
    if (owns_kv) {
        kv_mem_reopen(kv);
    }
    enum err e = start();
    EXPECT_EQ(e, OK);
    for (int i = 0; e == OK && i < START_TURNS_MAX && !all_lead(); i++) {
        turn();
        advance(1000);
    }
    return e == OK && all_lead();
}

void Node::done(struct proposal *p, enum err status, struct slice result)
{
    Flight *f = reinterpret_cast<Flight *>(p);
    Node *n = f->node;
    n->workload->answered(f->op, status, std::string(reinterpret_cast<const char *>(result.p), result.n));
    n->flights.remove(f);
    delete f;
}

void Node::submit(const Op &op)
{
    Flight *f = new Flight();
    f->node = this;
    f->op = op;
    f->p.shard = op.shard;
    f->p.grows = op.grows;
    f->p.data = slice_make(f->op.data.data(), f->op.data.size());
    f->p.body = slice_make(f->op.body.data(), f->op.body.size());
    f->p.staged_index = op.staged_index;
    f->p.staged_offset = op.staged_offset;
    f->p.done = done;
    queued.push_back(f);
}

uint64_t Node::turn()
{
    struct proposal *list = nullptr;
    for (auto it = queued.rbegin(); it != queued.rend(); ++it) {
        (*it)->p.node.next = list == nullptr ? nullptr : &list->node;
        list = &(*it)->p;
    }
    flights.splice(flights.end(), queued);
    return volume_turn(volume, list, nullptr);
}

void Node::settle()
{
    for (int i = 0; i < SETTLE_TURNS_MAX; i++) {
        uint64_t wait = turn();
        if (unanswered() == 0 && wait >= 10000) {
            EXPECT_TRUE(all_lead());
            return;
        }
        advance(wait);
    }
    ADD_FAILURE() << "the volume does not come to rest";
}

void Node::advance(uint64_t ms)
{
    clock.mono_ms += ms;
    clock.wall_ms += ms;
}

bool Node::crashed() const
{
    return owns_kv && kv_mem_crashed(kv);
}

bool Node::all_lead()
{
    for (uint32_t s = 0; s < options.shards; s++) {
        struct shard_id shard = {s};
        uint64_t term;
        if (!volume_leads(volume, shard, &term)) {
            return false;
        }
    }
    return true;
}

static void on_problem(void *, const char *what, struct slice key)
{
    ADD_FAILURE() << what << " at a key of " << key.n << " bytes, '" << (key.n > 4 ? static_cast<char>(key.p[4]) : '?')
                  << "'";
}

static void on_replica(void *ctx, struct shard_id, const uint8_t *)
{
    ++*static_cast<uint32_t *>(ctx);
}

static void on_body(void *, const uint8_t *, uint64_t, uint16_t, uint64_t, bool)
{
}

void Node::check()
{
    struct kv_txn *t;
    struct repl_check_totals totals;
    uint32_t replicas = 0;
    const struct repl_check rows = {&replicas, on_problem, on_replica, on_body};
    ASSERT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(repl_check_run(t, &rows, &totals), OK);
    EXPECT_EQ(replicas, options.shards);
    for (uint32_t s = 0; s < options.shards; s++) {
        workload->check(s, t);
    }
    kv_abort(t);
}

namespace
{

bool chance(struct rng *r, int percent)
{
    return rng_below(r, 100) < static_cast<uint64_t>(percent);
}

/* Sets the faults of the next turn. */
void set_faults(Node *n, const Options &o)
{
    struct kv_mem_faults f = {};
    if (chance(&n->rng, o.crash_percent)) {
        uint64_t *when = chance(&n->rng, 50) ? &f.crash_before_commit_nth : &f.crash_after_commit_nth;
        *when = 1 + rng_below(&n->rng, 3);
    }
    if (chance(&n->rng, o.full_percent)) {
        if (chance(&n->rng, 30)) {
            f.commit_full_nth = 1 + rng_below(&n->rng, 2);
        } else {
            f.put_full_nth = 1 + rng_below(&n->rng, 60);
        }
    }
    *kv_mem_faults(n->kv) = f;
    if (chance(&n->rng, o.nomem_percent)) {
        mem_fail_nth(1 + rng_below(&n->rng, 200));
    }
}

void propose(Node *n, Workload *w, const Options &o)
{
    struct kv_txn *t;
    ASSERT_EQ(kv_begin(n->kv, false, &t), OK);
    for (uint64_t i = rng_below(&n->rng, static_cast<uint64_t>(o.ops_per_step) + 1); i > 0; i--) {
        Op op;
        op.shard = static_cast<uint32_t>(rng_below(&n->rng, o.node.shards));
        if (w->propose(op.shard, t, &n->rng, &op)) {
            n->submit(op);
        }
    }
    kv_abort(t);
}

void step(Node *n, Workload *w, const Options &o)
{
    propose(n, w, o);
    set_faults(n, o);
    uint64_t wait = n->turn();
    mem_fail_nth(0);
    n->advance(chance(&n->rng, 10) ? 2000 : wait < 100 ? wait : rng_below(&n->rng, 100));
    if (n->crashed() || (o.restart_cleanly && chance(&n->rng, 2))) {
        ASSERT_TRUE(n->restart());
        n->check();
    }
}

} // namespace

void run(uint64_t seed, Workload *w, const Options &o)
{
    Node n(seed, w, o.node);
    ASSERT_TRUE(n.restart());
    for (int i = 0; i < o.steps && !testing::Test::HasFailure(); i++) {
        step(&n, w, o);
    }
    if (testing::Test::HasFailure()) {
        return;
    }
    struct kv_mem_faults none = {};
    *kv_mem_faults(n.kv) = none;
    n.settle();
    n.check();
    ASSERT_TRUE(n.restart());
    n.settle();
    n.check();
    w->finish(&n);
}

} // namespace sim
