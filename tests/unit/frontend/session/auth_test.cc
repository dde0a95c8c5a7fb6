#include "tests/unit/frontend/session/session_fixture.hh"

namespace
{

class AuthTest : public SessionTest
{
  protected:
    void open(struct auth_config cfg = {})
    {
        cfg.cache_entries = 1000;
        cfg.cache_ms = 3600 * 1000;
        auth_start(cfg);
    }

    /* An account with the credentials that `fill` makes. */
    Account user(const std::string &name, const std::function<enum err(struct arena *, Pb__Credentials *)> &fill,
                 uint32_t shard = 1)
    {
        Account a = make_account(name, shard);
        credentials_set(a, fill);
        return a;
    }

    void credentials_set(const Account &a, const std::function<enum err(struct arena *, Pb__Credentials *)> &fill)
    {
        struct arena arena;
        Pb__Credentials c = PB__CREDENTIALS__INIT;
        Pb__OpCredentialsSet op = PB__OP_CREDENTIALS_SET__INIT;
        arena_init(&arena, 1 << 20);
        EXPECT_EQ(OK, fill(&arena, &c));
        op.account = a.id;
        op.credentials = &c;
        EXPECT_EQ(OK, call(a.shard, a.id, METHOD_CREDENTIALS_SET, &op.base).e());
        arena_fini(&arena);
    }

    static std::function<enum err(struct arena *, Pb__Credentials *)> password(const std::string &text)
    {
        return [text](struct arena *arena, Pb__Credentials *out) {
            return credentials_make(slice_make(text.data(), text.size()), rng_system(), arena, out);
        };
    }

    static std::function<enum err(struct arena *, Pb__Credentials *)> imported(const std::string &hash)
    {
        return [hash](struct arena *arena, Pb__Credentials *out) {
            return credentials_import(slice_make(hash.data(), hash.size()), arena, out);
        };
    }

    enum err login(Session &s, const std::string &name, const std::string &pw, struct account_ref *out = nullptr)
    {
        enum err e = ERR_CORRUPT;
        s.run([&](struct conn *c) {
            struct account_ref ref = {};
            e = auth_login(auth, c, slice_make(name.data(), name.size()), slice_make(pw.data(), pw.size()), &ref);
            if (out != nullptr) {
                *out = ref;
            }
        });
        return e;
    }

    static long hashes()
    {
        return metric("pillarbox_auth_hashes_total");
    }
};

} // namespace

TEST_F(AuthTest, TheRightPasswordOpensTheAccountAndNoOtherDoes)
{
    open();
    Account a = user("alice", password("s3cret"), 3);
    Session s(port());
    struct account_ref ref;
    EXPECT_EQ(OK, login(s, "alice@example.test", "s3cret", &ref));
    EXPECT_EQ(a.id, ref.id.v);
    EXPECT_EQ(a.shard, ref.shard.v);
    EXPECT_STREQ("alice@example.test", ref.name);
    EXPECT_EQ(OK, login(s, "Alice@EXAMPLE.test", "s3cret", &ref));
    EXPECT_STREQ("alice@example.test", ref.name);
    for (const char *wrong : {"s3cre", "s3cret ", "S3CRET", "x"}) {
        EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", wrong)) << wrong;
    }
    EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", std::string("s3cret\0", 7)));
    EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", ""));
    EXPECT_EQ(ERR_AUTH, login(s, "", "s3cret"));
    EXPECT_EQ(ERR_AUTH, login(s, "nobody@example.test", "s3cret"));
    EXPECT_EQ(ERR_AUTH, login(s, "alice@elsewhere.test", "s3cret"));
    EXPECT_EQ(ERR_AUTH, login(s, "alice+x@example.test", "s3cret"));
    EXPECT_EQ(ERR_AUTH, login(s, "alice", "s3cret"));
    EXPECT_EQ(ERR_AUTH, login(s, std::string(10000, 'a'), "s3cret"));
    EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", std::string(10000, 'a')));
}

TEST_F(AuthTest, ASecondLoginCostsNoHash)
{
    open();
    user("alice", password("s3cret"));
    Session s(port()), t(port());
    EXPECT_EQ(OK, login(s, "alice@example.test", "s3cret"));
    long before = hashes();
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(OK, login(i % 2 == 0 ? s : t, "alice@example.test", "s3cret"));
    }
    EXPECT_EQ(before, hashes());
    EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", "wrong"));
    EXPECT_EQ(before + 1, hashes()) << "a wrong password must cost what it always costs";
}

TEST_F(AuthTest, AChangedPasswordIsNotLetInFromTheCache)
{
    open();
    Account a = user("alice", password("old"));
    Session s(port());
    EXPECT_EQ(OK, login(s, "alice@example.test", "old"));
    credentials_set(a, password("new"));
    EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", "old"));
    EXPECT_EQ(OK, login(s, "alice@example.test", "new"));
    EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", "old"));
}

TEST_F(AuthTest, AnUnknownUserCostsAHashToo)
{
    open();
    user("alice", password("s3cret"));
    Session s(port());
    long before = hashes();
    EXPECT_EQ(ERR_AUTH, login(s, "nobody@example.test", "x"));
    EXPECT_EQ(before + 1, hashes());
    EXPECT_EQ(ERR_AUTH, login(s, "who@elsewhere.test", "x"));
    EXPECT_EQ(before + 2, hashes());
}

TEST_F(AuthTest, TooManyFailuresOfAUserCloseTheDoorBeforeAnyHash)
{
    struct auth_config cfg = {};
    cfg.failures_per_minute_user = 3;
    open(cfg);
    user("alice", password("s3cret"));
    user("bob", password("s3cret"), 2);
    Session s(port());
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", "wrong"));
    }
    long before = hashes();
    uint64_t start = clock_mono_ms(clock_system());
    EXPECT_EQ(ERR_AUTH, login(s, "ALICE@example.test", "s3cret"));
    EXPECT_GE(clock_mono_ms(clock_system()) - start, 500u);
    EXPECT_EQ(before, hashes());
    EXPECT_EQ(OK, login(s, "bob@example.test", "s3cret"));
}

TEST_F(AuthTest, GuessingDoesNotLockAUserOutFromWhereTheUserIsKnown)
{
    struct auth_config cfg = {};
    cfg.failures_per_minute_user = 3;
    open(cfg);
    user("alice", password("s3cret"));
    Session home(port()), elsewhere(port(), "127.0.0.2");
    EXPECT_EQ(OK, login(home, "alice@example.test", "s3cret"));
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(ERR_AUTH, login(elsewhere, "alice@example.test", "guess"));
    }
    EXPECT_EQ(ERR_AUTH, login(elsewhere, "alice@example.test", "s3cret")) << "throttled";
    EXPECT_EQ(OK, login(home, "Alice@example.test", "s3cret"));
    EXPECT_EQ(ERR_AUTH, login(home, "alice@example.test", "guess"));
}

TEST_F(AuthTest, FailuresThatWereSentTogetherDoNotPassTheThrottleTogether)
{
    struct auth_config cfg = {};
    cfg.failures_per_minute_ip = 3;
    open(cfg);
    user("alice", password("s3cret"));
    std::vector<std::unique_ptr<Session>> sessions;
    for (int i = 0; i < 20; i++) {
        sessions.push_back(std::make_unique<Session>(port()));
    }
    long before = hashes();
    for (auto &s : sessions) {
        s->start([&](struct conn *c) {
            struct account_ref ref;
            EXPECT_EQ(ERR_AUTH, auth_login(auth, c, slice_str("alice@example.test"), slice_str("wrong"), &ref));
        });
    }
    for (auto &s : sessions) {
        s->finish();
    }
    EXPECT_GE(hashes(), before + 3);
    EXPECT_LE(hashes(), before + 8) << "a few more may be under way when the third has failed";
}

TEST_F(AuthTest, TooManyFailuresFromAnAddressCloseTheDoorForItsOtherUsers)
{
    struct auth_config cfg = {};
    cfg.failures_per_minute_ip = 3;
    open(cfg);
    user("alice", password("s3cret"));
    Session s(port());
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(ERR_AUTH, login(s, "u" + std::to_string(i) + "@example.test", "x"));
    }
    long before = hashes();
    EXPECT_EQ(ERR_AUTH, login(s, "alice@example.test", "s3cret"));
    EXPECT_EQ(before, hashes());
}

TEST_F(AuthTest, AFullQueueIsATemporaryFailureAndCountsAgainstNobody)
{
    struct auth_config cfg = {};
    cfg.threads = 1;
    cfg.queue_max = 2;
    cfg.failures_per_minute_ip = 5;
    open(cfg);
    user("alice", password("s3cret"));
    std::vector<std::unique_ptr<Session>> sessions;
    std::atomic<int> good{0}, busy{0}, other{0};
    for (int i = 0; i < 20; i++) {
        sessions.push_back(std::make_unique<Session>(port()));
    }
    for (auto &s : sessions) {
        s->start([&](struct conn *c) {
            struct account_ref ref;
            enum err e = auth_login(auth, c, slice_str("alice@example.test"), slice_str("s3cret"), &ref);
            (e == OK ? good : e == ERR_OVERLOAD ? busy : other)++;
        });
    }
    for (auto &s : sessions) {
        s->finish();
    }
    EXPECT_GT(good, 0);
    EXPECT_GT(busy, 0);
    EXPECT_EQ(0, other);
    EXPECT_EQ(OK, login(*sessions[0], "alice@example.test", "s3cret"));
}

TEST_F(AuthTest, ImportedHashesOpenOnceAndAreReplaced)
{
    open();
    struct {
        const char *name, *hash;
    } cases[] = {
        {"bcrypt", "{BLF-CRYPT}$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
        {"sha512", "{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
                   "O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
    };
    const char *passwords[] = {"U*U", "Hello world!"};
    Session s(port());
    for (int i = 0; i < 2; i++) {
        Account a = user(cases[i].name, imported(cases[i].hash));
        long before = hashes();
        EXPECT_EQ(ERR_AUTH, login(s, a.name, "wrong"));
        EXPECT_EQ(OK, login(s, a.name, passwords[i])) << cases[i].name;
        EXPECT_EQ(before + 3, hashes()) << "a check, another, and the new hash";
        Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
        req.account = a.id;
        Answer r = call(a.shard, a.id, METHOD_ACCOUNT, &req.base);
        Pb__ReadAccountResult *res =
            pb__read_account_result__unpack(nullptr, r.meta.size(), (const uint8_t *)r.meta.data());
        ASSERT_NE(nullptr, res->credentials);
        EXPECT_EQ(0u, res->credentials->crypt.len);
        EXPECT_GT(res->credentials->argon2id.len, 0u);
        EXPECT_EQ(32u, res->credentials->scram_sha256_stored.len);
        EXPECT_EQ(20u, res->credentials->scram_sha1_stored.len);
        pb__read_account_result__free_unpacked(res, nullptr);
        EXPECT_EQ(OK, login(s, a.name, passwords[i]));
        EXPECT_EQ(ERR_AUTH, login(s, a.name, "wrong"));
    }
}

TEST_F(AuthTest, WithoutANodeALoginIsAnErrorAndNotARefusal)
{
    backend_close(backend);
    backend = nullptr;
    backend_start(500);
    open();
    user("alice", password("s3cret"));
    down();
    Session s(port());
    enum err e = login(s, "alice@example.test", "s3cret");
    EXPECT_TRUE(e == ERR_UNAVAILABLE || e == ERR_TIMEOUT) << e;
}

TEST_F(AuthTest, PasswordsNeedTlsUnlessToldOtherwise)
{
    struct auth_config cfg = {};
    auth_start(cfg);
    Session s(port());
    s.run([&](struct conn *c) { EXPECT_FALSE(auth_allowed(auth, c)); });
    auth_close(auth);
    cfg.insecure_auth = true;
    auth_start(cfg);
    s.run([&](struct conn *c) { EXPECT_TRUE(auth_allowed(auth, c)); });
}
