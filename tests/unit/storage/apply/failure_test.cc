/* Every operation with the Nth store operation or allocation failing: nothing has changed then, and doing it again
 * gives what an undisturbed replica got. */
#include <functional>
#include <set>

#include "storage/apply/mover.h"
#include "storage/apply/op.h"
#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;

/* An entry to be applied. */
struct Entry {
    enum method method;
    std::string op;
    uint64_t account;
    std::string body;
    uint64_t later_ms = 0;            /* applied that long after the state was made */
    uint64_t removed = 0;             /* this account is removed first */
    bool keep = false;                /* what it expunges */
    size_t arrived = 0;               /* so many requests of a move into the shard are applied first */
    std::vector<uint32_t> steps = {}; /* the move of kMover goes through these first */
};

/* When set_up's kept messages were expunged. */
uint64_t kept_ms;

/* A deleted mailbox: two of its messages are kept, a third is to be. */
void set_up_kept(Shard &s)
{
    ASSERT_EQ(OK, s.create(kAlice, "Lost").status);
    for (int i = 70; i < 73; i++) {
        ASSERT_EQ(OK, s.append(kAlice, "Lost", simple_mail(i), FLAG_DELETED, {"$k", "k" + std::to_string(i)}).status);
    }
    uint64_t lost = s.mailbox_id(kAlice, "Lost");
    kept_ms = s.now_ms;
    s.keeps = true;
    ASSERT_EQ(OK, s.expunge(kAlice, lost, uids({1, 2})).status);
    ASSERT_EQ(OK, s.remove(kAlice, "Lost").status);
    s.keeps = false;
    ASSERT_EQ(2u, s.kept(kAlice).size());
}

constexpr uint64_t kArriving = 21; /* comes from another shard */
constexpr uint64_t kMover = 22;    /* leaves */

/* What a mover sends to the shard for an account with mail in two mailboxes, one message in both: one is expunged after
 * it was copied. */
std::vector<Entry> arrival()
{
    Shard source(2, 8);
    Shard target;
    struct mover m;
    struct mover_request r;
    std::vector<Entry> sent;
    rng_seeded_init(&source.rng, 77);
    source.index = 3000;
    EXPECT_EQ(OK, source.create_account(kArriving));
    for (int i = 1; i <= 3; i++) {
        EXPECT_EQ(OK, source.append(kArriving, "INBOX", simple_mail(i)).status);
    }
    uint64_t inbox = source.mailbox_id(kArriving, "INBOX");
    EXPECT_EQ(OK, source.copy(kArriving, inbox, uids({1, 2}), "Archive").status);
    Pb__OpMoveStart op = PB__OP_MOVE_START__INIT;
    op.account = kArriving;
    op.to = 1;
    EXPECT_EQ(OK, source.apply(METHOD_MOVE_START, &op.base, kArriving).status);
    mover_init(&m, source.shard, {kArriving}, 0);
    mover_request_init(&r);
    for (enum mover_next next = MOVER_SEND; next == MOVER_SEND;) {
        struct store s = {};
        EXPECT_EQ(OK, kv_begin(source.kv, false, &s.t));
        memcpy(s.prefix, source.prefix, 5);
        EXPECT_EQ(OK, mover_next(&m, &s, source.now_ms, &r, &next));
        kv_abort(s.t);
        if (next != MOVER_SEND) {
            break;
        }
        Result got;
        std::string bytes(reinterpret_cast<const char *>(buf_slice(&r.op).p), r.op.len);
        Entry e = {r.method, bytes, kArriving,
                   std::string(reinterpret_cast<const char *>(buf_slice(&r.body).p), r.body.len)};
        if (r.shard.v == 1) {
            sent.push_back(e);
            got = target.apply_head(target.head_of(e.method, e.account, {}), e.op, e.body);
        } else if (r.shard.v == 2) {
            if (sent.size() == 4) {
                EXPECT_EQ(OK, source.expunge(kArriving, inbox, uids({3})).status);
            }
            got = source.apply_head(source.head_of(e.method, e.account, {}), e.op, e.body);
        }
        EXPECT_EQ(OK, got.error);
        EXPECT_EQ(OK, got.status) << r.method;
        mover_answered(&m, &r, got.status, slice_make(got.bytes.data(), got.bytes.size()), source.now_ms);
    }
    mover_request_fini(&r);
    EXPECT_EQ("", target.check());
    return sent;
}

const std::vector<Entry> &arrival_requests()
{
    static const std::vector<Entry> all = arrival();
    return all;
}

std::string move_step(const std::string &id, uint32_t state)
{
    Pb__OpMoveStep op = PB__OP_MOVE_STEP__INIT;
    op.account = kMover;
    op.id = bin(id);
    op.state = state;
    return packed(&op.base);
}

/* Of the move that set_up begins. */
std::string move_id(Shard &s)
{
    struct store st = {};
    struct move_row row = {};
    EXPECT_EQ(OK, kv_begin(s.kv, false, &st.t));
    memcpy(st.prefix, s.prefix, 5);
    EXPECT_EQ(OK, move_get(&st, {kMover}, &row));
    kv_abort(st.t);
    return std::string(reinterpret_cast<char *>(row.id), sizeof(row.id));
}

/* The same state each time. */
void set_up(Shard &s)
{
    ASSERT_EQ(OK, s.create_account(kAlice));
    ASSERT_EQ(OK, s.create_account(12));
    ASSERT_EQ(OK, s.create(kAlice, "Work/a").status);
    ASSERT_EQ(OK, s.create(kAlice, "Old").status);
    ASSERT_EQ(OK, s.append(kAlice, "Old", simple_mail(50)).status);
    for (int i = 1; i <= 6; i++) {
        std::vector<std::string> keywords;
        for (int k = 0; k < 11; k++) {
            keywords.push_back("k" + std::to_string(i * 11 + k));
        }
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(i), FLAG_DELETED, keywords).status);
    }
    uint64_t inbox = s.mailbox_id(kAlice, "INBOX");
    ASSERT_EQ(OK, s.store(kAlice, inbox, uids({2, 3}), 1, FLAG_SEEN).status);
    ASSERT_EQ(OK, s.copy(kAlice, inbox, uids({1, 2}), "Work", std::string(16, 'c')).status);
    ASSERT_EQ(OK, s.remove(kAlice, "Old").status);
    set_up_kept(s);
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    begin.account = kAlice;
    begin.size = static_cast<uint32_t>(simple_mail(9).raw.size());
    s.index = 100;
    ASSERT_EQ(OK, s.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
    s.put_staged(100, simple_mail(9).raw);
    s.index = 150;
    Pb__OpDeliver deliver = PB__OP_DELIVER__INIT;
    Pb__BodySource body = PB__BODY_SOURCE__INIT;
    Pb__Recipient r = PB__RECIPIENT__INIT;
    Pb__Recipient *rs[] = {&r};
    Pb__Handoff h = PB__HANDOFF__INIT;
    Pb__Handoff *hs[] = {&h};
    Mail m = simple_mail(60);
    h.shard = 9;
    h.recipients = rs;
    h.n_recipients = 1;
    body.size = static_cast<uint32_t>(m.raw.size());
    deliver.body = &body;
    deliver.record = bin(m.record);
    deliver.handoffs = hs;
    deliver.n_handoffs = 1;
    ASSERT_EQ(OK, s.apply(METHOD_DELIVER, &deliver.base, 0, m.raw).status);
    ASSERT_EQ(OK, s.create_account(kMover));
    ASSERT_EQ(OK, s.append(kMover, "INBOX", simple_mail(51)).status);
    Pb__OpMoveStart leave = PB__OP_MOVE_START__INIT;
    leave.account = kMover;
    leave.to = 4;
    ASSERT_EQ(OK, s.apply(METHOD_MOVE_START, &leave.base, kMover).status);
    s.index = 200;
}

void set_up_directory(Shard &s)
{
    Pb__OpDomainSet d = PB__OP_DOMAIN_SET__INIT;
    d.name = const_cast<char *>("example.test");
    ASSERT_EQ(OK, s.apply(METHOD_DOMAIN_SET, &d.base, 0).status);
    Pb__OpDirAccountAdd a = PB__OP_DIR_ACCOUNT_ADD__INIT;
    a.name = const_cast<char *>("alice@example.test");
    a.shards = 4;
    ASSERT_EQ(OK, s.apply(METHOD_DIR_ACCOUNT_ADD, &a.base, 0).status);
    d.name = const_cast<char *>("empty.test");
    ASSERT_EQ(OK, s.apply(METHOD_DOMAIN_SET, &d.base, 0).status);
    Pb__OpAliasSet old = PB__OP_ALIAS_SET__INIT;
    old.address = const_cast<char *>("old@example.test");
    old.targets = &a.name;
    old.n_targets = 1;
    ASSERT_EQ(OK, s.apply(METHOD_ALIAS_SET, &old.base, 0).status);
    Pb__OpNodeSet node = PB__OP_NODE_SET__INIT;
    for (const char *peer : {"tcp://n2:1", "tcp://n3:1"}) {
        node.peer = const_cast<char *>(peer);
        ASSERT_EQ(OK, s.apply(METHOD_NODE_SET, &node.base, 0).status);
    }
    Pb__OpNodeClaim claim = PB__OP_NODE_CLAIM__INIT;
    static std::string token(16, 't');
    claim.peer = const_cast<char *>("tcp://n2:1");
    claim.token = bin(token);
    ASSERT_EQ(OK, s.apply(METHOD_NODE_CLAIM, &claim.base, 0).status);
}

/* The entry's head and body, the same for every replica and attempt. */
struct Attempt {
    struct entry_head head;
    Entry entry;
    Result operator()(Shard &s) const
    {
        return s.apply_head(head, entry.op, entry.body);
    }
};

Attempt attempt_of(Shard &s, const Entry &entry)
{
    Attempt a = {s.head_of(entry.method, entry.account, {}), entry};
    a.head.keep = entry.keep;
    return a;
}

using Fault = std::function<void(Shard &, uint64_t)>;

/* The state in which the entry is to be applied. */
void prepare(Shard &s, const Entry &entry)
{
    s.shard.v == 0 ? set_up_directory(s) : set_up(s);
    if (entry.removed != 0) {
        Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
        op.account = entry.removed;
        ASSERT_EQ(OK, s.apply(METHOD_ACCOUNT_REMOVE, &op.base, entry.removed).status);
    }
    for (size_t i = 0; i < entry.arrived; i++) {
        const Entry &a = arrival_requests()[i];
        ASSERT_EQ(OK, s.apply_head(s.head_of(a.method, a.account, {}), a.op, a.body).status);
    }
    std::string id = entry.steps.empty() ? "" : move_id(s);
    for (uint32_t state : entry.steps) {
        ASSERT_EQ(OK, s.apply_head(s.head_of(METHOD_MOVE_STEP, kMover, {}), move_step(id, state)).status) << state;
    }
    s.now_ms += entry.later_ms;
}

void fail_each(uint32_t shard, const Entry &entry, const Fault &arm, const std::function<bool()> &fired,
               enum err expected)
{
    Shard clean(shard);
    Shard hurt(shard);
    prepare(clean, entry);
    prepare(hurt, entry);
    Attempt attempt = attempt_of(clean, entry);
    Result want = attempt(clean);
    ASSERT_EQ(OK, want.error);
    ASSERT_EQ(OK, want.status) << entry.method;
    auto before = hurt.rows();
    hurt.events();
    bool done = false;
    for (uint64_t n = 1; n < 5000 && !done; n++) {
        arm(hurt, n);
        Result got = attempt(hurt);
        bool hit = fired();
        arm(hurt, 0);
        if (got.error == OK) {
            EXPECT_FALSE(hit) << "a failure was swallowed at " << n << " of method " << entry.method;
            EXPECT_EQ(want.status, got.status);
            EXPECT_EQ(want.bytes, got.bytes);
            done = true;
        } else {
            ASSERT_EQ(expected, got.error) << n << " of method " << entry.method;
            ASSERT_EQ(before, hurt.rows());
            ASSERT_EQ(0u, hurt.events().size()) << "what did not happen is announced, method " << entry.method;
        }
    }
    EXPECT_TRUE(done);
    EXPECT_EQ(clean.rows(), hurt.rows());
    EXPECT_EQ("", hurt.check());
}

/* The same entry again, as a frontend that got no reply sends it: its first answer or the failure, and no change. */
void fail_each_retry(uint32_t shard, const Entry &entry, const Fault &arm, const std::function<bool()> &fired,
                     enum err expected)
{
    Shard s(shard);
    prepare(s, entry);
    Attempt attempt = attempt_of(s, entry);
    Result want = attempt(s);
    ASSERT_EQ(OK, want.status);
    auto before = s.state();
    bool done = false;
    for (uint64_t n = 1; n < 5000 && !done; n++) {
        arm(s, n);
        Result got = attempt(s);
        done = !fired();
        arm(s, 0);
        ASSERT_EQ(done ? OK : expected, got.error) << n << " of a repeated method " << entry.method;
        ASSERT_EQ(before, s.state()) << "done twice: method " << entry.method;
        EXPECT_TRUE(!done || (want.status == got.status && want.bytes == got.bytes)) << entry.method;
    }
    EXPECT_TRUE(done);
    EXPECT_EQ("", s.check());
}

/* The leader's look at the request before it becomes an entry, and its answer to a retry of one. */
void fail_each_check(Shard &s, const Entry &entry, const struct entry_head &h, const Fault &arm,
                     const std::function<bool()> &fired, enum err expected)
{
    struct kv_txn *t = nullptr;
    bool failed = true;
    ASSERT_EQ(OK, kv_begin(s.kv, false, &t));
    for (uint64_t n = 1; n < 5000 && failed; n++) {
        struct buf out;
        bool grows = false;
        bool answered = false;
        buf_init(&out, 1 << 20);
        arm(s, n);
        enum err e = storage_precheck(t, s.prefix, &h, slice_make(entry.op.data(), entry.op.size()),
                                      static_cast<uint32_t>(entry.body.size()), &grows, &answered, &out);
        failed = fired();
        arm(s, 0);
        buf_fini(&out);
        EXPECT_EQ(failed ? expected : OK, e) << n << " of looking at method " << entry.method;
    }
    kv_abort(t);
    EXPECT_FALSE(failed);
}

void fail_each_check(uint32_t shard, const Entry &entry, const Fault &arm, const std::function<bool()> &fired,
                     enum err expected)
{
    Shard s(shard);
    prepare(s, entry);
    Attempt attempt = attempt_of(s, entry);
    fail_each_check(s, entry, attempt.head, arm, fired, expected);
    if (entry.method != METHOD_STAGE_CHUNK) {
        ASSERT_EQ(OK, attempt(s).status);
        fail_each_check(s, entry, attempt.head, arm, fired, expected);
    }
}

/* The node's own: done again it is the next step. */
bool is_a_step(const Entry &e)
{
    return e.method == METHOD_PURGE || e.method == METHOD_KEPT_DROP;
}

template <class T> std::string pack(const T &m)
{
    return packed(&m.base);
}

std::vector<Entry> shard_entries()
{
    Shard s;
    set_up(s);
    uint64_t inbox = s.mailbox_id(kAlice, "INBOX");
    uint64_t old = 0;
    for (uint64_t id = 1; id < 20; id++) {
        uint64_t account;
        if (s.purge_due(&account, &old)) {
            break;
        }
    }
    std::vector<Entry> e;
    static Mail m = simple_mail(9);
    static std::string set;
    set = uid_range(1, 6);
    Pb__BodySource body = PB__BODY_SOURCE__INIT;
    body.size = static_cast<uint32_t>(m.raw.size());

    Pb__Recipient r1 = PB__RECIPIENT__INIT;
    Pb__Recipient r2 = PB__RECIPIENT__INIT;
    Pb__Recipient *rs[] = {&r1, &r2};
    Pb__Handoff h = PB__HANDOFF__INIT;
    Pb__Handoff *hs[] = {&h};
    r1.account = kAlice;
    r2.account = 12;
    h.shard = 9;
    h.recipients = rs;
    h.n_recipients = 2;
    Pb__OpDeliver deliver = PB__OP_DELIVER__INIT;
    deliver.recipients = rs;
    deliver.n_recipients = 2;
    deliver.handoffs = hs;
    deliver.n_handoffs = 1;
    deliver.body = &body;
    deliver.record = bin(m.record);
    e.push_back({METHOD_DELIVER, pack(deliver), kAlice, m.raw});
    r1.mailbox = const_cast<char *>("Work/a");
    r2.mailbox = const_cast<char *>("not there");
    deliver.n_handoffs = 0;
    e.push_back({METHOD_DELIVER, pack(deliver), kAlice, m.raw});

    static char kw[] = "$New";
    char *kws[] = {kw};
    Pb__OpAppend append = PB__OP_APPEND__INIT;
    append.account = kAlice;
    append.mailbox = const_cast<char *>("Work/a");
    append.body = &body;
    append.record = bin(m.record);
    append.keywords = kws;
    append.n_keywords = 1;
    e.push_back({METHOD_APPEND, pack(append), kAlice, m.raw});
    body.staged_index = 100;
    e.push_back({METHOD_APPEND, pack(append), kAlice, ""});

    Pb__OpStore store = PB__OP_STORE__INIT;
    store.account = kAlice;
    store.mailbox = inbox;
    store.uids = bin(set);
    store.mode = PB__OP_STORE__MODE__REPLACE;
    store.flags = FLAG_FLAGGED;
    store.keywords = kws;
    store.n_keywords = 1;
    e.push_back({METHOD_STORE, pack(store), kAlice, ""});

    store.mode = PB__OP_STORE__MODE__ADD;
    store.has_unchanged_since = true;
    store.unchanged_since = 12;
    e.push_back({METHOD_STORE, pack(store), kAlice, ""});
    store.mode = PB__OP_STORE__MODE__REMOVE;
    static char known[] = "k70"; /* in an overflow row */
    kws[0] = known;
    store.flags = FLAG_DELETED;
    e.push_back({METHOD_STORE, pack(store), kAlice, ""});

    Pb__OpExpunge expunge = PB__OP_EXPUNGE__INIT;
    expunge.account = kAlice;
    expunge.mailbox = inbox;
    expunge.uids = bin(set);
    expunge.only_deleted = true;
    e.push_back({METHOD_EXPUNGE, pack(expunge), kAlice, ""});
    expunge.only_deleted = false;
    expunge.pop3_term = s.term;
    e.push_back({METHOD_EXPUNGE, pack(expunge), kAlice, ""});
    e.push_back({METHOD_EXPUNGE, pack(expunge), kAlice, "", 0, 0, true});

    Pb__OpCopy copy = PB__OP_COPY__INIT;
    copy.account = kAlice;
    copy.mailbox = inbox;
    copy.uids = bin(set);
    copy.to = const_cast<char *>("Work/a");
    e.push_back({METHOD_COPY, pack(copy), kAlice, ""});
    static std::string id(16, 'c');
    copy.copy_id = bin(id);
    copy.to = const_cast<char *>("Work");
    e.push_back({METHOD_COPY, pack(copy), kAlice, ""});
    copy.last = true;
    e.push_back({METHOD_COPY, pack(copy), kAlice, ""});
    copy.last = false;
    copy.undo = true;
    e.push_back({METHOD_COPY, pack(copy), kAlice, ""});

    Pb__OpMove move = PB__OP_MOVE__INIT;
    move.account = kAlice;
    move.mailbox = inbox;
    move.uids = bin(set);
    move.to = const_cast<char *>("Work/a");
    e.push_back({METHOD_MOVE, pack(move), kAlice, ""});

    Pb__OpMailboxCreate create = PB__OP_MAILBOX_CREATE__INIT;
    create.account = kAlice;
    create.name = const_cast<char *>("x/y/z");
    e.push_back({METHOD_MAILBOX_CREATE, pack(create), kAlice, ""});
    Pb__OpMailboxDelete del = PB__OP_MAILBOX_DELETE__INIT;
    del.account = kAlice;
    del.name = const_cast<char *>("Work");
    e.push_back({METHOD_MAILBOX_DELETE, pack(del), kAlice, ""});
    del.name = const_cast<char *>("Work/a");
    e.push_back({METHOD_MAILBOX_DELETE, pack(del), kAlice, ""});
    e.push_back({METHOD_MAILBOX_DELETE, pack(del), kAlice, "", 0, 0, true});
    Pb__OpMailboxRename rename = PB__OP_MAILBOX_RENAME__INIT;
    rename.account = kAlice;
    rename.from = const_cast<char *>("Work");
    rename.to = const_cast<char *>("q/r");
    e.push_back({METHOD_MAILBOX_RENAME, pack(rename), kAlice, ""});
    rename.from = const_cast<char *>("INBOX");
    e.push_back({METHOD_MAILBOX_RENAME, pack(rename), kAlice, ""});
    Pb__OpMailboxSubscribe sub = PB__OP_MAILBOX_SUBSCRIBE__INIT;
    sub.account = kAlice;
    sub.name = const_cast<char *>("Work");
    sub.subscribed = true;
    e.push_back({METHOD_MAILBOX_SUBSCRIBE, pack(sub), kAlice, ""});
    sub.name = const_cast<char *>("INBOX");
    sub.subscribed = false;
    e.push_back({METHOD_MAILBOX_SUBSCRIBE, pack(sub), kAlice, ""});
    Pb__OpRecentClaim recent = PB__OP_RECENT_CLAIM__INIT;
    recent.account = kAlice;
    recent.mailbox = inbox;
    e.push_back({METHOD_RECENT_CLAIM, pack(recent), kAlice, ""});

    Pb__OpAccountCreate acct = PB__OP_ACCOUNT_CREATE__INIT;
    acct.account = 20;
    acct.name = const_cast<char *>("new@example.test");
    e.push_back({METHOD_ACCOUNT_CREATE, pack(acct), 20, ""});
    Pb__OpAccountCreateMany many = PB__OP_ACCOUNT_CREATE_MANY__INIT;
    Pb__OpAccountCreate *accts[] = {&acct};
    many.accounts = accts;
    many.n_accounts = 1;
    e.push_back({METHOD_ACCOUNT_CREATE_MANY, pack(many), 0, ""});
    Pb__OpAccountRemove gone = PB__OP_ACCOUNT_REMOVE__INIT;
    gone.account = kAlice;
    e.push_back({METHOD_ACCOUNT_REMOVE, pack(gone), kAlice, ""});
    Pb__OpCredentialsSet cred = PB__OP_CREDENTIALS_SET__INIT;
    cred.account = kAlice;
    e.push_back({METHOD_CREDENTIALS_SET, pack(cred), kAlice, ""});
    Pb__OpQuotaSet quota = PB__OP_QUOTA_SET__INIT;
    quota.account = kAlice;
    e.push_back({METHOD_QUOTA_SET, pack(quota), kAlice, ""});

    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    begin.account = kAlice;
    begin.size = 200000;
    e.push_back({METHOD_STAGE_BEGIN, pack(begin), kAlice, ""});
    Pb__OpStageAbort abort_op = PB__OP_STAGE_ABORT__INIT;
    abort_op.account = kAlice;
    abort_op.staged_index = 100;
    e.push_back({METHOD_STAGE_ABORT, pack(abort_op), kAlice, ""});
    Pb__OpPurge purge = PB__OP_PURGE__INIT;
    purge.account = kAlice;
    purge.mailbox = old;
    e.push_back({METHOD_PURGE, pack(purge), kAlice, ""});
    purge.mailbox = old + 1; /* Lost */
    e.push_back({METHOD_PURGE, pack(purge), kAlice, ""});
    e.push_back({METHOD_PURGE, pack(purge), kAlice, "", 0, 0, true});
    purge.mailbox = 0;
    e.push_back({METHOD_PURGE, pack(purge), kAlice, "", 7200000});   /* old dedupe records */
    e.push_back({METHOD_PURGE, pack(purge), kAlice, "", 0, kAlice}); /* uploads, then a mailbox, of a removed account */
    purge.account = 0;
    e.push_back({METHOD_PURGE, pack(purge), 0, "", 7200000}); /* an upload and a copy that nobody finishes */
    Pb__OpUndelete undelete = PB__OP_UNDELETE__INIT;
    static std::string rows;
    rows = kept_rows({{kept_ms, 1}, {kept_ms, 2}});
    undelete.account = kAlice;
    undelete.mailbox = old + 1;
    undelete.rows = bin(rows);
    e.push_back({METHOD_UNDELETE, pack(undelete), kAlice, ""}); /* the mailbox is made */
    undelete.into = const_cast<char *>("Work");
    e.push_back({METHOD_UNDELETE, pack(undelete), kAlice, ""});
    undelete.into = const_cast<char *>("new/one");
    e.push_back({METHOD_UNDELETE, pack(undelete), kAlice, ""});
    Pb__OpKeptDrop drop = PB__OP_KEPT_DROP__INIT;
    drop.before_ms = UINT64_MAX;
    drop.messages = 1;
    e.push_back({METHOD_KEPT_DROP, pack(drop), 0, ""});
    drop.messages = 0;
    e.push_back({METHOD_KEPT_DROP, pack(drop), 0, ""});
    Pb__OpHandoffDone done = PB__OP_HANDOFF_DONE__INIT;
    done.index = 150;
    done.shard = 9;
    e.push_back({METHOD_HANDOFF_DONE, pack(done), 0, ""});
    static uint32_t failed[] = {0};
    done.failed = failed;
    done.n_failed = 1;
    e.push_back({METHOD_HANDOFF_DONE, pack(done), 0, ""});
    return e;
}

/* Every step of a move, in both shards. */
std::vector<Entry> move_entries()
{
    std::vector<Entry> e;
    Pb__OpMoveStart start = PB__OP_MOVE_START__INIT;
    start.account = kAlice;
    start.to = 4;
    e.push_back({METHOD_MOVE_START, pack(start), kAlice, ""});
    Shard s;
    set_up(s);
    std::string id = move_id(s);
    const std::vector<std::vector<uint32_t>> ways = {
        {MOVE_FENCED, MOVE_SEALED, MOVE_OVER}, {MOVE_FENCED, MOVE_ABORTING, MOVE_OVER}, {MOVE_ABORTING, MOVE_OVER}};
    for (const auto &way : ways) {
        for (size_t i = 0; i < way.size(); i++) {
            Entry step = {METHOD_MOVE_STEP, move_step(id, way[i]), kMover, ""};
            step.steps.assign(way.begin(), way.begin() + static_cast<long>(i));
            e.push_back(step);
        }
    }
    /* mail for who has moved, and staging for it */
    static Mail m = simple_mail(9);
    Pb__Recipient r1 = PB__RECIPIENT__INIT;
    Pb__Recipient r2 = PB__RECIPIENT__INIT;
    Pb__Recipient *rs[] = {&r1, &r2};
    Pb__Handoff h = PB__HANDOFF__INIT;
    Pb__Handoff *hs[] = {&h};
    Pb__BodySource body = PB__BODY_SOURCE__INIT;
    Pb__OpDeliver deliver = PB__OP_DELIVER__INIT;
    r1.account = kMover;
    r2.account = kAlice;
    h.shard = 4;
    h.recipients = rs;
    h.n_recipients = 1;
    body.size = static_cast<uint32_t>(m.raw.size());
    deliver.recipients = rs;
    deliver.n_recipients = 2;
    deliver.body = &body;
    deliver.record = bin(m.record);
    Entry mail = {METHOD_DELIVER, pack(deliver), kMover, m.raw};
    mail.steps = {MOVE_FENCED, MOVE_SEALED};
    e.push_back(mail);
    deliver.handoffs = hs;
    deliver.n_handoffs = 1;
    mail.op = pack(deliver);
    e.push_back(mail);
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    begin.account = kMover;
    begin.size = 200000;
    begin.away = true;
    Entry stage = {METHOD_STAGE_BEGIN, pack(begin), kMover, ""};
    stage.steps = mail.steps;
    e.push_back(stage);
    Pb__OpPurge purge = PB__OP_PURGE__INIT;
    purge.account = kMover;
    Entry moved = {METHOD_PURGE, pack(purge), kMover, ""};
    moved.steps = {MOVE_FENCED, MOVE_SEALED, MOVE_OVER};
    e.push_back(moved);
    /* the other side */
    for (size_t i = 0; i < arrival_requests().size(); i++) {
        Entry a = arrival_requests()[i];
        a.arrived = i;
        e.push_back(a);
    }
    Pb__OpArriveEnd *end =
        pb__op_arrive_end__unpack(nullptr, e.back().op.size(), reinterpret_cast<const uint8_t *>(e.back().op.data()));
    EXPECT_EQ(PB__OP_ARRIVE_END__HOW__ACTIVATE, end->how);
    end->how = PB__OP_ARRIVE_END__HOW__CANCEL;
    Entry cancel = e.back();
    cancel.op = pack(*end);
    pb__op_arrive_end__free_unpacked(end, nullptr);
    cancel.arrived = 5; /* in the middle */
    e.push_back(cancel);
    return e;
}

std::vector<Entry> directory_entries()
{
    std::vector<Entry> e;
    Pb__OpDirAccountMove dir_move = PB__OP_DIR_ACCOUNT_MOVE__INIT;
    dir_move.name = const_cast<char *>("alice@example.test");
    dir_move.account = 1;
    dir_move.from = 1;
    dir_move.to = 3;
    e.push_back({METHOD_DIR_ACCOUNT_MOVE, pack(dir_move), 0, ""});
    Pb__OpDomainSet d = PB__OP_DOMAIN_SET__INIT;
    d.name = const_cast<char *>("other.test");
    e.push_back({METHOD_DOMAIN_SET, pack(d), 0, ""});
    d.name = const_cast<char *>("empty.test");
    d.remove = true;
    e.push_back({METHOD_DOMAIN_SET, pack(d), 0, ""});
    Pb__OpDirAccountAdd a = PB__OP_DIR_ACCOUNT_ADD__INIT;
    a.name = const_cast<char *>("bob@example.test");
    a.shards = 4;
    e.push_back({METHOD_DIR_ACCOUNT_ADD, pack(a), 0, ""});
    Pb__OpDirAccountAddMany m = PB__OP_DIR_ACCOUNT_ADD_MANY__INIT;
    char n1[] = "x1@example.test";
    char n2[] = "alice@example.test";
    char *names[] = {n1, n2};
    m.names = names;
    m.n_names = 2;
    m.shards = 4;
    e.push_back({METHOD_DIR_ACCOUNT_ADD_MANY, pack(m), 0, ""});
    Pb__OpDirAccountRemove r = PB__OP_DIR_ACCOUNT_REMOVE__INIT;
    r.name = n2;
    e.push_back({METHOD_DIR_ACCOUNT_REMOVE, pack(r), 0, ""});
    Pb__OpAliasSet al = PB__OP_ALIAS_SET__INIT;
    al.address = const_cast<char *>("team@example.test");
    al.targets = names;
    al.n_targets = 2;
    e.push_back({METHOD_ALIAS_SET, pack(al), 0, ""});
    al.address = const_cast<char *>("old@example.test");
    al.n_targets = 0;
    al.remove = true;
    e.push_back({METHOD_ALIAS_SET, pack(al), 0, ""});
    Pb__OpNodeSet node = PB__OP_NODE_SET__INIT;
    node.peer = const_cast<char *>("tcp://n4:1");
    e.push_back({METHOD_NODE_SET, pack(node), 0, ""});
    node.node = 1;
    e.push_back({METHOD_NODE_SET, pack(node), 0, ""});
    node.node = 0;
    node.replace = true;
    node.peer = const_cast<char *>("tcp://n2:1");
    e.push_back({METHOD_NODE_SET, pack(node), 0, ""});
    Pb__OpNodeClaim claim = PB__OP_NODE_CLAIM__INIT;
    static std::string token(16, 't');
    claim.peer = const_cast<char *>("tcp://n3:1");
    claim.token = bin(token);
    e.push_back({METHOD_NODE_CLAIM, pack(claim), 0, ""});
    Pb__OpClusterSet cluster = PB__OP_CLUSTER_SET__INIT;
    cluster.level = 2;
    cluster.replicas = 3;
    e.push_back({METHOD_CLUSTER_SET, pack(cluster), 0, ""});
    Pb__OpShardSet pin = PB__OP_SHARD_SET__INIT;
    static uint64_t pinned[] = {2};
    pin.shard = 7;
    pin.nodes = pinned;
    pin.n_nodes = 1;
    pin.leader = 2;
    e.push_back({METHOD_SHARD_SET, pack(pin), 0, ""});
    pin.n_nodes = 0;
    pin.leader = 0;
    pin.unpin = true;
    e.push_back({METHOD_SHARD_SET, pack(pin), 0, ""});
    return e;
}

/* Never an entry: the leader looks at it and stores the chunk beside the log. */
Entry chunk_request()
{
    Pb__OpStageChunk chunk = PB__OP_STAGE_CHUNK__INIT;
    chunk.account = kAlice;
    chunk.staged_index = 100;
    return {METHOD_STAGE_CHUNK, pack(chunk), kAlice, simple_mail(9).raw}; /* again: its reply was lost */
}

using Loop = std::function<void(uint32_t shard, const Entry &)>;

void each_entry(const Loop &loop)
{
    for (const Entry &e : shard_entries()) {
        loop(1, e);
    }
    for (const Entry &e : move_entries()) {
        loop(1, e);
    }
    for (const Entry &e : directory_entries()) {
        loop(0, e);
    }
}

/* A fault of the store in memory, armed and asked about. */
class StoreFault
{
  public:
    explicit StoreFault(uint64_t kv_mem_faults::*counter) : which(counter)
    {
    }
    Fault arm()
    {
        return [this](Shard &s, uint64_t n) {
            faults = kv_mem_faults(s.kv);
            armed = n != 0;
            faults->*which = n;
        };
    }
    std::function<bool()> fired()
    {
        return [this] { return armed && faults->*which == 0; };
    }

  private:
    uint64_t kv_mem_faults::*which;
    struct kv_mem_faults *faults = nullptr;
    bool armed = false;
};

const Fault kMemory = [](Shard &, uint64_t n) { mem_fail_nth(n); };
const std::function<bool()> kMemoryFired = [] { return mem_fail_fired() != 0; };

TEST(Failure, every_operation_has_a_case)
{
    std::set<int> have = {METHOD_STAGE_CHUNK};
    each_entry([&](uint32_t, const Entry &e) { have.insert(e.method); });
    for (size_t i = 0; storage_op_table[i] != nullptr; i++) {
        EXPECT_EQ(1u, have.count(storage_op_table[i]->method)) << "method " << storage_op_table[i]->method;
    }
}

TEST(Failure, a_full_store_changes_nothing)
{
    StoreFault f(&kv_mem_faults::put_full_nth);
    each_entry([&](uint32_t shard, const Entry &e) { fail_each(shard, e, f.arm(), f.fired(), ERR_FULL); });
}

TEST(Failure, a_corrupt_read_stops_instead_of_becoming_an_answer)
{
    StoreFault f(&kv_mem_faults::get_corrupt_nth);
    each_entry([&](uint32_t shard, const Entry &e) { fail_each(shard, e, f.arm(), f.fired(), ERR_CORRUPT); });
}

TEST(Failure, a_failed_allocation_changes_nothing)
{
    each_entry([&](uint32_t shard, const Entry &e) { fail_each(shard, e, kMemory, kMemoryFired, ERR_NOMEM); });
}

TEST(Failure, a_commit_that_finds_the_disk_full_changes_nothing)
{
    StoreFault f(&kv_mem_faults::commit_full_nth);
    each_entry([&](uint32_t shard, const Entry &e) { fail_each(shard, e, f.arm(), f.fired(), ERR_FULL); });
}

/* A chunk of a staged body is replication's entry; the state machine counts it. */
void fail_each_chunk(const Fault &arm, const std::function<bool()> &fired, enum err expected)
{
    Shard s;
    set_up(s);
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    begin.account = kAlice;
    begin.size = 200000;
    ASSERT_EQ(OK, s.apply(METHOD_STAGE_BEGIN, &begin.base, kAlice).status);
    auto before = s.rows();
    bool failed = true;
    for (uint64_t n = 1; n < 100 && failed; n++) {
        arm(s, n);
        enum err e = s.chunk(200, "a chunk", 0);
        failed = fired();
        arm(s, 0);
        ASSERT_EQ(failed ? expected : OK, e) << n;
        ASSERT_EQ(failed, before == s.rows()) << n;
        EXPECT_EQ("", s.check());
    }
    EXPECT_FALSE(failed);
}

TEST(Failure, a_chunk_that_fails_is_neither_stored_nor_charged)
{
    StoreFault full(&kv_mem_faults::put_full_nth);
    StoreFault corrupt(&kv_mem_faults::get_corrupt_nth);
    StoreFault commit(&kv_mem_faults::commit_full_nth);
    fail_each_chunk(full.arm(), full.fired(), ERR_FULL);
    fail_each_chunk(corrupt.arm(), corrupt.fired(), ERR_CORRUPT);
    fail_each_chunk(commit.arm(), commit.fired(), ERR_FULL);
    fail_each_chunk(kMemory, kMemoryFired, ERR_NOMEM);
}

TEST(Failure, a_retry_is_answered_or_fails_and_never_done_twice)
{
    StoreFault full(&kv_mem_faults::put_full_nth);
    StoreFault corrupt(&kv_mem_faults::get_corrupt_nth);
    each_entry([&](uint32_t shard, const Entry &e) {
        if (is_a_step(e)) {
            return;
        }
        fail_each_retry(shard, e, full.arm(), full.fired(), ERR_FULL);
        fail_each_retry(shard, e, corrupt.arm(), corrupt.fired(), ERR_CORRUPT);
        fail_each_retry(shard, e, kMemory, kMemoryFired, ERR_NOMEM);
    });
}

TEST(Failure, the_leaders_look_gives_the_failure_back)
{
    StoreFault corrupt(&kv_mem_faults::get_corrupt_nth);
    Loop both = [&](uint32_t shard, const Entry &e) {
        fail_each_check(shard, e, corrupt.arm(), corrupt.fired(), ERR_CORRUPT);
        fail_each_check(shard, e, kMemory, kMemoryFired, ERR_NOMEM);
    };
    each_entry(both);
    both(1, chunk_request());
}

/* Power lost in the commit: nothing of the entry is there, or all of it, and then a retry is answered from its record.
 */
TEST(Failure, a_crash_in_the_commit_leaves_nothing_or_all)
{
    each_entry([](uint32_t shard, const Entry &e) {
        for (bool durable : {false, true}) {
            Shard clean(shard);
            Shard hurt(shard);
            prepare(clean, e);
            prepare(hurt, e);
            Attempt attempt = attempt_of(clean, e);
            auto before = hurt.state();
            Result want = attempt(clean);
            (durable ? kv_mem_faults(hurt.kv)->crash_after_commit_nth
                     : kv_mem_faults(hurt.kv)->crash_before_commit_nth) = 1;
            EXPECT_EQ(ERR_IO, attempt(hurt).error);
            kv_mem_reopen(hurt.kv);
            EXPECT_EQ(durable ? clean.state() : before, hurt.state()) << "method " << e.method;
            if (durable && is_a_step(e)) {
                continue;
            }
            hurt.index += durable ? 1 : 0; /* the log holds the entry */
            Result got = attempt(hurt);
            EXPECT_EQ(want.status, got.status) << "method " << e.method;
            EXPECT_EQ(want.bytes, got.bytes) << "method " << e.method;
            EXPECT_EQ(clean.state(), hurt.state()) << "method " << e.method;
            EXPECT_EQ("", hurt.check());
        }
    });
}

TEST(Failure, every_write_method_has_an_operation)
{
    Shard s;
    std::vector<enum method> all = {
#define METHOD_NUMBER(NAME, name, number, req, rep) METHOD_##NAME,
        METHOD_WRITE_LIST(METHOD_NUMBER)
#undef METHOD_NUMBER
    };
    for (enum method m : all) {
        struct entry_head h = s.head_of(m, 0, {});
        EXPECT_NE(ERR_UNSUPPORTED, m == METHOD_STAGE_CHUNK ? OK : s.apply_head(h, "").status) << m;
        EXPECT_NE(ERR_UNSUPPORTED, s.apply_head(h, "\xff\xff").status) << m;
    }
    struct entry_head h = s.head_of(static_cast<enum method>(126), 0, {});
    EXPECT_EQ(ERR_UNSUPPORTED, s.apply_head(h, "").status);
}

TEST(Failure, entries_that_are_none_are_refused_and_their_bodies_die)
{
    Shard s;
    struct kv_txn *t = nullptr;
    struct buf out;
    buf_init(&out, 1000);
    ASSERT_EQ(OK, kv_begin(s.kv, true, &t));
    ASSERT_EQ(OK, body_write(t, get_be32(s.prefix), 10, 0, 0, slice_str("body")));
    ASSERT_EQ(OK, s.bound.apply(s.bound.ctx, t, {10, 3}, slice_str("short"), 4, &out));
    ASSERT_EQ(OK, kv_commit(t));
    EXPECT_EQ(uint32_t(ERR_INVAL), get_le32(buf_slice(&out).p));
    buf_fini(&out);
    EXPECT_TRUE(s.body_dead(10));
    struct entry_head h = s.head_of(METHOD_PURGE, 0, {});
    h.shard.v = 44;
    EXPECT_EQ(ERR_INVAL, s.apply_head(h, "").status);
}

TEST(Failure, works_without_anybody_waiting_for_the_result)
{
    Shard s;
    ASSERT_EQ(OK, s.create_account(kAlice));
    struct kv_txn *t = nullptr;
    Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
    op.account = kAlice;
    op.name = const_cast<char *>("quiet");
    ASSERT_EQ(OK, kv_begin(s.kv, true, &t));
    ASSERT_EQ(OK, s.apply_in(t, s.head_of(METHOD_MAILBOX_CREATE, kAlice, {}), packed(&op.base), "", nullptr));
    ASSERT_EQ(OK, kv_commit(t));
    EXPECT_NE(0u, s.mailbox_id(kAlice, "quiet"));
}

} // namespace
