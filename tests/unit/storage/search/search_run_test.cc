#include "tests/unit/storage/search/search_fixture.h"

using namespace search_test;

namespace
{

/* What a search may cost: time, memory, bytes of the result. */
class SearchRun : public RunBox
{
  protected:
    static std::string letter(const std::string &body, const std::string &headers = "")
    {
        return "From: a@example.org\r\nSubject: s\r\n" + headers + "\r\n" + body;
    }
};

/* The clock was read between messages only. */
TEST_F(SearchRun, the_budget_ends_inside_of_a_message_that_is_not_the_first)
{
    add(letter("needle"));
    add(letter(std::string(1 << 20, 'x') + "needle"));
    add(letter("needle"));
    Key k = text(OP(BODY), "NEEDLE");
    clock.step = 1;
    Limits l;
    l.ms = 20;
    Found f = run(k, 0, l);
    EXPECT_EQ(OK, f.status);
    EXPECT_EQ((Uids{1}), f.uids);
    EXPECT_EQ(2u, f.next_uid);
    EXPECT_LE(clock.looks, 22u);
    clock.looks = 0;
    f = run(k, 2, l);
    EXPECT_EQ((Uids{2}), f.uids) << "the first message of a run is looked at to its end";
    EXPECT_EQ(3u, f.next_uid);
    EXPECT_GE(clock.looks, (1u << 20) / 8192);
    EXPECT_EQ((Uids{1, 2, 3}), run_all(k, l).uids);
}

TEST_F(SearchRun, a_first_message_that_takes_too_long_fails_and_one_nobody_waits_for_as_well)
{
    add(letter(std::string(1 << 20, 'x')));
    clock.step = 1;
    Limits l;
    l.ms = 5;
    l.hard_ms = 50;
    EXPECT_EQ(ERR_LIMIT, run(text(OP(BODY), "y"), 0, l).status);
    l.deadline_ms = 40;
    EXPECT_EQ(ERR_TIMEOUT, run(text(OP(BODY), "y"), 0, l).status);
    EXPECT_EQ(OK, run(flags(0, 0), 0, l).status);
}

/* The deadline of the call was not looked at. */
TEST_F(SearchRun, the_method_stops_at_the_deadline_of_the_call)
{
    for (int i = 0; i < 40; i++) {
        add(letter(std::string(120000, 'x')));
    }
    Packed p(text(OP(BODY), "y"));
    Pb__ReadSearch q = PB__READ_SEARCH__INIT;
    q.account = kAccount;
    q.mailbox = inbox;
    q.key = p.root;
    q.budget_ms = 800;
    std::string bytes = packed(&q.base);
    struct read_context rc;
    struct buf meta;
    struct buf attach;
    memset(&rc, 0, sizeof(rc));
    arena_init(&arena, 64 << 20);
    buf_init(&meta, 1 << 20);
    buf_init(&attach, 1 << 20);
    ASSERT_EQ(OK, kv_begin(s.kv, false, &rc.txn));
    memcpy(rc.prefix, s.prefix, sizeof(rc.prefix));
    rc.shard = s.shard;
    rc.now_ms = 5000;
    rc.deadline_ms = 5001;
    rc.arena = &arena;
    enum err e = storage_method_run(&rc, METHOD_SEARCH, slice_make(bytes.data(), bytes.size()), &meta, &attach);
    if (e == OK) { /* a fast machine gets a message done */
        auto *m = pb__read_search_result__unpack(nullptr, meta.len, buf_slice(&meta).p);
        ASSERT_NE(nullptr, m);
        EXPECT_GT(m->next_uid, 1u);
        EXPECT_LT(m->next_uid, 40u);
        pb__read_search_result__free_unpacked(m, nullptr);
    } else {
        EXPECT_EQ(ERR_TIMEOUT, e);
    }
    kv_abort(rc.txn);
    buf_fini(&meta);
    buf_fini(&attach);
    arena_fini(&arena);
}

TEST_F(SearchRun, every_budget_gives_the_same_result)
{
    for (int i = 0; i < 600; i++) {
        add(letter(i % 3 == 0 ? "needle" + std::string(static_cast<size_t>(i) * 30, 'x') : "nothing"),
            i % 2 == 0 ? FLAG_SEEN : 0);
    }
    clock.step = 1;
    for (const Key &k : {text(OP(BODY), "needle"), flags(FLAG_SEEN, 0), named(OP(HEADER), "subject", "s"),
                         any_of({flags(FLAG_SEEN, 0), text(OP(TEXT), "needle")})}) {
        Found whole = run(k);
        ASSERT_EQ(OK, whole.status);
        ASSERT_EQ(0u, whole.next_uid);
        ASSERT_FALSE(whole.uids.empty());
        for (uint64_t ms : {0u, 1u, 2u, 3u, 7u, 50u}) {
            Limits l;
            l.ms = ms;
            int runs = 0;
            Found f = run_all(k, l, &runs);
            EXPECT_EQ(OK, f.status);
            EXPECT_EQ(whole.uids, f.uids) << ms;
            EXPECT_EQ(whole.modseq, f.modseq);
            if (ms <= 1) {
                EXPECT_GT(runs, 1);
            }
        }
    }
}

/* UIDS keys did not narrow the walk. */
TEST_F(SearchRun, only_messages_that_all_uid_keys_name_are_visited)
{
    for (int i = 0; i < 50; i++) {
        add(letter("x"));
    }
    EXPECT_EQ(50u, run(flags(FLAG_SEEN, 0)).messages);
    EXPECT_EQ(2u, run(all_of({flags(FLAG_SEEN, 0), uid_key({7, 40})})).messages);
    EXPECT_EQ(1u, run(all_of({flags(FLAG_SEEN, 0), uid_key({7, 40}), all_of({uid_key({40, 41})})})).messages);
    EXPECT_EQ(0u, run(all_of({uid_key({7, 40}), uid_key({8})})).messages);
    EXPECT_EQ(3u, run(all_of({flags(FLAG_SEEN, 0), number(OP(NEW_SINCE_UID), 48)})).messages);
    EXPECT_EQ(50u, run(any_of({flags(FLAG_SEEN, 0), uid_key({7, 40})})).messages);
}

/* The body was read once for each text key. */
TEST_F(SearchRun, a_body_is_read_once_for_all_keys_and_only_when_nothing_cheaper_decides)
{
    add(letter(std::string(800000, 'x'), "X-Own: own\r\n"));
    std::vector<Key> keys;
    for (int i = 0; i < 50; i++) {
        keys.push_back(text(i % 2 == 0 ? OP(BODY) : OP(TEXT), "y" + std::to_string(i)));
    }
    (void)run(text(OP(BODY), "y"));
    uint64_t once = clock.looks;
    ASSERT_GE(once, 800000u / 8192);
    clock.looks = 0;
    (void)run(any_of(keys));
    EXPECT_LE(clock.looks, once + 5);
    keys.push_back(named(OP(HEADER), "x-own", "own"));
    clock.looks = 0;
    EXPECT_EQ((Uids{1}), run(any_of(keys)).uids);
    EXPECT_LE(clock.looks, 2u) << "the header decides";
    keys.back() = none_of(flags(FLAG_SEEN, 0));
    clock.looks = 0;
    EXPECT_EQ((Uids{1}), run(any_of(keys)).uids);
    EXPECT_EQ(0u, clock.looks) << "the row decides";
    clock.looks = 0;
    EXPECT_EQ((Uids{1}), run(any_of({text(OP(BODY), "y"), text(OP(BODY), "xxx"), text(OP(BODY), "z")})).uids);
    EXPECT_LE(clock.looks, 2u) << "the first range decides";
}

/* A result of many runs outgrew the frame and failed every time. */
TEST_F(SearchRun, a_fragmented_result_comes_in_pieces)
{
    std::vector<uint32_t> expected;
    ASSERT_EQ(OK, s.create(kAccount, "big").status);
    for (int i = 0; i < 1000; i++) {
        add(letter("x"), i % 2 == 0 ? FLAG_FLAGGED : 0);
    }
    for (int i = 0; i < 92; i++) {
        ASSERT_EQ(OK, s.copy(kAccount, inbox, uid_range(1, 1000), "big").status);
    }
    for (uint32_t uid = 1; uid < 92000; uid += 2) {
        expected.push_back(uid);
    }
    inbox = s.mailbox_id(kAccount, "big");
    Found first = call(flags(FLAG_FLAGGED, 0), 0, 800);
    ASSERT_EQ(OK, first.status);
    EXPECT_NE(0u, first.next_uid);
    EXPECT_LE(first.uids.size(), 45000u);
    Found f = search(flags(FLAG_FLAGGED, 0));
    EXPECT_EQ(OK, f.status);
    EXPECT_EQ(expected, f.uids);
}

TEST_F(SearchRun, the_worst_result_of_so_many_runs_fits_a_frame)
{
    struct uidset set;
    struct buf out;
    uint32_t at = 1;
    uidset_init(&set);
    buf_init(&out, 1 << 20);
    /* As many gaps of four bytes as there is room for, the others of three; lengths of two bytes. */
    for (uint32_t i = 0; i < SEARCH_RUNS_MAX; i++) {
        ASSERT_EQ(OK, uidset_add_range(&set, at, at + 128));
        at += 129 + (i < 1600 ? (1u << 21) + 2 : (1u << 14) + 2);
    }
    ASSERT_EQ(static_cast<size_t>(SEARCH_RUNS_MAX), set.n) << "no overflow on the way";
    ASSERT_EQ(OK, uidset_encode(&set, &out));
    EXPECT_GT(out.len, 200000u);
    EXPECT_LT(out.len, 240u * 1024);
    buf_fini(&out);
    uidset_fini(&set);
}

/* A message of 64 KiB ranges with all of the header took several times its size. */
TEST_F(SearchRun, memory_does_not_grow_with_the_message)
{
    std::string wide;
    for (int i = 0; i < 300000; i++) {
        wide += "\xef\xb7\xba"; /* eleven times as long when compared */
    }
    add(letter(wide, "Content-Type: text/plain; charset=utf-8\r\n"));
    add(letter("x", "X-Long: " + std::string(600000, '\xff') + "\r\n"));
    std::string many;
    for (int i = 0; i < 60000; i++) {
        many += "X-H: 1\r\n";
    }
    add(letter("x", many));
    for (const Key &k : {text(OP(BODY), "zz"), text(OP(TEXT), "zz"), named(OP(HEADER), "x-long", "zz"),
                         named(OP(HEADER), "x-h", "2"), text(OP(TEXT), std::string(8000, 'z'))}) {
        EXPECT_EQ((Uids{}), run(k).uids);
        EXPECT_LE(buffer_bytes, 640u * 1024);
    }
    EXPECT_EQ((Uids{1, 2, 3}), run(text(OP(TEXT), "subject: s")).uids);
    EXPECT_EQ((Uids{2, 3}), run(text(OP(BODY), "X")).uids);
}

TEST_F(SearchRun, a_header_block_beyond_its_limit_is_searched_by_text_as_it_stands)
{
    add(letter("x", "X-Long: " + std::string(300000, 'a') + "\r\nX-Late: Found\r\n"));
    EXPECT_EQ((Uids{1}), run(text(OP(TEXT), "x-late: FOUND")).uids);
    EXPECT_EQ((Uids{}), run(text(OP(BODY), "x-late: FOUND")).uids);
}

TEST_F(SearchRun, every_failing_allocation_is_told_and_leaves_nothing_behind)
{
    add(letter("zmVlZGxl", "Content-Type: text/plain; charset=koi8-r\r\nX-Own: =?utf-8?Q?own?=\r\n"), FLAG_SEEN,
        {"$k"});
    add("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
        "Subject: =?utf-8?B?aW5uZXI=?=\r\n\r\nneedle\r\n--o--\r\n");
    Key k = any_of({all_of({uid_key({1, 2}), flags(FLAG_SEEN, 0), named(OP(KEYWORD), "$k"), text(OP(BODY), "nothing")}),
                    named(OP(HEADER), "x-own", "foreign"), named(OP(ADDRESS), "subject", "\xc3\xbcg"),
                    all_of({text(OP(BODY), "needle"), text(OP(TEXT), "inner")})});
    k = all_of({k, uid_key({1, 2, 3}), uid_key({2, 1})});
    Found whole = run(k);
    ASSERT_EQ(OK, whole.status);
    ASSERT_EQ((Uids{2}), whole.uids);
    uint64_t n = 1;
    for (; n < 2000; n++) {
        Limits l;
        l.fail_nth = n;
        Found f = run(k, 0, l);
        if (!fired) {
            EXPECT_EQ(OK, f.status);
            EXPECT_EQ(whole.uids, f.uids);
            break;
        }
        EXPECT_EQ(ERR_NOMEM, f.status) << n;
    }
    EXPECT_GT(n, 20u);
    EXPECT_LT(n, 2000u);
}

} // namespace
