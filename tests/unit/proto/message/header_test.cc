#include "tests/unit/proto/message/parse.h"

#include "proto/base/mem.h"
#include "proto/message/field.h"

namespace
{

std::string select(const std::string &block, const std::vector<std::string> &names, bool not_listed = false)
{
    std::vector<slice> list;
    for (const std::string &n : names) {
        list.push_back(to_slice(n));
    }
    Buf out;
    EXPECT_EQ(OK, msg_headers_select(to_slice(block), list.data(), list.size(), not_listed, &out.b));
    return out.str();
}

struct Field {
    std::string name, value, line;
};

std::vector<Field> fields(const std::string &block)
{
    std::vector<char> copy(block.begin(), block.end());
    slice rest = slice_make(copy.data(), copy.size());
    slice n, v, l;
    std::vector<Field> out;
    while (msg_header_next(&rest, &n, &v, &l)) {
        out.push_back({to_string(n), to_string(v), to_string(l)});
    }
    EXPECT_FALSE(msg_header_next(&rest, &n, &v, &l));
    return out;
}

} // namespace

TEST(Header, WalksFieldsRaw)
{
    std::vector<Field> f = fields("A: 1\r\nB :2\r\n\tmore\r\n \r\nC:\n\r\nD: body");
    ASSERT_EQ(3u, f.size());
    EXPECT_EQ("A", f[0].name);
    EXPECT_EQ(" 1", f[0].value);
    EXPECT_EQ("A: 1\r\n", f[0].line);
    EXPECT_EQ("B", f[1].name);
    EXPECT_EQ("2\r\n\tmore\r\n ", f[1].value);
    EXPECT_EQ("C", f[2].name);
    EXPECT_EQ("", f[2].value);
}

TEST(Header, GivesLinesThatAreNoFieldWithoutAName)
{
    std::vector<Field> f = fields("From x: y\nno colon\n: none\n lead: x\nok: z");
    ASSERT_EQ(4u, f.size());
    EXPECT_EQ("", f[0].name);
    EXPECT_EQ("From x: y", f[0].value);
    EXPECT_EQ("", f[1].name);
    EXPECT_EQ("", f[2].name);
    EXPECT_EQ(": none\n lead: x\n", f[2].line);
    EXPECT_EQ("ok", f[3].name);
    EXPECT_EQ("ok: z", f[3].line);
    EXPECT_TRUE(fields("").empty());
    EXPECT_TRUE(fields("\r\nA: b\r\n").empty());
}

TEST(Header, SelectsFieldsInOrderUnchanged)
{
    std::string block = "From: a\r\nTO: b\r\n c\r\nX: d\r\nto: e\r\n\r\nTo: body\r\n";
    EXPECT_EQ("TO: b\r\n c\r\nto: e\r\n\r\n", select(block, {"To", "Absent"}));
    EXPECT_EQ("From: a\r\nX: d\r\n\r\n", select(block, {"TO"}, true));
    EXPECT_EQ("\r\n", select(block, {"T"}));
    EXPECT_EQ("\r\n", select("", {"To"}));
    EXPECT_EQ("To: x\r\n\r\n", select("To: x", {"To"}));
    EXPECT_EQ("junk\n\r\n", select("junk\nTo: x\n", {"To", ""}, true));
}

TEST(Header, SelectLeavesTheBufferAloneOnFailure)
{
    Buf out(8);
    ASSERT_EQ(OK, buf_append_str(&out.b, "kept"));
    slice name = slice_str("A");
    EXPECT_EQ(ERR_LIMIT, msg_headers_select(slice_str("A: 1\nA: 2\n"), &name, 1, false, &out.b));
    EXPECT_EQ("kept", out.str());
}

TEST(Header, KnowsEveryFieldByItsNameInAnyCase)
{
    for (int i = 0; i < MSG_FIELD_COUNT; i++) {
        std::string name = msg_field_name(static_cast<msg_field>(i));
        EXPECT_EQ(i, msg_field_find(to_slice(name))) << name;
        std::transform(name.begin(), name.end(), name.begin(), ::toupper);
        EXPECT_EQ(i, msg_field_find(to_slice(name))) << name;
        name.back() = '~';
        EXPECT_EQ(MSG_FIELD_OTHER, msg_field_find(to_slice(name))) << name;
    }
    EXPECT_EQ(MSG_FIELD_OTHER, msg_field_find(slice_str("")));
    EXPECT_EQ(MSG_FIELD_OTHER, msg_field_find(slice_str("Received")));
    EXPECT_EQ(MSG_FIELD_OTHER, msg_field_find(slice_str("x-very-long-name-that-is-longer-than-all-of-them")));
}

TEST(Header, CachesWhatClientsAskFor)
{
    const std::vector<std::vector<std::string>> clients = {
        /* Apple Mail */
        {"date", "subject", "from", "to", "cc", "message-id", "in-reply-to", "references", "content-type", "x-priority",
         "x-uniform-type-identifier", "x-universally-unique-identifier", "list-id", "list-unsubscribe",
         "bimi-indicator", "bimi-location", "x-bimi-indicator-hash", "authentication-results", "dkim-signature"},
        /* K-9 and Thunderbird for Android */
        {"date", "subject", "from", "content-type", "to", "cc", "bcc", "reply-to", "message-id", "references",
         "in-reply-to", "list-post", "list-unsubscribe", "sender", "X-K9mail-Identity", "Chat-Version"},
        /* Thunderbird */
        {"From", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID", "Priority", "X-Priority", "References",
         "Newsgroups", "In-Reply-To", "Content-Type", "Reply-To"},
        /* mutt */
        {"DATE", "FROM", "SENDER", "SUBJECT", "TO", "CC", "MESSAGE-ID", "REFERENCES", "CONTENT-TYPE",
         "CONTENT-DESCRIPTION", "IN-REPLY-TO", "REPLY-TO", "LINES", "LIST-POST", "X-LABEL"},
        /* Roundcube */
        {"DATE",
         "FROM",
         "TO",
         "SUBJECT",
         "CONTENT-TYPE",
         "CC",
         "REPLY-TO",
         "LIST-POST",
         "DISPOSITION-NOTIFICATION-TO",
         "X-PRIORITY",
         "X-DRAFT-INFO",
         "IN-REPLY-TO",
         "BCC",
         "SENDER",
         "MESSAGE-ID",
         "CONTENT-TRANSFER-ENCODING",
         "REFERENCES",
         "MAIL-FOLLOWUP-TO",
         "MAIL-REPLY-TO",
         "RETURN-PATH"},
    };
    Record rec(parse("Subject: x\n\n"));
    for (const std::vector<std::string> &names : clients) {
        std::vector<slice> list;
        for (const std::string &n : names) {
            list.push_back(to_slice(n));
        }
        EXPECT_TRUE(msg_headers_cached(&rec.r, list.data(), list.size())) << names[0] << " ... " << names.back();
    }
}
