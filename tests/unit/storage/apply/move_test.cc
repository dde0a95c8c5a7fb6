/* Moves of accounts between shards (deploy/docs/adr/0010). */
#include "tests/unit/storage/apply/move_rig.h"

using namespace move_test;

namespace
{

void fill(Rig &r)
{
    std::vector<std::string> keywords;
    for (int k = 0; k < 60; k++) {
        keywords.push_back("k" + std::to_string(k));
    }
    for (int i = 1; i <= 8; i++) {
        ASSERT_EQ(OK, r.one.append(kAlice, "INBOX", simple_mail(i), i == 3 ? FLAG_SEEN : 0).status);
    }
    uint64_t inbox = r.one.mailbox_id(kAlice, "INBOX");
    ASSERT_EQ(OK, r.one.create(kAlice, "Work/a").status);
    ASSERT_EQ(OK, r.one.store(kAlice, inbox, uids({4, 5}), 1, FLAG_FLAGGED, keywords).status);
    ASSERT_EQ(OK, r.one.copy(kAlice, inbox, uids({1, 2}), "Work/a").status);
    ASSERT_EQ(OK, r.one.copy(kAlice, inbox, uids({5, 6}), "Work/a", std::string(16, 'c')).status);
    ASSERT_EQ(OK, r.one.expunge(kAlice, inbox, uids({7})).status);
    /* what is kept: alone, with a copy that lives, with a row in two pieces */
    std::string deep(255, 'd');
    for (int i = 1; i < 16; i++) {
        deep += "/" + std::string(255, 'd');
    }
    ASSERT_EQ(OK, r.one.create(kAlice, deep).status);
    ASSERT_EQ(OK, r.one.append(kAlice, deep, simple_mail(10)).status);
    r.one.keeps = true;
    ASSERT_EQ(OK, r.one.expunge(kAlice, inbox, uids({2, 8})).status);
    ASSERT_EQ(OK, r.one.expunge(kAlice, r.one.mailbox_id(kAlice, deep), uids({1})).status);
    r.one.keeps = false;
    /* a body that another account shares, a record in several pieces */
    std::string folded = "X: ";
    for (int i = 0; i < 200; i++) {
        folded += "To: somebody-" + std::to_string(i) + "@example.org\r\n";
    }
    ASSERT_EQ(OK, r.one.deliver({kAlice, kBob}, simple_mail(9, "x", folded)).status);
}

/* The account's own rows of both shards, as if both were live. */
std::map<std::string, std::string> comparable(std::map<std::string, std::string> rows)
{
    for (auto &[k, v] : rows) {
        if (k[0] == 'a' && k[9] == 'A') {
            struct account_row row;
            memcpy(&row, v.data(), sizeof(row));
            row.state = ACCOUNT_LIVE;
            v.assign(reinterpret_cast<char *>(&row), sizeof(row));
        }
    }
    return rows;
}

void expect_equal(const std::map<std::string, std::string> &want, const std::map<std::string, std::string> &got)
{
    ASSERT_EQ(want.size(), got.size());
    for (const auto &[k, v] : want) {
        auto it = got.find(k);
        ASSERT_TRUE(it != got.end()) << "table " << k[9];
        EXPECT_EQ(v, it->second) << "table " << k[9];
    }
}

void expect_sound(Rig &r)
{
    EXPECT_EQ("", r.one.check());
    EXPECT_EQ("", r.two.check());
    EXPECT_EQ("", r.directory.check());
}

uint32_t inbox_messages(Shard &s)
{
    Result r = s.select(kAlice, "INBOX");
    auto m = UNPACK(Pb__ReadSelectResult, pb__read_select_result, r);
    return m->info->messages;
}

uint32_t named_shard(Rig &r)
{
    Pb__ReadResolve req = PB__READ_RESOLVE__INIT;
    req.address = const_cast<char *>("user11@example.test");
    Result got = r.directory.read(METHOD_RESOLVE, &req.base);
    auto m = UNPACK(Pb__ReadResolveResult, pb__read_resolve_result, got);
    EXPECT_EQ(1u, m->n_targets);
    return m->n_targets == 1 ? m->targets[0]->shard : 0;
}

TEST(Move, an_account_is_the_same_in_the_other_shard)
{
    Rig r;
    fill(r);
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run(MOVE_FENCED));
    auto want = comparable(r.rows_of(1));
    ASSERT_TRUE(r.run());
    expect_equal(want, comparable(r.rows_of(2)));
    expect_sound(r);
    EXPECT_EQ(2u, named_shard(r));
    EXPECT_EQ(uint32_t(ACCOUNT_LIVE), r.account_state(2));
    EXPECT_EQ(uint32_t(ACCOUNT_MOVED), r.account_state(1));
    EXPECT_EQ(ERR_MOVED, r.one.append(kAlice, "INBOX", simple_mail(20)).status);
    EXPECT_EQ(OK, r.two.append(kAlice, "INBOX", simple_mail(20)).status);
    r.one.purge_all();
    r.two.purge_all();
    EXPECT_EQ("", r.one.check());
    EXPECT_EQ("", r.two.check());
}

/* Whatever request or answer is lost, and whoever leads then. */
TEST(Move, what_is_kept_travels_and_nothing_of_it_is_dropped_meanwhile)
{
    Rig r;
    fill(r);
    auto kept = r.one.kept(kAlice);
    ASSERT_EQ(3u, kept.size());
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run(MOVE_FENCED));
    ASSERT_EQ(OK, r.one.kept_drop(UINT64_MAX).status);
    r.before = [&](const struct mover_request &q) {
        return q.shard.v != 2 || r.two.kept_drop(UINT64_MAX).status == OK;
    };
    ASSERT_TRUE(r.run());
    auto there = r.two.kept(kAlice);
    ASSERT_EQ(kept.size(), there.size());
    for (size_t i = 0; i < kept.size(); i++) {
        EXPECT_TRUE(kept[i].ms == there[i].ms && kept[i].uid == there[i].uid && kept[i].size == there[i].size);
        EXPECT_EQ(kept[i].texts[0], there[i].texts[0]);
    }
    r.one.purge_all();
    EXPECT_EQ(0u, r.one.state().count("K")) << "the source counts none";
    expect_sound(r);
    ASSERT_EQ(OK, r.two.kept_drop(UINT64_MAX).status);
    EXPECT_TRUE(r.two.kept(kAlice).empty());
    EXPECT_EQ(0u, r.two.state().count("K"));
    expect_sound(r);
}

TEST(Move, goes_on_after_any_lost_request_or_answer)
{
    int requests = 0;
    {
        Rig r;
        fill(r);
        ASSERT_EQ(OK, r.start());
        ASSERT_TRUE(r.run());
        requests = r.sent;
    }
    for (bool answer : {false, true}) {
        for (bool new_leader : {false, true}) {
            for (int n = 1; n <= requests; n++) {
                Rig r;
                fill(r);
                ASSERT_EQ(OK, r.start());
                std::map<std::string, std::string> want;
                r.before = [&](const struct mover_request &) {
                    if (want.empty() && r.state() == MOVE_FENCED) {
                        want = comparable(r.rows_of(1));
                    }
                    r.lose_answers = answer && r.sent == n;
                    return answer || r.sent != n;
                };
                while (r.sent < n) {
                    r.step();
                }
                if (new_leader) {
                    mover_init(&r.mover, {1}, {kAlice}, 3);
                }
                ASSERT_TRUE(r.run()) << n;
                expect_equal(want, comparable(r.rows_of(2)));
                EXPECT_EQ(2u, named_shard(r));
                expect_sound(r);
            }
        }
    }
}

TEST(Move, what_was_done_before_the_fence_is_answered_from_its_record_everywhere)
{
    Rig r;
    Options o;
    o.request_id = "0123456789abcdef";
    Result first = r.one.append(kAlice, "INBOX", simple_mail(1), 0, {}, o);
    ASSERT_EQ(OK, first.status);
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run(MOVE_FENCED));
    EXPECT_EQ(first.bytes, r.one.append(kAlice, "INBOX", simple_mail(1), 0, {}, o).bytes);
    ASSERT_TRUE(r.run());
    EXPECT_EQ(first.bytes, r.one.append(kAlice, "INBOX", simple_mail(1), 0, {}, o).bytes);
    EXPECT_EQ(first.bytes, r.two.append(kAlice, "INBOX", simple_mail(1), 0, {}, o).bytes);
    expect_sound(r);
}

TEST(Move, what_the_fence_refuses_is_not_on_record)
{
    Rig r;
    fill(r);
    Options o;
    o.request_id = "0123456789abcdef";
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run(MOVE_FENCED));
    auto before = r.one.state();
    EXPECT_EQ(ERR_UNAVAILABLE, r.one.append(kAlice, "INBOX", simple_mail(20), 0, {}, o).status);
    EXPECT_EQ(ERR_UNAVAILABLE, r.one.deliver({kBob, kAlice}, simple_mail(21)).status);
    EXPECT_EQ(ERR_UNAVAILABLE, r.one.deliver({kAlice}, simple_mail(21)).status);
    Pb__OpStageAbort stage = PB__OP_STAGE_ABORT__INIT;
    stage.account = kAlice;
    stage.staged_index = 1;
    EXPECT_EQ(ERR_UNAVAILABLE, r.one.apply(METHOD_STAGE_ABORT, &stage.base, kAlice).status)
        << "its record would not travel";
    r.one.purge(kAlice, 0);
    r.one.now_ms += 3600000; /* old records stay: they are being copied */
    r.one.purge(kAlice, 0);
    r.one.purge(0, 0);
    auto after = r.one.state();
    for (const auto &[k, v] : before) { /* account 0's own records apart */
        EXPECT_TRUE(k.compare(0, 9, std::string("a\0\0\0\0\0\0\0\x0b", 9)) != 0 || after[k] == v);
    }
    ASSERT_TRUE(r.run()); /* its time is over */
    EXPECT_EQ(uint32_t(ACCOUNT_LIVE), r.account_state(1));
    EXPECT_EQ(OK, r.one.append(kAlice, "INBOX", simple_mail(20), 0, {}, o).status);
    r.two.purge_all();
    expect_sound(r);
    EXPECT_EQ(1u, named_shard(r));
    EXPECT_EQ(ERR_MOVED, r.two.append(kAlice, "INBOX", simple_mail(20)).status) << "it says where it lives";
}

/* In every state before the seal. */
TEST(Move, is_given_up_when_the_fence_takes_too_long_and_can_be_made_again)
{
    int given_up = 0;
    for (int n = 10; n < 100 && !HasFailure(); n++) {
        Rig r;
        fill(r);
        ASSERT_EQ(OK, r.start());
        bool waited = false;
        r.before = [&](const struct mover_request &) {
            if (r.sent >= n && !waited && r.state() == MOVE_FENCED) {
                waited = true;
                r.one.now_ms += MOVER_FENCE_MS_MAX + 1;
                return false; /* the destination is away */
            }
            return true;
        };
        ASSERT_TRUE(r.run()) << n;
        if (!waited) {
            break; /* it was sealed before */
        }
        given_up++;
        ASSERT_EQ(uint32_t(ACCOUNT_LIVE), r.account_state(1)) << n;
        expect_sound(r);
        ASSERT_EQ(OK, r.one.append(kAlice, "INBOX", simple_mail(30)).status);
        r.before = [](const struct mover_request &) { return true; };
        ASSERT_EQ(OK, r.start());
        for (int i = 0; i < 50 && r.account_state(2) != ACCOUNT_LIVE; i++) {
            r.run(MOVE_OVER, 20);
            r.two.purge_all(); /* what was copied the first time goes first */
        }
        EXPECT_EQ(uint32_t(ACCOUNT_LIVE), r.account_state(2)) << n;
        EXPECT_EQ(2u, named_shard(r));
        expect_sound(r);
    }
    EXPECT_GE(given_up, 3); /* what is dropped, rows, ready */
}

TEST(Move, there_and_back_again_and_a_day_later_nothing_tells_of_it)
{
    Rig r;
    fill(r);
    for (int round = 0; round < 3; round++) {
        for (uint32_t from : {1u, 2u}) {
            ASSERT_EQ(OK, r.start(kAlice, from, 3 - from));
            for (int i = 0; i < 50 && r.state(from) != MOVE_OVER; i++) {
                r.run(MOVE_OVER, 50);
                r.shard(3 - from).purge_all();
            }
            ASSERT_EQ(uint32_t(ACCOUNT_LIVE), r.account_state(3 - from));
            ASSERT_EQ(uint32_t(ACCOUNT_MOVED), r.account_state(from));
            ASSERT_EQ(OK, r.shard(3 - from).append(kAlice, "INBOX", simple_mail(40)).status);
            expect_sound(r);
        }
    }
    r.two.purge_all();
    EXPECT_EQ(uint32_t(ACCOUNT_MOVED), r.account_state(2));
    r.two.now_ms += MOVED_KEEP_MS + 3600000;
    for (int i = 0; i < 20; i++) {
        r.two.purge_all();
    }
    EXPECT_EQ(0u, r.account_state(2));
    expect_sound(r);
    for (const auto &[k, v] : r.two.state()) {
        EXPECT_TRUE(k[0] == 'a' && get_be64(reinterpret_cast<const uint8_t *>(k.data()) + 1) == 0) << k[0];
    }
}

TEST(Move, mail_for_who_has_moved_is_handed_off_once)
{
    Rig r;
    Options o;
    o.request_id = "0123456789abcdef";
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run());
    r.one.index = 9000;
    Result first = r.one.deliver({kAlice, kBob}, simple_mail(1), o);
    ASSERT_EQ(OK, first.status);
    auto m = UNPACK(Pb__OpDeliverResult, pb__op_deliver_result, first);
    EXPECT_TRUE(m->handed_off);
    EXPECT_EQ(uint32_t(OK), m->recipients[0]->err);
    EXPECT_EQ(0u, m->recipients[0]->uid);
    EXPECT_NE(0u, m->recipients[1]->uid);
    EXPECT_EQ(first.bytes, r.one.deliver({kAlice, kBob}, simple_mail(1), o).bytes);
    EXPECT_EQ("", r.one.check());
    struct handoff_due due = {};
    struct buf op;
    buf_init(&op, 1 << 20);
    r.with(1, [&](const struct store *s) {
        EXPECT_EQ(OK, housekeeping_handoff_next(s->t, s->prefix, 0, {0}, &due, &op));
        return 0;
    });
    EXPECT_EQ(9000u, due.index);
    EXPECT_EQ(2u, due.to.v);
    EXPECT_EQ(1u, due.recipients);
    std::string bytes(reinterpret_cast<const char *>(buf_slice(&op).p), op.len);
    buf_fini(&op);
    struct u128 id = housekeeping_handoff_id({1}, due.index, due.to);
    o.request_id = reinterpret_cast<const char *>(id.b);
    struct entry_head h = r.two.head_of(METHOD_DELIVER, 0, o);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(OK, r.two.apply_head(h, bytes, simple_mail(1).raw).status);
    }
    EXPECT_EQ(1u, inbox_messages(r.two));
    expect_sound(r);
}

TEST(Move, large_bodies_are_staged_and_uploads_for_deliveries_stay)
{
    Rig r;
    std::string big(700000, 'x');
    for (size_t i = 70; i < big.size(); i += 72) {
        big[i] = '\r';
        big[i + 1] = '\n';
    }
    Mail m = simple_mail(1, big);
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    begin.account = kAlice;
    begin.size = static_cast<uint32_t>(m.raw.size());
    uint64_t at = r.one.index;
    ASSERT_EQ(OK, r.one.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
    for (size_t off = 0; off < m.raw.size(); off += STAGE_CHUNK_BYTES) {
        r.one.put_staged(at, m.raw.substr(off, STAGE_CHUNK_BYTES), off);
    }
    Pb__OpAppend op = PB__OP_APPEND__INIT;
    Pb__BodySource body = PB__BODY_SOURCE__INIT;
    body.size = begin.size;
    body.staged_index = at;
    op.account = kAlice;
    op.mailbox = const_cast<char *>("INBOX");
    op.body = &body;
    op.record = bin(m.record);
    ASSERT_EQ(OK, r.one.apply(METHOD_APPEND, &op.base, kAlice).status);
    /* an upload that is under way: the fence waits for it, but not for ever */
    at = r.one.index;
    begin.away = true;
    ASSERT_EQ(OK, r.one.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
    ASSERT_EQ(OK, r.start());
    uint64_t before = r.one.now_ms;
    ASSERT_TRUE(r.run(MOVE_FENCED));
    EXPECT_GE(r.one.now_ms - before, uint64_t(MOVER_UPLOADS_MS_MAX));
    ASSERT_TRUE(r.run());
    EXPECT_EQ(1u, inbox_messages(r.two));
    expect_sound(r);
    /* it ends where it began, also when the account's rows have gone there */
    r.one.purge_all();
    Mail small = simple_mail(2);
    r.one.put_staged(at, small.raw);
    EXPECT_EQ(OK, r.one.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
    Pb__OpDeliver deliver = PB__OP_DELIVER__INIT;
    Pb__Recipient to = PB__RECIPIENT__INIT;
    Pb__Recipient *tos[] = {&to};
    to.account = kAlice;
    body.size = static_cast<uint32_t>(small.raw.size());
    body.staged_index = at;
    deliver.recipients = tos;
    deliver.n_recipients = 1;
    deliver.body = &body;
    deliver.record = bin(small.record);
    EXPECT_EQ(OK, r.one.apply(METHOD_DELIVER, &deliver.base, kAlice).status);
    begin.away = false;
    EXPECT_EQ(ERR_MOVED, r.one.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
    expect_sound(r);
}

TEST(Move, a_thousand_emails_and_more_and_what_is_expunged_meanwhile)
{
    Rig r;
    for (int i = 0; i < 2300; i++) {
        ASSERT_EQ(OK, r.one.append(kAlice, i % 3 == 0 ? "Archive" : "INBOX", simple_mail(i, "x")).status);
    }
    ASSERT_EQ(OK, r.start());
    uint64_t inbox = r.one.mailbox_id(kAlice, "INBOX");
    std::map<std::string, std::string> want;
    bool expunged = false;
    int pages = 0;
    r.before = [&](const struct mover_request &q) {
        if (!expunged && q.method == METHOD_MOVE_STEP) {
            expunged = true;
            EXPECT_EQ(OK, r.one.expunge(kAlice, inbox, uid_range(1, 1000)).status);
            EXPECT_EQ(OK, r.one.expunge(kAlice, inbox, uid_range(1001, 1200)).status);
            EXPECT_EQ(OK, r.one.append(kAlice, "INBOX", simple_mail(5000)).status);
        }
        if (want.empty() && r.state() == MOVE_FENCED) {
            want = comparable(r.rows_of(1));
        }
        pages += q.method == METHOD_ARRIVE_ROWS;
        return true;
    };
    for (int i = 0; i < 10000 && pages < 1 && r.step() != MOVER_OVER; i++) {
    }
    mover_init(&r.mover, {1}, {kAlice}, 3); /* another leader, in the middle of the rows */
    ASSERT_TRUE(r.run());
    EXPECT_GE(pages, 2);
    expect_equal(want, comparable(r.rows_of(2)));
    expect_sound(r);
}

TEST(Move, a_removed_account_does_not_move)
{
    Rig r;
    fill(r);
    ASSERT_EQ(OK, r.start());
    r.step();
    r.step();
    Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
    op.account = kAlice;
    ASSERT_EQ(OK, r.one.apply(METHOD_ACCOUNT_REMOVE, &op.base, kAlice).status);
    ASSERT_TRUE(r.run());
    EXPECT_EQ(uint32_t(ACCOUNT_REMOVED), r.account_state(1));
    EXPECT_EQ(uint32_t(ACCOUNT_CANCELLED), r.account_state(2));
    r.one.purge_all();
    r.two.purge_all();
    expect_sound(r);
}

TEST(Move, says_no_clearly)
{
    Rig r;
    EXPECT_EQ(ERR_INVAL, r.start(kAlice, 1, 1));
    EXPECT_EQ(ERR_INVAL, r.start(kAlice, 1, 0));
    EXPECT_EQ(ERR_INVAL, r.start(kAlice, 1, 2000));
    EXPECT_EQ(ERR_NOTFOUND, r.start(99, 1, 2));
    ASSERT_EQ(OK, r.start());
    EXPECT_EQ(OK, r.start()) << "again is fine";
    EXPECT_EQ(ERR_EXISTS, r.start(kAlice, 1, 9));
    for (uint64_t id = 100; id < 100 + MOVES_MAX; id++) {
        ASSERT_EQ(OK, r.one.create_account(id));
        EXPECT_EQ(id < 100 + MOVES_MAX - 1 ? OK : ERR_LIMIT, r.start(id, 1, 2)) << id;
    }
    /* to a shard that is not there */
    Rig other;
    ASSERT_EQ(OK, other.start(kAlice, 1, 7));
    ASSERT_TRUE(other.run());
    EXPECT_EQ(uint32_t(ACCOUNT_LIVE), other.account_state(1));
    expect_sound(other);
}

TEST(Move, steps_and_pages_that_do_not_fit_change_nothing)
{
    Rig r;
    fill(r);
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run(MOVE_FENCED));
    auto one = r.rows_of(1);
    auto two = r.rows_of(2);
    std::string id(16, 'x');
    Pb__OpMoveStep step = PB__OP_MOVE_STEP__INIT;
    step.account = kAlice;
    step.id = bin(id);
    step.state = MOVE_SEALED;
    EXPECT_EQ(ERR_STALE, r.one.apply(METHOD_MOVE_STEP, &step.base, kAlice).status);
    std::string mine(reinterpret_cast<char *>(r.mover.id), 16);
    step.id = bin(mine);
    step.state = MOVE_OVER;
    EXPECT_EQ(ERR_STALE, r.one.apply(METHOD_MOVE_STEP, &step.base, kAlice).status);
    step.state = 77;
    EXPECT_EQ(ERR_STALE, r.one.apply(METHOD_MOVE_STEP, &step.base, kAlice).status);
    Pb__OpArriveRows rows = PB__OP_ARRIVE_ROWS__INIT;
    rows.account = kAlice;
    rows.id = bin(id);
    EXPECT_EQ(ERR_STALE, r.two.apply(METHOD_ARRIVE_ROWS, &rows.base, kAlice).status);
    rows.id = bin(mine);
    auto page = [](const std::string &key, const std::string &value) {
        std::string p(6, '\0');
        put_le16(reinterpret_cast<uint8_t *>(&p[0]), static_cast<uint16_t>(key.size()));
        put_le32(reinterpret_cast<uint8_t *>(&p[2]), static_cast<uint32_t>(value.size()));
        return p + key + value;
    };
    std::string message = "m" + std::string(8, '\1');
    for (const std::string &bad :
         {std::string("x"), page("", ""), page("A", std::string(112, 'x')), page("e" + std::string(8, '\1'), "x"),
          page(message, std::string(55, 'x')), page(message, std::string(56, 'x')).substr(0, 60),
          page(message, std::string(56, 'x')) + page(message, std::string(56, 'x')),
          page("q" + std::string(8, '\1'), "x"), page("C", std::string(12, '\x7f')),
          page("D" + std::string(20, '\1') + std::string(2, '\0'), "x"),
          page("~" + std::string(16, '\1'), std::string(24, '\1'))}) {
        rows.rows = bin(bad);
        EXPECT_EQ(ERR_INVAL, r.two.apply(METHOD_ARRIVE_ROWS, &rows.base, kAlice).status);
    }
    std::string good = page(message, std::string(56, 'x'));
    std::string after = "D" + std::string(22, '\1');
    rows.rows = bin(good);
    rows.after = bin(after);
    EXPECT_EQ(ERR_STALE, r.two.apply(METHOD_ARRIVE_ROWS, &rows.base, kAlice).status) << "a page is missing";
    Pb__OpArriveEnd end = PB__OP_ARRIVE_END__INIT;
    end.account = kAlice;
    end.id = bin(mine);
    end.how = PB__OP_ARRIVE_END__HOW__ACTIVATE;
    EXPECT_EQ(ERR_STALE, r.two.apply(METHOD_ARRIVE_END, &end.base, kAlice).status) << "it is not ready";
    std::string row(sizeof(struct account_row), '\0');
    row[0] = ROW_VERSION;
    end.how = PB__OP_ARRIVE_END__HOW__READY;
    end.row = bin(row);
    EXPECT_EQ(ERR_STALE, r.two.apply(METHOD_ARRIVE_END, &end.base, kAlice).status) << "rows are missing";
    EXPECT_EQ(one, r.rows_of(1));
    EXPECT_EQ(two, r.rows_of(2));
    ASSERT_TRUE(r.run());
    expect_sound(r);
    EXPECT_EQ(2u, named_shard(r));
}

TEST(Move, reads_say_where_the_account_is)
{
    Rig r;
    fill(r);
    Pb__ReadAccount account = PB__READ_ACCOUNT__INIT;
    account.account = kAlice;
    Pb__ReadWatch watch = PB__READ_WATCH__INIT;
    uint64_t both[] = {kAlice, kBob};
    watch.accounts = both;
    watch.n_accounts = 2;
    Pb__ReadMoves moves = PB__READ_MOVES__INIT;
    ASSERT_EQ(OK, r.start());
    ASSERT_TRUE(r.run(MOVE_FENCED));
    EXPECT_EQ(OK, r.one.read(METHOD_ACCOUNT, &account.base).status) << "it is read until it is sealed";
    EXPECT_EQ(ERR_MOVED, r.two.read(METHOD_ACCOUNT, &account.base).status);
    Result list = r.one.read(METHOD_MOVES, &moves.base);
    auto leaving = UNPACK(Pb__ReadMovesResult, pb__read_moves_result, list);
    ASSERT_EQ(1u, leaving->n_moves);
    EXPECT_STREQ("user11@example.test", leaving->moves[0]->name);
    EXPECT_EQ(uint32_t(MOVE_FENCED), leaving->moves[0]->state);
    Result other = r.two.read(METHOD_MOVES, &moves.base);
    auto arriving = UNPACK(Pb__ReadMovesResult, pb__read_moves_result, other);
    ASSERT_EQ(1u, arriving->n_moves);
    EXPECT_TRUE(arriving->moves[0]->arriving);
    EXPECT_EQ(9u, arriving->moves[0]->emails) << "ten, and one went before";
    ASSERT_TRUE(r.run(MOVE_SEALED));
    EXPECT_EQ(ERR_MOVED, r.one.read(METHOD_ACCOUNT, &account.base).status);
    EXPECT_EQ(ERR_UNAVAILABLE, r.two.read(METHOD_ACCOUNT, &account.base).status) << "not yet";
    EXPECT_EQ(ERR_UNAVAILABLE, r.two.read(METHOD_WATCH, &watch.base).status);
    ASSERT_TRUE(r.run());
    EXPECT_EQ(OK, r.two.read(METHOD_ACCOUNT, &account.base).status);
    Result watched = r.one.read(METHOD_WATCH, &watch.base);
    auto w = UNPACK(Pb__ReadWatchResult, pb__read_watch_result, watched);
    EXPECT_EQ((std::vector<uint32_t>{2, 0}), column<uint32_t>(w->shards));
    EXPECT_EQ(0u, column<uint64_t>(w->modseqs)[0]);
    EXPECT_NE(0u, column<uint64_t>(w->modseqs)[1]);
}

TEST(Move, a_pop3_session_deletes_only_under_a_lock_of_this_shard)
{
    Rig r;
    ASSERT_EQ(OK, r.one.append(kAlice, "INBOX", simple_mail(1)).status);
    Pb__OpExpunge op = PB__OP_EXPUNGE__INIT;
    std::string set = uids({1});
    op.account = kAlice;
    op.mailbox = r.one.mailbox_id(kAlice, "INBOX");
    op.uids = bin(set);
    op.pop3_term = r.one.term;
    op.pop3_shard = 2;
    EXPECT_EQ(ERR_STALE, r.one.apply(METHOD_EXPUNGE, &op.base, kAlice).status);
    op.pop3_shard = 1;
    EXPECT_EQ(OK, r.one.apply(METHOD_EXPUNGE, &op.base, kAlice).status);
}

} // namespace
