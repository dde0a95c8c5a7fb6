#include "frontend/smtp/smtp_trace.h"

#include <gtest/gtest.h>

#include <string>

namespace
{

smtp_trace base()
{
    smtp_trace t = {};
    t.hostname = "mx.example.test";
    t.id = "0123456789abcdef";
    t.helo = "client.test";
    t.ip = "192.0.2.7";
    t.tls = "";
    t.mailbox = "bob@example.test";
    t.reverse_path = "alice@far.test";
    t.now_s = 1795251600; /* Sat, 21 Nov 2026 */
    t.extended = true;
    return t;
}

std::string format(const smtp_trace &t)
{
    buf b;
    buf_init(&b, 4096);
    EXPECT_EQ(smtp_trace_format(&t, &b), OK);
    slice s = buf_slice(&b);
    std::string r(reinterpret_cast<const char *>(s.p), s.n);
    buf_fini(&b);
    return r;
}

std::string protocol(bool lmtp, bool extended, bool tls, bool authenticated, bool utf8)
{
    smtp_trace t = base();
    char out[16];
    t.lmtp = lmtp;
    t.extended = extended;
    t.tls = tls ? "TLSv1.3 X" : "";
    t.authenticated = authenticated;
    t.utf8 = utf8;
    smtp_trace_protocol(&t, out);
    return out;
}

} // namespace

TEST(SmtpTrace, ProtocolKeywordsAreThoseOfTheRegistry)
{
    EXPECT_EQ(protocol(false, false, false, false, false), "SMTP");
    EXPECT_EQ(protocol(false, true, false, false, false), "ESMTP");
    EXPECT_EQ(protocol(false, true, true, false, false), "ESMTPS");
    EXPECT_EQ(protocol(false, true, false, true, false), "ESMTPA");
    EXPECT_EQ(protocol(false, true, true, true, false), "ESMTPSA");
    EXPECT_EQ(protocol(false, true, false, false, true), "UTF8SMTP");
    EXPECT_EQ(protocol(false, true, true, true, true), "UTF8SMTPSA");
    EXPECT_EQ(protocol(true, true, false, false, false), "LMTP");
    EXPECT_EQ(protocol(true, true, true, true, false), "LMTPSA");
    EXPECT_EQ(protocol(true, true, true, true, true), "UTF8LMTPSA");
}

TEST(SmtpTrace, OneRecipientIsNamed)
{
    EXPECT_EQ(format(base()), "Return-Path: <alice@far.test>\r\n"
                              "Received: from client.test ([192.0.2.7])\r\n"
                              "\tby mx.example.test with ESMTP\r\n"
                              "\tid 0123456789abcdef\r\n"
                              "\tfor <bob@example.test>;\r\n"
                              "\tSat, 21 Nov 2026 09:00:00 +0000\r\n");
}

TEST(SmtpTrace, SeveralRecipientsStayBlind)
{
    smtp_trace t = base();
    t.mailbox = nullptr;
    t.ip = "2001:db8::7";
    t.tls = "TLSv1.3 TLS_AES_128_GCM_SHA256";
    t.reverse_path = "";
    EXPECT_EQ(format(t), "Return-Path: <>\r\n"
                         "Received: from client.test ([IPv6:2001:db8::7])\r\n"
                         "\tby mx.example.test with ESMTPS (TLSv1.3 TLS_AES_128_GCM_SHA256)\r\n"
                         "\tid 0123456789abcdef;\r\n"
                         "\tSat, 21 Nov 2026 09:00:00 +0000\r\n");
}

TEST(SmtpTrace, SubmissionDoesNotTellWhereTheUserIs)
{
    smtp_trace t = base();
    t.ip = nullptr;
    t.authenticated = true;
    std::string s = format(t);
    EXPECT_EQ(s.find("client.test"), std::string::npos);
    EXPECT_NE(s.find("Received: by mx.example.test with ESMTPA"), std::string::npos);
}

TEST(SmtpTrace, AGreetingCannotWriteIntoTheHeader)
{
    smtp_trace t = base();
    t.helo = "a(b)\"c\\;\r\nX: y\xff";
    std::string s = format(t);
    EXPECT_NE(s.find("from a?b??c????X:?y? ("), std::string::npos) << s;
}
