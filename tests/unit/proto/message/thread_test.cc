#include "tests/unit/proto/message/parse.h"

#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "proto/message/thread.h"

namespace
{

std::string base(const std::string &s)
{
    std::vector<char> copy(s.begin(), s.end());
    return to_string(msg_subject_base(slice_make(copy.data(), copy.size())));
}

uint64_t subject(const std::string &value)
{
    uint64_t h = 1;
    EXPECT_EQ(OK, msg_subject_hash(to_slice(value), &h));
    return h;
}

} // namespace

TEST(Thread, StripsSubjectsAsRfc5256Says)
{
    EXPECT_EQ("hello", base("hello"));
    EXPECT_EQ("hello", base("Re: hello"));
    EXPECT_EQ("hello", base("RE: re: Fw: FWD: hello (fwd) (FWD) "));
    EXPECT_EQ("hello", base("Re [3] : hello"));
    EXPECT_EQ("hello", base("[list] Re: hello"));
    EXPECT_EQ("hello", base("[a] [b] hello"));
    EXPECT_EQ("[only]", base("[only]"));
    EXPECT_EQ("[b]", base("[a] [b]"));
    EXPECT_EQ("hello", base("[Fwd: Re: hello]"));
    EXPECT_EQ("hello", base("Re: [fwd: [x] hello (fwd)]"));
    EXPECT_EQ("Reply: x", base("Reply: x"));
    EXPECT_EQ("[open", base("[open"));
    EXPECT_EQ("", base("Re:"));
    EXPECT_EQ("", base(""));
}

TEST(Thread, HashesTheMeaningOfASubject)
{
    EXPECT_EQ(0u, subject(""));
    EXPECT_EQ(0u, subject(" Re: (fwd)"));
    EXPECT_NE(0u, subject("hello"));
    EXPECT_EQ(subject("hello world"), subject(" RE: Hello\r\n\tWORLD "));
    EXPECT_EQ(subject("caf\xc3\xa9"), subject("Re: =?ISO-8859-1?Q?CAF=C9?="));
    EXPECT_NE(subject("hello"), subject("hello2"));
    uint64_t h = 1;
    EXPECT_EQ(OK, msg_subject_hash(slice_make(NULL, 0), &h));
    EXPECT_EQ(0u, h);
}

TEST(Thread, HashesIdsWithoutBracketsAndSpace)
{
    EXPECT_EQ(hash_stable("a@b", 3), msg_id_hash(slice_str(" <a@b>")));
    EXPECT_EQ(hash_stable("a@b", 3), msg_id_hash(slice_str("a@b\r\n ")));
    EXPECT_EQ(hash_stable("a@b", 3), msg_id_hash(slice_str(" (x) <a@\r\n b> <c@d>")));
    EXPECT_EQ(hash_stable("a@b", 3), msg_id_hash(slice_str("<a@b")));
    EXPECT_EQ(0u, msg_id_hash(slice_str("<>")));
    EXPECT_EQ(0u, msg_id_hash(slice_str("  ")));
    EXPECT_EQ(0u, msg_id_hash(slice_make(NULL, 0)));
}

TEST(Thread, TakesEachReferenceOnce)
{
    msg_fields f;
    uint64_t out[MSG_REFERENCES_MAX];
    msg_fields_read(&f, slice_str("References: <1@x> <2@x> junk> <3@x>\nIn-Reply-To: <3@x>\n"));
    ASSERT_EQ(3u, msg_references(&f, out));
    EXPECT_EQ(hash_stable("3@x", 3), out[0]);
    EXPECT_EQ(hash_stable("2@x", 3), out[1]);
    EXPECT_EQ(hash_stable("1@x", 3), out[2]);
    msg_fields_read(&f, slice_str("References: <<<<>>>>\nIn-Reply-To: <\n"));
    EXPECT_EQ(0u, msg_references(&f, out));
}

TEST(Thread, FailsCleanlyAtEveryAllocation)
{
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        ASSERT_LT(nth, 100u);
        uint64_t h = 0;
        mem_fail_nth(nth);
        err e = msg_subject_hash(slice_str("Re: =?utf-8?q?some_longer_subject_with_words?= and more of it"), &h);
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        EXPECT_EQ(fired ? ERR_NOMEM : OK, e);
    }
}
