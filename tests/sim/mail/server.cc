/* What a node does with a request, as storage/node does it: writes go to the volume as entries, some of them checked
 * before; reads are answered by the leader once a majority has confirmed that it leads. */
#include "../storage/wire.h"
#include "post.h"
#include "storage/method/method_run.h"

namespace post
{

constexpr uint64_t READ_WAIT_MS = 3000;
constexpr size_t READ_ARENA_BYTES = 16 << 20;

static Answer status_answer(enum err e)
{
    Answer a;
    a.status = e;
    return a;
}

void Post::serve(cluster::Node *n, const CallRef &c, const Reply &reply)
{
    if (c->method <= METHOD_WRITE_MAX) {
        serve_write(n, c, reply);
    } else {
        serve_read(n, c, reply);
    }
}

/* --- writes (storage/node/propose.c) --- */

static struct entry_head head_of(const Call &c, uint64_t entry_ms)
{
    struct entry_head h = {};
    h.method = static_cast<uint16_t>(c.method);
    h.shard.v = c.shard;
    h.account.v = c.account;
    h.entry_ms = entry_ms;
    h.issue_ms = c.issue_ms;
    memcpy(h.request_id.b, c.id.data(), sizeof(h.request_id.b));
    h.keep = c.method == METHOD_EXPUNGE && h.request_id.b[0] % 2 != 0;
    return h;
}

void Post::serve_write(cluster::Node *n, const CallRef &c, const Reply &reply)
{
    if (c->method != METHOD_STAGE_BEGIN && c->method != METHOD_STAGE_CHUNK) {
        propose(n, c, true, reply);
        return;
    }
    auto check = [this, n, c, reply] {
        bool grows = true;
        if (precheck(n, c, reply, &grows)) {
            propose(n, c, grows, reply);
        }
    };
    if (post.confirm_checks) {
        confirmed(n, c, reply, check); /* a refusal must be as true as a read */
    } else {
        check();
    }
}

/* False: answered. */
bool Post::precheck(cluster::Node *n, const CallRef &c, const Reply &reply, bool *out_grows)
{
    uint64_t term;
    struct kv_txn *t;
    struct buf result;
    bool done = false;
    uint8_t prefix[5];
    if (!volume_leads(n->volume, shard_id{c->shard}, &term) || kv_begin(n->kv, false, &t) != OK) {
        reply(status_answer(ERR_NOT_LEADER));
        return false;
    }
    struct entry_head h = head_of(*c, n->clock.wall_ms);
    buf_init(&result, SIZE_MAX / 2);
    EXPECT_EQ(volume_state_prefix(n->volume, shard_id{c->shard}, prefix), OK);
    enum err e = storage_precheck(t, prefix, &h, slice_make(c->op.data(), c->op.size()),
                                  static_cast<uint32_t>(c->body.size()), out_grows, &done, &result);
    kv_abort(t);
    Answer a = status_answer(e);
    if (e == ERR_MOVED) {
        struct store s = {};
        EXPECT_EQ(kv_begin(n->kv, false, &s.t), OK);
        memcpy(s.prefix, prefix, sizeof(s.prefix));
        EXPECT_EQ(account_moved_to(&s, {c->account}, &a.moved_to), OK);
        kv_abort(s.t);
    }
    if (e == OK && done) {
        a.status = err_from_wire(get_le32(buf_slice(&result).p));
        a.meta.assign(reinterpret_cast<const char *>(buf_slice(&result).p) + APPLY_RESULT_HEAD_BYTES,
                      result.len - APPLY_RESULT_HEAD_BYTES);
    }
    buf_fini(&result);
    if (e != OK || done) {
        reply(a);
        return false;
    }
    return true;
}

void Post::propose(cluster::Node *n, const CallRef &c, bool grows, const Reply &reply)
{
    cluster::Proposal p;
    bool chunk = c->staged_index != 0;
    p.shard = c->shard;
    p.grows = grows;
    p.body = c->body;
    p.staged_index = c->staged_index;
    p.staged_offset = c->staged_offset;
    if (!chunk) {
        struct entry_head h = head_of(*c, n->clock.wall_ms);
        uint8_t head[ENTRY_HEAD_BYTES];
        rng_fill(&n->rng, h.random, sizeof(h.random));
        entry_head_encode(&h, head);
        p.data = std::string(reinterpret_cast<char *>(head), sizeof(head)) + c->op;
    }
    p.done = [reply, chunk](enum err status, const std::string &result) {
        Answer a = status_answer(status);
        if (status == OK && !chunk) {
            ASSERT_GE(result.size(), static_cast<size_t>(APPLY_RESULT_HEAD_BYTES));
            a.status = err_from_wire(get_le32(reinterpret_cast<const uint8_t *>(result.data())));
            a.meta = result.substr(APPLY_RESULT_HEAD_BYTES);
            if (a.status == ERR_MOVED && a.meta.size() == 4) {
                a.moved_to = get_le32(reinterpret_cast<const uint8_t *>(a.meta.data()));
                a.meta.clear();
            }
        }
        reply(a);
    };
    n->submit(p);
}

/* --- reads (storage/node/readers.c) --- */

/* then: the node leads, and has applied all that the call must see. */
void Post::confirmed(cluster::Node *n, const CallRef &c, const Reply &reply, std::function<void()> then)
{
    n->read(c->shard, READ_WAIT_MS, [n, reply, then = std::move(then)](enum err status) {
        if (status == OK && kv_mem_crashed(n->kv)) {
            status = ERR_UNAVAILABLE;
        }
        if (status == OK) {
            then();
        } else {
            reply(status_answer(status));
        }
    });
}

void Post::serve_read(cluster::Node *n, const CallRef &c, const Reply &reply)
{
    cluster::Node *best = leader_of(c->shard);
    happened["reads that ask an old leader"] += best != nullptr && best != n;
    confirmed(n, c, reply, [this, n, c, reply] {
        Answer a;
        a.status = read(n, *c, &a);
        reply(a);
    });
}

enum err Post::read(cluster::Node *n, const Call &c, Answer *out)
{
    const std::string &op = c.op;
    struct arena arena;
    struct buf meta_buf;
    struct buf attach_buf;
    struct read_context rc = {};
    enum err e = kv_begin(n->kv, false, &rc.txn);
    if (e != OK) {
        return e;
    }
    arena_init(&arena, READ_ARENA_BYTES);
    buf_init(&meta_buf, SIZE_MAX / 2);
    buf_init(&attach_buf, SIZE_MAX / 2);
    EXPECT_EQ(volume_state_prefix(n->volume, shard_id{c.shard}, rc.prefix), OK);
    rc.shard.v = c.shard;
    rc.deadline_ms = UINT64_MAX;
    rc.cache = caches_[n->id - 1];
    rc.arena = &arena;
    e = storage_method_run(&rc, c.method, slice_make(op.data(), op.size()), &meta_buf, &attach_buf);
    if (e == ERR_MOVED) {
        struct store s = {};
        s.t = rc.txn;
        memcpy(s.prefix, rc.prefix, sizeof(s.prefix));
        EXPECT_EQ(account_moved_to(&s, {c.account}, &out->moved_to), OK);
    }
    out->meta.assign(reinterpret_cast<const char *>(buf_slice(&meta_buf).p), meta_buf.len);
    out->attach.assign(reinterpret_cast<const char *>(buf_slice(&attach_buf).p), attach_buf.len);
    kv_abort(rc.txn);
    buf_fini(&meta_buf);
    buf_fini(&attach_buf);
    arena_fini(&arena);
    EXPECT_NE(e, ERR_CORRUPT) << mail::method_name(c.method);
    return e;
}

} // namespace post
