#include <algorithm>

#include "tests/unit/storage/apply/shard.h"

using namespace shard_test;

namespace
{

class Directory : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(OK, domain("Example.TEST"));
    }
    void TearDown() override
    {
        EXPECT_EQ("", s.check());
    }

    enum err domain(const char *name, bool remove = false)
    {
        Pb__OpDomainSet op = PB__OP_DOMAIN_SET__INIT;
        op.name = const_cast<char *>(name);
        op.remove = remove;
        return s.apply(METHOD_DOMAIN_SET, &op.base, 0).status;
    }

    Result add(const std::string &name, uint32_t shard = 0, uint32_t shards = 4)
    {
        Pb__OpDirAccountAdd op = PB__OP_DIR_ACCOUNT_ADD__INIT;
        op.name = const_cast<char *>(name.c_str());
        op.shard = shard;
        op.shards = shards;
        return s.apply(METHOD_DIR_ACCOUNT_ADD, &op.base, 0);
    }

    enum err remove(const std::string &name)
    {
        Pb__OpDirAccountRemove op = PB__OP_DIR_ACCOUNT_REMOVE__INIT;
        op.name = const_cast<char *>(name.c_str());
        return s.apply(METHOD_DIR_ACCOUNT_REMOVE, &op.base, 0).status;
    }

    enum err alias(const std::string &address, const std::vector<std::string> &targets, bool remove = false)
    {
        Pb__OpAliasSet op = PB__OP_ALIAS_SET__INIT;
        std::vector<char *> t;
        for (const auto &x : targets) {
            t.push_back(const_cast<char *>(x.c_str()));
        }
        op.address = const_cast<char *>(address.c_str());
        op.targets = t.data();
        op.n_targets = t.size();
        op.remove = remove;
        return s.apply(METHOD_ALIAS_SET, &op.base, 0).status;
    }

    /* "NOT_LOCAL", "NO_SUCH_USER" or the targets, sorted. */
    std::string resolve(const std::string &address)
    {
        Pb__ReadResolve q = PB__READ_RESOLVE__INIT;
        q.address = const_cast<char *>(address.c_str());
        Result r = s.read(METHOD_RESOLVE, &q.base);
        EXPECT_EQ(OK, r.status);
        auto a = UNPACK(Pb__ReadResolveResult, pb__read_resolve_result, r);
        if (a->kind == PB__READ_RESOLVE_RESULT__KIND__NOT_LOCAL) {
            return "NOT_LOCAL";
        }
        if (a->kind == PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER) {
            return "NO_SUCH_USER";
        }
        std::vector<std::string> all;
        for (size_t i = 0; i < a->n_targets; i++) {
            const Pb__ResolvedTarget *t = a->targets[i];
            std::string text = t->account != 0 ? t->name : std::string("remote ") + t->remote_address;
            all.push_back(text + (t->detail[0] != '\0' ? std::string(" +") + t->detail : ""));
        }
        std::sort(all.begin(), all.end());
        std::string text;
        for (const auto &x : all) {
            text += (text.empty() ? "" : ", ") + x;
        }
        return text;
    }

    Shard s{0};
};

TEST_F(Directory, names_are_known_without_regard_to_case)
{
    ASSERT_EQ(OK, add("Alice@example.test").status);
    EXPECT_EQ(ERR_EXISTS, add("alice@EXAMPLE.test").status);
    EXPECT_EQ(ERR_NOTFOUND, add("bob@other.test").status);
    for (const char *bad : {"", "@example.test", "alice", "alice@", "al ice@example.test", "a@.example.test"}) {
        EXPECT_EQ(ERR_INVAL, add(bad).status) << bad;
    }
    EXPECT_EQ("alice@example.test", resolve("ALICE@Example.Test"));
    EXPECT_EQ("NO_SUCH_USER", resolve("bob@example.test"));
    EXPECT_EQ("NOT_LOCAL", resolve("bob@other.test"));
    EXPECT_EQ("NOT_LOCAL", resolve("nonsense"));
    ASSERT_EQ(OK, add("J\xc3\x96RG@example.test").status);
    EXPECT_EQ("j\xc3\xb6rg@example.test", resolve("J\xc3\xb6rg@example.test"));
}

TEST_F(Directory, the_shard_with_the_fewest_accounts_gets_the_next)
{
    std::vector<uint32_t> shards;
    std::vector<uint64_t> ids;
    for (int i = 0; i < 8; i++) {
        Result r = add("u" + std::to_string(i) + "@example.test");
        ASSERT_EQ(OK, r.status);
        auto a = UNPACK(Pb__OpDirAccountAddResult, pb__op_dir_account_add_result, r);
        shards.push_back(a->shard);
        ids.push_back(a->account);
    }
    EXPECT_EQ((std::vector<uint32_t>{1, 2, 3, 4, 1, 2, 3, 4}), shards);
    EXPECT_EQ((std::vector<uint64_t>{1, 2, 3, 4, 5, 6, 7, 8}), ids);
    ASSERT_EQ(OK, remove("u2@example.test"));
    EXPECT_EQ(ERR_NOTFOUND, remove("u2@example.test"));
    Result r = add("again@example.test");
    auto a = UNPACK(Pb__OpDirAccountAddResult, pb__op_dir_account_add_result, r);
    EXPECT_EQ(3u, a->shard);
    EXPECT_EQ(9u, a->account); /* ids are not used again */
    EXPECT_EQ(ERR_INVAL, add("x@example.test", 9, 4).status);
    EXPECT_EQ(ERR_INVAL, add("x@example.test", 0, 0).status);
    EXPECT_EQ(ERR_LIMIT, add("x@example.test", 0, 5000).status);
    r = add("x@example.test", 2, 4);
    EXPECT_EQ(2u, UNPACK(Pb__OpDirAccountAddResult, pb__op_dir_account_add_result, r)->shard);
}

TEST_F(Directory, many_at_once_report_those_that_exist)
{
    ASSERT_EQ(OK, add("b@example.test").status);
    Pb__OpDirAccountAddMany op = PB__OP_DIR_ACCOUNT_ADD_MANY__INIT;
    char a[] = "a@example.test";
    char b[] = "b@example.test";
    char c[] = "A@example.test";
    char *names[] = {a, b, c};
    op.names = names;
    op.n_names = 3;
    op.shards = 4;
    Result r = s.apply(METHOD_DIR_ACCOUNT_ADD_MANY, &op.base, 0);
    ASSERT_EQ(OK, r.status);
    auto many = UNPACK(Pb__OpDirAccountAddManyResult, pb__op_dir_account_add_many_result, r);
    ASSERT_EQ(3u, many->n_accounts);
    EXPECT_EQ(2u, many->accounts[0]->account);
    EXPECT_EQ(1u, many->accounts[1]->account);
    EXPECT_EQ(2u, many->accounts[2]->account);
    std::vector<char *> lots(501, a);
    op.names = lots.data();
    op.n_names = lots.size();
    EXPECT_EQ(ERR_LIMIT, s.apply(METHOD_DIR_ACCOUNT_ADD_MANY, &op.base, 0).status);
}

TEST_F(Directory, a_domain_in_use_stays)
{
    ASSERT_EQ(OK, domain("example.test"));
    ASSERT_EQ(OK, add("a@example.test").status);
    EXPECT_EQ(ERR_NONEMPTY, domain("example.test", true));
    ASSERT_EQ(OK, remove("a@example.test"));
    ASSERT_EQ(OK, alias("x@example.test", {"y@elsewhere.test"}));
    EXPECT_EQ(ERR_NONEMPTY, domain("EXAMPLE.test", true));
    ASSERT_EQ(OK, alias("x@example.test", {}, true));
    EXPECT_EQ(OK, domain("example.test", true));
    EXPECT_EQ(ERR_NOTFOUND, domain("example.test", true));
    EXPECT_EQ(ERR_INVAL, domain("", false));
    EXPECT_EQ(ERR_INVAL, domain("a b", false));
    ASSERT_EQ(OK, domain("example.test"));
}

TEST_F(Directory, aliases_expand_and_loops_are_cut)
{
    ASSERT_EQ(OK, add("alice@example.test").status);
    ASSERT_EQ(OK, add("bob@example.test").status);
    ASSERT_EQ(OK, alias("team@example.test", {"alice@example.test", "others@example.test", "far@elsewhere.test"}));
    ASSERT_EQ(OK, alias("others@example.test",
                        {"Bob@example.test", "team@example.test", "alice@example.test", "gone@example.test"}));
    EXPECT_EQ("alice@example.test, bob@example.test, remote far@elsewhere.test", resolve("TEAM@example.test"));
    ASSERT_EQ(OK, alias("loop@example.test", {"loop@example.test"}));
    EXPECT_EQ("NO_SUCH_USER", resolve("loop@example.test"));
    EXPECT_EQ(ERR_EXISTS, alias("alice@example.test", {"x@y.test"}));
    EXPECT_EQ(ERR_EXISTS, add("team@example.test").status);
    EXPECT_EQ(ERR_NOTFOUND, alias("x@other.test", {"x@y.test"}));
    EXPECT_EQ(ERR_NOTFOUND, alias("none@example.test", {}, true));
    EXPECT_EQ(ERR_INVAL, alias("x@example.test", {}));
    EXPECT_EQ(ERR_INVAL, alias("x@example.test", {"no address"}));
    ASSERT_EQ(OK, alias("team@example.test", {"bob@example.test"})); /* replaces */
    EXPECT_EQ("bob@example.test", resolve("team@example.test"));
}

TEST_F(Directory, expansion_is_bounded)
{
    for (int i = 0; i < 6; i++) {
        std::vector<std::string> t;
        for (int k = 0; k < 100; k++) {
            t.push_back(i < 5 ? "a" + std::to_string(i + 1) + "@example.test" : "x@r.test");
            if (k > 0) {
                t.back() = "r" + std::to_string(i * 100 + k) + "@remote.test";
            }
        }
        ASSERT_EQ(OK, alias("a" + std::to_string(i) + "@example.test", t));
    }
    Pb__ReadResolve q = PB__READ_RESOLVE__INIT;
    q.address = const_cast<char *>("a0@example.test");
    Result r = s.read(METHOD_RESOLVE, &q.base);
    EXPECT_EQ(100u, UNPACK(Pb__ReadResolveResult, pb__read_resolve_result, r)->n_targets);
    EXPECT_EQ(ERR_LIMIT, alias("big@example.test", std::vector<std::string>(101, "x@y.test")));
}

TEST_F(Directory, detail_is_split_off_when_the_full_name_is_unknown)
{
    ASSERT_EQ(OK, add("alice@example.test").status);
    EXPECT_EQ("alice@example.test +Lists.Work", resolve("Alice+Lists.Work@example.test"));
    ASSERT_EQ(OK, add("alice+x@example.test").status);
    EXPECT_EQ("alice+x@example.test", resolve("alice+x@example.test"));
    EXPECT_EQ("NO_SUCH_USER", resolve("+x@example.test"));
    EXPECT_EQ("alice@example.test", resolve("alice+@example.test"));
}

TEST_F(Directory, a_catch_all_gets_what_nobody_else_does)
{
    ASSERT_EQ(OK, add("alice@example.test").status);
    ASSERT_EQ(OK, alias("@example.test", {"alice@example.test"}));
    EXPECT_EQ("alice@example.test", resolve("whoever@example.test"));
    ASSERT_EQ(OK, alias("@example.test", {}, true));
    EXPECT_EQ("NO_SUCH_USER", resolve("whoever@example.test"));
}

TEST_F(Directory, lists_come_in_pages)
{
    ASSERT_EQ(OK, domain("a.test"));
    ASSERT_EQ(OK, domain("z.test"));
    for (int i = 0; i < 25; i++) {
        ASSERT_EQ(OK, add("u" + std::to_string(100 + i) + (i % 2 == 0 ? "@example.test" : "@a.test")).status);
        ASSERT_EQ(OK, alias("l" + std::to_string(100 + i) + "@example.test", {"x@y.test", "z@y.test"}));
    }
    auto list = [&](int what, const char *in_domain, uint32_t limit) {
        std::vector<std::string> names;
        std::string after;
        for (;;) {
            Pb__ReadDirectoryList q = PB__READ_DIRECTORY_LIST__INIT;
            q.what = static_cast<Pb__ReadDirectoryList__What>(what);
            q.after = const_cast<char *>(after.c_str());
            q.limit = limit;
            q.domain = const_cast<char *>(in_domain);
            Result r = s.read(METHOD_DIRECTORY_LIST, &q.base);
            EXPECT_EQ(OK, r.status);
            auto l = UNPACK(Pb__ReadDirectoryListResult, pb__read_directory_list_result, r);
            for (size_t i = 0; i < l->n_items; i++) {
                names.push_back(l->items[i]->name);
                EXPECT_EQ(what == 2 ? 2u : 0u, l->items[i]->n_targets);
                EXPECT_EQ(what == 1, l->items[i]->account != 0);
            }
            if (!l->more || l->n_items == 0) {
                return names;
            }
            after = names.back();
        }
    };
    for (uint32_t limit : {0u, 1u, 7u}) {
        EXPECT_EQ((std::vector<std::string>{"a.test", "example.test", "z.test"}), list(0, "", limit));
        EXPECT_EQ(25u, list(1, "", limit).size());
        EXPECT_EQ(13u, list(1, "example.test", limit).size());
        EXPECT_EQ(12u, list(1, "a.test", limit).size());
        EXPECT_EQ(0u, list(1, "z.test", limit).size());
        EXPECT_EQ(25u, list(2, "", limit).size());
    }
}

} // namespace
