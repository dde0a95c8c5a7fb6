/* A shard with random contents goes into a backup and comes back, at every time that the backup reaches. */
#include "storage/backup/backup_restore.h"

#include "files.h"
#include "replication/saved.h"
#include "storage/apply/housekeeping.h"
#include "storage/directory/cluster.h"
#include "storage/directory/nodes.h"
#include "tests/unit/storage/apply/shard.h"

using namespace backup_test;
using shard_test::Result;
using shard_test::simple_mail;

namespace
{

using Rows = std::map<std::string, std::string>;

std::string row(const std::string &key, const std::string &value)
{
    std::string s(7, '\0');
    uint8_t *p = reinterpret_cast<uint8_t *>(&s[0]);
    put_le16(p, static_cast<uint16_t>(key.size()));
    put_le32(p + 3, static_cast<uint32_t>(value.size()));
    return s + key + value;
}

std::string entry_bytes(uint64_t index, uint64_t term, const std::string &data, const std::string &body)
{
    struct repl_entry e = {};
    struct buf b;
    e.head.index = index;
    e.head.term = term;
    e.head.type = data.empty() ? REPL_ENTRY_BARRIER : REPL_ENTRY_COMMAND;
    e.head.data = slice_of(data);
    e.body = slice_of(body);
    buf_init(&b, SAVED_ENTRY_BYTES_MAX);
    EXPECT_EQ(OK, saved_entry_put(&b, &e));
    std::string s = string_of(buf_slice(&b));
    buf_fini(&b);
    return s;
}

/* Without the log and what is not the state's. */
Rows state_rows(const Rows &all)
{
    Rows r;
    for (const auto &x : all) {
        if (strchr("BPQS", x.first[0]) != nullptr) {
            r.insert(x);
        }
    }
    return r;
}

class Source
{
  public:
    explicit Source(uint32_t number, uint64_t seed) : s(number), shard(number)
    {
        rng_seeded_init(&dice, seed);
        s.on_entry = [this](uint64_t index, const struct entry_head &h, const std::string &op,
                            const std::string &body) {
            std::string data(ENTRY_HEAD_BYTES, '\0');
            entry_head_encode(&h, reinterpret_cast<uint8_t *>(&data[0]));
            log.push_back(entry_bytes(index, s.term, data + op, body));
            last_ms = h.entry_ms;
        };
    }
    void make_account(uint64_t id)
    {
        ASSERT_EQ(OK, s.create_account(id));
        accounts.push_back(id);
    }
    /* One operation of some kind, most of which change something. */
    void something()
    {
        uint64_t id = accounts[rng_below(&dice, accounts.size())];
        std::string box = rng_below(&dice, 2) == 0 ? "INBOX" : "Sent";
        uint64_t mailbox = s.mailbox_id(id, box);
        uint32_t uid = static_cast<uint32_t>(1 + rng_below(&dice, 20));
        std::string text(rng_below(&dice, 9000), static_cast<char>('a' + rng_below(&dice, 26)));
        shard_test::Mail mail = simple_mail(static_cast<int>(rng_below(&dice, 40)), text + "\r\n");
        s.now_ms += rng_below(&dice, 60000);
        switch (rng_below(&dice, 9)) {
        case 0:
            s.store(id, mailbox, shard_test::uids({uid}), 1, FLAG_SEEN);
            break;
        case 1:
            s.expunge(id, mailbox, shard_test::uids({uid}), false);
            break;
        case 2:
            s.copy(id, mailbox, shard_test::uids({uid}), "Archive");
            break;
        case 3:
            s.move(id, mailbox, shard_test::uids({uid}), "Trash");
            break;
        case 4:
            s.create(id, "F" + std::to_string(rng_below(&dice, 6)));
            break;
        case 5:
            s.remove(id, "F" + std::to_string(rng_below(&dice, 6)));
            break;
        case 6:
            s.append(id, box, mail, FLAG_FLAGGED);
            break;
        default:
            s.deliver(accounts, mail);
            break;
        }
    }
    Rows state()
    {
        return state_rows(s.rows());
    }
    uint64_t index() const
    {
        return s.index - 1;
    }
    File base(uint64_t wall_ms)
    {
        std::vector<std::string> records;
        struct backup_end end = {};
        for (const auto &x : state()) {
            records.push_back(row(x.first, x.second));
        }
        end.index = index();
        end.term = s.term;
        end.wall_ms = wall_ms;
        end.records = records.size();
        log.clear();
        first = s.index;
        return write_file(head_of(BACKUP_BASE, shard, 0, 0, shards), records, end);
    }
    File logged(uint64_t wall_ms)
    {
        struct backup_end end = {};
        end.index = index();
        end.term = s.term;
        end.wall_ms = wall_ms;
        end.records = log.size();
        File f = write_file(head_of(BACKUP_LOG, shard, first, s.term), log, end);
        log.clear();
        first = s.index;
        return f;
    }
    shard_test::Shard s;
    uint32_t shard;
    struct rng dice;
    std::vector<uint64_t> accounts;
    std::vector<std::string> log;
    uint64_t first = 0;
    uint64_t last_ms = 0;
    uint32_t shards = 4;
};

struct Restored {
    enum err status;
    std::string why;
    struct backup_restored done;
    struct kv *kv = nullptr;
    Restored(const Dir &dir, uint32_t shard, uint64_t until, bool new_cluster = false)
    {
        Why reason;
        EXPECT_EQ(OK, kv_mem_new(&kv));
        const struct backup_restore_config cfg = {&dir.set, dir.path.c_str(), kv, {1}, until, 900000, new_cluster};
        status = backup_restore_shard(&cfg, {shard}, &done, &reason.b);
        why = reason.text();
    }
    ~Restored()
    {
        kv_close(kv);
    }
    Restored(const Restored &) = delete;
    Rows state(uint32_t shard) const
    {
        shard_test::Shard view(shard, get_be32(done.prefix), kv);
        EXPECT_EQ("", view.check());
        return state_rows(view.rows());
    }
};

TEST(BackupRestore, AShardComesBackAtEveryTimeThatTheBackupReaches)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        Source src(1, seed);
        Dir dir;
        std::map<uint64_t, Rows> at;       /* by entry time */
        std::map<uint64_t, uint64_t> ends; /* index of the last entry then */
        src.make_account(5);
        src.make_account(6);
        for (int i = 0; i < 120; i++) {
            src.something();
        }
        uint64_t base_ms = src.last_ms;
        at[base_ms] = src.state();
        ends[base_ms] = src.index();
        dir.add(src.base(base_ms));
        for (int logs = 0; logs < 3; logs++) {
            for (int i = 0; i < 25; i++) {
                uint64_t before = src.last_ms;
                src.something();
                if (src.last_ms != before) {
                    at[src.last_ms] = src.state();
                    ends[src.last_ms] = src.index();
                }
            }
            dir.add(src.logged(src.last_ms));
        }
        Restored all(dir, 1, BACKUP_NOW);
        ASSERT_EQ(OK, all.status) << all.why;
        ASSERT_TRUE(all.state(1) == src.state());
        for (const auto &point : at) {
            Restored r(dir, 1, point.first);
            ASSERT_EQ(OK, r.status) << r.why;
            ASSERT_EQ(ends[point.first], r.done.index);
            ASSERT_TRUE(r.state(1) == point.second) << "seed " << seed << ", at " << point.first;
        }
        for (size_t i = 0; i < dir.set.n; i++) {
            uint64_t records = 0;
            Why why;
            EXPECT_EQ(OK, backup_verify_file(dir.path.c_str(), &dir.set, &dir.set.files[i], &records, &why.b))
                << why.text();
        }
    }
}

TEST(BackupRestore, AShardGoesOnFarAboveWhatWasSaved)
{
    Source src(1, 9);
    Dir dir;
    src.make_account(5);
    src.something();
    dir.add(src.base(1000));
    for (int i = 0; i < 10; i++) {
        src.something();
    }
    uint64_t saved = src.index();
    dir.add(src.logged(src.last_ms));
    Restored early(dir, 1, 1000 + 1);
    ASSERT_EQ(OK, early.status) << early.why;
    uint8_t prefix[5];
    struct kv_txn *t;
    struct saved_span span;
    memcpy(prefix, early.done.prefix, 5);
    ASSERT_EQ(OK, kv_begin(early.kv, false, &t));
    ASSERT_EQ(OK, saved_span_get(t, prefix, &span));
    kv_abort(t);
    EXPECT_LT(early.done.index, saved);
    EXPECT_EQ(saved + BACKUP_INDEX_GAP, span.last) << "above what the backup knows, not above what was restored";
}

TEST(BackupRestore, ANewClusterHasNoneOfTheOldNodes)
{
    Source src(0, 3);
    Dir dir;
    Pb__OpNodeSet op = PB__OP_NODE_SET__INIT;
    for (const char *peer : {"tcp://10.0.0.1:2102", "tcp://10.0.0.2:2102"}) {
        op.peer = const_cast<char *>(peer);
        ASSERT_EQ(OK, src.s.apply(METHOD_NODE_SET, &op.base, 0).status);
    }
    {
        struct kv_txn *t = nullptr;
        struct store s;
        Pb__ShardRow pin = PB__SHARD_ROW__INIT;
        uint64_t on[] = {2};
        pin.shard = 1;
        pin.nodes = on;
        pin.n_nodes = 1;
        ASSERT_EQ(OK, kv_begin(src.s.kv, true, &t));
        s.t = t;
        memcpy(s.prefix, src.s.prefix, 5);
        ASSERT_EQ(OK, dir_pin_put(&s, &pin));
        ASSERT_EQ(OK, kv_commit(t));
    }
    dir.add(src.base(1000));
    for (bool fresh : {false, true}) {
        Restored r(dir, 0, BACKUP_NOW, fresh);
        ASSERT_EQ(OK, r.status) << r.why;
        struct arena arena;
        struct dir_nodes nodes;
        struct store s;
        arena_init(&arena, 1 << 20);
        memcpy(s.prefix, r.done.prefix, 5);
        ASSERT_EQ(OK, kv_begin(r.kv, false, &s.t));
        struct dir_pins pins;
        ASSERT_EQ(OK, dir_nodes_get(&s, &arena, &nodes));
        ASSERT_EQ(OK, dir_pins_get(&s, &arena, &pins));
        kv_abort(s.t);
        EXPECT_EQ(fresh ? 0u : 2u, nodes.n);
        EXPECT_EQ(fresh ? 0u : 1u, pins.n);
        EXPECT_EQ(LEVEL_FIRST, r.done.level);
        arena_fini(&arena);
    }
}

TEST(BackupRestore, WhatALaterVersionWroteIsRefused)
{
    for (bool in_log : {false, true}) {
        Source src(0, 3);
        Dir dir;
        if (!in_log) {
            struct kv_txn *t = nullptr;
            struct store s;
            const struct dir_cluster later = {LEVEL_NOW + 1, 3};
            ASSERT_EQ(OK, kv_begin(src.s.kv, true, &t));
            s.t = t;
            memcpy(s.prefix, src.s.prefix, 5);
            ASSERT_EQ(OK, dir_cluster_put(&s, &later));
            ASSERT_EQ(OK, kv_commit(t));
        }
        dir.add(src.base(1000));
        if (in_log) {
            Pb__OpDomainSet op = PB__OP_DOMAIN_SET__INIT;
            op.name = const_cast<char *>("example.test");
            struct entry_head h = src.s.head_of(METHOD_DOMAIN_SET, 0, {});
            h.level = LEVEL_NOW + 1;
            std::string data(ENTRY_HEAD_BYTES, '\0'); /* this version does not apply it */
            entry_head_encode(&h, reinterpret_cast<uint8_t *>(&data[0]));
            src.log.push_back(entry_bytes(src.s.index++, src.s.term, data + shard_test::packed(&op.base), ""));
            dir.add(src.logged(2000));
        }
        Restored r(dir, 0, BACKUP_NOW);
        EXPECT_EQ(ERR_UNSUPPORTED, r.status);
        EXPECT_NE(std::string::npos, r.why.find("a later version of Pillarbox")) << r.why;
    }
}

/* --- a cluster --- */

class Handoffs : public ::testing::Test
{
  protected:
    Handoffs() : directory(0, 1), a(1, 2), b(2, 3)
    {
    }
    void SetUp() override
    {
        a.make_account(5);
        b.make_account(6);
        b.s.now_ms = a.s.now_ms;
        dir.set.shards = directory.shards = a.shards = b.shards = 2;
    }
    /* A delivery to an account of each: shard 1 owes shard 2 the mail. */
    void deliver(int n)
    {
        shard_test::Mail mail = simple_mail(n);
        Pb__OpDeliver op = PB__OP_DELIVER__INIT;
        Pb__BodySource source = PB__BODY_SOURCE__INIT;
        Pb__Recipient here = PB__RECIPIENT__INIT;
        Pb__Recipient there = PB__RECIPIENT__INIT;
        Pb__Handoff handoff = PB__HANDOFF__INIT;
        Pb__Recipient *recipients[] = {&here};
        Pb__Recipient *others[] = {&there};
        Pb__Handoff *handoffs[] = {&handoff};
        here.account = 5;
        there.account = 6;
        handoff.shard = 2;
        handoff.recipients = others;
        handoff.n_recipients = 1;
        op.recipients = recipients;
        op.n_recipients = 1;
        op.handoffs = handoffs;
        op.n_handoffs = 1;
        op.body = &source;
        source.size = static_cast<uint32_t>(mail.raw.size());
        op.record = shard_test::bin(mail.record);
        ASSERT_EQ(OK, a.s.apply(METHOD_DELIVER, &op.base, 0, mail.raw).status);
    }
    /* What the courier does with the first one; its row stays, as the other half was not saved. */
    void carry()
    {
        struct handoff_due due = {};
        struct buf op;
        struct buf body;
        struct kv_txn *t;
        buf_init(&op, 1 << 20);
        buf_init(&body, 1 << 20);
        ASSERT_EQ(OK, kv_begin(a.s.kv, false, &t));
        ASSERT_EQ(OK, housekeeping_handoff_next(t, a.s.prefix, 0, {0}, &due, &op));
        ASSERT_EQ(OK, repl_body_read(t, a.s.prefix, due.body_index, due.body_ordinal, 0, due.body_bytes, &body));
        kv_abort(t);
        struct u128 id = housekeeping_handoff_id({1}, due.index, {2});
        shard_test::Options o;
        o.request_id = reinterpret_cast<const char *>(id.b);
        struct entry_head h = b.s.head_of(METHOD_DELIVER, 0, o);
        Result r = b.s.apply_head(h, string_of(buf_slice(&op)), string_of(buf_slice(&body)));
        ASSERT_EQ(OK, r.status);
        buf_fini(&op);
        buf_fini(&body);
    }
    uint64_t restore(uint64_t *out_left)
    {
        struct kv *kv;
        Why why;
        struct backup_restored done;
        EXPECT_EQ(OK, kv_mem_new(&kv));
        const struct backup_restore_config cfg = {&dir.set, dir.path.c_str(), kv, {1}, BACKUP_NOW, 900000, true};
        EXPECT_EQ(OK, backup_restore_cluster(&cfg, &done, &why.b)) << why.text();
        *out_left = 0;
        for (uint32_t replica = 1; replica <= 3; replica++) { /* in the order of the shards */
            shard_test::Shard view(replica - 1, replica, kv);
            EXPECT_EQ("", view.check());
            for (const auto &x : view.state()) {
                *out_left += x.first[0] == 'h';
            }
        }
        kv_close(kv);
        return done.settled;
    }
    void save()
    {
        dir.add(directory.base(1000));
        dir.add(b.base(1000));
        dir.add(a.base(1000));
    }
    Dir dir;
    Source directory;
    Source a;
    Source b;
};

TEST_F(Handoffs, MailThatTheOtherShardHasIsNotDeliveredAgain)
{
    deliver(1);
    carry();
    save();
    uint64_t left = 0;
    EXPECT_EQ(1u, restore(&left));
    EXPECT_EQ(0u, left);
}

TEST_F(Handoffs, MailThatItHasNotIsStillOwed)
{
    deliver(1);
    save();
    uint64_t left = 0;
    EXPECT_EQ(0u, restore(&left));
    EXPECT_EQ(1u, left);
}

TEST_F(Handoffs, OneThatCameLateIsFoundToo)
{
    deliver(1);
    b.s.now_ms += 3600000; /* a mailbox was full for an hour */
    carry();
    save();
    uint64_t left = 0;
    EXPECT_EQ(1u, restore(&left));
    EXPECT_EQ(0u, left);
}

/* A base and a log, and what is wrong with one of them. */
class BadBackup : public ::testing::Test
{
  protected:
    BadBackup() : src(1, 4)
    {
    }
    void SetUp() override
    {
        src.make_account(5);
        for (int i = 0; i < 10; i++) {
            src.something();
        }
        base = src.base(1000);
        for (int i = 0; i < 10; i++) {
            src.something();
        }
        log = src.log;
    }
    std::string restore(const Dir &dir)
    {
        Restored r(dir, 1, BACKUP_NOW);
        uint64_t records;
        Why why;
        enum err verified = OK;
        for (size_t i = 0; verified == OK && i < dir.set.n; i++) {
            verified = backup_verify_file(dir.path.c_str(), &dir.set, &dir.set.files[i], &records, &why.b);
        }
        EXPECT_EQ(r.status == OK, verified == OK) << r.why << "\n" << why.text();
        return r.status == OK ? "" : std::string(err_name(r.status)) + " " + r.why;
    }
    File log_file(const std::vector<std::string> &entries)
    {
        struct backup_end end = {};
        end.index = src.index();
        end.term = src.s.term;
        end.wall_ms = src.last_ms;
        end.records = entries.size();
        return write_file(head_of(BACKUP_LOG, 1, src.first, src.s.term), entries, end);
    }
    static std::string at(const std::string &why)
    {
        size_t n = why.find(": ");
        return n == std::string::npos ? why : why.substr(n + 2);
    }
    Source src;
    File base;
    std::vector<std::string> log;
};

TEST_F(BadBackup, IsFineWhenNothingIsWrong)
{
    Dir dir;
    dir.add(base);
    dir.add(log_file(log));
    EXPECT_EQ("", restore(dir));
}

TEST_F(BadBackup, AMissingEntryIsFound)
{
    Dir dir;
    dir.add(base);
    log.erase(log.begin() + 3);
    dir.add(log_file(log));
    EXPECT_EQ("in the block at byte 68: an entry that cannot be applied: corrupt data", at(restore(dir)));
}

TEST_F(BadBackup, EntriesThatAreCutAreFound)
{
    Dir dir;
    dir.add(base);
    log.back().pop_back();
    dir.add(log_file(log));
    EXPECT_EQ("in the block at byte 68: not whole entries: corrupt data", at(restore(dir)));
}

TEST_F(BadBackup, RowsThatAreNoneAreFound)
{
    Dir dir;
    struct backup_end end = {};
    end.index = 5;
    end.term = 1;
    dir.add(write_file(head_of(BACKUP_BASE, 1), {row("Mx", "y")}, end));
    EXPECT_EQ("in the block at byte 68: rows that cannot be restored: corrupt data", at(restore(dir)));
}

TEST_F(BadBackup, AnotherShardsFileIsFound)
{
    Dir dir;
    base.entry.shard = {2};
    dir.add(base);
    Restored r(dir, 2, BACKUP_NOW);
    EXPECT_EQ(ERR_CORRUPT, r.status);
    EXPECT_EQ("at byte 0: another file than the manifest says", at(r.why));
}

TEST_F(BadBackup, AnOlderFileUnderTheSameNameIsFound)
{
    Dir dir;
    dir.add(base);
    dir.set.files[0].crc ^= 1;
    EXPECT_EQ("another file than the manifest says", at(restore(dir)));
}

TEST_F(BadBackup, AFileThatIsGoneOrEmptyIsFound)
{
    Dir dir;
    dir.add(base);
    dir.put(dir.set.files[0].name, "");
    EXPECT_EQ("at byte 0: the file is empty", at(restore(dir)));
    unlink((dir.path + "/" + dir.set.files[0].name).c_str());
    EXPECT_EQ("No such file or directory", at(restore(dir)));
}

TEST_F(BadBackup, ADamagedBlockIsFoundWithItsPlace)
{
    Dir dir;
    std::string bytes = base.bytes;
    bytes[100] = static_cast<char>(bytes[100] ^ 4);
    dir.add(base);
    dir.put(dir.set.files[0].name, bytes);
    EXPECT_EQ("at byte 68: a block is damaged: its checksum is wrong", at(restore(dir)));
}

} // namespace
