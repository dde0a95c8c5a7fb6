/* Every read method with the Nth read of the store or the Nth allocation failing: the error comes back, and what the
 * leader keeps in memory (cache, locks) is as good as before. */
#include <functional>
#include <set>

#include "log_rows.h"
#include "storage/method/method.h"
#include "storage/method/node_info.h"
#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

constexpr uint64_t kAlice = 11;
constexpr uint64_t kLogFirst = 1000000;
constexpr uint64_t kLeaving = 61;
constexpr uint64_t kArriving = 62;

struct Case {
    enum method method;
    std::function<Result()> run;
};

template <class T> std::function<Result()> ask(Shard *s, enum method m, const T &request)
{
    return [s, m, request] { return s->read(m, &request.base); };
}

struct node_info facts_of(Shard *s)
{
    struct node_info info;
    info.ctx = s;
    info.facts = [](void *, struct node_facts *f) {
        memset(f, 0, sizeof(*f));
        f->shards = 2;
    };
    info.shard = [](void *ctx, struct shard_id shard, struct node_shard_info *i) {
        memset(i, 0, sizeof(*i));
        i->here = shard.v == static_cast<Shard *>(ctx)->shard.v;
        memcpy(i->prefix, static_cast<Shard *>(ctx)->prefix, 5);
    };
    info.leader = [](void *, struct shard_id) { return node_id{9}; };
    info.group = [](void *, struct shard_id, struct node_group_info *g) {
        *g = {};
        g->n = 1;
        g->servers[0].node = {9};
        return true;
    };
    return info;
}

class MethodFailure : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        node = facts_of(&s);
        s.node = &node;
        node_of_directory = facts_of(&directory);
        directory.node = &node_of_directory;
        ASSERT_EQ(OK, s.create_account(kAlice));
        ASSERT_EQ(OK, s.create(kAlice, "Work/a").status);
        inbox = s.mailbox_id(kAlice, "INBOX");
        for (int i = 1; i <= 8; i++) {
            ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(i), i % 2 == 0 ? FLAG_SEEN : 0, {"$k"}).status);
        }
        std::string parts(12000, 'p');
        ASSERT_EQ(OK, s.append(kAlice, "INBOX", simple_mail(9, "a body\r\n", "X-Long: " + parts + "\r\n")).status);
        ASSERT_EQ(OK, s.store(kAlice, inbox, uids({3}), 1, FLAG_FLAGGED, many_keywords()).status);
        s.keeps = true;
        ASSERT_EQ(OK, s.expunge(kAlice, inbox, uids({5})).status);
        put_log(&s, kLogFirst,
                {{REPL_ENTRY_COMMAND, 3, "an entry", std::string(9000, 'b')}, {REPL_ENTRY_BARRIER, 4, "", ""}});
        move_accounts();
        fill_directory();
    }

    /* One leaves, another comes. */
    void move_accounts()
    {
        static std::string id(16, 'i');
        ASSERT_EQ(OK, s.create_account(kLeaving));
        Pb__OpMoveStart start = PB__OP_MOVE_START__INIT;
        start.account = kLeaving;
        start.to = 2;
        ASSERT_EQ(OK, s.apply(METHOD_MOVE_START, &start.base, kLeaving).status);
        Pb__OpArriveBegin begin = PB__OP_ARRIVE_BEGIN__INIT;
        begin.account = kArriving;
        begin.id = bin(id);
        begin.from = 3;
        ASSERT_EQ(OK, s.apply(METHOD_ARRIVE_BEGIN, &begin.base, kArriving).status);
    }

    /* Enough for overflow rows. */
    static std::vector<std::string> many_keywords()
    {
        std::vector<std::string> k;
        for (int i = 0; i < 60; i++) {
            k.push_back("k" + std::to_string(i));
        }
        return k;
    }

    void fill_directory()
    {
        Pb__OpDomainSet d = PB__OP_DOMAIN_SET__INIT;
        d.name = const_cast<char *>("example.test");
        ASSERT_EQ(OK, directory.apply(METHOD_DOMAIN_SET, &d.base, 0).status);
        Pb__OpDirAccountAdd a = PB__OP_DIR_ACCOUNT_ADD__INIT;
        a.shards = 4;
        a.name = const_cast<char *>("alice@example.test");
        ASSERT_EQ(OK, directory.apply(METHOD_DIR_ACCOUNT_ADD, &a.base, 0).status);
        Pb__OpAliasSet al = PB__OP_ALIAS_SET__INIT;
        char *targets[] = {a.name};
        al.address = const_cast<char *>("team@example.test");
        al.targets = targets;
        al.n_targets = 1;
        ASSERT_EQ(OK, directory.apply(METHOD_ALIAS_SET, &al.base, 0).status);
        Pb__OpNodeSet n = PB__OP_NODE_SET__INIT;
        n.peer = const_cast<char *>("tcp://b:1");
        ASSERT_EQ(OK, directory.apply(METHOD_NODE_SET, &n.base, 0).status);
    }

    std::vector<Case> cases()
    {
        std::vector<Case> c;
        auto add = [&](enum method m, std::function<Result()> run) { c.push_back({m, std::move(run)}); };
        add_directory(add);
        add_account(add);
        add_mailbox(add);
        add_search(add);
        return c;
    }

    using Add = const std::function<void(enum method, std::function<Result()>)> &;

    void add_directory(Add add)
    {
        for (const char *who : {"alice@example.test", "team@example.test", "alice+detail@example.test"}) {
            Pb__ReadResolve q = PB__READ_RESOLVE__INIT;
            q.address = const_cast<char *>(who);
            add(METHOD_RESOLVE, ask(&directory, METHOD_RESOLVE, q));
        }
        for (int what = 0; what < 3; what++) {
            Pb__ReadDirectoryList q = PB__READ_DIRECTORY_LIST__INIT;
            q.what = static_cast<Pb__ReadDirectoryList__What>(what);
            add(METHOD_DIRECTORY_LIST, ask(&directory, METHOD_DIRECTORY_LIST, q));
        }
        add(METHOD_MAP, ask(&directory, METHOD_MAP, Pb__ReadMap(PB__READ_MAP__INIT)));
        add(METHOD_SHARD, ask(&s, METHOD_SHARD, Pb__ReadShard(PB__READ_SHARD__INIT)));
        add(METHOD_STATUS, ask(&s, METHOD_STATUS, Pb__ReadStatus(PB__READ_STATUS__INIT)));
        Pb__ReadBackupLog log = PB__READ_BACKUP_LOG__INIT;
        log.index = kLogFirst;
        log.term_before = 3;
        add(METHOD_BACKUP_LOG, ask(&s, METHOD_BACKUP_LOG, log));
    }

    void add_account(Add add)
    {
        Pb__ReadAccount account = PB__READ_ACCOUNT__INIT;
        account.account = kAlice;
        add(METHOD_ACCOUNT, ask(&s, METHOD_ACCOUNT, account));
        Pb__ReadMailboxes list = PB__READ_MAILBOXES__INIT;
        list.account = kAlice;
        add(METHOD_MAILBOXES, ask(&s, METHOD_MAILBOXES, list));
        list.name = const_cast<char *>("Work/a");
        add(METHOD_MAILBOXES, ask(&s, METHOD_MAILBOXES, list));
        Pb__ReadKept kept = PB__READ_KEPT__INIT;
        kept.account = kAlice;
        add(METHOD_KEPT, ask(&s, METHOD_KEPT, kept));
        kept.name = const_cast<char *>("INBOX");
        add(METHOD_KEPT, ask(&s, METHOD_KEPT, kept));
        static uint64_t watched[] = {kAlice, 99, kArriving};
        Pb__ReadWatch watch = PB__READ_WATCH__INIT;
        watch.accounts = watched;
        watch.n_accounts = 3;
        add(METHOD_WATCH, ask(&s, METHOD_WATCH, watch));
        Pb__ReadMoves moves = PB__READ_MOVES__INIT;
        add(METHOD_MOVES, ask(&s, METHOD_MOVES, moves));
        Pb__ReadPop3Lock lock = PB__READ_POP3_LOCK__INIT;
        static std::string token(16, 't');
        lock.account = kAlice;
        lock.token = bin(token);
        add(METHOD_POP3_LOCK, ask(&s, METHOD_POP3_LOCK, lock));
    }

    void add_mailbox(Add add)
    {
        static std::string some = uid_range(1, 99);
        add(METHOD_SELECT, [&] { return s.select(kAlice, "INBOX"); });
        add(METHOD_SELECT, [&] { return s.select(kAlice, "Work/a"); });
        for (uint64_t since : {1u, 6u, 12u}) {
            add(METHOD_SYNC, [=] { return s.sync(kAlice, inbox, since); });
        }
        Pb__ReadVanished gone = PB__READ_VANISHED__INIT;
        gone.account = kAlice;
        gone.mailbox = inbox;
        gone.since = 6;
        add(METHOD_VANISHED, ask(&s, METHOD_VANISHED, gone));
        gone.since = 0;
        gone.known = bin(some);
        add(METHOD_VANISHED, ask(&s, METHOD_VANISHED, gone));
        add(METHOD_FETCH, [&] { return s.fetch(kAlice, inbox, some, (FETCH_COL_RECORD << 1) - 1); });
        add(METHOD_FETCH, [&] { return s.fetch(kAlice, inbox, some, FETCH_COL_FLAGS | FETCH_COL_OBJECTID, 0, 0, 5); });
        Pb__ReadBody body = PB__READ_BODY__INIT;
        body.account = kAlice;
        body.mailbox = inbox;
        body.uid = 9;
        body.length = 100000;
        add(METHOD_BODY, ask(&s, METHOD_BODY, body));
    }

    /* One key of each cost, so that rows, records, headers and bodies are all read. */
    void add_search(Add add)
    {
        for (auto op : {PB__SEARCH_KEY__OP__KEYWORD, PB__SEARCH_KEY__OP__SENT, PB__SEARCH_KEY__OP__UIDS,
                        PB__SEARCH_KEY__OP__HEADER, PB__SEARCH_KEY__OP__ADDRESS, PB__SEARCH_KEY__OP__BODY,
                        PB__SEARCH_KEY__OP__TEXT, PB__SEARCH_KEY__OP__THREADID}) {
            add(METHOD_SEARCH, [this, op] {
                static std::string some = uid_range(2, 9);
                static std::string objectid(16, 'o');
                Pb__SearchKey k = PB__SEARCH_KEY__INIT;
                Pb__ReadSearch q = PB__READ_SEARCH__INIT;
                bool keyword = op == PB__SEARCH_KEY__OP__KEYWORD;
                k.op = op;
                k.uids = bin(some);
                k.name = const_cast<char *>(keyword ? "k59" : op == PB__SEARCH_KEY__OP__HEADER ? "Subject" : "From");
                static std::string needle = "e";
                k.text = bin(needle);
                k.to_s = INT64_MAX;
                k.objectid = bin(objectid);
                q.account = kAlice;
                q.mailbox = inbox;
                q.key = &k;
                q.budget_ms = 800;
                return s.read(METHOD_SEARCH, &q.base);
            });
        }
    }

    void cache_renew()
    {
        read_cache_free(s.cache);
        ASSERT_EQ(OK, read_cache_new(1 << 20, &s.cache));
    }

    /* Whether the failure came. */
    bool fail_once(const Case &c, bool memory, uint64_t n, Result *out)
    {
        for (Shard *x : {&s, &directory}) {
            x->fail_alloc_nth = memory ? n : 0;
            kv_mem_faults(x->kv)->get_corrupt_nth = memory ? 0 : n;
        }
        *out = c.run();
        bool fired =
            memory ? mem_fail_fired() != 0
                   : kv_mem_faults(s.kv)->get_corrupt_nth == 0 || kv_mem_faults(directory.kv)->get_corrupt_nth == 0;
        mem_fail_nth(0);
        for (Shard *x : {&s, &directory}) {
            x->fail_alloc_nth = 0;
            kv_mem_faults(x->kv)->get_corrupt_nth = 0;
        }
        return fired;
    }

    uint64_t fail_each(const Case &c, bool memory)
    {
        cache_renew();
        Result want = c.run();
        EXPECT_EQ(OK, want.status) << c.method;
        for (uint64_t n = 1; n < 5000; n++) {
            Result got;
            cache_renew();
            bool fired = fail_once(c, memory, n, &got);
            Result after = c.run(); /* with whatever the cache holds now */
            EXPECT_EQ(OK, after.status) << c.method << " after " << n;
            EXPECT_EQ(want.bytes, after.bytes) << c.method << " after " << n;
            EXPECT_EQ(want.attach, after.attach) << c.method << " after " << n;
            if (!fired) {
                EXPECT_EQ(want.bytes, got.bytes) << c.method;
                return n - 1;
            }
            if (memory && s.use_cache && got.status == OK) {
                EXPECT_EQ(want.bytes, got.bytes) << c.method; /* it was the cache that stayed empty */
            } else {
                EXPECT_EQ(memory ? ERR_NOMEM : ERR_CORRUPT, got.status) << "method " << c.method << ", failure " << n;
            }
        }
        ADD_FAILURE() << "without an end: method " << c.method;
        return 0;
    }

    struct node_info node;
    struct node_info node_of_directory;
    Shard s;
    Shard directory{0};
    uint64_t inbox = 0;
};

TEST_F(MethodFailure, every_method_has_a_case)
{
    std::set<int> have;
    for (const Case &c : cases()) {
        have.insert(c.method);
    }
    for (size_t i = 0; storage_method_table[i] != nullptr; i++) {
        if (storage_method_table[i]->volume) {
            continue; /* tests/unit/replication/backup_test.cc */
        }
        EXPECT_EQ(1u, have.count(storage_method_table[i]->method)) << "method " << storage_method_table[i]->method;
    }
}

TEST_F(MethodFailure, a_failed_read_comes_back_as_its_error)
{
    for (bool cached : {false, true}) {
        s.use_cache = cached;
        for (const Case &c : cases()) {
            uint64_t fired = fail_each(c, false);
            EXPECT_TRUE(fired > 0 || c.method == METHOD_SHARD) << "method " << c.method << " read nothing";
        }
    }
}

TEST_F(MethodFailure, a_failed_allocation_comes_back_as_its_error)
{
    for (bool cached : {false, true}) {
        s.use_cache = cached;
        for (const Case &c : cases()) {
            EXPECT_GT(fail_each(c, true), 0u) << "method " << c.method << " allocated nothing";
        }
    }
}

/* The lease is given, then the reply cannot be made: nobody would know its token. */
TEST_F(MethodFailure, a_pop3_lock_that_could_not_be_told_is_not_held)
{
    Pb__ReadPop3Lock take = PB__READ_POP3_LOCK__INIT;
    take.account = kAlice;
    Case c = {METHOD_POP3_LOCK, ask(&s, METHOD_POP3_LOCK, take)};
    bool fired = true;
    for (uint64_t n = 1; fired && n < 100; n++) {
        Result r;
        fired = fail_once(c, true, n, &r);
        ASSERT_EQ(fired ? ERR_NOMEM : OK, r.status) << n;
    }
    EXPECT_FALSE(fired);
    EXPECT_EQ(ERR_LOCKED, c.run().status);
}

} // namespace
