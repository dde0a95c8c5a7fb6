/* A mailbox filled through the state machine, and search programs written as C++ values. */
#ifndef TESTS_UNIT_STORAGE_SEARCH_SEARCH_FIXTURE_H
#define TESTS_UNIT_STORAGE_SEARCH_SEARCH_FIXTURE_H

#include <deque>

#include "storage/search/search.h"
#include "tests/unit/storage/apply/shard.h"

namespace search_test
{

using namespace shard_test;
using Uids = std::vector<uint32_t>;
using Op = Pb__SearchKey__Op;

constexpr uint64_t kAccount = 11;

#define OP(name) PB__SEARCH_KEY__OP__##name

struct Key {
    Op op = OP(ALL);
    std::vector<Key> children;
    std::string uids;
    std::string name;
    std::string text;
    std::string objectid;
    uint64_t set = 0;
    uint64_t clear = 0;
    uint64_t number = 0;
    int64_t from = 0;
    int64_t to = 0;
};

inline Key group(Op op, std::vector<Key> children)
{
    Key k;
    k.op = op;
    k.children = std::move(children);
    return k;
}
inline Key all_of(std::vector<Key> c)
{
    return group(OP(AND), std::move(c));
}
inline Key any_of(std::vector<Key> c)
{
    return group(OP(OR), std::move(c));
}
inline Key none_of(Key k)
{
    return group(OP(NOT), {std::move(k)});
}
inline Key plain(Op op)
{
    Key k;
    k.op = op;
    return k;
}
inline Key flags(uint64_t set, uint64_t clear)
{
    Key k = plain(OP(FLAGS));
    k.set = set;
    k.clear = clear;
    return k;
}
inline Key number(Op op, uint64_t n)
{
    Key k = plain(op);
    k.number = n;
    return k;
}
inline Key range(Op op, int64_t from, int64_t to)
{
    Key k = plain(op);
    k.from = from;
    k.to = to;
    return k;
}
inline Key named(Op op, const std::string &name, const std::string &text = "")
{
    Key k = plain(op);
    k.name = name;
    k.text = text;
    return k;
}
inline Key text(Op op, const std::string &t)
{
    return named(op, "", t);
}
inline Key uid_key(const Uids &list)
{
    Key k = plain(OP(UIDS));
    k.uids = uids(list);
    return k;
}
inline Key objectid(Op op, const std::string &id)
{
    Key k = plain(op);
    k.objectid = id;
    return k;
}

/* The wire form. */
class Packed
{
  public:
    explicit Packed(const Key &k) : key(k)
    {
        root = make(key);
    }
    Packed(const Packed &) = delete;
    Pb__SearchKey *root;

  private:
    const Key key; /* owns the strings */
    std::deque<Pb__SearchKey> nodes;
    std::deque<std::vector<Pb__SearchKey *>> lists;

    Pb__SearchKey *make(const Key &k)
    {
        nodes.emplace_back();
        Pb__SearchKey *p = &nodes.back();
        pb__search_key__init(p);
        std::vector<Pb__SearchKey *> children;
        for (const Key &c : k.children) {
            children.push_back(make(c));
        }
        lists.push_back(children);
        p->op = k.op;
        p->children = lists.back().data();
        p->n_children = k.children.size();
        p->uids = bin(k.uids);
        p->name = const_cast<char *>(k.name.c_str());
        p->text = bin(k.text);
        p->objectid = bin(k.objectid);
        p->flags_set = k.set;
        p->flags_clear = k.clear;
        p->number = k.number;
        p->from_s = k.from;
        p->to_s = k.to;
        return p;
    }
};

/* Time that passes by being looked at. */
struct TickClock {
    struct clock base;
    uint64_t now = 1000;
    uint64_t step = 0;
    uint64_t looks = 0;
    TickClock()
    {
        base.wall_ms = nullptr;
        base.mono_ms = [](struct clock *c) {
            auto *t = reinterpret_cast<TickClock *>(c);
            t->looks++;
            t->now += t->step;
            return t->now;
        };
    }
};

struct Found {
    enum err status = OK;
    Uids uids;
    uint64_t modseq = 0;
    uint32_t next_uid = 0;
    uint64_t messages = 0; /* evaluated */
};

class Box : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, s.create_account(kAccount));
        inbox = s.mailbox_id(kAccount, "INBOX");
    }

    /* A body that is too large for an entry: its index. */
    uint64_t upload(const std::string &raw)
    {
        Pb__OpStageBegin op = PB__OP_STAGE_BEGIN__INIT;
        op.account = kAccount;
        op.size = static_cast<uint32_t>(raw.size());
        Result r = s.apply(METHOD_STAGE_BEGIN, &op.base, kAccount);
        EXPECT_EQ(OK, r.status);
        uint64_t at = UNPACK(Pb__OpStageBeginResult, pb__op_stage_begin_result, r)->staged_index;
        s.put_staged(at, raw);
        return at;
    }

    uint32_t add(const Mail &m, uint64_t f = 0, const std::vector<std::string> &keywords = {}, int64_t internal_s = 0)
    {
        Pb__OpAppend op = PB__OP_APPEND__INIT;
        Pb__BodySource body = PB__BODY_SOURCE__INIT;
        std::vector<char *> k;
        for (const auto &w : keywords) {
            k.push_back(const_cast<char *>(w.c_str()));
        }
        bool is_staged = m.raw.size() > BODY_INLINE_MAX;
        body.staged_index = is_staged ? upload(m.raw) : 0;
        body.size = static_cast<uint32_t>(m.raw.size());
        op.account = kAccount;
        op.mailbox = const_cast<char *>("INBOX");
        op.body = &body;
        op.record = bin(m.record);
        op.flags = f;
        op.keywords = k.data();
        op.n_keywords = k.size();
        op.internal_s = internal_s;
        Result r = s.apply(METHOD_APPEND, &op.base, kAccount, is_staged ? "" : m.raw);
        EXPECT_EQ(OK, r.error);
        EXPECT_EQ(OK, r.status);
        return UNPACK(Pb__OpAppendResult, pb__op_append_result, r)->uid;
    }

    uint32_t add(const std::string &raw, uint64_t f = 0, const std::vector<std::string> &keywords = {},
                 int64_t internal_s = 0)
    {
        return add(make_mail(raw), f, keywords, internal_s);
    }

    /* One call of the method. */
    Found call(const Key &k, uint32_t from = 0, uint32_t budget_ms = 0)
    {
        Packed p(k);
        Pb__ReadSearch q = PB__READ_SEARCH__INIT;
        q.account = kAccount;
        q.mailbox = inbox;
        q.key = p.root;
        q.from_uid = from;
        q.budget_ms = budget_ms;
        Result r = s.read(METHOD_SEARCH, &q.base);
        Found f;
        f.status = r.status;
        if (r.status == OK) {
            auto m = UNPACK(Pb__ReadSearchResult, pb__read_search_result, r);
            f.uids = uid_list(str(m->uids));
            f.modseq = m->modseq;
            f.next_uid = m->next_uid;
        }
        return f;
    }

    /* As often as it takes. */
    Found search(const Key &k)
    {
        Found sum;
        uint32_t from = 0;
        for (int i = 0; i < 10000; i++) {
            Found f = call(k, from);
            if (f.status != OK) {
                return f;
            }
            join(sum, f);
            if (f.next_uid == 0) {
                return sum;
            }
            EXPECT_GT(f.next_uid, from);
            from = f.next_uid;
        }
        ADD_FAILURE() << "does not end";
        return sum;
    }

    static void join(Found &sum, const Found &f)
    {
        sum.uids.insert(sum.uids.end(), f.uids.begin(), f.uids.end());
        sum.modseq = std::max(sum.modseq, f.modseq);
    }

    Uids hits(const Key &k)
    {
        Found f = search(k);
        EXPECT_EQ(OK, f.status);
        return f.uids;
    }

    Shard s;
    uint64_t inbox = 0;
};

struct Limits {
    uint64_t ms = UINT64_MAX / 2; /* from the clock's now */
    uint64_t hard_ms = UINT64_MAX / 2;
    uint64_t deadline_ms = UINT64_MAX / 2;
    uint64_t fail_nth = 0; /* allocation from the compilation on */
};

/* Below the method: with a clock of the test's. */
class RunBox : public Box
{
  protected:
    Found run(const Key &k, uint32_t from = 0, const Limits &l = {})
    {
        Packed p(k);
        Found f;
        struct store store;
        struct search se;
        struct search_result out;
        struct keyword_table table;
        struct mailbox_row row;
        memset(&se, 0, sizeof(se));
        memset(&out, 0, sizeof(out));
        arena_init(&arena, 64 << 20);
        uidset_init(&out.uids);
        EXPECT_EQ(OK, kv_begin(s.kv, false, &store.t));
        memcpy(store.prefix, s.prefix, sizeof(store.prefix));
        EXPECT_EQ(OK, mailbox_get(&store, {kAccount}, static_cast<uint32_t>(inbox), &row));
        EXPECT_EQ(OK,
                  keyword_table_get(&store, {kAccount}, static_cast<uint32_t>(inbox), row.keywords, &arena, &table));
        se.store = &store;
        se.account = {kAccount};
        se.mailbox = static_cast<uint32_t>(inbox);
        se.arena = &arena;
        struct search_budget b = {&clock.base, clock.now + l.ms, clock.now + l.hard_ms, clock.now + l.deadline_ms};
        mem_fail_nth(l.fail_nth);
        f.status = search_compile(&se, p.root, &table);
        if (f.status == OK) {
            f.status = search_run(&se, from, &b, &out);
        }
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        f.messages = se.serial;
        f.next_uid = out.next_uid;
        f.modseq = out.modseq;
        for (uint32_t i = 0; i < uidset_count(&out.uids); i++) {
            f.uids.push_back(uidset_at(&out.uids, i));
        }
        buffer_bytes = se.header.cap + se.raw.cap + se.decoded.cap + se.mapped.cap;
        search_fini(&se);
        uidset_fini(&out.uids);
        kv_abort(store.t);
        arena_fini(&arena);
        return f;
    }

    /* Goes on until all is looked at. */
    Found run_all(const Key &k, const Limits &l, int *out_runs = nullptr)
    {
        Found sum;
        uint32_t from = 0;
        int runs = 0;
        for (; runs < 10000; runs++) {
            Found f = run(k, from, l);
            sum.status = f.status;
            join(sum, f);
            if (f.status != OK || f.next_uid == 0) {
                break;
            }
            EXPECT_TRUE(runs == 0 || f.next_uid > from);
            from = f.next_uid;
        }
        if (out_runs != nullptr) {
            *out_runs = runs + 1;
        }
        return sum;
    }

    TickClock clock;
    struct arena arena;
    bool fired = false;
    size_t buffer_bytes = 0;
};

} // namespace search_test

#endif /* TESTS_UNIT_STORAGE_SEARCH_SEARCH_FIXTURE_H */
