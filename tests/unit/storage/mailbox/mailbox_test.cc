#include <thread>

#include "storage/apply/common/dedupe.h"
#include "storage/apply/common/event_log.h"
#include "storage/mailbox/changes.h"
#include "storage/mailbox/name.h"
#include "storage/mailbox/tree.h"
#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

class Mailbox : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        arena_init(&arena, 1 << 20);
        ASSERT_EQ(OK, kv_mem_new(&kv));
        ASSERT_EQ(OK, kv_begin(kv, true, &s.t));
        memcpy(s.prefix, "\0\0\0\1S", 5);
    }
    void TearDown() override
    {
        kv_abort(s.t);
        kv_close(kv);
        arena_fini(&arena);
    }

    struct kv *kv = nullptr;
    struct store s;
    struct arena arena;
};

std::string text(struct slice v)
{
    return std::string(reinterpret_cast<const char *>(v.p), v.n);
}

TEST_F(Mailbox, names_split_into_components)
{
    struct name_path p;
    ASSERT_EQ(OK, name_split(slice_str("inBOX/a/\xc3\xb6"), &p));
    ASSERT_EQ(3u, p.n);
    EXPECT_EQ("INBOX", text(p.part[0]));
    EXPECT_EQ("\xc3\xb6", text(p.part[2]));
    EXPECT_FALSE(name_is_inbox(&p));
    ASSERT_EQ(OK, name_split(slice_str("inbox"), &p));
    EXPECT_TRUE(name_is_inbox(&p));
    ASSERT_EQ(OK, name_split(slice_str("a/inbox"), &p));
    EXPECT_EQ("inbox", text(p.part[1])); /* only the first component is special */
    struct slice canonical;
    ASSERT_EQ(OK, name_canonical(&arena, slice_str("Inbox/Sub"), &canonical));
    EXPECT_EQ("INBOX/Sub", text(canonical));
}

TEST_F(Mailbox, names_become_nfc_and_addresses_fold)
{
    struct slice out;
    ASSERT_EQ(OK, name_to_nfc(&arena, slice_str("u\xcc\x88"), &out));
    EXPECT_EQ("\xc3\xbc", text(out));
    EXPECT_EQ(ERR_INVAL, name_check_nfc(&arena, slice_str("u\xcc\x88")));
    EXPECT_EQ(OK, name_check_nfc(&arena, slice_str("\xc3\xbc")));
    EXPECT_EQ(ERR_INVAL, name_to_nfc(&arena, slice_str("\xff"), &out));
    ASSERT_EQ(OK, name_casefold(&arena, slice_str("STRASSE"), &out));
    EXPECT_EQ("strasse", text(out));
    ASSERT_EQ(OK, name_casefold(&arena,
                                slice_str("STRA\xc3\x9f"
                                          "E"),
                                &out));
    EXPECT_EQ("strasse", text(out));
    EXPECT_EQ(ERR_INVAL, name_casefold(&arena, slice_str("\xc3"), &out));
    struct arena small;
    arena_init(&small, 16);
    EXPECT_EQ(ERR_NOMEM, name_to_nfc(&small, slice_str("u\xcc\x88 and so on"), &out));
    arena_fini(&small);
}

TEST_F(Mailbox, long_values_are_cut_and_put_together)
{
    for (size_t n : {size_t{0}, size_t{1}, size_t{4079}, size_t{4080}, size_t{4081}, size_t{8160}, size_t{20000}}) {
        struct key k;
        struct buf out;
        std::string value(n, 'v');
        key_shard(&k, &s, SHARD_HANDOFFS);
        key_u64(&k, n);
        buf_init(&out, 1 << 20);
        EXPECT_EQ(ERR_NOTFOUND, store_get_long(&s, &k, &out));
        ASSERT_EQ(OK, store_put_long(&s, &k, slice_make(value.data(), n)));
        ASSERT_EQ(OK, store_get_long(&s, &k, &out));
        EXPECT_EQ(value, text(buf_slice(&out)));
        ASSERT_EQ(OK, store_del_long(&s, &k));
        buf_reset(&out);
        EXPECT_EQ(ERR_NOTFOUND, store_get_long(&s, &k, &out));
        buf_fini(&out);
    }
}

TEST_F(Mailbox, scans_stay_inside_their_prefix_in_both_directions)
{
    for (uint32_t table : {1u, 2u, 255u}) {
        for (uint32_t i = 0; i < 3; i++) {
            struct key k;
            key_shard(&k, &s, SHARD_PURGE);
            key_u32(&k, table | 0xffffff00u);
            key_u32(&k, i);
            ASSERT_EQ(OK, store_put(&s, &k, slice_str("v")));
        }
    }
    for (uint32_t table : {1u, 2u, 255u}) {
        struct key prefix;
        struct scan sc;
        struct slice rest;
        struct slice value;
        key_shard(&prefix, &s, SHARD_PURGE);
        key_u32(&prefix, table | 0xffffff00u);
        ASSERT_EQ(OK, scan_open(&sc, &s, &prefix));
        for (uint32_t i = 0; i < 3; i++) {
            ASSERT_EQ(OK, scan_next(&sc, &rest, &value));
            EXPECT_EQ(i, get_be32(rest.p));
        }
        EXPECT_EQ(ERR_NOTFOUND, scan_next(&sc, &rest, &value));
        scan_close(&sc);
        ASSERT_EQ(OK, scan_open(&sc, &s, &prefix));
        for (uint32_t i = 3; i > 0; i--) {
            ASSERT_EQ(OK, scan_prev(&sc, &rest, &value));
            EXPECT_EQ(i - 1, get_be32(rest.p));
        }
        EXPECT_EQ(ERR_NOTFOUND, scan_prev(&sc, &rest, &value));
        scan_close(&sc);
        bool done = true;
        uint32_t budget = 2;
        ASSERT_EQ(OK, store_del_range(&s, &prefix, &budget, &done));
        EXPECT_FALSE(done);
        EXPECT_EQ(0u, budget);
        budget = 5;
        ASSERT_EQ(OK, store_del_range(&s, &prefix, &budget, &done));
        EXPECT_TRUE(done);
        EXPECT_EQ(4u, budget);
    }
}

TEST_F(Mailbox, a_scan_of_the_last_keys_of_the_store_ends)
{
    struct key prefix = {};
    struct scan sc;
    struct slice rest;
    struct slice value;
    prefix.n = 2;
    prefix.b[0] = 0xfe;
    prefix.b[1] = 0xff;
    ASSERT_EQ(OK, kv_put(s.t, slice_str("\xfe\xff\xff"), slice_str("v")));
    ASSERT_EQ(OK, scan_open(&sc, &s, &prefix));
    ASSERT_EQ(OK, scan_prev(&sc, &rest, &value));
    EXPECT_EQ(1u, rest.n);
    scan_close(&sc);
}

TEST_F(Mailbox, a_tree_that_runs_in_a_circle_is_corrupt)
{
    struct account_id a = {5};
    struct buf out;
    bool below;
    buf_init(&out, 10000);
    ASSERT_EQ(OK, tree_put(&s, a, 2, slice_str("x"), {1, 0}));
    ASSERT_EQ(OK, tree_put(&s, a, 1, slice_str("y"), {2, 0}));
    EXPECT_EQ(ERR_CORRUPT, tree_path(&s, a, 1, &out));
    EXPECT_EQ(ERR_CORRUPT, tree_path(&s, a, 77, &out));
    EXPECT_EQ(ERR_CORRUPT, tree_is_below(&s, a, 1, 9, &below));
    buf_fini(&out);
}

TEST_F(Mailbox, rows_of_a_wrong_size_or_version_are_corrupt)
{
    struct account_id a = {5};
    struct account_row row;
    struct key k;
    key_account(&k, &s, a, ACCOUNT_ROW);
    EXPECT_EQ(ERR_NOTFOUND, account_get(&s, a, &row));
    ASSERT_EQ(OK, store_put(&s, &k, slice_str("short")));
    EXPECT_EQ(ERR_CORRUPT, account_get(&s, a, &row));
    memset(&row, 0, sizeof(row));
    row.version = 9;
    ASSERT_EQ(OK, account_put(&s, a, &row));
    EXPECT_EQ(ERR_CORRUPT, account_get(&s, a, &row));
    struct mailbox_row m;
    EXPECT_EQ(ERR_NOTFOUND, mailbox_get_live(&s, a, UINT64_C(1) << 33, &m));
}

TEST_F(Mailbox, dedupe_buckets_hold_for_fifteen_minutes)
{
    struct account_id a = {5};
    struct account_row row;
    struct u128 id = {{1}};
    struct buf out;
    bool found;
    memset(&row, 0, sizeof(row));
    buf_init(&out, 1000);
    uint64_t t0 = UINT64_C(1700000000000);
    ASSERT_EQ(OK, dedupe_put(&s, a, &row, t0, &id, slice_str("result")));
    for (uint64_t later : {0, 60000, 300000, 899999}) {
        buf_reset(&out);
        ASSERT_EQ(OK, dedupe_find(&s, a, &row, t0 + later, DEDUPE_MS_DEFAULT, &id, &out, &found));
        EXPECT_TRUE(found) << later;
        EXPECT_EQ("result", text(buf_slice(&out)));
        ASSERT_EQ(OK, dedupe_expire(&s, a, &row, t0 + later, DEDUPE_MS_DEFAULT, 10));
    }
    ASSERT_EQ(OK, dedupe_find(&s, a, &row, t0 - 500000, DEDUPE_MS_DEFAULT, &id, &out, &found));
    EXPECT_TRUE(found);
    ASSERT_EQ(OK, dedupe_find(&s, a, &row, t0 + 1300000, DEDUPE_MS_DEFAULT, &id, &out, &found));
    EXPECT_FALSE(found);
    EXPECT_TRUE(dedupe_expiry_due(&row, t0 + 1300000, DEDUPE_MS_DEFAULT));
    ASSERT_EQ(OK, dedupe_expire(&s, a, &row, t0 + 1300000, DEDUPE_MS_DEFAULT, 10));
    EXPECT_EQ(0u, row.dedupe_to);
    /* A clock that was years ahead must not hide later records. */
    ASSERT_EQ(OK, dedupe_put(&s, a, &row, t0 * 2, &id, slice_str("future")));
    struct u128 other = {{2}};
    ASSERT_EQ(OK, dedupe_put(&s, a, &row, t0, &other, slice_str("now")));
    ASSERT_EQ(OK, dedupe_find(&s, a, &row, t0 + 5, DEDUPE_MS_DEFAULT, &other, &out, &found));
    EXPECT_TRUE(found);
    buf_fini(&out);
}

TEST_F(Mailbox, flagsets_add_up)
{
    struct flagset a;
    struct flagset b;
    flagset_init(&a, UINT64_MAX); /* only system flags count */
    EXPECT_EQ(FLAG_SYSTEM_MASK, a.bits);
    for (uint16_t k : {0, 54, 55, 199}) {
        EXPECT_FALSE(flagset_has_keyword(&a, k));
        flagset_add_keyword(&a, k);
        EXPECT_TRUE(flagset_has_keyword(&a, k));
    }
    EXPECT_NE(0u, a.bits & FLAG_OVERFLOW);
    flagset_init(&b, 0);
    flagset_add_keyword(&b, 55);
    flagset_add_keyword(&b, 199);
    flagset_subtract(&a, &b);
    EXPECT_EQ(0u, a.bits & FLAG_OVERFLOW);
    EXPECT_TRUE(flagset_has_keyword(&a, 54));
    flagset_union(&a, &b);
    EXPECT_TRUE(flagset_has_keyword(&a, 199));
}

TEST(ReadCache, keeps_the_newest_within_its_bytes)
{
    struct read_cache *c = nullptr;
    struct mailbox_uids u;
    struct mailbox_uids got;
    uint64_t modseq;
    ASSERT_EQ(OK, read_cache_new(20000, &c));
    mailbox_uids_init(&u);
    mailbox_uids_init(&got);
    ASSERT_EQ(OK, uidset_add_range(&u.uids, 1, 100));
    read_cache_put(c, {1}, {5}, 3, 10, &u);
    EXPECT_EQ(ERR_NOTFOUND, read_cache_get(c, {1}, {5}, 3, 9, &got, &modseq)); /* newer than the snapshot */
    ASSERT_EQ(OK, read_cache_get(c, {1}, {5}, 3, 12, &got, &modseq));
    EXPECT_EQ(10u, modseq);
    EXPECT_EQ(100u, uidset_count(&got.uids));
    ASSERT_EQ(OK, uidset_add(&u.uids, 101));
    read_cache_put(c, {1}, {5}, 3, 9, &u); /* older: not taken */
    ASSERT_EQ(OK, read_cache_get(c, {1}, {5}, 3, 12, &got, &modseq));
    EXPECT_EQ(100u, uidset_count(&got.uids));
    for (uint32_t i = 100; i < 1000; i++) {
        read_cache_put(c, {1}, {5}, i, 1, &u);
        EXPECT_EQ(OK, read_cache_get(c, {1}, {5}, 3, 12, &got, &modseq)) << "used all the time, yet gone after " << i;
    }
    EXPECT_EQ(ERR_NOTFOUND, read_cache_get(c, {1}, {5}, 100, 12, &got, &modseq));
    EXPECT_EQ(ERR_NOTFOUND, read_cache_get(c, {2}, {5}, 3, 12, &got, &modseq));
    mailbox_uids_fini(&u);
    mailbox_uids_fini(&got);
    read_cache_free(c);
    read_cache_free(nullptr);
}

TEST(ReadCache, is_shared_by_threads)
{
    struct read_cache *c = nullptr;
    struct pop3_locks *locks = nullptr;
    ASSERT_EQ(OK, read_cache_new(30000, &c));
    ASSERT_EQ(OK, pop3_locks_new(&locks));
    std::vector<std::thread> threads;
    for (uint32_t n = 0; n < 4; n++) {
        threads.emplace_back([c, locks, n] {
            struct mailbox_uids u;
            mailbox_uids_init(&u);
            EXPECT_EQ(OK, uidset_add_range(&u.uids, 1, n + 1));
            for (uint32_t i = 0; i < 3000; i++) {
                uint64_t modseq;
                struct u128 token;
                struct mailbox_uids got;
                mailbox_uids_init(&got);
                read_cache_put(c, {1}, {i % 50}, n, i, &u);
                enum err e = read_cache_get(c, {1}, {i % 50}, n, UINT64_MAX, &got, &modseq);
                EXPECT_TRUE(e == ERR_NOTFOUND || uidset_count(&got.uids) == n + 1);
                mailbox_uids_fini(&got);
                if (pop3_locks_take(locks, {i % 7 + 1}, slice_make(nullptr, 0), {{1}, 1}, i, &token) == OK) {
                    pop3_locks_release(locks, {i % 7 + 1}, slice_make(token.b, 16));
                }
            }
            mailbox_uids_fini(&u);
        });
    }
    for (auto &t : threads) {
        t.join();
    }
    read_cache_free(c);
    pop3_locks_free(locks);
}

TEST(Pop3Locks, a_lease_of_another_shard_or_term_is_none)
{
    struct pop3_locks *locks = nullptr;
    struct u128 token;
    struct slice none = slice_make(nullptr, 0);
    ASSERT_EQ(OK, pop3_locks_new(&locks));
    ASSERT_EQ(OK, pop3_locks_take(locks, {1}, none, {{1}, 2}, 0, &token));
    EXPECT_EQ(ERR_LOCKED, pop3_locks_take(locks, {1}, none, {{1}, 2}, 1, &token));
    EXPECT_EQ(OK, pop3_locks_take(locks, {1}, none, {{2}, 2}, 2, &token)) << "the account has moved to another shard";
    EXPECT_EQ(ERR_LOCKED, pop3_locks_take(locks, {1}, none, {{2}, 2}, 3, &token));
    EXPECT_EQ(OK, pop3_locks_take(locks, {1}, none, {{2}, 3}, 4, &token));
    pop3_locks_free(locks);
}

TEST(EventLog, keeps_the_newest_when_nobody_reads)
{
    struct event_log l;
    size_t n = 0;
    event_log_init(&l);
    for (uint64_t i = 1; i <= EVENT_LOG_MAX * 2; i++) {
        struct storage_event ev = {{1}, {i}, {1}, i};
        ASSERT_EQ(OK, event_log_push(&l, &ev));
        event_log_commit(&l);
    }
    const struct storage_event *ev = event_log_take(&l, &n);
    EXPECT_LE(n, EVENT_LOG_MAX + 1u);
    EXPECT_EQ(EVENT_LOG_MAX * 2u, ev[n - 1].modseq);
    (void)event_log_take(&l, &n);
    EXPECT_EQ(0u, n);
    event_log_fini(&l);
}

TEST(EventLog, merges_what_one_transaction_says_twice)
{
    struct event_log l;
    size_t n = 0;
    event_log_init(&l);
    struct storage_event ev = {{1}, {1}, {1}, 1};
    ASSERT_EQ(OK, event_log_push(&l, &ev));
    ev.modseq = 2;
    ASSERT_EQ(OK, event_log_push(&l, &ev));
    event_log_commit(&l);
    ev.modseq = 3;
    ASSERT_EQ(OK, event_log_push(&l, &ev));
    event_log_abort(&l);
    const struct storage_event *got = event_log_take(&l, &n);
    ASSERT_EQ(1u, n);
    EXPECT_EQ(2u, got[0].modseq);
    event_log_fini(&l);
}

} // namespace
