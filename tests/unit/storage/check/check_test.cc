/* A check that finds nothing may be blind: here every kind of row is damaged, one at a time, and each damage must be
 * found. */
#include "storage/apply/staging.h"
#include "tests/unit/storage/apply/move_rig.h"

using namespace move_test;

namespace
{

constexpr uint64_t kFenced = 13;
constexpr uint64_t kArriving = 14;

class Check : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAlice));
        ASSERT_EQ(OK, s.create_account(12));
        ASSERT_EQ(OK, s.create(kAlice, "Work/a").status);
        inbox = s.mailbox_id(kAlice, "INBOX");
        std::vector<std::string> many;
        for (int k = 0; k < 60; k++) {
            many.push_back("k" + std::to_string(k));
        }
        for (int i = 1; i <= 6; i++) {
            ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(i, "x\r\n", "In-Reply-To: <m0@example.org>\r\n"), 0,
                                   i == 2 ? many : std::vector<std::string>())
                              .status);
        }
        std::string raw =
            "Subject: many parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
        for (int i = 0; i < 60; i++) {
            raw += "--b\r\nContent-Type: text/plain; name=\"part-number-" + std::to_string(i) + ".txt\"\r\n\r\nx\r\n";
        }
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", make_mail(raw + "--b--\r\n")).status);
        ASSERT_EQ(OK, s.store(kAlice, inbox, uids({2, 3}), 1, FLAG_SEEN).status);
        ASSERT_EQ(OK, s.copy(kAlice, inbox, uids({1, 2}), "Sent").status);
        ASSERT_EQ(OK, s.copy(kAlice, inbox, uids({3}), "Work", std::string(16, 'c')).status);
        ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({4})).status);
        s.keeps = true;
        ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({5, 6})).status);
        s.keeps = false;
        ASSERT_EQ(OK, s.deliver({kAlice, 12}, simple_mail(9)).status);
        ASSERT_EQ(OK, s.remove(kAlice, "Work/a").status);
        Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
        begin.account = kAlice;
        begin.size = 5000;
        ASSERT_EQ(OK, s.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
        s.put_staged(s.index - 1, "the first chunk");
        hand_off();
        keep_with_the_longest_name();
        move_accounts();
        ASSERT_EQ("", s.check());
    }

    /* Its kept row has two pieces. */
    void keep_with_the_longest_name()
    {
        std::string name(255, 'd');
        for (int i = 1; i < 16; i++) {
            name += "/" + std::string(255, 'd');
        }
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(30)).status);
        ASSERT_EQ(OK, s.rename(kAlice, "INBOX", name).status);
        s.keeps = true;
        ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({8})).status);
        s.keeps = false;
        ASSERT_EQ(3u, s.kept(kAlice).size());
        ASSERT_EQ(name, s.kept(kAlice)[2].texts[0]);
    }

    /* One is fenced on its way out, another has arrived in part. */
    void move_accounts()
    {
        Rig source;
        Mail m = simple_mail(30);
        ASSERT_EQ(OK, source.one.append(11, "INBOX", m).status);
        ASSERT_EQ(OK, source.start());
        std::vector<std::pair<enum method, std::string>> sent;
        source.before = [&](const struct mover_request &r) {
            sent.emplace_back(r.method, std::string(reinterpret_cast<const char *>(buf_slice(&r.op).p), r.op.len));
            return true;
        };
        ASSERT_TRUE(source.run(MOVE_FENCED));
        ASSERT_EQ(3u, sent.size());
        auto begin =
            Message<Pb__OpArriveBegin>(pb__op_arrive_begin__unpack(nullptr, sent[0].second.size(), u8(sent[0].second)));
        auto email =
            Message<Pb__OpArriveEmail>(pb__op_arrive_email__unpack(nullptr, sent[1].second.size(), u8(sent[1].second)));
        auto fence =
            Message<Pb__OpMoveStep>(pb__op_move_step__unpack(nullptr, sent[2].second.size(), u8(sent[2].second)));
        begin->account = email->account = kArriving;
        begin->from = 3;
        ASSERT_EQ(OK, s.apply(METHOD_ARRIVE_BEGIN, &begin->base, kArriving).status);
        ASSERT_EQ(OK, s.apply(METHOD_ARRIVE_EMAIL, &email->base, kArriving, m.raw).status);
        Pb__OpMoveStart start = PB__OP_MOVE_START__INIT;
        ASSERT_EQ(OK, s.create_account(kFenced));
        start.account = kFenced;
        start.to = 3;
        ASSERT_EQ(OK, s.apply(METHOD_MOVE_START, &start.base, kFenced).status);
        std::string row = s.state()["o" + std::string(7, '\0') + static_cast<char>(kFenced)];
        ASSERT_EQ(sizeof(struct move_row), row.size());
        memcpy(fence->id.data, row.data() + offsetof(struct move_row, id), 16);
        fence->account = kFenced;
        ASSERT_EQ(OK, s.apply(METHOD_MOVE_STEP, &fence->base, kFenced).status);
    }

    static const uint8_t *u8(const std::string &bytes)
    {
        return reinterpret_cast<const uint8_t *>(bytes.data());
    }

    void hand_off()
    {
        Mail m = simple_mail(20);
        Pb__OpDeliver op = PB__OP_DELIVER__INIT;
        Pb__BodySource body = PB__BODY_SOURCE__INIT;
        Pb__Recipient r = PB__RECIPIENT__INIT;
        Pb__Recipient *rs[] = {&r};
        Pb__Handoff h = PB__HANDOFF__INIT;
        Pb__Handoff *hs[] = {&h};
        h.shard = 5;
        h.recipients = rs;
        h.n_recipients = 1;
        body.size = static_cast<uint32_t>(m.raw.size());
        op.body = &body;
        op.record = bin(m.record);
        op.handoffs = hs;
        op.n_handoffs = 1;
        ASSERT_EQ(OK, s.apply(METHOD_DELIVER, &op.base, 0, m.raw).status);
    }

    void put(const std::string &key, const std::string *value)
    {
        struct kv_txn *t = nullptr;
        std::string k(reinterpret_cast<char *>(s.prefix), 5);
        k += key;
        ASSERT_EQ(OK, kv_begin(s.kv, true, &t));
        if (value == nullptr) {
            ASSERT_EQ(OK, kv_del(t, slice_make(k.data(), k.size())));
        } else {
            ASSERT_EQ(OK, kv_put(t, slice_make(k.data(), k.size()), slice_make(value->data(), value->size())));
        }
        ASSERT_EQ(OK, kv_commit(t));
    }

    static std::string kind(const std::string &key)
    {
        return key[0] == 'a' ? std::string("a") + key[9] : key.substr(0, 1);
    }

    Shard s;
    uint64_t inbox = 0;
};

TEST_F(Check, finds_every_missing_row)
{
    std::map<std::string, int> kinds;
    for (const auto &row : s.state()) {
        put(row.first, nullptr);
        /* A lost record of a request or of a copy leaves no trace. */
        if (kind(row.first) != "aD" && kind(row.first) != "c") {
            EXPECT_NE("", s.check()) << "a missing row of " << kind(row.first) << " of " << row.first.size()
                                     << " bytes";
        }
        put(row.first, &row.second);
        kinds[kind(row.first)]++;
    }
    ASSERT_EQ("", s.check());
    for (const char *k : {"aA", "aC", "aD", "aM", "aN", "aS", "aT", "ae", "ak", "am", "ao", "ar", "at",
                          "av", "ax", "aZ", "az", "b",  "c",  "h",  "i",  "k",  "K",  "o",  "p",  "s"}) {
        EXPECT_GT(kinds[k], 0) << k << " was not there to be damaged";
    }
}

/* The sums may agree with each other and not with what is there. */
TEST_F(Check, finds_uploads_that_are_charged_wrong)
{
    const auto rows = s.state();
    auto damage = [&](size_t account_off, size_t stage_off) {
        for (const auto &row : rows) {
            std::string value = row.second;
            bool payer = kind(row.first) == "aA" && (row.first[8] == 0 || row.first[8] == kAlice);
            if (payer || kind(row.first) == "s") {
                value[payer ? account_off : stage_off]++;
                put(row.first, &value);
            }
        }
        std::string found = s.check();
        for (const auto &row : rows) {
            put(row.first, &row.second);
        }
        return found;
    };
    ASSERT_EQ("", s.check());
    EXPECT_NE("", damage(offsetof(struct account_row, staged_bytes), offsetof(struct stage_row, staged)));
    EXPECT_NE("", damage(offsetof(struct account_row, uploads), offsetof(struct stage_row, size)));
    ASSERT_EQ("", s.check());
}

TEST_F(Check, finds_every_row_too_many)
{
    for (const auto &row : s.state()) {
        std::string key = row.first;
        key[key.size() - 1] = static_cast<char>(key[key.size() - 1] ^ 0x55);
        if (s.state().count(key) != 0 || kind(key) == "aD" || kind(key) == "c") {
            continue;
        }
        put(key, &row.second);
        EXPECT_NE("", s.check()) << "a row too many of " << kind(key);
        put(key, nullptr);
    }
    std::string value("x");
    for (const char *stray : {"q", "zz", "a\0\0\0\0\0\0\0\x0bQ"}) {
        std::string key(stray, stray[0] == 'a' ? 10 : strlen(stray));
        put(key, &value);
        EXPECT_NE("", s.check());
        put(key, nullptr);
    }
}

TEST_F(Check, finds_a_row_of_another_size)
{
    for (const auto &row : s.state()) {
        /* Text of free length has no wrong size of its own: names and hashes catch it, or nothing can. */
        if (kind(row.first) == "aD" || kind(row.first) == "ak" || kind(row.first) == "p" || kind(row.first) == "aC") {
            continue;
        }
        std::string longer = row.second + "x";
        put(row.first, &longer);
        EXPECT_NE("", s.check()) << "a longer row of " << kind(row.first);
        put(row.first, &row.second);
    }
}

TEST_F(Check, finds_wrong_counters)
{
    for (const auto &row : s.state()) {
        std::string k = kind(row.first);
        if (k != "aM" && k != "aA" && k != "am") {
            continue;
        }
        /* Fields that nothing else in the state knows are left out: times, objectid, quota, special use, next ids. */
        std::vector<size_t> offsets;
        if (k == "aM") {
            offsets = {0, 4, 8, 56, 60, 64, 68, 76, 80, 96};
        } else if (k == "aA") {
            offsets = {0, 4, 64};
            if (row.first[8] == kArriving) {
                offsets = {0, 4}; /* its own row comes last */
            } else if (row.first[8] != 0) {
                offsets.insert(offsets.end(), {48, 56, 72, 88, 92, 96});
            }
        } else {
            offsets = {0, 48};
        }
        for (size_t at : offsets) {
            if (row.second[4] == 2 && k == "aM") {
                continue; /* a mailbox in the purge queue */
            }
            std::string bad = row.second;
            bad[at] = static_cast<char>(bad[at] ^ 0x41);
            put(row.first, &bad);
            EXPECT_NE("", s.check()) << "byte " << at << " of " << k;
            put(row.first, &row.second);
        }
    }
}

TEST_F(Check, finds_damaged_missing_and_orphaned_bodies)
{
    std::map<std::string, std::string> chunks;
    struct kv_txn *t = nullptr;
    struct kv_cursor *c = nullptr;
    struct slice k;
    struct slice v;
    std::string from(reinterpret_cast<char *>(s.prefix), 4);
    from += "B";
    ASSERT_EQ(OK, kv_begin(s.kv, false, &t));
    ASSERT_EQ(OK, kv_cursor_open(t, &c));
    for (enum err e = kv_cursor_seek(c, slice_make(from.data(), 5), &k, &v);
         e == OK && memcmp(k.p, from.data(), 5) == 0; e = kv_cursor_next(c, &k, &v)) {
        chunks[std::string(reinterpret_cast<const char *>(k.p), k.n)] =
            std::string(reinterpret_cast<const char *>(v.p), v.n);
    }
    kv_cursor_close(c);
    kv_abort(t);
    ASSERT_GT(chunks.size(), 5u);
    auto raw_put = [&](const std::string &key, const std::string *value) {
        ASSERT_EQ(OK, kv_begin(s.kv, true, &t));
        if (value == nullptr) {
            ASSERT_EQ(OK, kv_del(t, slice_make(key.data(), key.size())));
        } else {
            ASSERT_EQ(OK, kv_put(t, slice_make(key.data(), key.size()), slice_make(value->data(), value->size())));
        }
        ASSERT_EQ(OK, kv_commit(t));
    };
    for (const auto &chunk : chunks) {
        uint64_t at = get_be64(reinterpret_cast<const uint8_t *>(chunk.first.data()) + 5);
        if (s.body_dead(at)) {
            continue; /* what is in a dead body matters to nobody */
        }
        std::string bad = chunk.second;
        bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
        raw_put(chunk.first, &bad);
        EXPECT_NE("", s.check());
        raw_put(chunk.first, nullptr);
        EXPECT_NE("", s.check());
        raw_put(chunk.first, &chunk.second);
        EXPECT_EQ("", s.check());
    }
    std::string orphan = chunks.begin()->first;
    orphan[12] = char(0x77);
    raw_put(orphan, &chunks.begin()->second);
    EXPECT_NE("", s.check());
    raw_put(orphan, nullptr);
    std::string dead = chunks.rbegin()->first.substr(0, 15);
    dead[4] = 'Q';
    std::string when(8, '\0');
    raw_put(dead, &when);
    EXPECT_NE("", s.check());
}

} // namespace
