/* A call of a frontend: attempts at the node that it takes for the leader, with the same id, until an answer or the
 * deadline. Answers of earlier attempts still count. */
#include "../storage/wire.h"
#include "post.h"

namespace post
{

constexpr uint64_t WALL_MS = 1700000000000;
constexpr uint64_t REFUSED_MS = 30; /* until an attempt after one that was refused */
constexpr uint64_t LATE_MS = 8000;  /* of a request, at most */

CallRef Post::call(Device *d, enum method m, const ProtobufCMessage *op)
{
    auto c = std::make_shared<Call>();
    struct u128 id = rng_u128(rng());
    c->number = next_call_++;
    c->shard = believed(*d, *d->account);
    c->stays = m == METHOD_DELIVER;
    c->method = m;
    c->account = d->account->id;
    c->device = d->number;
    c->id.assign(reinterpret_cast<const char *>(id.b), sizeof(id.b));
    c->issue_ms = WALL_MS + now();
    c->op = mail::pack(op);
    c->begun = stamp();
    c->deadline = now() + post.deadline_ms;
    return c;
}

uint32_t Post::believed(const Device &d, const Account &a) const
{
    auto it = d.shards.find(a.id);
    return it == d.shards.end() ? a.shard : it->second;
}

/* The account lives elsewhere: the same call there, as session/backend.c does. False: it is answered now. */
bool Post::follow(const CallRef &c, const Answer &a)
{
    EXPECT_NE(a.moved_to, 0u);
    EXPECT_NE(c->method, METHOD_DELIVER) << "a delivery stays where it was sent";
    happened["calls that followed an account"]++;
    devices_[c->device]->shards[c->account] = a.moved_to;
    c->open--; /* refused, and not recorded */
    if (c->stays) {
        Answer gone;
        gone.status = ERR_UNAVAILABLE;
        gone.sure = c->open == 0;
        finish(c, gone);
        return false;
    }
    c->shard = a.moved_to;
    c->silent_at = now() + 1 + below(20);
    return true;
}

/* Who leads, as the device's frontend believes; 0: nobody known. */
uint64_t &Post::leader(const CallRef &c)
{
    return leaders_[{c->device, c->shard}];
}

void Post::start(const CallRef &c)
{
    calls_.push_back(c);
    attempt(c);
}

bool Post::cut_off(const CallRef &c, uint64_t node)
{
    auto it = cut_.find({c->device, node});
    return (it != cut_.end() && it->second > now() && !quiet()) || (!quiet() && chance(post.call_loss_percent));
}

void Post::attempt(const CallRef &c)
{
    uint64_t id = leader(c) != 0 && chance(95) ? leader(c) : 1 + below(nodes.size());
    uint64_t number = ++c->attempts;
    c->open++;
    c->silent_at = now() + post.silence_ms;
    if (cut_off(c, id)) {
        return; /* nobody will ever hear of this attempt, but who asks does not know */
    }
    uint64_t delay_ms = !quiet() && chance(post.call_late_percent) ? LATE_MS : post.call_delay_ms;
    later(1 + below(delay_ms + 1), [this, c, id, number] {
        cluster::Node *n = nodes[id - 1].get();
        Reply reply = [this, c, id, number](const Answer &a) {
            struct node_id hint = {0};
            cluster::Node *from = nodes[id - 1].get();
            if (a.status == ERR_NOT_LEADER && from->alive()) {
                hint = volume_leader(from->volume, shard_id{c->shard});
            }
            if (!cut_off(c, id)) {
                later(1 + below(post.call_delay_ms + 1),
                      [this, c, id, number, a, hint] { answered(c, number, id, a, hint.v); });
            }
        };
        if (n->alive() && !kv_mem_crashed(n->kv)) {
            serve(n, c, reply);
        } else {
            Answer closed;
            closed.status = ERR_NOT_LEADER; /* connection refused: the node never had it */
            reply(closed);
        }
    });
}

/* What no node has taken. */
static bool not_taken(enum err e)
{
    return e == ERR_NOT_LEADER || e == ERR_FULL || e == ERR_OVERLOAD;
}

static bool try_again(enum err e)
{
    return not_taken(e) || e == ERR_MOVED || e == ERR_UNAVAILABLE || e == ERR_CLOSED || e == ERR_TIMEOUT || e == ERR_IO;
}

/* Its answer, whatever it is, is what any other attempt gets. Steps of an upload are no operations: done again, they
 * do the same again. */
static bool is_recorded(const Call &c)
{
    return c.method <= METHOD_WRITE_MAX && c.method != METHOD_STAGE_BEGIN && c.method != METHOD_STAGE_CHUNK;
}

/* Without the names of the mailbox's keywords, which STORE's answer brings up to date. */
static std::string core_of(const Call &c, const Answer &a)
{
    if (c.method != METHOD_STORE || a.status != OK) {
        return a.meta;
    }
    auto r = mail::unpack<Pb__OpStoreResult>(a.meta);
    Pb__OpStoreResult core = *r;
    core.n_keywords = 0;
    return mail::pack(&core.base);
}

void Post::answered(const CallRef &c, uint64_t number, uint64_t node, const Answer &a, uint64_t hint)
{
    if (c->finished) {
        bool both = is_recorded(*c) && !try_again(a.status) && !try_again(c->answer.status);
        EXPECT_TRUE(!both || (a.status == c->answer.status && core_of(*c, a) == core_of(*c, c->answer)))
            << mail::method_name(c->method) << " was answered twice, " << err_name(c->answer.status) << " and "
            << err_name(a.status) << ", in different ways";
        return;
    }
    if (a.status == ERR_MOVED) {
        (void)follow(c, a);
        return;
    }
    if (!try_again(a.status)) {
        if (a.status == OK) {
            leader(c) = node;
        }
        Answer last = a;
        last.sure = true;
        finish(c, last);
        return;
    }
    happened[std::string("attempt ") + err_name(a.status)]++;
    c->open -= not_taken(a.status);
    if (leader(c) == node || leader(c) == 0) {
        leader(c) = hint != node ? hint : 0;
    }
    if (number == c->attempts) {
        c->silent_at = now() + REFUSED_MS + below(100); /* watch_calls tries again */
    }
}

void Post::finish(const CallRef &c, const Answer &a)
{
    c->finished = true;
    c->answer = a;
    counts.acks += a.status == OK;
    counts.unknown += !a.sure;
    happened[std::string(mail::method_name(c->method)) + " " + err_name(a.status) + (a.sure ? "" : " (unsure)")]++;
    if (options.trace) {
        printf("%llu call %llu %s account %llu: %s%s after %llu attempts\n", static_cast<unsigned long long>(now()),
               static_cast<unsigned long long>(c->number), mail::method_name(c->method),
               static_cast<unsigned long long>(c->account), err_name(a.status), a.sure ? "" : ", unsure",
               static_cast<unsigned long long>(c->attempts));
    }
    if (c->done) {
        auto done = std::move(c->done);
        c->done = nullptr;
        done(a, {c->begun, stamp()});
    }
}

void Post::watch_calls()
{
    for (size_t i = 0; i < calls_.size();) {
        CallRef c = calls_[i];
        if (c->finished) {
            calls_[i] = calls_.back();
            calls_.pop_back();
            continue;
        }
        if (now() >= c->deadline) {
            Answer late;
            late.sure = c->open == 0;
            finish(c, late);
        } else if (now() >= c->silent_at) {
            if (leader(c) != 0 && chance(50)) {
                leader(c) = 0;
            }
            attempt(c);
        }
        i++;
    }
}

} // namespace post
