#include "tests/unit/proto/message/grammar.h"

#include <random>

#include "proto/base/mem.h"

namespace
{

std::vector<size_t> random_cuts(std::mt19937 *rng, size_t n, size_t step_max)
{
    std::vector<size_t> cuts;
    size_t at = 0;
    while ((at += 1 + (*rng)() % step_max) < n) {
        cuts.push_back(at);
    }
    return cuts;
}

const char nested[] = "From: a@b.example\n"
                      "Subject: nested\n"
                      "Content-Type: multipart/mixed; boundary=\"x\"\n"
                      "\n"
                      "preamble\n"
                      "--x\n"
                      "Content-Type: multipart/alternative; boundary=xy\n"
                      "\n"
                      "--xy\n"
                      "\n"
                      "one\n"
                      "--xy \n"
                      "Content-Type: text/html\n"
                      "\n"
                      "-two\n"
                      "--\n"
                      "--xyz\n"
                      "--xy--\n"
                      "--x\n"
                      "Content-Type: message/rfc822\n"
                      "\n"
                      "Subject: inner\n"
                      "\n"
                      "text\n"
                      "--x--\n"
                      "epilogue\n";

} // namespace

TEST(Parser, GivesTheSameRecordAtEverySplitInTwoAndThree)
{
    for (const std::string &m : {std::string(nested), crlf(nested)}) {
        std::string whole = parse(m);
        expect_sound(whole, m.size());
        for (size_t i = 0; i <= m.size(); i++) {
            ASSERT_EQ(whole, parse_at(m, {i})) << i;
        }
        for (size_t i = 0; i + 2 < m.size(); i++) {
            ASSERT_EQ(whole, parse_at(m, {i, i + 1})) << i;
            ASSERT_EQ(whole, parse_at(m, {i, i + 2})) << i;
        }
        ASSERT_EQ(whole, parse_bytewise(m));
    }
}

TEST(Parser, GivesASoundRecordForEverySampleAndTheSameAtRandomSplits)
{
    std::mt19937 rng(20261121);
    std::vector<std::string> paths = mail_paths();
    ASSERT_GT(paths.size(), 130u);
    for (const std::string &path : paths) {
        SCOPED_TRACE(path);
        std::string m = read_file(path);
        std::string whole = parse(m);
        expect_sound(whole, m.size());
        ASSERT_EQ(whole, parse_bytewise(m));
        for (size_t step : {3u, 17u, 100u, 1000u}) {
            ASSERT_EQ(whole, parse_at(m, random_cuts(&rng, m.size(), step)));
        }
    }
}

TEST(Parser, GivesTheSameRecordAtEverySplitOfSmallSamples)
{
    for (const std::string &path : mail_paths()) {
        std::string m = read_file(path);
        if (m.size() > 700) {
            continue;
        }
        SCOPED_TRACE(path);
        std::string whole = parse(m);
        for (size_t i = 1; i < m.size(); i++) {
            ASSERT_EQ(whole, parse_at(m, {i})) << i;
        }
    }
}

TEST(Parser, SurvivesDamagedSamples)
{
    std::mt19937 rng(7);
    for (const std::string &path : mail_paths()) {
        SCOPED_TRACE(path);
        std::string m = read_file(path);
        for (int round = 0; round < 4; round++) {
            std::string bad = m.substr(0, rng() % (m.size() + 1));
            for (int i = 0; i < 8 && !bad.empty(); i++) {
                bad[rng() % bad.size()] = "\n\r-;\"(<>:\0\xff="[rng() % 12];
            }
            std::string whole = parse(bad);
            expect_sound(whole, bad.size());
            ASSERT_EQ(whole, parse_at(bad, random_cuts(&rng, bad.size(), 9)));
        }
    }
}

TEST(Parser, GivesTheSameRecordAfterAReset)
{
    msg_parser *p = nullptr;
    ASSERT_EQ(OK, msg_parser_new(&msg_limits_default, &p));
    for (const char *m : {nested, "Subject: x\n\nshort\n", nested}) {
        Buf out;
        msg_parser_reset(p);
        ASSERT_EQ(OK, msg_parser_feed(p, slice_str(m)));
        ASSERT_EQ(OK, msg_parser_finish(p, &out.b));
        EXPECT_EQ(parse(m), out.str());
    }
    msg_parser_reset(p);
    ASSERT_EQ(OK, msg_parser_feed(p, slice_str("half a mess")));
    msg_parser_free(p);
}

TEST(Parser, AppendsToWhatTheBufferHolds)
{
    msg_parser *p = nullptr;
    Buf out;
    ASSERT_EQ(OK, buf_append_str(&out.b, "kept"));
    ASSERT_EQ(OK, msg_parser_new(&msg_limits_default, &p));
    ASSERT_EQ(OK, msg_parser_feed(p, slice_str(nested)));
    ASSERT_EQ(OK, msg_parser_finish(p, &out.b));
    msg_parser_free(p);
    EXPECT_EQ("kept" + parse(nested), out.str());
}

TEST(Parser, LeavesTheBufferAloneWhenTheRecordDoesNotFit)
{
    msg_parser *p = nullptr;
    Buf out(100);
    ASSERT_EQ(OK, buf_append_str(&out.b, "kept"));
    ASSERT_EQ(OK, msg_parser_new(&msg_limits_default, &p));
    ASSERT_EQ(OK, msg_parser_feed(p, slice_str(nested)));
    EXPECT_EQ(ERR_LIMIT, msg_parser_finish(p, &out.b));
    msg_parser_free(p);
    EXPECT_EQ("kept", out.str());
}

TEST(Parser, FailsCleanlyAtEveryAllocation)
{
    std::string whole = parse(nested);
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        ASSERT_LT(nth, 500u);
        msg_parser *p = nullptr;
        Buf out;
        mem_fail_nth(nth);
        err e = msg_parser_new(&msg_limits_default, &p);
        if (e == OK) {
            e = msg_parser_feed(p, slice_make(nested, 60));
        }
        if (e == OK) {
            e = msg_parser_feed(p, slice_make(nested + 60, sizeof(nested) - 61));
        }
        if (e == OK) {
            e = msg_parser_finish(p, &out.b);
        }
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        EXPECT_EQ(fired ? ERR_NOMEM : OK, e) << nth;
        EXPECT_EQ(fired ? "" : whole, out.str()) << nth;
        if (p != nullptr && fired) {
            /* The failure does not outlive a reset. */
            msg_parser_reset(p);
            EXPECT_EQ(OK, msg_parser_feed(p, slice_str(nested)));
            EXPECT_EQ(OK, msg_parser_finish(p, &out.b));
            EXPECT_EQ(whole, out.str());
        }
        msg_parser_free(p);
    }
}

TEST(Parser, StaysFailedUntilTheReset)
{
    msg_parser *p = nullptr;
    Buf out;
    ASSERT_EQ(OK, msg_parser_new(&msg_limits_default, &p));
    mem_fail_nth(1);
    EXPECT_EQ(ERR_NOMEM, msg_parser_feed(p, slice_str(nested)));
    mem_fail_nth(0);
    EXPECT_EQ(ERR_NOMEM, msg_parser_feed(p, slice_str(nested)));
    EXPECT_EQ(ERR_NOMEM, msg_parser_finish(p, &out.b));
    msg_parser_free(p);
}
