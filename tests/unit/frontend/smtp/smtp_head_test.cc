#include "frontend/smtp/smtp_head.h"

#include <gtest/gtest.h>

#include <string>

namespace
{

std::string filter(const std::string &in, size_t split, bool add, uint32_t *out_received)
{
    smtp_head h = {};
    if (add) {
        h.add_date = slice_str("Date: D\r\n");
        h.add_message_id = slice_str("Message-ID: <M>\r\n");
    }
    buf out;
    buf_init(&out, 1 << 20);
    EXPECT_EQ(smtp_head_feed(&h, slice_make(in.data(), split), &out), OK);
    EXPECT_EQ(smtp_head_feed(&h, slice_make(in.data() + split, in.size() - split), &out), OK);
    EXPECT_EQ(smtp_head_finish(&h, &out), OK);
    slice s = buf_slice(&out);
    std::string r(reinterpret_cast<const char *>(s.p), s.n);
    buf_fini(&out);
    *out_received = h.received;
    return r;
}

void expect(const std::string &in, bool add, const std::string &want, uint32_t received)
{
    for (size_t split = 0; split <= in.size(); split++) {
        uint32_t n = 0;
        ASSERT_EQ(filter(in, split, add, &n), want) << split;
        ASSERT_EQ(n, received) << split;
    }
}

} // namespace

TEST(SmtpHead, NothingChangesWhenNothingIsToBeAdded)
{
    for (const char *in : {"", "\r\n", "A: b\r\n\r\nbody", "no header at all\r\n", "A: b", "A", " x\r\n\r\n", "\n",
                           "A: b\n\nDate: x\n", "averyveryveryveryverylongnamethatgoesonandon: x\r\n\r\n", ": x\r\n"}) {
        expect(in, false, in, 0);
    }
}

TEST(SmtpHead, CountsReceivedInTheHeaderOnly)
{
    expect(
        "Received: a\r\n b\r\nRECEIVED :c\r\nReceived-SPF: x\r\n Received: d\r\nX: Received: e\r\n\r\nReceived: f\r\n",
        false,
        "Received: a\r\n b\r\nRECEIVED :c\r\nReceived-SPF: x\r\n Received: d\r\nX: Received: e\r\n\r\nReceived: f\r\n",
        2);
}

TEST(SmtpHead, AddsWhatIsMissingAtTheEndOfTheHeader)
{
    expect("Subject: x\r\n\r\nbody\r\n", true, "Subject: x\r\nDate: D\r\nMessage-ID: <M>\r\n\r\nbody\r\n", 0);
    expect("dAtE: x\r\n\r\nMessage-ID: y\r\n", true, "dAtE: x\r\nMessage-ID: <M>\r\n\r\nMessage-ID: y\r\n", 0);
    expect("Message-Id: x\r\n\r\n", true, "Message-Id: x\r\nDate: D\r\n\r\n", 0);
    expect("Date: x\r\nMessage-ID:\r\n <y>\r\n\r\nb", true, "Date: x\r\nMessage-ID:\r\n <y>\r\n\r\nb", 0);
    expect("Subject: only a header\r\n", true, "Subject: only a header\r\nDate: D\r\nMessage-ID: <M>\r\n", 0);
    expect("", true, "Date: D\r\nMessage-ID: <M>\r\n", 0);
}

TEST(SmtpHead, ABodyWithoutHeaderGetsAnEmptyLineBeforeIt)
{
    expect("hello world\r\nDate: no\r\n", true, "Date: D\r\nMessage-ID: <M>\r\n\r\nhello world\r\nDate: no\r\n", 0);
    expect("A: b\r\nhello\r\n", true, "A: b\r\nDate: D\r\nMessage-ID: <M>\r\n\r\nhello\r\n", 0);
}
