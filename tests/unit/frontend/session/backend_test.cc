#include "tests/unit/frontend/session/session_fixture.hh"

#include "proto/base/mem.h"

TEST_F(SessionTest, ACallReturnsTheUnpackedReply)
{
    Account a = make_account("a", 1);
    Session s(port());
    s.run([&](struct conn *) {
        struct arena arena;
        struct backend_reply reply;
        struct account_ref ref = ref_of(a);
        Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
        req.account = a.id;
        arena_init(&arena, 65536);
        EXPECT_EQ(OK, backend_account_call(backend, &ref, METHOD_ACCOUNT, &req.base, slice_str(""), &arena, &reply));
        const Pb__ReadAccountResult *r = (const Pb__ReadAccountResult *)(const void *)reply.message;
        EXPECT_STREQ("a@example.test", r->name);
        backend_reply_fini(&reply);
        arena_fini(&arena);
    });
}

TEST_F(SessionTest, TheMethodsOwnRefusalComesAtOnce)
{
    Account a = make_account("a", 1);
    Session s(port());
    Pb__ReadSelect sel = PB__READ_SELECT__INIT;
    sel.account = a.id;
    sel.name = (char *)"No such folder";
    uint64_t before = clock_mono_ms(clock_system());
    EXPECT_EQ(ERR_NOTFOUND, call_on(s, a, METHOD_SELECT, &sel.base));
    EXPECT_LT(clock_mono_ms(clock_system()) - before, 5000u);
    EXPECT_EQ(ERR_LIMIT, call_on(s, a, METHOD_APPEND, nullptr, 0, std::string(RPC_FRAME_BYTES_MAX, 'x')));
}

TEST_F(SessionTest, ACallWaitsForANodeThatComesBackAndIsAppliedOnce)
{
    Account a = make_account("a", 1);
    std::string msg = message("patience");
    std::string packed = deliver_op(msg, a);
    down();
    Session s(port());
    enum err e = ERR_CORRUPT;
    s.start([&](struct conn *) {
        struct arena arena;
        struct backend_reply reply;
        struct account_ref ref = ref_of(a);
        arena_init(&arena, 1 << 20);
        Pb__OpDeliver *op = pb__op_deliver__unpack(nullptr, packed.size(), (const uint8_t *)packed.data());
        e = backend_account_call(backend, &ref, METHOD_DELIVER, &op->base, slice_make(msg.data(), msg.size()), &arena,
                                 &reply);
        pb__op_deliver__free_unpacked(op, nullptr);
        backend_reply_fini(&reply);
        arena_fini(&arena);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    up();
    s.finish();
    EXPECT_EQ(OK, e);
    EXPECT_EQ(1u, inbox(a).messages);
}

TEST_F(SessionTest, WithoutANodeACallEndsAtItsDeadline)
{
    Account a = make_account("a", 1);
    down();
    Session s(port());
    Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
    req.account = a.id;
    uint64_t before = clock_mono_ms(clock_system());
    EXPECT_EQ(ERR_UNAVAILABLE, call_on(s, a, METHOD_ACCOUNT, &req.base, 600));
    uint64_t took = clock_mono_ms(clock_system()) - before;
    EXPECT_LT(took, 3000u);
    EXPECT_FALSE(backend_ready(backend));
}

TEST_F(SessionTest, ManyFibersCallAtOnce)
{
    Account a = make_account("a", 1);
    std::vector<std::unique_ptr<Session>> sessions;
    std::atomic<int> good{0};
    for (int i = 0; i < 40; i++) {
        sessions.push_back(std::make_unique<Session>(port()));
    }
    for (auto &s : sessions) {
        s->start([&](struct conn *) {
            for (int k = 0; k < 20; k++) {
                struct arena arena;
                struct backend_reply reply;
                struct account_ref ref = ref_of(a);
                Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
                req.account = a.id;
                arena_init(&arena, 65536);
                good +=
                    backend_account_call(backend, &ref, METHOD_ACCOUNT, &req.base, slice_str(""), &arena, &reply) == OK;
                backend_reply_fini(&reply);
                arena_fini(&arena);
            }
        });
    }
    sessions.clear();
    EXPECT_EQ(800, good);
}

/* --- directory look-ups --- */

namespace
{

int resolve_kind(struct backend *b, const char *name)
{
    struct arena arena;
    const Pb__ReadResolveResult *r = nullptr;
    arena_init(&arena, 65536);
    enum err e = backend_resolve(b, slice_str(name), &arena, &r);
    int kind = e == OK ? (int)r->kind : -(int)e;
    arena_fini(&arena);
    return kind;
}

} // namespace

TEST_F(SessionTest, LookUpsAreCachedForSecondsOnly)
{
    Session s(port());
    int first = -1, cached = -1, later = -1;
    s.run([&](struct conn *) { first = resolve_kind(backend, "new@example.test"); });
    EXPECT_EQ(PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER, first);
    make_account("new", 2);
    long calls = metric("pillarbox_backend_calls_total");
    s.run([&](struct conn *) { cached = resolve_kind(backend, "new@example.test"); });
    EXPECT_EQ(PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER, cached);
    EXPECT_EQ(calls, metric("pillarbox_backend_calls_total"));
    EXPECT_TRUE(eventually([&] {
        s.run([&](struct conn *) { later = resolve_kind(backend, "new@example.test"); });
        return later == PB__READ_RESOLVE_RESULT__KIND__LOCAL;
    }));
}

/* --- uploads --- */

namespace
{

struct Uploaded {
    enum err e = OK;
    uint64_t staged = 0;
    uint32_t size = 0;
};

/* Uploads in pieces, delivers unless told not to. */
Uploaded upload(struct backend *b, const Account &a, const std::string &msg, size_t piece, uint64_t hint,
                const std::string &packed)
{
    Uploaded u;
    struct backend_upload *up;
    struct slice attach;
    Pb__BodySource src = PB__BODY_SOURCE__INIT;
    u.e = backend_upload_begin(b, shard_id{a.shard}, account_id{a.id}, hint, &up);
    if (u.e != OK) {
        return u;
    }
    for (size_t off = 0; u.e == OK && off < msg.size(); off += piece) {
        std::string part = msg.substr(off, piece);
        u.e = backend_upload_write(up, slice_make(part.data(), part.size()));
    }
    if (u.e == OK) {
        u.e = backend_upload_finish(up, &src, &attach);
    }
    u.staged = src.staged_index;
    u.size = src.size;
    if (u.e == OK && !packed.empty()) {
        struct arena arena;
        struct backend_reply reply;
        struct account_ref ref = {};
        ref.id.v = a.id;
        ref.shard.v = a.shard;
        arena_init(&arena, 1 << 20);
        Pb__OpDeliver *op = pb__op_deliver__unpack(nullptr, packed.size(), (const uint8_t *)packed.data());
        op->body->staged_index = src.staged_index;
        op->body->size = src.size;
        u.e = backend_account_call(b, &ref, METHOD_DELIVER, &op->base, attach, &arena, &reply);
        if (u.e == OK) {
            backend_upload_used(up);
        }
        pb__op_deliver__free_unpacked(op, nullptr);
        backend_reply_fini(&reply);
        arena_fini(&arena);
    }
    backend_upload_free(up);
    return u;
}

} // namespace

TEST_F(SessionTest, BodiesOfEverySizeArriveAsTheyWere)
{
    Account a = make_account("a", 1);
    Session s(port());
    uint32_t uid = 0;
    for (size_t n : {(size_t)200, (size_t)BODY_INLINE_MAX - 1, (size_t)BODY_INLINE_MAX, (size_t)BODY_INLINE_MAX + 1,
                     (size_t)STAGE_CHUNK_BYTES * 2, (size_t)STAGE_CHUNK_BYTES * 3 + 1, (size_t)1000000}) {
        std::string msg = message("size", n);
        msg.resize(n, 'x');
        std::string packed = deliver_op(msg, a);
        Uploaded u;
        s.run([&](struct conn *) { u = upload(backend, a, msg, 33333, uid % 2 == 0 ? n : 0, packed); });
        ASSERT_EQ(OK, u.e) << n;
        EXPECT_EQ(n > BODY_INLINE_MAX, u.staged != 0) << n;
        EXPECT_EQ(n, u.size);
        EXPECT_TRUE(msg == body(a, ++uid)) << n;
    }
}

TEST_F(SessionTest, AnUploadThatNobodyUsesGivesItsSpaceBack)
{
    Account a = make_account("a", 1);
    Session s(port());
    std::string msg(200000, 'x');
    Uploaded u;
    s.run([&](struct conn *) { u = upload(backend, a, msg, 200000, 50000000, ""); });
    ASSERT_EQ(OK, u.e);
    ASSERT_NE(0u, u.staged);
    EXPECT_EQ(ERR_NOTFOUND, stage_chunk(a, u.staged, msg, 0).e()) << "its reservation is gone";
}

TEST_F(SessionTest, AnUploadReservesNoMoreThanABodyMayHave)
{
    Account a = make_account("a", 1);
    Session s(port());
    std::string msg(200000, 'x');
    for (uint64_t hint : {(uint64_t)STAGE_BODY_BYTES_MAX, (uint64_t)UINT32_MAX * 4}) {
        Uploaded u;
        s.run([&](struct conn *) { u = upload(backend, a, msg, 50000, hint, ""); });
        EXPECT_EQ(OK, u.e) << hint;
    }
}

/* --- change hints --- */

namespace
{

struct Watching {
    Session s;
    struct backend_watch *w = nullptr;
    struct backend *b;

    Watching(uint16_t port, struct backend *bk, struct account_ref ref) : s(port), b(bk)
    {
        s.run([&](struct conn *c) { EXPECT_EQ(OK, backend_watch_add(b, &ref, c, &w)); });
    }

    ~Watching()
    {
        s.run([&](struct conn *) { backend_watch_remove(w); });
    }
};

} // namespace

TEST_F(SessionTest, EverySessionOfAnAccountIsWokenByItsChangesAndNoOther)
{
    Account a = make_account("a", 1), b = make_account("b", 1);
    Watching one(port(), backend, ref_of(a)), two(port(), backend, ref_of(a)), other(port(), backend, ref_of(b));
    ASSERT_TRUE(eventually([&] { return backend_watch_modseq(one.w) > 0 && backend_watch_modseq(other.w) > 0; }))
        << "the first check says where they stand";
    ASSERT_TRUE(eventually([&] { return one.s.notified > 0 && two.s.notified > 0 && other.s.notified > 0; }));
    int before_one = one.s.notified, before_two = two.s.notified, before_other = other.s.notified;
    ASSERT_EQ(OK, deliver(message("wake up"), a).e());
    EXPECT_TRUE(eventually([&] { return one.s.notified > before_one && two.s.notified > before_two; }, 2000));
    uint64_t modseq = inbox(a).modseq;
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one.w) == modseq; }));
    EXPECT_EQ(before_other, other.s.notified);
}

TEST_F(SessionTest, AWatchWithoutMemoryIsRefusedWholly)
{
    Account a = make_account("a", 1);
    Session s(port());
    struct backend_watch *w = nullptr;
    s.run([&](struct conn *c) {
        struct account_ref ref = ref_of(a);
        int refused = 0;
        enum err e = ERR_NOMEM;
        for (uint64_t nth = 1; e != OK && nth < 100; nth++) {
            mem_fail_nth(nth);
            e = backend_watch_add(backend, &ref, c, &w);
            mem_fail_nth(0);
            refused += e == ERR_NOMEM;
        }
        EXPECT_EQ(OK, e);
        EXPECT_GE(refused, 3);
    });
    ASSERT_EQ(OK, deliver(message("wake up"), a).e());
    EXPECT_TRUE(eventually([&] { return s.notified > 0; }));
    s.run([&](struct conn *) { backend_watch_remove(w); });
}

TEST_F(SessionTest, AChangeWhileTheLinkIsDownIsNoticedWithinSeconds)
{
    Account a = make_account("a", 1);
    Watching one(port(), backend, ref_of(a));
    ASSERT_TRUE(eventually([&] { return backend_watch_modseq(one.w) > 0; }));
    down();
    /* The node comes back under other addresses first, where only this test sees it. */
    std::string rpc = rpc_url, pub = pub_url;
    rpc_url += "-hidden";
    pub_url += "-hidden";
    rpc_client_close(client);
    client = nullptr;
    up();
    ASSERT_EQ(OK, deliver(message("unseen"), a).e());
    uint64_t modseq = inbox(a).modseq;
    EXPECT_LT(backend_watch_modseq(one.w), modseq);
    down();
    rpc_client_close(client);
    client = nullptr;
    rpc_url = rpc;
    pub_url = pub;
    int before = one.s.notified;
    up();
    EXPECT_TRUE(eventually([&] { return backend_watch_modseq(one.w) == modseq && one.s.notified > before; }, 5000));
}
