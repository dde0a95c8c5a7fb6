#include "tests/unit/frontend/smtp/fake_frontend.hh"

#include <gtest/gtest.h>

#include <algorithm>

#include "frontend/pop3/pop3.h"
#include "frontend/pop3/pop3_session.h"
#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "proto/base/uidset.h"
#include "proto/rpc/flags.h"

namespace
{

struct test_clock {
    struct clock base;
    uint64_t ms;
};

/* One account's INBOX and its lease. */
class Pop3Session : public testing::Test
{
  protected:
    Pop3Session()
    {
        log_set_level(LOG_LEVEL_ERROR);
        fake() = fake_backend();
        fake().directory["alice@example.test"] = {{1, 10, "alice@example.test", "", ""}};
        fake().call = [this](const backend_request &r, std::string *meta, std::string *attach) {
            return storage(r, meta, attach);
        };
        pop3_server_config_init(&cfg);
        cfg.backend = reinterpret_cast<backend *>(this);
        cfg.auth = reinterpret_cast<auth *>(this);
        cfg.hostname = "pop.test";
        time.base.wall_ms = time.base.mono_ms = [](struct clock *c) { return reinterpret_cast<test_clock *>(c)->ms; };
        time.ms = 1000000;
        cfg.clock = &time.base;
        inbox = {{3, "A: b\r\n\r\none\r\n"},
                 {5, "C: d\r\n\r\n.two\r\n"},
                 {900, "E: f\r\n\r\n" + std::string(300000, 'x') + "\r\n"}};
    }
    ~Pop3Session() override
    {
        log_set_level(LOG_LEVEL_INFO);
    }
    err storage(const backend_request &r, std::string *meta, std::string *attach)
    {
        auto e = errors.find(r.method);
        if (e != errors.end() && e->second != OK) {
            return e->second;
        }
        EXPECT_EQ(r.account.v, 1u);
        switch (r.method) {
        case METHOD_POP3_LOCK:
            return lock(reinterpret_cast<const Pb__ReadPop3Lock *>(r.message), meta);
        case METHOD_SELECT:
            return select(meta);
        case METHOD_FETCH:
            return fetch(reinterpret_cast<const Pb__ReadFetch *>(r.message), meta, attach);
        case METHOD_BODY:
            return body(reinterpret_cast<const Pb__ReadBody *>(r.message), meta, attach);
        case METHOD_EXPUNGE:
            return expunge(reinterpret_cast<const Pb__OpExpunge *>(r.message));
        default:
            return ERR_UNSUPPORTED;
        }
    }
    err lock(const Pb__ReadPop3Lock *r, std::string *meta)
    {
        std::string token(reinterpret_cast<const char *>(r->token.data), r->token.len);
        locks++;
        if (!holder.empty() && holder != token) {
            return ERR_LOCKED;
        }
        if (r->unlock) {
            unlocks++;
            holder.clear();
        } else {
            holder = token.empty() ? std::string(15, 't') + std::to_string(++tokens % 10) : token;
        }
        Pb__ReadPop3LockResult out = PB__READ_POP3_LOCK_RESULT__INIT;
        std::string given = holder.empty() ? std::string(16, '-') : holder;
        out.token.data = reinterpret_cast<uint8_t *>(&given[0]);
        out.token.len = given.size();
        out.term = term;
        out.lease_ms = 60000;
        *meta = pack(out);
        return OK;
    }
    err select(std::string *meta)
    {
        Pb__ReadSelectResult out = PB__READ_SELECT_RESULT__INIT;
        Pb__MailboxInfo info = PB__MAILBOX_INFO__INIT;
        info.mailbox = 77;
        info.uidvalidity = 0xabc;
        info.uidnext = inbox.empty() ? 1 : inbox.rbegin()->first + 1;
        info.messages = (uint32_t)inbox.size();
        out.info = &info;
        *meta = pack(out);
        return OK;
    }
    err fetch(const Pb__ReadFetch *r, std::string *meta, std::string *attach)
    {
        uidset set;
        uidset_init(&set);
        err e = uidset_decode(&set, slice_make(r->uids.data, r->uids.len), 1000);
        if (e != OK) {
            return e;
        }
        EXPECT_EQ(r->mailbox, 77u);
        std::string uids;
        std::string sizes;
        std::string lens;
        bool content = (r->columns & FETCH_COL_CONTENT) != 0;
        pages += content ? 1 : 0;
        if (content && page_error != OK) {
            uidset_fini(&set);
            return page_error;
        }
        Pb__ReadFetchResult out = PB__READ_FETCH_RESULT__INIT;
        for (const auto &m : inbox) {
            if (m.first < r->from_uid || !uidset_has(&set, m.first)) {
                continue;
            }
            if (!content && out.rows == page_rows) {
                out.next_uid = m.first;
                break;
            }
            uint8_t n[4];
            put_le32(n, m.first);
            uids.append(reinterpret_cast<char *>(n), 4);
            put_le32(n, (uint32_t)m.second.size());
            sizes.append(reinterpret_cast<char *>(n), 4);
            std::string text = content && m.second.size() <= FETCH_CONTENT_MAX && m.first != empty_uid ? m.second : "";
            put_le32(n, (uint32_t)text.size());
            lens.append(reinterpret_cast<char *>(n), content ? 4 : 0);
            attach->append(text);
            out.rows++;
        }
        uidset_fini(&set);
        out.uid.data = reinterpret_cast<uint8_t *>(&uids[0]);
        out.uid.len = uids.size();
        out.size.data = reinterpret_cast<uint8_t *>(&sizes[0]);
        out.size.len = sizes.size();
        out.lens.data = reinterpret_cast<uint8_t *>(&lens[0]);
        out.lens.len = lens.size();
        page_octets = std::max(page_octets, attach->size());
        *meta = pack(out);
        return OK;
    }
    err body(const Pb__ReadBody *r, std::string *meta, std::string *attach)
    {
        auto m = inbox.find(r->uid);
        if (m == inbox.end()) {
            return ERR_EXPUNGED;
        }
        Pb__ReadBodyResult out = PB__READ_BODY_RESULT__INIT;
        out.size = (uint32_t)m->second.size();
        *meta = pack(out);
        *attach = m->second.substr(r->offset, r->length);
        body_reads++;
        body_octets += (int)attach->size();
        if (on_body) {
            on_body();
        }
        return OK;
    }
    err expunge(const Pb__OpExpunge *r)
    {
        if (term_moves > 0) { /* another leader, which knows no leases, between the renewal and the entry */
            term_moves--;
            term++;
            holder = thief;
        }
        if (r->pop3_term != term || holder.empty()) {
            return ERR_STALE;
        }
        uidset set;
        uidset_init(&set);
        err e = uidset_decode(&set, slice_make(r->uids.data, r->uids.len), 100000);
        if (e != OK) {
            return e;
        }
        EXPECT_FALSE(r->only_deleted);
        EXPECT_LE(uidset_count(&set), 1000u);
        for (uint32_t u = uidset_next(&set, 0); u != 0; u = uidset_next(&set, u)) {
            inbox.erase(u);
        }
        uidset_fini(&set);
        expunges++;
        return OK;
    }
    void login(Session *s)
    {
        s->open();
        std::string out = s->talk({"USER alice@example.test\r\n", "PASS secret\r\n"});
        ASSERT_NE(out.find("+OK maildrop has"), std::string::npos) << out;
    }

    pop3_server_config cfg;
    test_clock time;
    std::map<uint32_t, std::string> inbox;
    std::map<int, err> errors;
    std::string holder, thief; /* thief: who has the lock after the term moved */
    uint64_t term = 4;
    uint32_t page_rows = 2;
    err page_error = OK;    /* of FETCH with content */
    uint32_t empty_uid = 0; /* comes without its content */
    int pages = 0;
    size_t page_octets = 0;
    std::function<void()> on_body;
    int locks = 0, unlocks = 0, tokens = 0, body_reads = 0, body_octets = 0, expunges = 0, term_moves = 0;
};

} // namespace

TEST_F(Pop3Session, ASessionIsTheSameAtEverySplit)
{
    const std::vector<std::string> steps = {"CAPA\r\n",        "USER alice@example.test\r\n",
                                            "PASS secret\r\n", "STAT\r\nLIST\r\nUIDL 2\r\n",
                                            "RETR 2\r\n",      "TOP 1 0\r\n",
                                            "QUIT\r\n"};
    std::string want;
    for (size_t split = 0; split < 25; split++) {
        Session s(pop3_proto, &cfg);
        std::string out = s.open();
        for (const auto &step : steps) {
            out += s.talk({step.substr(0, std::min(split, step.size())), step.substr(std::min(split, step.size()))});
        }
        if (want.empty()) {
            want = out;
        }
        ASSERT_EQ(out, want) << split;
        ASSERT_TRUE(s.c.closed);
    }
    EXPECT_EQ(want,
              "+OK pop.test ready\r\n"
              "+OK capabilities\r\nSASL PLAIN\r\nTOP\r\nUIDL\r\nUSER\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
              "EXPIRE NEVER\r\nIMPLEMENTATION Pillarbox\r\n.\r\n"
              "+OK and the password?\r\n+OK maildrop has 3 messages (300037 octets)\r\n"
              "+OK 3 300037\r\n+OK 3 messages (300037 octets)\r\n1 13\r\n2 14\r\n3 300010\r\n.\r\n"
              "+OK 2 00000abc00000005\r\n"
              "+OK 14 octets\r\nC: d\r\n\r\n..two\r\n.\r\n"
              "+OK 13 octets\r\nA: b\r\n\r\n.\r\n"
              "+OK bye\r\n");
    EXPECT_EQ(inbox.size(), 3u);
    EXPECT_EQ(holder, "") << "QUIT gives the lock back";
}

TEST_F(Pop3Session, EveryCommandInEveryStateIsAnsweredByItsDescriptor)
{
    for (pop3_state state : {POP3_STATE_AUTHORIZATION, POP3_STATE_TRANSACTION}) {
        for (size_t i = 0; pop3_command_table[i] != nullptr; i++) {
            const pop3_command *c = pop3_command_table[i];
            Session s(pop3_proto, &cfg);
            if (state == POP3_STATE_TRANSACTION) {
                login(&s);
            } else {
                s.open();
            }
            std::string args = c->args == POP3_ARGS_REQUIRED ? (strcmp(c->name, "TOP") == 0 ? " 1 1" : " 1") : "";
            std::string out = s.send(std::string(c->name) + args + "\r\n");
            bool wrong =
                out.find("log in first") != std::string::npos || out.find("not after the login") != std::string::npos;
            EXPECT_EQ(wrong, (c->states & state) == 0) << c->name << " in " << state << ": " << out;
            if (!wrong && c->args == POP3_ARGS_REQUIRED) {
                EXPECT_NE(s.send(std::string(c->name) + "\r\n").find(c->usage), std::string::npos) << c->name;
            }
            if (!wrong && c->args == POP3_ARGS_NONE && !s.c.closed) {
                EXPECT_NE(s.send(std::string(c->name) + " x\r\n").find(c->usage), std::string::npos) << c->name;
            }
        }
    }
}

TEST_F(Pop3Session, LongMessagesComeInRanges)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    std::string out = s.send("RETR 3\r\n");
    EXPECT_EQ(out, "+OK 300010 octets\r\n" + inbox[900] + ".\r\n");
    EXPECT_EQ(body_reads, 3);
    body_octets = 0;
    s.send("TOP 3 0\r\n");
    EXPECT_LE(body_octets, 16 * 1024) << "TOP does not read what it does not send";
}

TEST_F(Pop3Session, DeletionHappensAtQuitAndOnlyThere)
{
    {
        Session s(pop3_proto, &cfg);
        login(&s);
        EXPECT_EQ(s.send("DELE 1\r\n").substr(0, 3), "+OK");
        EXPECT_EQ(s.send("DELE 1\r\n").substr(0, 4), "-ERR");
        EXPECT_EQ(s.send("RETR 1\r\n").substr(0, 4), "-ERR");
        EXPECT_EQ(s.send("STAT\r\n"), "+OK 2 300024\r\n");
        EXPECT_EQ(s.send("LIST\r\n").find("1 13"), std::string::npos);
        s.close(); /* cut off */
    }
    EXPECT_EQ(inbox.size(), 3u);
    EXPECT_EQ(holder, "") << "a cut session gives its lock back";
    Session s(pop3_proto, &cfg);
    login(&s);
    s.talk({"DELE 2\r\n", "DELE 1\r\n", "RSET\r\n"});
    EXPECT_EQ(s.send("STAT\r\n"), "+OK 3 300037\r\n");
    s.send("DELE 2\r\n");
    EXPECT_EQ(s.send("QUIT\r\n"), "+OK bye\r\n");
    EXPECT_EQ(inbox.count(5), 0u);
    EXPECT_EQ(inbox.size(), 2u);
}

TEST_F(Pop3Session, ManyDeletionsAreSeveralOperations)
{
    inbox.clear();
    for (uint32_t i = 1; i <= 2500; i++) {
        inbox[i * 2] = "x\r\n";
    }
    page_rows = 1000;
    Session s(pop3_proto, &cfg);
    login(&s);
    std::string all;
    for (int i = 1; i <= 2500; i++) {
        all += "DELE " + std::to_string(i) + "\r\n";
    }
    s.send(all);
    EXPECT_EQ(s.send("QUIT\r\n"), "+OK bye\r\n");
    EXPECT_EQ(inbox.size(), 0u);
    EXPECT_EQ(expunges, 3);
}

TEST_F(Pop3Session, TheLockIsExclusive)
{
    Session a(pop3_proto, &cfg);
    login(&a);
    Session b(pop3_proto, &cfg);
    b.open();
    EXPECT_EQ(b.talk({"USER alice@example.test\r\n", "PASS secret\r\n"}),
              "+OK and the password?\r\n-ERR [IN-USE] maildrop is locked by another session\r\n");
    EXPECT_EQ(b.send("STAT\r\n"), "-ERR log in first\r\n");
    a.send("QUIT\r\n");
    EXPECT_NE(b.talk({"USER alice@example.test\r\n", "PASS secret\r\n"}).find("+OK maildrop"), std::string::npos);
}

TEST_F(Pop3Session, TheLeaseIsRenewedWhileTheSessionLives)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    EXPECT_EQ(s.c.idle_ms, cfg.lock_renew_ms);
    int before = locks;
    for (int i = 0; i < 5; i++) {
        time.ms += cfg.lock_renew_ms;
        EXPECT_EQ(s.event(CONN_EVENT_TIMEOUT), "");
    }
    EXPECT_EQ(locks, before + 5);
    EXPECT_FALSE(s.c.closed);
    holder = "another session's";
    time.ms += cfg.lock_renew_ms;
    EXPECT_EQ(s.send("NOOP\r\n"), "-ERR [IN-USE] maildrop is locked by another session\r\n");
    EXPECT_TRUE(s.c.closed);
    s.close();
    EXPECT_EQ(holder, "another session's");
}

/* The call is repeated when its reply was lost with the link (backend.c). */
TEST_F(Pop3Session, ARepeatedCallForTheLockFindsItsOwnLease)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    EXPECT_EQ(holder.size(), 16u);
    EXPECT_EQ(tokens, 0); /* none that only the lost reply would have told */
    std::string first = holder;
    s.send("QUIT\r\n");
    Session again(pop3_proto, &cfg);
    login(&again);
    EXPECT_NE(holder, first);
}

TEST_F(Pop3Session, AShortOutageDoesNotEndTheSessionALongOneDoes)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    errors[METHOD_POP3_LOCK] = ERR_UNAVAILABLE;
    time.ms += 30000;
    EXPECT_EQ(s.send("NOOP\r\n"), "+OK nothing done\r\n");
    time.ms += 31000;
    EXPECT_EQ(s.send("NOOP\r\n").substr(0, 15), "-ERR [SYS/TEMP]");
    EXPECT_TRUE(s.c.closed);
}

TEST_F(Pop3Session, ALeaderChangeBeforeTheDeletionIsSurvived)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    s.send("DELE 1\r\n");
    term_moves = 2;
    EXPECT_EQ(s.send("QUIT\r\n"), "+OK bye\r\n");
    EXPECT_EQ(inbox.count(3), 0u);
}

TEST_F(Pop3Session, ALockThatAnotherSessionTookFromTheNewLeaderIsLostAndNothingDeleted)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    s.send("DELE 1\r\n");
    term_moves = 1;
    thief = "another session's";
    EXPECT_EQ(s.send("QUIT\r\n"), "-ERR [IN-USE] some marked messages were not deleted\r\n");
    EXPECT_EQ(inbox.size(), 3u);
    EXPECT_EQ(holder, thief);
}

TEST_F(Pop3Session, ALeaderChangeWhileTheSessionWaitsIsFollowedByTheNextRenewal)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    std::string mine = holder;
    s.send("DELE 1\r\n");
    term++;
    holder.clear();
    time.ms += cfg.lock_renew_ms;
    s.event(CONN_EVENT_TIMEOUT);
    EXPECT_EQ(holder, mine) << "taken again under the same token";
    EXPECT_EQ(s.send("QUIT\r\n"), "+OK bye\r\n");
    EXPECT_EQ(inbox.count(3), 0u);
    EXPECT_EQ(expunges, 1);
}

TEST_F(Pop3Session, AFailedDeletionIsSaid)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    s.send("DELE 1\r\n");
    errors[METHOD_EXPUNGE] = ERR_UNAVAILABLE;
    EXPECT_EQ(s.send("QUIT\r\n"), "-ERR [SYS/TEMP] some marked messages were not deleted\r\n");
    EXPECT_TRUE(s.c.closed);
    EXPECT_EQ(inbox.size(), 3u);
}

TEST_F(Pop3Session, AutologoutSaysAndDeletesNothing)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    s.send("DELE 1\r\n");
    std::string out;
    for (int i = 0; i < 100 && !s.c.closed; i++) {
        time.ms += cfg.lock_renew_ms;
        out += s.event(CONN_EVENT_TIMEOUT);
    }
    EXPECT_TRUE(s.c.closed);
    EXPECT_EQ(out, "");
    EXPECT_EQ(inbox.size(), 3u);
}

TEST_F(Pop3Session, LoginsByEveryWay)
{
    Session plain(pop3_proto, &cfg);
    plain.open();
    EXPECT_EQ(plain.send("AUTH\r\n"), "+OK\r\nPLAIN\r\n.\r\n");
    EXPECT_EQ(plain.send("AUTH CRAM-MD5\r\n"), "-ERR unknown mechanism\r\n");
    EXPECT_EQ(plain.send("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3cm9uZw==\r\n"),
              "-ERR [AUTH] authentication failed\r\n");
    EXPECT_EQ(plain.talk({"AUTH PLAIN\r\n", "*\r\n"}), "+ \r\n-ERR cancelled\r\n");
    EXPECT_EQ(plain.talk({"AUTH PLAIN\r\n", "!\r\n"}), "+ \r\n-ERR cannot decode the credentials\r\n");
    EXPECT_EQ(plain.talk({"AUTH PLAIN\r\n", "AGFsaWNlQGV4YW1wbGUu", "dGVzdABzZWNyZXQ=\r\n"}),
              "+ \r\n+OK maildrop has 3 messages (300037 octets)\r\n");
    plain.close();

    Session pass(pop3_proto, &cfg);
    pass.open();
    fake().password = " two  words ";
    EXPECT_EQ(pass.send("PASS x\r\n"), "-ERR USER first\r\n");
    EXPECT_NE(pass.talk({"USER alice@example.test\r\n", "PASS  two  words \r\n"}).find("+OK maildrop"),
              std::string::npos)
        << "a password keeps its spaces";
    pass.close();

    Session clear(pop3_proto, &cfg);
    clear.c.tls_listener = true;
    fake().auth_allowed = false;
    clear.open();
    std::string capa = clear.send("CAPA\r\n");
    EXPECT_EQ(capa.find("SASL"), std::string::npos);
    EXPECT_EQ(capa.find("USER"), std::string::npos);
    EXPECT_NE(capa.find("STLS\r\n"), std::string::npos);
    EXPECT_EQ(clear.send("USER alice@example.test\r\n").substr(0, 4), "-ERR");
    EXPECT_EQ(clear.send("AUTH PLAIN x\r\n").substr(0, 4), "-ERR");
    EXPECT_EQ(clear.send("STLS\r\n"), "+OK begin TLS\r\n");
    EXPECT_TRUE(clear.c.tls);
    EXPECT_EQ(clear.send("CAPA\r\n").find("STLS\r\n"), std::string::npos);

    Session ahead(pop3_proto, &cfg);
    ahead.c.tls_listener = true;
    ahead.open();
    EXPECT_EQ(ahead.send("STLS\r\nUSER evil\r\n").substr(0, 4), "-ERR");
    EXPECT_TRUE(ahead.c.closed);
    EXPECT_FALSE(ahead.c.tls);
}

TEST_F(Pop3Session, ALoginThatTakesForeverIsGivenUp)
{
    Session s(pop3_proto, &cfg);
    s.open();
    for (int i = 0; i < 100 && !s.c.closed; i++) {
        time.ms += 10000;
        s.send("CAPA\r\n");
    }
    EXPECT_TRUE(s.c.closed);
    Session in(pop3_proto, &cfg);
    login(&in);
    for (int i = 0; i < 100; i++) {
        time.ms += 10000;
        EXPECT_EQ(in.send("NOOP\r\n"), "+OK nothing done\r\n");
    }
}

TEST_F(Pop3Session, AResponseOfAuthByTheByteIsGivenUp)
{
    Session s(pop3_proto, &cfg);
    s.open();
    s.c.on_read = [this] { time.ms += 10000; };
    std::vector<std::string> trickle = {"AUTH PLAIN\r\n"};
    trickle.insert(trickle.end(), 100, "A");
    s.talk(trickle);
    EXPECT_TRUE(s.c.closed);
    EXPECT_GT(s.c.steps.size(), 50u);
}

TEST_F(Pop3Session, ALineByTheByteDoesNotPutAutologoutOff)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    for (int i = 0; i < 100 && !s.c.closed; i++) {
        time.ms += 10000;
        s.send("N");
    }
    EXPECT_TRUE(s.c.closed);
    s.close();
    /* A download that takes longer than the client may be silent is no silence. */
    Session slow(pop3_proto, &cfg);
    login(&slow);
    on_body = [this] { time.ms += cfg.idle_ms; };
    EXPECT_EQ(slow.send("RETR 1\r\n").substr(0, 3), "+OK");
    EXPECT_EQ(slow.send("NOOP\r\n"), "+OK nothing done\r\n");
}

TEST_F(Pop3Session, EveryErrorAtLoginKeepsTheClientOut)
{
    for (int method : {METHOD_POP3_LOCK, METHOD_SELECT, METHOD_FETCH}) {
        for (unsigned i = 1; i <= ERR_MAX; i++) {
            errors.clear();
            errors[method] = err_from_wire(i);
            Session s(pop3_proto, &cfg);
            s.open();
            std::string out = s.talk({"USER alice@example.test\r\n", "PASS secret\r\n"});
            EXPECT_NE(out.find("-ERR"), std::string::npos) << err_name(err_from_wire(i));
            EXPECT_EQ(s.state<pop3_session>()->state, POP3_STATE_AUTHORIZATION);
            EXPECT_EQ(holder, "") << "the lock is not left behind";
        }
    }
}

TEST_F(Pop3Session, AMessageGoneMeanwhileIsSaidAndOneCutShortCutsTheConnection)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    std::string big = inbox[900];
    inbox.erase(3);
    EXPECT_EQ(s.send("RETR 1\r\n"), "-ERR the message is gone\r\n");
    EXPECT_FALSE(s.c.closed);
    auto all = fake().call;
    fake().call = [&](const backend_request &r, std::string *meta, std::string *attach) {
        return r.method == METHOD_BODY && body_reads == 1 ? ERR_TIMEOUT : all(r, meta, attach);
    };
    std::string out = s.send("RETR 3\r\n");
    EXPECT_EQ(out.substr(0, 19), "+OK 300010 octets\r\n");
    EXPECT_NE(out.substr(out.size() - 5), "\r\n.\r\n");
    EXPECT_TRUE(s.c.closed);
}

TEST_F(Pop3Session, NumbersAreChecked)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    for (const char *bad : {"RETR 0", "RETR 4", "RETR x", "RETR -1", "RETR 99999999999999999999", "TOP 1", "TOP 1 x",
                            "TOP 1 -1", "TOP 1 18446744073709551615", "LIST 4", "UIDL 0", "DELE 1 2"}) {
        EXPECT_EQ(s.send(std::string(bad) + "\r\n").substr(0, 4), "-ERR") << bad;
    }
    EXPECT_FALSE(s.c.closed);
    std::string out;
    for (int i = 0; i < 30 && !s.c.closed; i++) {
        out = s.send("FOO\r\n");
    }
    EXPECT_TRUE(s.c.closed);
}

TEST_F(Pop3Session, AHugeMaildropServesItsOldestMessages)
{
    cfg.messages_max = 2;
    Session s(pop3_proto, &cfg);
    login(&s);
    EXPECT_EQ(s.send("STAT\r\n"), "+OK 2 27\r\n");
}

TEST_F(Pop3Session, AnEmptyMaildropIsFine)
{
    inbox.clear();
    Session s(pop3_proto, &cfg);
    login(&s);
    EXPECT_EQ(s.talk({"STAT\r\n", "LIST\r\n", "UIDL\r\n", "QUIT\r\n"}),
              "+OK 0 0\r\n+OK 0 messages (0 octets)\r\n.\r\n+OK unique-ids follow\r\n.\r\n+OK bye\r\n");
}

TEST_F(Pop3Session, NoAllocationFailureDeletesWhatWasNotMarked)
{
    bool fired = true;
    for (uint64_t nth = 1; fired && nth < 5000; nth++) {
        inbox = {{3, "A\r\n"}, {5, "B\r\n"}};
        holder.clear();
        Session s(pop3_proto, &cfg);
        s.open();
        mem_fail_nth(nth);
        std::string out =
            s.talk({"USER alice@example.test\r\n", "PASS secret\r\n", "DELE 1\r\n", "RETR 2\r\n", "QUIT\r\n"});
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        s.close();
        ASSERT_EQ(inbox.count(5), 1u);
        bool said = out.find("+OK marked") != std::string::npos && out.find("+OK bye") != std::string::npos;
        ASSERT_EQ(inbox.count(3), said ? 0u : 1u) << nth << "\n" << out;
    }
    EXPECT_FALSE(fired);
}

TEST_F(Pop3Session, DrainSaysSo)
{
    Session s(pop3_proto, &cfg);
    login(&s);
    s.send("DELE 1\r\n");
    EXPECT_EQ(s.event(CONN_EVENT_DRAIN), "-ERR [SYS/TEMP] shutting down\r\n");
    EXPECT_TRUE(s.c.closed);
    EXPECT_EQ(inbox.size(), 3u);
}

/* --- read-ahead --- */

namespace
{

class Pop3Ahead : public Pop3Session
{
  protected:
    void fill(size_t n, size_t octets)
    {
        inbox.clear();
        for (size_t i = 1; i <= n; i++) {
            std::string head = "A: " + std::to_string(i) + "\r\n\r\n";
            inbox[(uint32_t)i * 3] = head + std::string(octets - head.size() - 2, 'x') + "\r\n";
        }
        page_rows = 1000;
    }
    std::string retr(Session *s, size_t n)
    {
        return s->send("RETR " + std::to_string(n) + "\r\n");
    }
    std::string want(size_t n)
    {
        const std::string &m = inbox[(uint32_t)n * 3];
        return "+OK " + std::to_string(m.size()) + " octets\r\n" + m + ".\r\n";
    }
    bool holds(Session *s)
    {
        return s->state<pop3_session>()->ahead.page != nullptr;
    }
};

} // namespace

TEST_F(Pop3Ahead, MessagesInSequenceComeFromOnePage)
{
    fill(20, 4096);
    Session s(pop3_proto, &cfg);
    login(&s);
    for (size_t n = 1; n <= 20; n++) {
        ASSERT_EQ(retr(&s, n), want(n));
    }
    EXPECT_EQ(body_reads, 1) << "the first, before the sequence shows";
    EXPECT_EQ(pages, 1);
    EXPECT_FALSE(holds(&s)) << "the last message was sent";
    EXPECT_TRUE(fake().timers.empty());
}

TEST_F(Pop3Ahead, APageHasWhatFitsAndNoMore)
{
    fill(9, 50000);
    Session s(pop3_proto, &cfg);
    login(&s);
    for (size_t n = 1; n <= 9; n++) {
        ASSERT_EQ(retr(&s, n), want(n));
    }
    EXPECT_EQ(pages, 4) << "2 3, 4 5, 6 7, 8 9";
    EXPECT_EQ(page_octets, 100000u);
    EXPECT_EQ(body_reads, 1);
}

TEST_F(Pop3Ahead, LargeMessagesInTheSequenceStream)
{
    fill(8, 1000);
    inbox[4 * 3] = "B: 4\r\n\r\n" + std::string(FETCH_CONTENT_MAX, 'y') + "\r\n";
    inbox[8 * 3] = inbox[4 * 3];
    Session s(pop3_proto, &cfg);
    login(&s);
    for (size_t n = 1; n <= 8; n++) {
        ASSERT_EQ(retr(&s, n), want(n));
    }
    EXPECT_EQ(pages, 2) << "2 3, 5 6 7";
    EXPECT_EQ(body_reads, 1 + 2 + 2);
}

TEST_F(Pop3Ahead, ASingleLookIsNotASequence)
{
    fill(20, 1000);
    Session s(pop3_proto, &cfg);
    login(&s);
    for (size_t n : {(size_t)7, (size_t)3, (size_t)3, (size_t)20, (size_t)1}) {
        ASSERT_EQ(retr(&s, n), want(n));
    }
    EXPECT_EQ(pages, 0);
    ASSERT_EQ(retr(&s, 2), want(2));
    EXPECT_TRUE(holds(&s));
    ASSERT_EQ(retr(&s, 9), want(9));
    EXPECT_FALSE(holds(&s)) << "the client went elsewhere";
}

TEST_F(Pop3Ahead, MarkedMessagesAreNeitherReadNorInTheWay)
{
    fill(10, 1000);
    Session s(pop3_proto, &cfg);
    login(&s);
    s.talk({"DELE 2\r\n", "DELE 3\r\n", "DELE 6\r\n"});
    ASSERT_EQ(retr(&s, 1), want(1));
    ASSERT_EQ(retr(&s, 4), want(4));
    EXPECT_EQ(page_octets, 6000u) << "4 5 7 8 9 10";
    s.send("DELE 5\r\n");
    EXPECT_EQ(retr(&s, 5), "-ERR no such message\r\n");
    s.send("RSET\r\n");
    ASSERT_EQ(retr(&s, 5), want(5));
    ASSERT_EQ(retr(&s, 6), want(6)) << "no longer marked, not in the page";
    ASSERT_EQ(retr(&s, 7), want(7));
    EXPECT_EQ(retr(&s, 2), want(2));
}

TEST_F(Pop3Ahead, AnOctetIsAnOctetWhereverItComesFrom)
{
    const std::vector<std::string> odd = {"A: b\r\n\r\none\r\n",
                                          "A: b\r\n\r\nno end",
                                          "A: b\n\nbare\nlines\n",
                                          ".\r\n..\r\n.x\r\n.",
                                          "x",
                                          "",
                                          "\r",
                                          "\r\n",
                                          "A: b\r\n\r\n\r.\r\r\n",
                                          std::string(3, '\0')};
    inbox.clear();
    for (size_t i = 0; i < odd.size(); i++) {
        inbox[(uint32_t)i * 3 + 3] = odd[i];
    }
    page_rows = 1000;
    Session ahead(pop3_proto, &cfg);
    login(&ahead);
    std::vector<std::string> got;
    for (size_t n = 1; n <= odd.size(); n++) {
        got.push_back(retr(&ahead, n));
    }
    EXPECT_EQ(pages, 1);
    ahead.send("QUIT\r\n");
    Session direct(pop3_proto, &cfg);
    login(&direct);
    for (size_t n = odd.size(); n >= 1; n--) {
        EXPECT_EQ(retr(&direct, n), got[n - 1]) << n;
    }
    EXPECT_EQ(pages, 1);
}

TEST_F(Pop3Ahead, AnIdleSessionHoldsNoPage)
{
    fill(20, 4096);
    Session s(pop3_proto, &cfg);
    login(&s);
    retr(&s, 1);
    retr(&s, 2);
    ASSERT_TRUE(holds(&s));
    ASSERT_EQ(fake().timers.size(), 1u);
    loop_timer *t = fake().timers[0];
    EXPECT_LE(t->at_ms, 5000u);
    fake().timers.clear();
    t->fn(nullptr, t);
    EXPECT_FALSE(holds(&s));
    EXPECT_EQ(retr(&s, 3), want(3));
    EXPECT_EQ(pages, 2);
    s.close(); /* cut off with a page in hand */
    EXPECT_TRUE(fake().timers.empty());
}

TEST_F(Pop3Ahead, WhatAPageCannotGiveIsReadAsUsual)
{
    fill(6, 1000);
    Session s(pop3_proto, &cfg);
    login(&s);
    retr(&s, 1);
    page_error = ERR_CORRUPT; /* of some message */
    EXPECT_EQ(retr(&s, 2), want(2));
    page_error = ERR_UNAVAILABLE;
    EXPECT_EQ(retr(&s, 3).substr(0, 15), "-ERR [SYS/TEMP]");
    page_error = OK;
    empty_uid = 5 * 3;
    std::string gone = want(6);
    inbox.erase(6 * 3); /* by an IMAP session */
    EXPECT_EQ(retr(&s, 4), want(4));
    EXPECT_EQ(retr(&s, 5), want(5));
    EXPECT_EQ(retr(&s, 6), "-ERR the message is gone\r\n");
}
