#include "tests/unit/frontend/smtp/fake_frontend.hh"

#include <gtest/gtest.h>

#include "frontend/smtp/smtp.h"
#include "frontend/smtp/smtp_session.h"
#include "proto/base/log.h"
#include "proto/message/message.h"

namespace
{

struct Delivered {
    uint32_t shard;
    std::string body;
    std::string from;
    std::string to; /* "account[/mailbox] ..." direct, then "> shard: ..." */
};

struct test_clock {
    struct clock base;
    uint64_t ms;
};

std::string rows(Pb__Recipient **r, size_t n)
{
    std::string s;
    for (size_t i = 0; i < n; i++) {
        s += std::to_string(r[i]->account) + (r[i]->mailbox[0] != 0 ? std::string("/") + r[i]->mailbox : "") + " ";
    }
    return s;
}

class SmtpSession : public testing::Test
{
  protected:
    SmtpSession()
    {
        log_set_level(LOG_LEVEL_ERROR);
        fake() = fake_backend();
        fake().directory["alice@example.test"] = {{1, 10, "alice@example.test", "", ""}};
        fake().directory["bob@example.test"] = {{2, 20, "bob@example.test", "", ""}};
        fake().directory["carol@example.test"] = {{3, 10, "carol@example.test", "", ""}};
        fake().directory["all@example.test"] = {{1, 10, "", "", ""}, {2, 20, "", "", ""}};
        fake().directory["away@example.test"] = {{0, 0, "", "", "x@far.test"}};
        fake().directory["postmaster@mx.test"] = fake().directory["alice@example.test"];
        fake().call = [this](const backend_request &r, std::string *meta, std::string *) { return storage(r, meta); };
        smtp_server_config_init(&cfg);
        cfg.backend = reinterpret_cast<backend *>(this);
        cfg.auth = reinterpret_cast<auth *>(this);
        cfg.hostname = "mx.test";
        time.base.wall_ms = time.base.mono_ms = [](struct clock *c) { return reinterpret_cast<test_clock *>(c)->ms; };
        time.ms = 1795251600000;
        cfg.clock = &time.base;
    }
    ~SmtpSession() override
    {
        EXPECT_EQ(fake().uploads_open, 0);
        log_set_level(LOG_LEVEL_INFO);
    }
    err storage(const backend_request &r, std::string *meta)
    {
        if (r.method == METHOD_ACCOUNT) {
            Pb__ReadAccountResult a = PB__READ_ACCOUNT_RESULT__INIT;
            a.quota_bytes = quota_bytes;
            a.used_bytes = used_bytes;
            *meta = pack(a);
            return account_error;
        }
        EXPECT_EQ(r.method, METHOD_DELIVER);
        const auto *op = reinterpret_cast<const Pb__OpDeliver *>(r.message);
        Delivered d;
        d.shard = r.shard.v;
        d.body = std::string(reinterpret_cast<const char *>(r.attach.p), r.attach.n);
        d.from = op->reverse_path;
        d.to = rows(op->recipients, op->n_recipients);
        for (size_t i = 0; i < op->n_handoffs; i++) {
            d.to += "> " + std::to_string(op->handoffs[i]->shard) + ": " +
                    rows(op->handoffs[i]->recipients, op->handoffs[i]->n_recipients);
        }
        msg_record record;
        EXPECT_EQ(msg_record_decode(slice_make(op->record.data, op->record.len), &record), OK);
        EXPECT_EQ(record.size_bytes, d.body.size());
        EXPECT_EQ(op->body->size, d.body.size());
        delivered.push_back(d);
        auto e = deliver_errors.find(r.shard.v);
        if (e != deliver_errors.end()) {
            return e->second;
        }
        Pb__OpDeliverResult result = PB__OP_DELIVER_RESULT__INIT;
        std::vector<Pb__DeliverStatus> s(op->n_recipients);
        std::vector<Pb__DeliverStatus *> p;
        for (size_t i = 0; i < s.size(); i++) {
            pb__deliver_status__init(&s[i]);
            auto a = account_errors.find(op->recipients[i]->account);
            s[i].err = a == account_errors.end() ? OK : a->second;
            p.push_back(&s[i]);
        }
        result.n_recipients = p.size();
        result.recipients = p.data();
        *meta = pack(result);
        return OK;
    }
    /* Content behind our trace fields. */
    static std::string content(const std::string &body)
    {
        size_t at = body.find("+0000\r\n");
        return at == std::string::npos ? "no trace: " + body : body.substr(at + 7);
    }

    smtp_server_config cfg;
    test_clock time;
    std::vector<Delivered> delivered;
    std::map<uint32_t, err> deliver_errors;
    std::map<uint64_t, err> account_errors;
    uint64_t quota_bytes = 0;
    uint64_t used_bytes = 0;
    err account_error = OK;
};

const char *const mail = "MAIL FROM:<s@far.test>\r\n";
const char *const to_alice = "RCPT TO:<alice@example.test>\r\n";
const char *const to_bob = "RCPT TO:<bob@example.test>\r\n";

int code_of(const std::string &reply)
{
    size_t last = reply.rfind("\r\n", reply.size() - 3);
    return atoi(reply.c_str() + (last == std::string::npos || reply.size() < 3 ? 0 : last + 2));
}

/* Replies as "250 250 354", one a line that is final. */
std::string codes(const std::string &out)
{
    std::string s;
    for (size_t at = 0; at < out.size(); at = out.find("\r\n", at) + 2) {
        if (out[at + 3] == ' ') {
            s += (s.empty() ? "" : " ") + out.substr(at, 3);
        }
    }
    return s;
}

/* Brings a session into a state. */
void bring(Session *s, enum smtp_role role, enum smtp_state state)
{
    s->open();
    if (state == SMTP_STATE_START) {
        return;
    }
    ASSERT_EQ(code_of(s->send(role == SMTP_ROLE_LMTP ? "LHLO c\r\n" : "EHLO c\r\n")), 250);
    if (role == SMTP_ROLE_SUBMISSION) {
        /* alice@example.test, secret */
        ASSERT_EQ(code_of(s->send("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n")), 235);
    }
    if (state == SMTP_STATE_READY) {
        return;
    }
    ASSERT_EQ(code_of(s->send("MAIL FROM:<alice@example.test>\r\n")), 250);
    if (state == SMTP_STATE_RCPT) {
        ASSERT_EQ(code_of(s->send(to_alice)), 250);
    }
}

const struct conn_proto &proto_of(enum smtp_role role)
{
    return role == SMTP_ROLE_MX ? smtp_proto : role == SMTP_ROLE_SUBMISSION ? submission_proto : lmtp_proto;
}

} // namespace

TEST_F(SmtpSession, AMessageArrivesAtEverySplitOfTheDialogue)
{
    const std::vector<std::string> steps = {
        "EHLO client.test\r\n", std::string(mail) + to_alice + "RCPT TO:<carol+work@example.test>\r\nDATA\r\n",
        "Subject: x\r\n\r\n..dot\r\nbody\r\n.\r\n", "QUIT\r\n"};
    size_t longest = 0;
    for (const auto &s : steps) {
        longest = s.size() > longest ? s.size() : longest;
    }
    for (size_t split = 0; split < longest; split++) {
        delivered.clear();
        Session s(smtp_proto, &cfg);
        ASSERT_EQ(s.open(), "220 mx.test ESMTP ready\r\n");
        std::vector<std::string> pieces;
        for (const auto &step : steps) {
            pieces.push_back(step.substr(0, split));
            pieces.push_back(split < step.size() ? step.substr(split) : "");
        }
        std::string out = s.talk(pieces);
        ASSERT_EQ(codes(out), "250 250 250 250 354 250 221") << split;
        ASSERT_TRUE(s.c.closed);
        ASSERT_EQ(delivered.size(), 1u);
        ASSERT_EQ(delivered[0].to, "1 3/work ");
        ASSERT_EQ(delivered[0].from, "s@far.test");
        ASSERT_EQ(content(delivered[0].body), "Subject: x\r\n\r\n.dot\r\nbody\r\n");
        ASSERT_EQ(delivered[0].body.find("Return-Path: <s@far.test>\r\nReceived: from client.test ([192.0.2.7])\r\n"),
                  0u);
    }
}

TEST_F(SmtpSession, EveryCommandInEveryStateOfEveryRoleIsAnsweredByItsDescriptor)
{
    for (enum smtp_role role : {SMTP_ROLE_MX, SMTP_ROLE_SUBMISSION, SMTP_ROLE_LMTP}) {
        for (enum smtp_state state : {SMTP_STATE_START, SMTP_STATE_READY, SMTP_STATE_MAIL, SMTP_STATE_RCPT}) {
            for (size_t i = 0; smtp_command_table[i] != nullptr; i++) {
                const smtp_command *c = smtp_command_table[i];
                Session s(proto_of(role), &cfg);
                bring(&s, role, state);
                ASSERT_EQ(s.state<smtp_session>()->state, state);
                std::string args = c->args == SMTP_ARGS_REQUIRED ? " x" : "";
                int code = code_of(s.send(std::string(c->name) + args + "\r\n"));
                std::string what =
                    std::string(c->name) + " in " + std::to_string(state) + " of " + smtp_role_name(role);
                if ((c->roles & role) == 0) {
                    EXPECT_EQ(code, 500) << what;
                } else if ((c->states & state) == 0) {
                    EXPECT_EQ(code, 503) << what;
                    ASSERT_NE(c->order, nullptr) << what;
                } else {
                    EXPECT_NE(code, 500) << what;
                    EXPECT_TRUE(code != 503 || strcmp(c->name, "AUTH") == 0 || strcmp(c->name, "DATA") == 0) << what;
                }
                if (s.state<smtp_session>()->state != state) {
                    EXPECT_NE(c->states & state, 0u) << what << " moved without leave";
                }
            }
        }
    }
}

TEST_F(SmtpSession, ArgumentsAreCheckedByTheDescriptor)
{
    for (size_t i = 0; smtp_command_table[i] != nullptr; i++) {
        const smtp_command *c = smtp_command_table[i];
        enum smtp_role role = (c->roles & SMTP_ROLE_MX) != 0     ? SMTP_ROLE_MX
                              : (c->roles & SMTP_ROLE_LMTP) != 0 ? SMTP_ROLE_LMTP
                                                                 : SMTP_ROLE_SUBMISSION;
        Session s(proto_of(role), &cfg);
        s.open();
        if (c->args == SMTP_ARGS_REQUIRED) {
            EXPECT_EQ(code_of(s.send(std::string(c->name) + "\r\n")), 501) << c->name;
        } else if (c->args == SMTP_ARGS_NONE) {
            EXPECT_EQ(code_of(s.send(std::string(c->name) + " x\r\n")), 501) << c->name;
        }
    }
}

TEST_F(SmtpSession, SmtpAnswersOnceAndHandsOverToOtherShards)
{
    Session s(smtp_proto, &cfg);
    s.open();
    EXPECT_EQ(codes(s.talk({"EHLO c\r\n", mail, to_alice, to_bob, "RCPT TO:<carol@example.test>\r\n", "DATA\r\n",
                            "x\r\n.\r\n"})),
              "250 250 250 250 250 354 250");
    ASSERT_EQ(delivered.size(), 1u);
    EXPECT_EQ(delivered[0].shard, 10u);
    EXPECT_EQ(delivered[0].to, "1 3 > 20: 2 ");
    EXPECT_EQ(delivered[0].body.find("for <"), std::string::npos);
}

TEST_F(SmtpSession, LmtpAnswersForEachRecipientInOrder)
{
    deliver_errors[20] = ERR_UNAVAILABLE;
    account_errors[3] = ERR_QUOTA;
    Session s(lmtp_proto, &cfg);
    EXPECT_EQ(s.open(), "220 mx.test LMTP ready\r\n");
    std::string out = s.talk({"LHLO c\r\n",
                              std::string(mail) + to_alice + "RCPT TO:<nobody@example.test>\r\n" + to_bob +
                                  "RCPT TO:<carol@example.test>\r\nRCPT TO:<all@example.test>\r\nDATA\r\n",
                              "x\r\n.\r\n"});
    EXPECT_EQ(codes(out), "250 250 250 550 250 250 250 354 250 451 452 250");
    ASSERT_EQ(delivered.size(), 2u);
    EXPECT_EQ(delivered[0].to, "1 3 > 20: 2 ");
    EXPECT_EQ(delivered[1].to, "2 ");
    EXPECT_EQ(fake().uploads_aborted, 1);
}

TEST_F(SmtpSession, EveryStorageErrorIsAnsweredAndNothingIsAcknowledged)
{
    for (unsigned i = 1; i <= ERR_MAX; i++) {
        err e = err_from_wire(i);
        deliver_errors[10] = e;
        Session s(smtp_proto, &cfg);
        s.open();
        int code = code_of(s.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n", "x\r\n.\r\n"}));
        EXPECT_EQ(code, smtp_status_of(e, false).code) << err_name(e);
        EXPECT_GE(code, 400);
    }
    EXPECT_EQ(fake().uploads_aborted, ERR_MAX);
}

TEST_F(SmtpSession, APartialFailureIsNotAcknowledged)
{
    account_errors[3] = ERR_QUOTA;
    Session s(smtp_proto, &cfg);
    s.open();
    EXPECT_EQ(
        codes(s.talk({"EHLO c\r\n", mail, to_alice, "RCPT TO:<carol@example.test>\r\n", "DATA\r\n", "x\r\n.\r\n"})),
        "250 250 250 250 354 452");
    EXPECT_EQ(fake().uploads_aborted, 0) << "one copy uses the body";
}

TEST_F(SmtpSession, RecipientsAreRefusedForTheRightReason)
{
    Session s(smtp_proto, &cfg);
    s.open();
    s.talk({"EHLO c\r\n", mail});
    EXPECT_EQ(s.send("RCPT TO:<nobody@example.test>\r\n"), "550 5.1.1 no such mailbox here\r\n");
    EXPECT_EQ(s.send("RCPT TO:<x@far.test>\r\n"), "550 5.7.1 relaying is not configured\r\n");
    EXPECT_EQ(s.send("RCPT TO:<x@[192.0.2.1]>\r\n"), "550 5.7.1 relaying is not configured\r\n");
    EXPECT_EQ(s.send("RCPT TO:<away@example.test>\r\n"), "550 5.7.1 relaying is not configured\r\n");
    EXPECT_EQ(s.send("RCPT TO:alice@example.test\r\n"), "501 5.1.3 syntax: RCPT TO:<address>\r\n");
    EXPECT_EQ(s.send("RCPT TO:<>\r\n"), "501 5.1.3 syntax: RCPT TO:<address>\r\n");
    EXPECT_EQ(s.send("RCPT TO:<\xc3\xbc@example.test>\r\n"), "553 5.6.7 this address needs SMTPUTF8\r\n");
    EXPECT_EQ(s.send("RCPT TO:<alice@example.test> NOTIFY=NEVER\r\n"), "555 5.5.4 parameter not recognized\r\n");
    quota_bytes = 100;
    used_bytes = 100;
    EXPECT_EQ(s.send(to_alice), "452 4.2.2 mailbox is over its quota, try again later\r\n");
    quota_bytes = 0;
    account_error = ERR_UNAVAILABLE;
    EXPECT_EQ(s.send(to_alice).substr(0, 9), "451 4.3.0");
    account_error = OK;
    fake().resolve_error = ERR_TIMEOUT;
    EXPECT_EQ(s.send(to_alice).substr(0, 9), "451 4.3.0");
    fake().resolve_error = OK;
    EXPECT_EQ(s.send("DATA\r\n"), "554 5.5.1 no valid recipients\r\n");
    EXPECT_EQ(code_of(s.send("RCPT TO:<postmaster>\r\n")), 250);
    EXPECT_EQ(code_of(s.send("rcpt to: <alice@example.test>\r\n")), 250);
}

TEST_F(SmtpSession, TheRecipientLimitAsksForAnotherTransaction)
{
    cfg.recipients_max = 2;
    Session s(smtp_proto, &cfg);
    s.open();
    EXPECT_EQ(codes(s.talk({"EHLO c\r\n", mail, to_alice, to_bob, "RCPT TO:<carol@example.test>\r\n", "DATA\r\n",
                            "x\r\n.\r\n"})),
              "250 250 250 250 452 354 250");
}

TEST_F(SmtpSession, SizesAreRefusedEarlyAndLate)
{
    cfg.message_bytes_max = 1000;
    Session s(smtp_proto, &cfg);
    s.open();
    s.send("EHLO c\r\n");
    EXPECT_EQ(s.send("MAIL FROM:<a@b.test> SIZE=1001\r\n").substr(0, 9), "552 5.3.4");
    EXPECT_EQ(s.send("MAIL FROM:<a@b.test> SIZE=x\r\n").substr(0, 9), "501 5.5.4");
    EXPECT_EQ(code_of(s.send("MAIL FROM:<a@b.test> SIZE=1000 BODY=8BITMIME SMTPUTF8\r\n")), 250);
    EXPECT_EQ(codes(s.talk({to_alice, "DATA\r\n", std::string(1001, 'x') + "\r\n", "more\r\n.\r\nNOOP\r\n"})),
              "250 354 552 250");
    EXPECT_EQ(delivered.size(), 0u);
    EXPECT_EQ(codes(s.talk({mail, to_alice, "DATA\r\n", std::string(998, 'x') + "\r\n.\r\n"})), "250 250 354 250");
    EXPECT_EQ(codes(s.talk({mail, to_alice, "DATA\r\n", std::string(100000, 'x')})), "250 250 354 552")
        << "the rest is not read for ever";
    EXPECT_TRUE(s.c.closed);
}

TEST_F(SmtpSession, BareLineEndsAreTreatedByRole)
{
    Session mx(smtp_proto, &cfg);
    mx.open();
    EXPECT_EQ(codes(mx.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n", "a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n"})),
              "250 250 250 354 550");
    EXPECT_EQ(code_of(mx.send("NOOP\n")), 500);
    EXPECT_EQ(code_of(mx.send("NO\rOP\r\n")), 500);
    EXPECT_EQ(code_of(mx.send("NOOP\r\n")), 250);
    EXPECT_EQ(delivered.size(), 0u);

    Session lmtp(lmtp_proto, &cfg);
    lmtp.open();
    EXPECT_EQ(codes(lmtp.talk({"LHLO c\r\n", mail, to_alice, "DATA\r\n", "a\nb\rc\r\n.\r\n"})), "250 250 250 354 250");
    EXPECT_EQ(content(delivered.at(0).body), "a\nb\rc\r\n");

    Session sub(submission_proto, &cfg);
    bring(&sub, SMTP_ROLE_SUBMISSION, SMTP_STATE_RCPT);
    EXPECT_EQ(codes(sub.talk({"DATA\r\n", "Date: d\nMessage-ID: m\n\na\rb\n.\r\nc\r\n.\r\n"})), "354 250");
    EXPECT_EQ(content(delivered.at(1).body), "Date: d\r\nMessage-ID: m\r\n\r\na b\r\n.\r\nc\r\n");
}

TEST_F(SmtpSession, SubmissionAddsWhatIsMissingAndHidesTheClient)
{
    Session s(submission_proto, &cfg);
    bring(&s, SMTP_ROLE_SUBMISSION, SMTP_STATE_RCPT);
    EXPECT_EQ(codes(s.talk({"DATA\r\n", "Subject: x\r\n\r\nbody\r\n.\r\n"})), "354 250");
    std::string c = content(delivered.at(0).body);
    EXPECT_EQ(c.find("Subject: x\r\nDate: Sat, 21 Nov 2026 09:00:00 +0000\r\nMessage-ID: <"), 0u) << c;
    EXPECT_NE(c.find("@mx.test>\r\n\r\nbody\r\n"), std::string::npos);
    EXPECT_EQ(delivered[0].body.find("192.0.2.7"), std::string::npos);
    EXPECT_NE(delivered[0].body.find("with ESMTPA"), std::string::npos);
}

TEST_F(SmtpSession, SubmissionWantsALoginAndTheLoginsOwnAddress)
{
    Session s(submission_proto, &cfg);
    s.open();
    EXPECT_NE(s.send("EHLO c\r\n").find("250-AUTH PLAIN LOGIN\r\n"), std::string::npos);
    EXPECT_EQ(s.send(mail), "530 5.7.0 authentication required\r\n");
    EXPECT_EQ(s.talk({"AUTH LOGIN\r\n", "YWxpY2VAZXhhbXBsZS50ZXN0\r\n", "c2VjcmV0\r\n"}),
              "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.7.0 authentication succeeded\r\n");
    EXPECT_EQ(code_of(s.send("AUTH PLAIN =\r\n")), 503);
    EXPECT_EQ(s.send(mail), "553 5.7.1 this sender address is not yours\r\n");
    EXPECT_EQ(s.send("MAIL FROM:<bob@example.test>\r\n").substr(0, 9), "553 5.7.1");
    EXPECT_EQ(s.send("MAIL FROM:<nobody@example.test>\r\n").substr(0, 9), "553 5.7.1");
    for (const char *own : {"alice@example.test", "alice+list@example.test", "all@example.test", ""}) {
        EXPECT_EQ(code_of(s.send("MAIL FROM:<" + std::string(own) + "> AUTH=<>\r\n")), 250) << own;
        EXPECT_EQ(code_of(s.send("RSET\r\n")), 250);
    }
    fake().resolve_error = ERR_UNAVAILABLE;
    EXPECT_EQ(s.send("MAIL FROM:<alice@example.test>\r\n").substr(0, 9), "451 4.3.0");
}

TEST_F(SmtpSession, LoginsFailWithTheRightCode)
{
    const std::string wrong = "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3cm9uZw==\r\n";
    Session s(submission_proto, &cfg);
    s.open();
    s.send("EHLO c\r\n");
    EXPECT_EQ(s.send(wrong), "535 5.7.8 authentication failed\r\n");
    EXPECT_EQ(code_of(s.send("AUTH PLAIN !!!\r\n")), 501);
    EXPECT_EQ(code_of(s.send("AUTH CRAM-MD5\r\n")), 504);
    EXPECT_EQ(s.talk({"AUTH PLAIN\r\n", "*\r\n"}), "334 \r\n501 5.7.0 authentication cancelled\r\n");
    EXPECT_EQ(codes(s.talk({"AUTH PLAIN\r\n", std::string(20000, 'A') + "\r\n"})), "334 501");
    fake().auth_error = ERR_OVERLOAD;
    EXPECT_EQ(s.send(wrong), "454 4.7.0 temporary authentication failure\r\n");
    fake().auth_error = OK;
    fake().auth_allowed = false;
    EXPECT_EQ(code_of(s.send(wrong)), 538);
    EXPECT_EQ(s.send("EHLO c\r\n").find("AUTH"), std::string::npos);
    fake().auth_allowed = true;
    for (uint32_t i = 1; i + 1 < cfg.auth_failures_max; i++) {
        EXPECT_EQ(code_of(s.send(wrong)), 535);
    }
    EXPECT_EQ(code_of(s.send(wrong)), 421);
    EXPECT_TRUE(s.c.closed);
}

TEST_F(SmtpSession, StarttlsForgetsWhatWasSaidInTheClear)
{
    Session s(smtp_proto, &cfg);
    s.c.tls_listener = true;
    s.open();
    EXPECT_NE(s.send("EHLO c\r\n").find("250-STARTTLS\r\n"), std::string::npos);
    EXPECT_EQ(s.send("STARTTLS\r\n"), "220 2.0.0 go ahead\r\n");
    EXPECT_TRUE(s.c.tls);
    EXPECT_EQ(code_of(s.send(mail)), 503);
    EXPECT_EQ(s.send("EHLO c\r\n").find("STARTTLS"), std::string::npos);
    EXPECT_EQ(code_of(s.send("STARTTLS\r\n")), 503);
    EXPECT_EQ(codes(s.talk({mail, to_alice, "DATA\r\n", "x\r\n.\r\n"})), "250 250 354 250");
    EXPECT_NE(delivered.at(0).body.find("with ESMTPS (TLSv1.3"), std::string::npos);
}

TEST_F(SmtpSession, ALoginInTheClearDoesNotOutliveStarttls)
{
    Session s(submission_proto, &cfg);
    s.c.tls_listener = true;
    bring(&s, SMTP_ROLE_SUBMISSION, SMTP_STATE_READY);
    EXPECT_EQ(s.talk({"STARTTLS\r\n", "EHLO c\r\n"}).find("220 2.0.0"), 0u);
    EXPECT_EQ(code_of(s.send("MAIL FROM:<alice@example.test>\r\n")), 530);
}

TEST_F(SmtpSession, AddressesBeyondAsciiNeedSmtputf8)
{
    Session s(smtp_proto, &cfg);
    s.open();
    s.send("EHLO c\r\n");
    EXPECT_EQ(s.send("MAIL FROM:<m\xc3\xbcller@b.test>\r\n"), "553 5.6.7 this address needs SMTPUTF8\r\n");
    EXPECT_EQ(codes(s.talk({"MAIL FROM:<m\xc3\xbcller@b.test> SMTPUTF8\r\n", to_alice, "DATA\r\n", "x\r\n.\r\n"})),
              "250 250 354 250");
    EXPECT_EQ(delivered.at(0).from, "m\xc3\xbcller@b.test");
    EXPECT_NE(delivered[0].body.find("with UTF8SMTP\r\n"), std::string::npos);
}

TEST_F(SmtpSession, InputAheadOfAReplyThatMustBeAwaitedEndsTheSession)
{
    for (const char *ahead : {"EHLO c\r\nMAIL FROM:<a@b>\r\n", "HELO c\r\nMAIL FROM:<a@b>\r\n",
                              "STARTTLS\r\nEHLO evil\r\n", "VRFY a\r\nNOOP\r\n", "DATA\r\nx\r\n.\r\n"}) {
        Session s(smtp_proto, &cfg);
        s.c.tls_listener = true;
        s.open();
        s.talk({"EHLO c\r\n"});
        if (ahead[0] == 'D') {
            s.talk({mail, to_alice});
        }
        std::string out = s.send(ahead);
        EXPECT_EQ(out, "554 5.5.0 protocol synchronization error\r\n") << ahead;
        EXPECT_TRUE(s.c.closed);
        EXPECT_FALSE(s.c.tls);
    }
    Session helo(smtp_proto, &cfg);
    helo.open();
    helo.send("HELO c\r\n");
    EXPECT_EQ(code_of(helo.send(std::string(mail) + to_alice)), 554) << "pipelining was not offered";
    Session early(smtp_proto, &cfg);
    EXPECT_EQ(early.open("EHLO c\r\n"), "554 5.5.0 protocol synchronization error\r\n");
    EXPECT_TRUE(early.c.closed);
}

TEST_F(SmtpSession, OtherProtocolsAreSentAway)
{
    for (const std::string &bytes :
         {std::string("GET / HTTP/1.1\r\n"), std::string("post / HTTP/1.1\r\nHost: x\r\n\r\n"),
          std::string("CONNECT x:25 HTTP/1.1\r\n"), std::string("\x16\x03\x01", 3), std::string("{")}) {
        Session s(smtp_proto, &cfg);
        s.open();
        EXPECT_TRUE(s.send(bytes).substr(0, 3) == "221" || bytes[0] == 'p') << bytes;
        EXPECT_TRUE(s.c.closed) << bytes;
    }
}

TEST_F(SmtpSession, MailLoopsAreCut)
{
    std::string loop;
    for (uint32_t i = 0; i <= cfg.received_max; i++) {
        loop += "Received: x\r\n";
    }
    Session s(smtp_proto, &cfg);
    s.open();
    EXPECT_EQ(codes(s.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n", loop + "\r\n.\r\n"})), "250 250 250 354 554");
    EXPECT_EQ(codes(s.talk({mail, to_alice, "DATA\r\n", loop.substr(13) + "\r\n.\r\n"})), "250 250 354 250");
}

TEST_F(SmtpSession, ErrorsAreSlowedDownAndThenEnded)
{
    Session s(smtp_proto, &cfg);
    s.open();
    std::string out;
    for (int i = 0; i < 30 && !s.c.closed; i++) {
        out = s.send("FOO\r\n");
    }
    EXPECT_EQ(out, "421 4.7.0 too many errors\r\n");
    EXPECT_EQ(fake().slept_ms.size(), (size_t)(cfg.errors_hard - cfg.errors_soft - 1));
}

TEST_F(SmtpSession, SlowAndEndlessDataIsGivenUp)
{
    Session slow(smtp_proto, &cfg);
    slow.open();
    slow.c.on_read = [this] { time.ms += 10000; };
    std::vector<std::string> trickle = {"EHLO c\r\n", mail, to_alice, "DATA\r\n"};
    for (int i = 0; i < 20; i++) {
        trickle.push_back("x\r\n");
    }
    EXPECT_EQ(codes(slow.talk(trickle)), "250 250 250 354 421");
    EXPECT_TRUE(slow.c.closed);
    EXPECT_GT(slow.c.steps.size(), 0u);

    Session silent(smtp_proto, &cfg);
    silent.open();
    silent.c.read_fails = ERR_TIMEOUT;
    EXPECT_EQ(codes(silent.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n"})), "250 250 250 354 421");

    Session gone(smtp_proto, &cfg);
    gone.open();
    EXPECT_EQ(codes(gone.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n", "half a message\r\n"})), "250 250 250 354");
    EXPECT_EQ(delivered.size(), 0u);
    EXPECT_EQ(fake().uploads_aborted, 3);
}

TEST_F(SmtpSession, FailuresWhileTheDataComesAreAnsweredAtItsEnd)
{
    fake().upload_write_error = ERR_FULL;
    Session s(smtp_proto, &cfg);
    s.open();
    EXPECT_EQ(codes(s.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n", "RSET\r\n", "QUIT\r\n", ".\r\nNOOP\r\n"})),
              "250 250 250 354 452 250");
    fake().upload_write_error = ERR_LIMIT; /* it outgrew what MAIL declared (RFC 1870, 6.4) */
    EXPECT_EQ(codes(s.talk({mail, to_alice, "DATA\r\n", "x\r\n.\r\n"})), "250 250 354 552");
    fake().upload_write_error = OK;
    fake().upload_begin_error = ERR_FULL;
    EXPECT_EQ(codes(s.talk({mail, to_alice, "DATA\r\n"})), "250 250 452");
    EXPECT_EQ(delivered.size(), 0u);
}

TEST_F(SmtpSession, TheBodyBudgetIsGivenBack)
{
    cfg.body_budget_bytes = 300 * 1024;
    Session a(smtp_proto, &cfg);
    a.open();
    a.c.on_read = [this, &a] {
        a.c.on_read = nullptr;
        Session b(smtp_proto, &cfg);
        b.open();
        EXPECT_EQ(codes(b.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n"})), "250 250 250 451")
            << "spent by the other one";
    };
    EXPECT_EQ(codes(a.talk({"EHLO c\r\n", mail, to_alice, "DATA\r\n", "x\r\n.\r\n"})), "250 250 250 354 250");
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(codes(a.talk({mail, to_alice, "DATA\r\n", "x\r\n.\r\n"})), "250 250 354 250");
    }
}

TEST_F(SmtpSession, DrainAndTimeoutSayWhy)
{
    Session s(smtp_proto, &cfg);
    s.open();
    EXPECT_EQ(s.event(CONN_EVENT_DRAIN), "421 4.3.2 shutting down\r\n");
    EXPECT_TRUE(s.c.closed);
    Session t(smtp_proto, &cfg);
    t.open();
    EXPECT_EQ(t.event(CONN_EVENT_TIMEOUT), "421 4.4.2 timeout, closing\r\n");
    EXPECT_TRUE(t.c.closed);
    Session d(smtp_proto, &cfg);
    d.open();
    d.c.draining = true;
    EXPECT_EQ(codes(d.send("EHLO c\r\n")), "250 421");
}

TEST_F(SmtpSession, ALineByTheByteIsGivenUp)
{
    Session s(smtp_proto, &cfg);
    s.open();
    s.send("EHLO c\r\n");
    std::string out;
    for (int i = 0; i < 100 && !s.c.closed; i++) {
        time.ms += 10000;
        out += s.send("N");
    }
    EXPECT_EQ(out, "421 4.4.2 timeout, closing\r\n");
    Session patient(smtp_proto, &cfg);
    patient.open();
    for (int i = 0; i < 100; i++) {
        time.ms += 10000;
        EXPECT_EQ(code_of(patient.send("NOOP\r\n")), 250);
    }
}

TEST_F(SmtpSession, AResponseOfAuthByTheByteIsGivenUp)
{
    Session s(submission_proto, &cfg);
    s.open();
    s.send("EHLO c\r\n");
    s.c.on_read = [this] { time.ms += 10000; };
    std::vector<std::string> trickle = {"AUTH PLAIN\r\n"};
    trickle.insert(trickle.end(), 100, "A");
    EXPECT_EQ(s.talk(trickle), "334 \r\n");
    EXPECT_TRUE(s.c.closed);
    EXPECT_GT(s.c.steps.size(), 50u);
}

TEST_F(SmtpSession, LmtpIsNotPunishedForItsRecipients)
{
    cfg.message_bytes_max = 10;
    Session s(lmtp_proto, &cfg);
    s.open();
    s.send("LHLO c\r\n");
    std::string recipients;
    for (int i = 0; i < 30; i++) {
        recipients += to_alice;
        recipients += "RCPT TO:<nobody@example.test>\r\n";
    }
    std::string out = codes(s.talk({mail + recipients + "DATA\r\n", "longer than that\r\n.\r\n"}));
    std::string want = "250";
    for (int i = 0; i < 30; i++) {
        want += " 250 550";
    }
    want += " 354";
    for (int i = 0; i < 30; i++) {
        want += " 552";
    }
    EXPECT_EQ(out, want);
    EXPECT_EQ(fake().slept_ms.size(), 0u);
    for (int i = 0; i < 30 && !s.c.closed; i++) {
        out = s.send("FOO\r\n");
    }
    EXPECT_EQ(out, "421 4.7.0 too many errors\r\n") << "a peer that does not speak the protocol still is";
}

TEST_F(SmtpSession, LongLinesAreSkipped)
{
    Session s(smtp_proto, &cfg);
    s.open();
    EXPECT_EQ(
        codes(s.talk({"EHLO c\r\n", "NOOP " + std::string(50000, 'x'), std::string(50000, '1') + "\r\nNOOP\r\n"})),
        "250 500 250");
}

TEST_F(SmtpSession, NoAllocationFailureLosesOrDuplicatesAMessage)
{
    bool fired = true;
    for (uint64_t nth = 1; fired && nth < 5000; nth++) {
        delivered.clear();
        Session s(smtp_proto, &cfg);
        s.open();
        s.send("EHLO c\r\n");
        mem_fail_nth(nth);
        std::string out = s.talk({mail, to_alice, "DATA\r\n", "Subject: x\r\n\r\nbody\r\n.\r\n", "QUIT\r\n"});
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        bool acknowledged = out.find("250 2.0.0 stored") != std::string::npos;
        ASSERT_EQ(acknowledged, delivered.size() == 1) << nth << "\n" << out;
        ASSERT_LE(delivered.size(), 1u);
    }
    EXPECT_FALSE(fired);
    EXPECT_EQ(delivered.size(), 1u) << "the last round had no failure";
}
