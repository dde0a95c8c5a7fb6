/* Accounts that move between shards: who starts it, the leaders that drive it (storage/node/moves.c) and that carry
 * what deliveries owe to other shards (storage/node/carry.c). */
#include "../storage/wire.h"
#include "post.h"

namespace post
{

constexpr unsigned OUT_MAX = 4;
constexpr uint64_t PAUSE_MS = 40;
constexpr uint64_t LATE_MS = 8000;

CallRef Post::own_call(cluster::Node *n, uint32_t shard, enum method m, uint64_t account, std::string op)
{
    auto c = std::make_shared<Call>();
    struct u128 id = rng_u128(&n->rng);
    c->shard = shard;
    c->method = m;
    c->account = account;
    c->id.assign(reinterpret_cast<const char *>(id.b), sizeof(id.b));
    c->issue_ms = n->clock.wall_ms;
    c->op = std::move(op);
    return c;
}

/* To whoever leads the shard, over a network that loses and delays; what is late is sent twice. The reply comes once.
 */
void Post::send_own(const CallRef &c, const Reply &reply)
{
    auto answered = std::make_shared<bool>(false);
    auto once = [this, answered, reply](const Answer &a) {
        if (!*answered) {
            *answered = true;
            later(1 + below(post.call_delay_ms + 1), [reply, a] { reply(a); });
        }
    };
    auto go = [this, c, once] {
        cluster::Node *n = leader_of(c->shard);
        if (n == nullptr || !n->alive() || kv_mem_crashed(n->kv)) {
            Answer none;
            none.status = ERR_NOT_LEADER;
            once(none);
        } else {
            serve_write(n, c, once);
        }
    };
    if (!quiet() && chance(post.call_late_percent)) {
        later(1 + below(LATE_MS), go);
    }
    if (quiet() || !chance(post.call_loss_percent)) {
        later(1 + below(post.call_delay_ms + 1), go);
    }
    later(10000, [once] {
        Answer lost;
        lost.status = ERR_TIMEOUT;
        once(lost);
    });
}

/* --- moves --- */

struct Drive {
    struct mover mover;
    uint64_t next_at = 0;
    bool over = false;
};

void Post::start_move()
{
    auto it = accounts_.begin();
    std::advance(it, static_cast<long>(below(accounts_.size())));
    uint32_t from = where(*it->second, nullptr);
    uint32_t to = 1 + static_cast<uint32_t>(below(options.shards - 1));
    cluster::Node *n = from == 0 || from == to ? nullptr : leader_of(from);
    if (n == nullptr) {
        return;
    }
    Pb__OpMoveStart op = PB__OP_MOVE_START__INIT;
    op.account = it->first;
    op.to = to;
    send_own(own_call(n, from, METHOD_MOVE_START, it->first, mail::pack(&op.base)),
             [this](const Answer &a) { happened["moves begun"] += a.status == OK; });
}

void Post::drive(cluster::Node *n, const std::shared_ptr<Drive> &d, const struct store *s)
{
    struct mover_request r;
    enum mover_next next = MOVER_SEND;
    mover_request_init(&r);
    while (next == MOVER_SEND && d->mover.out < OUT_MAX && now() >= d->next_at) {
        EXPECT_EQ(mover_next(&d->mover, s, n->clock.wall_ms, &r, &next), OK);
        if (next != MOVER_SEND) {
            break;
        }
        CallRef c = own_call(n, r.shard.v, r.method, r.shard.v == 0 ? 0 : d->mover.account.v,
                             std::string(reinterpret_cast<const char *>(buf_slice(&r.op).p), r.op.len));
        c->body.assign(reinterpret_cast<const char *>(buf_slice(&r.body).p), r.body.len);
        c->staged_index = r.staged_index;
        c->staged_offset = r.staged_offset;
        if (r.own_id) {
            c->id.assign(reinterpret_cast<const char *>(r.request_id.b), sizeof(r.request_id.b));
        }
        /* What is asked about later: the request without its bytes. */
        struct mover_request sent = r;
        sent.op = {};
        sent.body = {};
        sent.body.len = r.body.len;
        send_own(c, [this, n, d, sent](const Answer &a) {
            if (a.status != OK) {
                happened[std::string("move request ") + mail::method_name(sent.method) + " " + err_name(a.status)]++;
            }
            if (!mover_answered(&d->mover, &sent, a.status, slice_make(a.meta.data(), a.meta.size()),
                                n->clock.wall_ms)) {
                d->next_at = now() + PAUSE_MS;
            }
        });
    }
    d->over = next == MOVER_OVER;
    mover_request_fini(&r);
}

void Post::drive_moves(cluster::Node *n, uint32_t shard, const struct store *s)
{
    Machine &m = machine(n, shard);
    struct account_id a = {0};
    struct move_row row;
    for (uint64_t from = 0; move_next(s, from, &a, &row) == OK; from = a.v + 1) {
        moving_ = true;
        auto &d = m.drives[a.v];
        if (d == nullptr) {
            d = std::make_shared<Drive>();
            mover_init(&d->mover, {shard}, a, options.shards);
        }
        unsigned before = row.state;
        drive(n, d, s);
        happened["moves seen sealed"] += before == MOVE_SEALED && d->mover.named;
        happened["moves seen given up"] += before == MOVE_ABORTING && d->mover.cancelled;
    }
    for (auto it = m.drives.begin(); it != m.drives.end();) {
        it = move_get(s, {it->first}, &row) == ERR_NOTFOUND ? m.drives.erase(it) : std::next(it);
    }
}

/* --- handoffs --- */

void Post::carry(cluster::Node *n, uint32_t shard, const struct store *s)
{
    Machine &m = machine(n, shard);
    struct handoff_due due = {};
    struct buf op;
    buf_init(&op, SIZE_MAX / 2);
    while (housekeeping_handoff_next(s->t, s->prefix, due.index, due.to, &due, &op) == OK) {
        std::pair<uint64_t, uint32_t> key = {due.index, due.to.v};
        moving_ = true;
        std::string packed(reinterpret_cast<const char *>(buf_slice(&op).p), op.len);
        buf_reset(&op);
        if (m.carries[key] > now()) {
            continue;
        }
        m.carries[key] = now() + 20000; /* or until it is answered */
        struct buf body;
        buf_init(&body, SIZE_MAX / 2);
        EXPECT_EQ(repl_body_read(s->t, s->prefix, due.body_index, due.body_ordinal, 0, due.body_bytes, &body), OK);
        CallRef c = own_call(n, due.to.v, METHOD_DELIVER, 0, packed);
        struct u128 id = housekeeping_handoff_id({shard}, due.index, due.to);
        c->id.assign(reinterpret_cast<const char *>(id.b), sizeof(id.b));
        c->body.assign(reinterpret_cast<const char *>(buf_slice(&body).p), body.len);
        buf_fini(&body);
        send_own(c, [this, n, shard, key](const Answer &a) { carried(n, shard, key, a); });
    }
    buf_fini(&op);
}

void Post::carried(cluster::Node *n, uint32_t shard, std::pair<uint64_t, uint32_t> key, const Answer &a)
{
    if (a.status != OK) {
        bool temporary = a.status == ERR_NOT_LEADER || a.status == ERR_UNAVAILABLE || a.status == ERR_TIMEOUT ||
                         a.status == ERR_FULL || a.status == ERR_OVERLOAD || a.status == ERR_CLOSED ||
                         a.status == ERR_IO || a.status == ERR_NOMEM || a.status == ERR_EXPIRED;
        EXPECT_TRUE(temporary) << "accepted mail is refused: " << err_name(a.status);
        if (n->alive()) {
            machine(n, shard).carries[key] = now() + 100;
        }
        return;
    }
    auto r = mail::unpack<Pb__OpDeliverResult>(a.meta);
    for (size_t i = 0; i < r->n_recipients; i++) {
        EXPECT_EQ(r->recipients[i]->err, static_cast<uint32_t>(OK));
    }
    happened["handoffs carried"]++;
    Pb__OpHandoffDone done = PB__OP_HANDOFF_DONE__INIT;
    done.index = key.first;
    done.shard = key.second;
    send_own(own_call(n, shard, METHOD_HANDOFF_DONE, 0, mail::pack(&done.base)), [](const Answer &) {});
}

/* --- each tick --- */

/* What leaders do by themselves about accounts that move. */
void Post::moves()
{
    if (post.move_per_min == 0) {
        return;
    }
    if (!quiet() && per_min(post.move_per_min)) {
        start_move();
    }
    if (now() % 5 != 0) {
        return;
    }
    moving_ = false;
    for (auto &n : nodes) {
        for (uint32_t s = 1; s < options.shards && n->alive() && !kv_mem_crashed(n->kv); s++) {
            uint64_t term;
            struct store st = {};
            if (!volume_leads(n->volume, shard_id{s}, &term)) {
                machine(n.get(), s).drives.clear();
                machine(n.get(), s).carries.clear();
                continue;
            }
            if (kv_begin(n->kv, false, &st.t) != OK) {
                continue;
            }
            EXPECT_EQ(volume_state_prefix(n->volume, shard_id{s}, st.prefix), OK);
            drive_moves(n.get(), s, &st);
            carry(n.get(), s, &st);
            kv_abort(st.t);
        }
    }
    if (quiet() && moving_ && now() % 200 == 0) {
        housekeep(); /* an account that comes back waits until its old rows are gone */
    }
}

/* The shard in which the account lives, as the leaders have it; 0: none, or nobody knows. */
uint32_t Post::where(const Account &a, unsigned *out_places)
{
    uint32_t found = 0;
    unsigned places = 0;
    for (uint32_t s = 0; s < options.shards; s++) {
        cluster::Node *n = leader_of(s);
        struct store st = {};
        struct account_row row;
        if (n == nullptr || !n->alive() || kv_mem_crashed(n->kv) || kv_begin(n->kv, false, &st.t) != OK) {
            continue;
        }
        EXPECT_EQ(volume_state_prefix(n->volume, shard_id{s}, st.prefix), OK);
        if (account_get(&st, {a.id}, &row) == OK && account_readable(row.state) == OK) {
            found = s;
            places++;
        }
        kv_abort(st.t);
    }
    if (out_places != nullptr) {
        *out_places = places;
    }
    return found;
}

} // namespace post
