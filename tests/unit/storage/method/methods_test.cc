#include <algorithm>

#include "storage/method/node_info.h"
#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;

class Methods : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAlice));
        inbox = s.mailbox_id(kAlice, "INBOX");
    }

    void fill(int n)
    {
        for (int i = 1; i <= n; i++) {
            mails.push_back(simple_mail(i));
            ASSERT_EQ(OK, s.append(kAlice, "INBOX", mails.back(), i % 2 == 0 ? FLAG_SEEN : 0).status);
        }
    }

    void fill_large(uint32_t n)
    {
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
        for (uint32_t have = 1; have < n;) {
            uint32_t add = std::min<uint32_t>({have, 1000, n - have});
            ASSERT_EQ(OK, s.copy(kAlice, inbox, uid_range(1, add), "INBOX").status);
            have += add;
        }
    }

    uint64_t modseq()
    {
        Result r = s.select(kAlice, "INBOX");
        return UNPACK(Pb__ReadSelectResult, pb__read_select_result, r)->info->highestmodseq;
    }

    Shard s;
    uint64_t inbox = 0;
    std::vector<Mail> mails;
};

TEST_F(Methods, every_read_method_is_there)
{
    std::vector<enum method> all = {
#define METHOD_NUMBER(NAME, name, number, req, rep) METHOD_##NAME,
        METHOD_READ_LIST(METHOD_NUMBER)
#undef METHOD_NUMBER
    };
    for (enum method m : all) {
        struct arena arena;
        struct buf meta;
        struct buf attach;
        struct kv_txn *t = nullptr;
        struct read_context rc;
        arena_init(&arena, 1 << 20);
        buf_init(&meta, 1 << 20);
        buf_init(&attach, 1 << 20);
        memset(&rc, 0, sizeof(rc));
        ASSERT_EQ(OK, kv_begin(s.kv, false, &t));
        rc.txn = t;
        rc.arena = &arena;
        rc.pop3 = s.pop3;
        memcpy(rc.prefix, s.prefix, 5);
        EXPECT_EQ(storage_method_volume(m) ? ERR_UNSUPPORTED : ERR_INVAL,
                  storage_method_run(&rc, m, slice_str("\xff\xff"), &meta, &attach))
            << m;
        EXPECT_EQ(ERR_UNSUPPORTED, storage_method_run(&rc, 7, slice_str(""), &meta, &attach));
        kv_abort(t);
        buf_fini(&meta);
        buf_fini(&attach);
        arena_fini(&arena);
    }
}

TEST_F(Methods, fetch_gives_every_column)
{
    fill(3);
    Result r = s.fetch(kAlice, inbox, uid_range(2, 3),
                       FETCH_COL_FLAGS | FETCH_COL_MODSEQ | FETCH_COL_INTERNAL | FETCH_COL_SAVED | FETCH_COL_SIZE |
                           FETCH_COL_OBJECTID | FETCH_COL_ENVELOPE | FETCH_COL_BODY | FETCH_COL_BODYSTRUCTURE |
                           FETCH_COL_HEADERS | FETCH_COL_RECORD);
    ASSERT_EQ(OK, r.status);
    auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
    EXPECT_EQ(2u, f->rows);
    EXPECT_EQ(0u, f->next_uid);
    EXPECT_EQ((std::vector<uint32_t>{2, 3}), column<uint32_t>(f->uid));
    EXPECT_EQ((std::vector<uint64_t>{FLAG_SEEN, 0}), column<uint64_t>(f->flags));
    EXPECT_EQ(2u, column<uint64_t>(f->modseq).size());
    EXPECT_EQ(1700000000, column<int64_t>(f->internal_s)[1]);
    EXPECT_EQ(mails[2].raw.size(), column<uint32_t>(f->size)[1]);
    EXPECT_EQ(64u, f->objectid.len);
    auto lens = column<uint32_t>(f->lens);
    ASSERT_EQ(10u, lens.size());
    size_t at = 0;
    for (int row = 1; row <= 2; row++) {
        struct msg_record m;
        const std::string &record = mails[static_cast<size_t>(row)].record;
        ASSERT_EQ(OK, msg_record_decode(slice_make(record.data(), record.size()), &m));
        struct slice want[] = {m.envelope, m.body, m.bodystructure, m.headers,
                               slice_make(record.data(), record.size())};
        for (int c = 0; c < 5; c++) {
            size_t n = lens[static_cast<size_t>((row - 1) * 5 + c)];
            EXPECT_EQ(std::string(reinterpret_cast<const char *>(want[c].p), want[c].n), r.attach.substr(at, n));
            at += n;
        }
    }
    EXPECT_EQ(at, r.attach.size());
}

TEST_F(Methods, fetch_brings_whole_messages_that_fit_a_page)
{
    fill(3);
    Result r = s.fetch(kAlice, inbox, uid_range(1, 3), FETCH_COL_SIZE | FETCH_COL_CONTENT);
    ASSERT_EQ(OK, r.status);
    auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
    ASSERT_EQ(3u, f->rows);
    EXPECT_EQ(mails[0].raw + mails[1].raw + mails[2].raw, r.attach);
    EXPECT_EQ(column<uint32_t>(f->size), column<uint32_t>(f->lens));
}

TEST_F(Methods, fetch_pages_cover_everything_once_within_a_frame)
{
    fill_large(3000);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uid_range(500, 600)).status);
    for (uint32_t columns : {FETCH_COL_FLAGS, FETCH_COL_ENVELOPE | FETCH_COL_FLAGS, FETCH_COL_OBJECTID,
                             FETCH_COL_RECORD | FETCH_COL_HEADERS | FETCH_COL_SIZE}) {
        for (uint32_t max_bytes : {0u, 5000u, 1u}) {
            std::vector<uint32_t> seen;
            uint32_t from = 0;
            int pages = 0;
            uint32_t last = max_bytes == 1 ? 40 : 4000;
            do {
                Result r = s.fetch(kAlice, inbox, uid_range(1, last), columns, from, max_bytes);
                ASSERT_EQ(OK, r.status);
                auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
                auto uid = column<uint32_t>(f->uid);
                ASSERT_FALSE(uid.empty());
                seen.insert(seen.end(), uid.begin(), uid.end());
                from = f->next_uid;
                pages++;
                if (max_bytes == 5000) {
                    EXPECT_LE(r.bytes.size() + r.attach.size(), 6000u);
                }
            } while (from != 0);
            EXPECT_EQ(max_bytes == 1 ? 40u : 2899u, seen.size());
            EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
            EXPECT_TRUE(max_bytes == 0 || pages > 5);
        }
    }
}

TEST_F(Methods, fetch_skips_what_is_not_there_and_seeks_over_gaps)
{
    fill_large(2000);
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uid_range(1000, 1010)).status);
    std::string set = uids({1, 3, 4, 20, 999, 1005, 1011, 1900, 1901, 5000});
    Result r = s.fetch(kAlice, inbox, set, FETCH_COL_FLAGS);
    auto f = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
    EXPECT_EQ((std::vector<uint32_t>{1, 3, 4, 20, 999, 1011, 1900, 1901}), column<uint32_t>(f->uid));
    r = s.fetch(kAlice, inbox, set, FETCH_COL_FLAGS, 21);
    EXPECT_EQ((std::vector<uint32_t>{999, 1011, 1900, 1901}),
              column<uint32_t>(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->uid));
    r = s.fetch(kAlice, inbox, uids({}), FETCH_COL_FLAGS);
    EXPECT_EQ(0u, UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->rows);
    EXPECT_EQ(ERR_INVAL, s.fetch(kAlice, inbox, "\x05", FETCH_COL_FLAGS).status);
    EXPECT_EQ(ERR_NOTFOUND, s.fetch(kAlice, 99, set, FETCH_COL_FLAGS).status);
    EXPECT_EQ(ERR_NOTFOUND, s.fetch(99, inbox, set, FETCH_COL_FLAGS).status);
}

TEST_F(Methods, fetch_changedsince_gives_new_and_changed_rows)
{
    fill(10);
    uint64_t since = modseq();
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({8, 2}), 1, FLAG_FLAGGED).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(11)).status);
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({11}), 1, FLAG_FLAGGED).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(12)).status);
    Result r = s.fetch(kAlice, inbox, uid_range(1, 100), FETCH_COL_FLAGS, 0, 0, since);
    EXPECT_EQ((std::vector<uint32_t>{2, 8, 11, 12}),
              column<uint32_t>(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->uid));
    r = s.fetch(kAlice, inbox, uid_range(3, 11), FETCH_COL_FLAGS, 0, 0, since);
    EXPECT_EQ((std::vector<uint32_t>{8, 11}),
              column<uint32_t>(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->uid));
    r = s.fetch(kAlice, inbox, uid_range(1, 100), FETCH_COL_FLAGS, 0, 0, modseq());
    EXPECT_EQ(0u, UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->rows);
}

TEST_F(Methods, fetch_changedsince_is_right_when_most_changed)
{
    fill_large(6000);
    uint64_t since = modseq();
    for (uint32_t at = 1; at < 5000; at += 1000) {
        ASSERT_EQ(OK, s.store(kAlice, inbox, uid_range(at, at + 999), 1, FLAG_FLAGGED).status);
    }
    Result r = s.fetch(kAlice, inbox, uid_range(1, 7000), FETCH_COL_FLAGS, 0, 0, since);
    EXPECT_EQ(5000u, UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->rows);
}

TEST_F(Methods, records_that_fill_several_rows_come_whole)
{
    std::string raw = "Subject: many parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (int i = 0; i < 120; i++) {
        raw += "--b\r\nContent-Type: text/plain; name=\"part-number-" + std::to_string(i) + ".txt\"\r\n\r\nx\r\n";
    }
    raw += "--b--\r\n";
    Mail large = make_mail(raw);
    ASSERT_GT(large.record.size(), 9000u);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(1)).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", large).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", large).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2)).status);
    Result r = s.fetch(kAlice, inbox, uid_range(1, 9), FETCH_COL_RECORD);
    auto lens = column<uint32_t>(UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r)->lens);
    ASSERT_EQ(4u, lens.size());
    EXPECT_EQ(large.record, r.attach.substr(lens[0], lens[1]));
    EXPECT_EQ(large.record, r.attach.substr(lens[0] + lens[1], lens[2]));
    EXPECT_EQ(simple_mail(2).record, r.attach.substr(lens[0] + lens[1] + lens[2]));
    EXPECT_EQ("", s.check());
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uid_range(1, 3)).status);
    EXPECT_EQ("", s.check());
}

TEST_F(Methods, body_comes_by_ranges)
{
    Mail m = simple_mail(1, std::string(100000, 'z') + "end\r\n");
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", m).status);
    Pb__ReadBody q = PB__READ_BODY__INIT;
    q.account = kAlice;
    q.mailbox = inbox;
    q.uid = 1;
    for (uint32_t off : {0u, 1u, 4075u, 4076u, 4077u, 50000u, static_cast<uint32_t>(m.raw.size() - 1)}) {
        for (uint32_t n : {1u, 4076u, 10000u, 500000u}) {
            q.offset = off;
            q.length = n;
            Result r = s.read(METHOD_BODY, &q.base);
            ASSERT_EQ(OK, r.status);
            EXPECT_EQ(m.raw.substr(off, n), r.attach);
            EXPECT_EQ(m.raw.size(), UNPACK(Pb__ReadBodyResult, pb__read_body_result, r)->size);
        }
    }
    q.offset = static_cast<uint32_t>(m.raw.size()) + 5;
    EXPECT_EQ("", s.read(METHOD_BODY, &q.base).attach);
    q.uid = 2;
    EXPECT_EQ(ERR_EXPUNGED, s.read(METHOD_BODY, &q.base).status);
}

TEST_F(Methods, select_is_the_same_with_and_without_its_cache)
{
    fill(20);
    for (int i = 0; i < 60; i++) {
        uint32_t uid = 1 + static_cast<uint32_t>(rng_below(&s.rng, 25));
        if (i % 3 == 0) {
            ASSERT_EQ(OK, s.store(kAlice, inbox, uids({uid}), i % 2, FLAG_SEEN).status);
        } else if (i % 3 == 1) {
            ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({uid})).status);
        } else {
            ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(i)).status);
        }
        s.use_cache = true;
        Result with = s.select(kAlice, "INBOX");
        s.use_cache = false;
        Result without = s.select(kAlice, "INBOX");
        EXPECT_EQ(without.bytes, with.bytes);
    }
}

TEST_F(Methods, select_by_id_and_what_is_not_there)
{
    ASSERT_EQ(OK, s.create(kAlice, "a/b").status);
    ASSERT_EQ(OK, s.remove(kAlice, "a").status);
    EXPECT_EQ(OK, s.select(kAlice, "", inbox).status);
    EXPECT_EQ(ERR_NOTFOUND, s.select(kAlice, "", 1234).status);
    EXPECT_EQ(ERR_NOTFOUND, s.select(kAlice, "", UINT64_C(1) << 40).status);
    EXPECT_EQ(ERR_NOTFOUND, s.select(kAlice, "a").status);
    EXPECT_EQ(ERR_NOTFOUND, s.select(kAlice, "c").status);
    EXPECT_EQ(ERR_INVAL, s.select(kAlice, "a//b").status);
    EXPECT_EQ(ERR_NOTFOUND, s.select(99, "INBOX").status);
    Pb__ReadMailboxes q = PB__READ_MAILBOXES__INIT;
    q.account = kAlice;
    q.name = const_cast<char *>("a");
    Result r = s.read(METHOD_MAILBOXES, &q.base);
    EXPECT_TRUE(UNPACK(Pb__ReadMailboxesResult, pb__read_mailboxes_result, r)->mailboxes[0]->noselect);
    q.name = const_cast<char *>("nope");
    EXPECT_EQ(ERR_NOTFOUND, s.read(METHOD_MAILBOXES, &q.base).status);
    q.name = const_cast<char *>("inbox");
    r = s.read(METHOD_MAILBOXES, &q.base);
    auto m = UNPACK(Pb__ReadMailboxesResult, pb__read_mailboxes_result, r);
    EXPECT_STREQ("INBOX", m->mailboxes[0]->name);
    EXPECT_TRUE(m->mailboxes[0]->subscribed);
}

TEST_F(Methods, sync_pages_end_between_entries)
{
    fill_large(6000);
    uint64_t since = modseq();
    for (uint32_t at = 1; at < 6000; at += 900) {
        ASSERT_EQ(OK, s.store(kAlice, inbox, uid_range(at, at + 899), 1, FLAG_FLAGGED).status);
    }
    ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({5})).status);
    ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(2)).status);
    std::vector<uint32_t> changed;
    std::vector<uint32_t> fresh;
    std::vector<uint32_t> gone;
    bool more = true;
    int pages = 0;
    while (more) {
        Result r = s.sync(kAlice, inbox, since);
        ASSERT_EQ(OK, r.status);
        auto y = UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r);
        ASSERT_FALSE(y->full);
        for (uint32_t u : uid_list(str(y->changed_uids))) {
            changed.push_back(u);
        }
        for (uint32_t u : uid_list(str(y->new_uids))) {
            fresh.push_back(u);
        }
        for (uint32_t u : uid_list(str(y->vanished))) {
            gone.push_back(u);
        }
        EXPECT_GT(y->modseq, since);
        since = y->modseq;
        more = y->more;
        ASSERT_LT(++pages, 10);
    }
    EXPECT_EQ(2, pages);
    EXPECT_EQ(5999u, changed.size());
    EXPECT_EQ((std::vector<uint32_t>{6001}), fresh);
    EXPECT_EQ((std::vector<uint32_t>{5}), gone);
    EXPECT_EQ(modseq(), since);
}

TEST_F(Methods, sync_says_when_the_mailbox_is_another_or_gone)
{
    fill(2);
    Result r = s.sync(kAlice, inbox, modseq(), 12345);
    auto y = UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r);
    EXPECT_TRUE(y->full);
    EXPECT_EQ((std::vector<uint32_t>{1, 2}), uid_list(str(y->uids)));
    r = s.sync(kAlice, inbox, 0);
    EXPECT_TRUE(UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r)->full); /* before it was made */
    ASSERT_EQ(OK, s.create(kAlice, "x").status);
    uint64_t x = s.mailbox_id(kAlice, "x");
    ASSERT_EQ(OK, s.remove(kAlice, "x").status);
    r = s.sync(kAlice, x, 1);
    EXPECT_TRUE(UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r)->deleted);
    r = s.sync(kAlice, inbox, 1u << 30);
    auto ahead = UNPACK(Pb__ReadSyncResult, pb__read_sync_result, r);
    EXPECT_FALSE(ahead->full);
    EXPECT_EQ(modseq(), ahead->modseq);
}

TEST_F(Methods, watch_gives_modseqs_in_order)
{
    ASSERT_EQ(OK, s.create_account(12));
    ASSERT_EQ(OK, s.deliver({12}, simple_mail(1)).status);
    Pb__ReadWatch q = PB__READ_WATCH__INIT;
    uint64_t accounts[] = {12, 99, kAlice};
    q.accounts = accounts;
    q.n_accounts = 3;
    Result r = s.read(METHOD_WATCH, &q.base);
    EXPECT_EQ((std::vector<uint64_t>{2, 0, 1}),
              column<uint64_t>(UNPACK(Pb__ReadWatchResult, pb__read_watch_result, r)->modseqs));
}

TEST_F(Methods, the_pop3_lock_is_one_lease_with_a_token)
{
    Pb__ReadPop3Lock q = PB__READ_POP3_LOCK__INIT;
    q.account = kAlice;
    Result r = s.read(METHOD_POP3_LOCK, &q.base);
    ASSERT_EQ(OK, r.status);
    auto l = UNPACK(Pb__ReadPop3LockResult, pb__read_pop3_lock_result, r);
    std::string token = str(l->token);
    EXPECT_EQ(16u, token.size());
    EXPECT_EQ(s.term, l->term);
    EXPECT_EQ(60000u, l->lease_ms);
    EXPECT_EQ(ERR_LOCKED, s.read(METHOD_POP3_LOCK, &q.base).status);
    s.mono_ms += 50000;
    q.token = bin(token);
    EXPECT_EQ(OK, s.read(METHOD_POP3_LOCK, &q.base).status); /* renewed */
    s.mono_ms += 50000;
    Pb__ReadPop3Lock other = PB__READ_POP3_LOCK__INIT;
    other.account = kAlice;
    EXPECT_EQ(ERR_LOCKED, s.read(METHOD_POP3_LOCK, &other.base).status);
    std::string wrong(16, 'w');
    other.token = bin(wrong);
    other.unlock = true;
    EXPECT_EQ(OK, s.read(METHOD_POP3_LOCK, &other.base).status); /* ignored */
    other.unlock = false;
    EXPECT_EQ(ERR_LOCKED, s.read(METHOD_POP3_LOCK, &other.base).status);
    s.mono_ms += 60001; /* it ended */
    EXPECT_EQ(OK, s.read(METHOD_POP3_LOCK, &other.base).status);
    EXPECT_EQ(ERR_LOCKED, s.read(METHOD_POP3_LOCK, &q.base).status);
    s.term++; /* another leadership: both may try */
    EXPECT_EQ(OK, s.read(METHOD_POP3_LOCK, &q.base).status);
    q.unlock = true;
    EXPECT_EQ(OK, s.read(METHOD_POP3_LOCK, &q.base).status);
    EXPECT_EQ(OK, s.read(METHOD_POP3_LOCK, &other.base).status);
    q.unlock = false;
    q.account = 99;
    EXPECT_EQ(ERR_NOTFOUND, s.read(METHOD_POP3_LOCK, &q.base).status);
    std::string odd("odd");
    q.account = kAlice;
    q.token = bin(odd);
    EXPECT_EQ(ERR_INVAL, s.read(METHOD_POP3_LOCK, &q.base).status);
}

TEST_F(Methods, status_and_map_tell_what_the_node_says)
{
    fill(3);
    Pb__ReadStatus q = PB__READ_STATUS__INIT;
    EXPECT_EQ(ERR_UNSUPPORTED, s.read(METHOD_STATUS, &q.base).status);
    struct node_info info;
    info.ctx = &s;
    info.facts = [](void *, struct node_facts *f) {
        memset(f, 0, sizeof(*f));
        f->id.v = 9;
        f->shards = 2;
        f->uptime_ms = 77;
    };
    info.shard = [](void *ctx, struct shard_id shard, struct node_shard_info *i) {
        i->leads = true;
        i->term = 4;
        i->here = shard.v == 1;
        memcpy(i->prefix, static_cast<Shard *>(ctx)->prefix, 5);
    };
    info.leader = [](void *, struct shard_id shard) { return node_id{shard.v == 2 ? 0u : 9u}; };
    s.node = &info;
    Result r = s.read(METHOD_STATUS, &q.base);
    ASSERT_EQ(OK, r.status);
    auto st = UNPACK(Pb__ReadStatusResult, pb__read_status_result, r);
    EXPECT_EQ(9u, st->node);
    ASSERT_EQ(3u, st->n_shards);
    EXPECT_EQ(1u, st->shards[1]->accounts);
    EXPECT_EQ(3u, st->shards[1]->messages);
    EXPECT_EQ(0u, st->shards[2]->accounts);
    Pb__ReadMap m = PB__READ_MAP__INIT;
    r = s.read(METHOD_MAP, &m.base);
    auto map = UNPACK(Pb__ReadMapResult, pb__read_map_result, r);
    ASSERT_EQ(3u, map->n_leaders);
    EXPECT_EQ(9u, map->leaders[1]);
    EXPECT_EQ(0u, map->leaders[2]);
    EXPECT_EQ(0u, map->n_nodes) << "no replica of the directory";
}

TEST_F(Methods, shard_tells_of_its_group_or_that_nobody_looked_yet)
{
    Pb__ReadShard q = PB__READ_SHARD__INIT;
    q.shard = 7;
    EXPECT_EQ(ERR_UNSUPPORTED, s.read(METHOD_SHARD, &q.base).status);
    struct node_info info = {};
    info.group = [](void *, struct shard_id shard, struct node_group_info *g) {
        *g = {};
        g->term = 4;
        g->leader = {2};
        g->log_first = 10;
        g->log_last = 30;
        g->n = 2;
        g->servers[0].node = {2};
        g->servers[0].voter = true;
        g->servers[1].node = {3};
        g->servers[1].behind = 5;
        return shard.v == 7;
    };
    s.node = &info;
    Result r = s.read(METHOD_SHARD, &q.base);
    ASSERT_EQ(OK, r.status);
    auto g = UNPACK(Pb__ReadShardResult, pb__read_shard_result, r);
    EXPECT_EQ(7u, g->shard);
    EXPECT_EQ(2u, g->leader);
    EXPECT_EQ(30u, g->log_last);
    EXPECT_FALSE(g->settled);
    ASSERT_EQ(2u, g->n_servers);
    EXPECT_TRUE(g->servers[0]->voter);
    EXPECT_FALSE(g->servers[1]->voter);
    EXPECT_EQ(3u, g->servers[1]->node);
    EXPECT_EQ(5u, g->servers[1]->behind);
    q.shard = 8;
    EXPECT_EQ(ERR_UNAVAILABLE, s.read(METHOD_SHARD, &q.base).status);
}

TEST(Map, names_who_answers_the_terms_and_the_nodes)
{
    Shard directory{0};
    Pb__OpNodeSet set = PB__OP_NODE_SET__INIT;
    set.peer = const_cast<char *>("tcp://b:1");
    set.rpc = const_cast<char *>("tcp://b:2");
    ASSERT_EQ(OK, directory.apply(METHOD_NODE_SET, &set.base, 0).status);
    struct node_info info;
    info.ctx = &directory;
    info.facts = [](void *, struct node_facts *f) {
        memset(f, 0, sizeof(*f));
        f->id.v = 5;
        f->shards = 1;
    };
    info.shard = [](void *ctx, struct shard_id shard, struct node_shard_info *i) {
        memset(i, 0, sizeof(*i));
        i->term = 7 + shard.v;
        i->here = true;
        memcpy(i->prefix, static_cast<Shard *>(ctx)->prefix, 5);
        i->prefix[3] = static_cast<uint8_t>(i->prefix[3] + shard.v);
    };
    info.leader = [](void *, struct shard_id) { return node_id{2}; };
    directory.node = &info;
    Pb__ReadMap m = PB__READ_MAP__INIT;
    Result r = directory.read(METHOD_MAP, &m.base);
    ASSERT_EQ(OK, r.status);
    auto map = UNPACK(Pb__ReadMapResult, pb__read_map_result, r);
    EXPECT_EQ(5u, map->node);
    ASSERT_EQ(2u, map->n_terms);
    EXPECT_EQ(7u, map->terms[0]);
    EXPECT_EQ(8u, map->terms[1]);
    ASSERT_EQ(1u, map->n_nodes);
    EXPECT_EQ(2u, map->nodes[0]->node);
    EXPECT_STREQ("tcp://b:1", map->nodes[0]->peer);
    EXPECT_STREQ("tcp://b:2", map->nodes[0]->rpc);
    EXPECT_EQ(0u, map->nodes[0]->claim.len);
}

TEST(Map, and_status_are_about_the_node_all_others_about_a_shard)
{
    for (unsigned n = 0; n <= METHOD_MAX + 1; n++) {
        EXPECT_EQ(n == METHOD_MAP || n == METHOD_STATUS, storage_method_local(n)) << n;
    }
}

} // namespace
