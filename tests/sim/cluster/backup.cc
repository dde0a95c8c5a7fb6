#include "backup.h"

#include "cluster.h"
#include "node.h"
#include "replication/restore.h"

namespace cluster
{

namespace
{

constexpr uint64_t PATIENCE_MS = 8000;

std::string text(struct slice s)
{
    return std::string(reinterpret_cast<const char *>(s.p), s.n);
}

} // namespace

/* The volume's until it is answered; a node that dies answers too. */
struct Backup::Pull {
    struct volume_pull p = {}; /* first */
    std::shared_ptr<Pull> self;
    bool answered = false;
    uint64_t asked_at = 0;
    enum err status = OK;
    bool last = false;
    uint64_t index = 0, term = 0;
    std::string rows;

    static void done(struct volume_pull *p, enum err status, const struct volume_batch *b)
    {
        Pull *me = reinterpret_cast<Pull *>(p);
        std::shared_ptr<Pull> keep = std::move(me->self);
        me->answered = true;
        me->status = status;
        if (b != nullptr) {
            me->last = b->last;
            me->index = b->index;
            me->term = b->term;
            me->rows = text(b->rows);
        }
    }
};

Backup::~Backup() = default;

void Backup::drop()
{
    from_ = nullptr;
    pull_ = nullptr;
    batches_.clear();
    entries_.clear();
    based_ = false;
    next_at_ = world_->now() + world_->below(2000);
}

void Backup::begin()
{
    shard_ = static_cast<uint32_t>(world_->below(world_->options.shards));
    from_ = world_->leader_of(shard_);
    if (from_ == nullptr) {
        return drop();
    }
    copy_ = 1 + rng_u64(world_->rng()) / 2;
    increments_ = 1 + static_cast<int>(world_->below(3));
    pull();
}

void Backup::pull()
{
    pull_ = std::make_shared<Pull>();
    pull_->self = pull_;
    pull_->asked_at = world_->now();
    pull_->p.shard = {shard_};
    pull_->p.copy = copy_;
    pull_->p.arrived = batches_.size();
    pull_->p.done = Pull::done;
    std::shared_ptr<Pull> keep = pull_; /* it may be answered at once */
    volume_pull(from_->volume, &keep->p);
    from_->wake_at = 0;
}

void Backup::took()
{
    std::shared_ptr<Pull> p = std::move(pull_);
    pull_ = nullptr;
    if (p->status != OK) {
        return drop();
    }
    batches_.push_back(p->rows);
    if (!p->last) {
        return pull();
    }
    based_ = true;
    base_index_ = index_ = p->index;
    base_term_ = term_ = p->term;
    next_at_ = world_->now() + world_->below(6000);
}

/* From the leader that there is now, if its log has what was saved before and everything behind it. */
bool Backup::entries(Node *n)
{
    uint8_t prefix[5];
    struct kv_txn *t;
    struct saved_span span;
    struct buf b;
    uint64_t term = 0;
    if (volume_state_prefix(n->volume, {shard_}, prefix) != OK || kv_begin(n->kv, false, &t) != OK) {
        return false;
    }
    buf_init(&b, SIZE_MAX / 2);
    bool good = saved_span_get(t, prefix, &span) == OK && span.last >= index_ &&
                saved_term_get(t, prefix, index_, &term) == OK && term == term_;
    uint64_t i = index_ + 1;
    for (; good && i <= span.last; i++) {
        good = saved_entry_read(t, prefix, i, &b) == OK;
    }
    if (good) {
        entries_ += text(buf_slice(&b));
        index_ = span.last;
        term_ = span.last_term;
    }
    buf_fini(&b);
    kv_abort(t);
    return good;
}

void Backup::increment()
{
    Node *n = world_->leader_of(shard_);
    if (n == nullptr) {
        next_at_ = world_->now() + 100 + world_->below(1000); /* ctl asks again, too */
        return;
    }
    if (!entries(n)) {
        return drop();
    }
    if (--increments_ == 0) {
        compare(n);
        return drop();
    }
    next_at_ = world_->now() + world_->below(6000);
}

/* Between two turns the leader's state is that of the last entry that it applied, which was saved just now. */
void Backup::compare(Node *n)
{
    struct kv *kv;
    struct restore *r;
    const struct restore_config cfg = {nullptr, {shard_}, {9}};
    ASSERT_EQ(kv_mem_new(&kv), OK);
    world_->restored(shard_, [&](const struct repl_fsm &fsm, const std::function<void(const uint8_t *)> &moved) {
        struct restore_config c = cfg;
        uint8_t prefix[5];
        uint64_t rows;
        c.kv = kv;
        ASSERT_EQ(restore_begin(&c, &fsm, &r), OK);
        restore_prefix(r, prefix);
        moved(prefix);
        for (const std::string &batch : batches_) {
            ASSERT_EQ(restore_rows(r, slice_make(batch.data(), batch.size()), &rows), OK);
        }
        ASSERT_EQ(restore_base(r, base_index_, base_term_), OK);
        struct slice rest = slice_make(entries_.data(), entries_.size());
        while (rest.n > 0) {
            struct repl_entry e;
            ASSERT_EQ(saved_entry_get(&rest, &e), OK);
            ASSERT_EQ(restore_entry(r, &e), OK) << e.head.index;
        }
        ASSERT_EQ(restore_index(r), index_);
        ASSERT_EQ(restore_end(r, index_ + 1000), OK);
        EXPECT_EQ(world_->state_of(kv, prefix), world_->rows_of(n, shard_))
            << "a backup of shard " << shard_ << ", base " << base_index_ << ", entries to " << index_;
        restore_free(r);
        world_->counts.backups++;
    });
    kv_close(kv);
}

void Backup::tick()
{
    if (pull_ != nullptr) {
        if (pull_->answered) {
            took();
        } else if (world_->now() > pull_->asked_at + PATIENCE_MS) {
            drop(); /* the volume still has it, and may answer */
        }
    } else if (world_->now() < next_at_) {
        return;
    } else if (based_) {
        increment();
    } else if (world_->per_min(world_->options.backup_per_min)) {
        begin();
    }
}

} // namespace cluster
