#include "tests/unit/storage/search/search_fixture.h"

using namespace search_test;

namespace
{

/* Method calls only: what each key means, and what hostile programs get. */
class Search : public Box
{
};

std::string letter(const std::string &headers, const std::string &body)
{
    return "From: Ann Example <ann@example.org>\r\nTo: bob@example.test\r\n" + headers + "\r\n" + body;
}

std::string base64(const std::string &in)
{
    static const char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < in.size(); i += 3) {
        uint32_t v = 0;
        size_t n = std::min<size_t>(3, in.size() - i);
        for (size_t j = 0; j < 3; j++) {
            v = v << 8 | (j < n ? static_cast<uint8_t>(in[i + j]) : 0);
        }
        for (size_t j = 0; j < 4; j++) {
            out += j <= n ? kDigits[v >> (18 - 6 * j) & 63] : '=';
        }
        if (i % 57 == 54) {
            out += "\r\n";
        }
    }
    return out + "\r\n";
}

std::string le16_text(const char *ascii)
{
    std::string r;
    for (const char *p = ascii; *p != '\0'; p++) {
        r += *p;
        r += '\0';
    }
    return r;
}

TEST_F(Search, flags_and_keywords_select_what_the_row_says)
{
    add(letter("", "x"), FLAG_SEEN);
    add(letter("", "x"), FLAG_SEEN | FLAG_FLAGGED, {"$Work"});
    add(letter("", "x"), 0, {"$Work", "Later"});
    EXPECT_EQ((Uids{1, 2, 3}), hits(plain(OP(ALL))));
    EXPECT_EQ((Uids{1, 2}), hits(flags(FLAG_SEEN, 0)));
    EXPECT_EQ((Uids{1}), hits(flags(FLAG_SEEN, FLAG_FLAGGED)));
    EXPECT_EQ((Uids{3}), hits(flags(0, FLAG_SEEN)));
    EXPECT_EQ((Uids{1, 2, 3}), hits(flags(0, 0)));
    EXPECT_EQ((Uids{2, 3}), hits(named(OP(KEYWORD), "$work")));
    EXPECT_EQ((Uids{3}), hits(named(OP(KEYWORD), "Later")));
    EXPECT_EQ((Uids{}), hits(named(OP(KEYWORD), "Never")));
    EXPECT_EQ((Uids{1, 2, 3}), hits(none_of(named(OP(KEYWORD), "Never"))));
}

TEST_F(Search, keywords_beyond_the_row_are_found_in_overflow_rows)
{
    std::vector<std::string> many;
    for (int i = 0; i < 80; i++) {
        many.push_back("k" + std::to_string(i));
    }
    add(letter("", "x"), 0, many);
    add(letter("", "x"), 0, {"k70"});
    add(letter("", "x"), 0, {"k54"});
    EXPECT_EQ((Uids{1, 2}), hits(named(OP(KEYWORD), "K70")));
    EXPECT_EQ((Uids{1}), hits(named(OP(KEYWORD), "k55")));
    EXPECT_EQ((Uids{1, 3}), hits(named(OP(KEYWORD), "k54")));
}

TEST_F(Search, sizes_are_compared_strictly)
{
    uint32_t small = static_cast<uint32_t>(letter("", "x").size());
    add(letter("", "x"));
    add(letter("", "xy"));
    add(letter("", "xyz"));
    EXPECT_EQ((Uids{2, 3}), hits(number(OP(LARGER), small)));
    EXPECT_EQ((Uids{1}), hits(number(OP(SMALLER), small + 1)));
    EXPECT_EQ((Uids{2}), hits(all_of({number(OP(LARGER), small), number(OP(SMALLER), small + 2)})));
    EXPECT_EQ((Uids{}), hits(number(OP(LARGER), UINT64_MAX)));
}

TEST_F(Search, date_ranges_hold_their_beginning_and_not_their_end)
{
    add(letter("", "x"), 0, {}, 1000);
    add(letter("", "x"), 0, {}, 2000);
    add(letter("", "x"), 0, {}, -86400);
    EXPECT_EQ((Uids{1}), hits(range(OP(INTERNAL), 1000, 2000)));
    EXPECT_EQ((Uids{1, 2}), hits(range(OP(INTERNAL), 1000, INT64_MAX)));
    EXPECT_EQ((Uids{3}), hits(range(OP(INTERNAL), INT64_MIN, 1000)));
    EXPECT_EQ((Uids{}), hits(range(OP(INTERNAL), 2000, 1000)));
    int64_t saved = static_cast<int64_t>(s.now_ms / 1000);
    EXPECT_EQ((Uids{1, 2, 3}), hits(range(OP(SAVED), saved - 10, saved + 10)));
    EXPECT_EQ((Uids{}), hits(range(OP(SAVED), saved + 10, INT64_MAX)));
}

/* RFC 3501, 6.4.4: "disregarding time and timezone". */
TEST_F(Search, sent_looks_at_the_day_that_stands_in_the_date_field)
{
    add(letter("Date: Mon, 3 Nov 2025 23:30:00 -1000\r\n", "x"));
    add(letter("Date: Tue, 4 Nov 2025 00:30:00 +1000\r\n", "x"));
    add(letter("", "x"));
    int64_t third = 1762128000; /* 2025-11-03 00:00 UTC */
    EXPECT_EQ((Uids{1}), hits(range(OP(SENT), third, third + 86400)));
    EXPECT_EQ((Uids{2}), hits(range(OP(SENT), third + 86400, third + 2 * 86400)));
    EXPECT_EQ((Uids{1, 2}), hits(range(OP(SENT), INT64_MIN, INT64_MAX)));
    EXPECT_EQ((Uids{3}), hits(none_of(range(OP(SENT), INT64_MIN, INT64_MAX))));
}

/* The zone was added to a time from disk that left no room for it. */
TEST_F(Search, a_sent_time_at_the_end_of_time_does_not_overflow)
{
    for (int64_t sent : {INT64_MAX - 10, INT64_MIN + 10}) {
        for (int zone : {32000, -32000}) {
            Mail m = simple_mail(1);
            put_le64(reinterpret_cast<uint8_t *>(&m.record[16]), static_cast<uint64_t>(sent));
            put_le16(reinterpret_cast<uint8_t *>(&m.record[2]), static_cast<uint16_t>(zone));
            add(m);
        }
    }
    EXPECT_EQ((Uids{2, 3}), hits(range(OP(SENT), INT64_MIN, INT64_MAX)));
}

TEST_F(Search, uids_modseq_and_recent)
{
    for (int i = 0; i < 5; i++) {
        add(simple_mail(i));
    }
    ASSERT_EQ(OK, s.expunge(kAccount, inbox, uids({3})).status);
    EXPECT_EQ((Uids{2, 5}), hits(uid_key({2, 3, 5, 9})));
    EXPECT_EQ((Uids{1, 4}), hits(none_of(uid_key({2, 3, 5, 9}))));
    EXPECT_EQ((Uids{}), hits(uid_key({})));
    EXPECT_EQ((Uids{4, 5}), hits(number(OP(NEW_SINCE_UID), 4)));
    EXPECT_EQ((Uids{1, 2}), hits(none_of(number(OP(NEW_SINCE_UID), 4))));
    EXPECT_EQ((Uids{}), hits(number(OP(NEW_SINCE_UID), UINT64_MAX)));
    Found before = search(plain(OP(ALL)));
    ASSERT_EQ(OK, s.store(kAccount, inbox, uids({2}), 1, FLAG_SEEN).status);
    Found after = search(number(OP(MODSEQ), before.modseq + 1));
    EXPECT_EQ((Uids{2}), after.uids);
    EXPECT_GT(after.modseq, before.modseq);
    EXPECT_EQ((Uids{1, 2, 4, 5}), hits(number(OP(MODSEQ), 0)));
}

TEST_F(Search, uids_of_several_keys_are_all_asked_for)
{
    for (int i = 0; i < 9; i++) {
        add(simple_mail(i), i % 2 == 0 ? FLAG_SEEN : 0);
    }
    Key inner = all_of({uid_key({2, 3, 4, 5}), number(OP(NEW_SINCE_UID), 3)});
    EXPECT_EQ((Uids{3, 5}), hits(all_of({flags(FLAG_SEEN, 0), uid_key({1, 3, 5, 7}), inner})));
    EXPECT_EQ((Uids{1, 3, 5, 7}), hits(all_of({uid_key({1, 3, 5, 7}), any_of({uid_key({1, 3}), uid_key({5, 7})})})));
    EXPECT_EQ((Uids{1, 7}), hits(all_of({uid_key({1, 3, 5, 7}), none_of(uid_key({3, 5}))})));
    EXPECT_EQ((Uids{}), hits(all_of({uid_key({1}), uid_key({2})})));
}

TEST_F(Search, object_ids_name_one_message_or_its_thread)
{
    add(simple_mail(1));
    add(simple_mail(2));
    add(letter("Subject: Re: number 1\r\nIn-Reply-To: <m1@example.org>\r\n", "x"));
    Result r = s.fetch(kAccount, inbox, uid_range(1, 3), FETCH_COL_OBJECTID);
    auto m = UNPACK(Pb__ReadFetchResult, pb__read_fetch_result, r);
    std::string ids = str(m->objectid);
    ASSERT_EQ(96u, ids.size());
    EXPECT_EQ((Uids{2}), hits(objectid(OP(EMAILID), ids.substr(32, 16))));
    EXPECT_EQ((Uids{1, 3}), hits(objectid(OP(THREADID), ids.substr(16, 16))));
    EXPECT_EQ((Uids{}), hits(objectid(OP(EMAILID), ids.substr(32, 15))));
    EXPECT_EQ((Uids{}), hits(objectid(OP(THREADID), "")));
}

TEST_F(Search, headers_are_compared_decoded_and_without_case)
{
    add(letter("Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= aus\r\n =?iso-8859-1?B?S/ZsbiE=?= heute\r\n", "x"));
    add(letter("Subject: plain words\r\nSubject: and a second one\r\n", "x"));
    add(letter("X-Own : Value One\r\n", "subject: body"));
    EXPECT_EQ((Uids{1}), hits(named(OP(HEADER), "SUBJECT", "gr\xc3\x9c\xc3\x9f")));
    EXPECT_EQ((Uids{1}), hits(named(OP(HEADER), "subject", "aus K\xc3\xb6LN")));
    EXPECT_EQ((Uids{1}), hits(named(OP(HEADER), "subject", "ko\xcc\x88ln! heute")));
    EXPECT_EQ((Uids{2}), hits(named(OP(HEADER), "subject", "SECOND")));
    EXPECT_EQ((Uids{1, 2}), hits(named(OP(HEADER), "subject", "")));
    EXPECT_EQ((Uids{3}), hits(named(OP(HEADER), "x-own", "value one")));
    EXPECT_EQ((Uids{3}), hits(named(OP(HEADER), "X-OWN", "")));
    EXPECT_EQ((Uids{}), hits(named(OP(HEADER), "x-ow", "")));
    EXPECT_EQ((Uids{}), hits(named(OP(HEADER), "x-own-too", "")));
    EXPECT_EQ((Uids{1, 2, 3}), hits(named(OP(ADDRESS), "From", "Ann EXAMPLE")));
    EXPECT_EQ((Uids{}), hits(named(OP(ADDRESS), "Cc", "bob")));
}

TEST_F(Search, a_cached_field_that_did_not_fit_is_read_from_the_message)
{
    std::string many;
    for (int i = 0; i < 900; i++) {
        many += ",\r\n user" + std::to_string(i) + "@example.net";
    }
    add("From: a@b.c\r\nCc: first@example.net" + many + "\r\nSubject: s\r\n\r\nx");
    EXPECT_EQ((Uids{1}), hits(named(OP(ADDRESS), "Cc", "user899@")));
    EXPECT_EQ((Uids{1}), hits(text(OP(TEXT), "USER899@EXAMPLE")));
    EXPECT_EQ((Uids{}), hits(named(OP(ADDRESS), "Cc", "user900@")));
}

/* Long values are decoded in pieces. */
TEST_F(Search, needles_are_found_across_the_pieces_of_a_long_header)
{
    std::string value;
    for (int i = 0; i < 9000; i++) {
        value += " w" + std::to_string(i) + (i % 7 == 0 ? "\r\n" : "");
    }
    add("X-Long:" + value + "\r\nX-Solid: " + std::string(40000, 'a') + "END\r\n\r\nx");
    for (int i = 0; i + 3 < 9000; i += 13) {
        std::string needle =
            "W" + std::to_string(i) + " w" + std::to_string(i + 1) + " w" + std::to_string(i + 2) + " ";
        ASSERT_EQ((Uids{1}), hits(named(OP(HEADER), "x-long", needle))) << needle;
    }
    EXPECT_EQ((Uids{1}), hits(named(OP(HEADER), "x-solid", std::string(5000, 'A') + "end")));
    EXPECT_EQ((Uids{1}), hits(text(OP(TEXT), "x-solid: aaaa")));
    EXPECT_EQ((Uids{1}), hits(text(OP(TEXT), "aaaaend")));
    EXPECT_EQ((Uids{}), hits(named(OP(HEADER), "x-solid", "ab")));
}

TEST_F(Search, bodies_are_searched_after_transfer_encoding_and_charset)
{
    add(letter("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n",
               base64("Sch\xc3\xb6ne Gr\xc3\xbc\xc3\x9f"
                      "e from the needle in base64")));
    add(letter("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n",
               "Sch=F6ne w=\r\nords, the nee=\r\ndle in QP\r\n"));
    add(letter("Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: 8bit\r\n",
               "Sch\xf6ne \x80 needle\r\n"));
    add(letter("Content-Type: text/html; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n",
               base64(le16_text("a needle in UTF-16"))));
    add(letter("Content-Type: text/plain; charset=koi8-r\r\n", "\xf0\xd2\xc9\xd7\xc5\xd4 needle\r\n"));
    add(letter("Content-Type: application/octet-stream\r\n", "needle\r\n"));
    EXPECT_EQ((Uids{1, 2, 3, 4, 5}), hits(text(OP(BODY), "NEEDLE")));
    EXPECT_EQ((Uids{1, 2, 3, 4, 5}), hits(text(OP(TEXT), "NEEDLE")));
    EXPECT_EQ((Uids{1, 2, 3}), hits(text(OP(BODY), "SCH\xc3\x96NE")));
    EXPECT_EQ((Uids{2}), hits(text(OP(BODY), "words, the needle")));
    EXPECT_EQ((Uids{3}), hits(text(OP(BODY), "\xe2\x82\xac")));
    EXPECT_EQ((Uids{5}), hits(text(OP(BODY), "\xd0\xbf\xd0\xa0\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"))); /* mixed case */
    EXPECT_EQ((Uids{}), hits(text(OP(BODY), "ann@example.org")));
    EXPECT_EQ((Uids{1, 2, 3, 4, 5, 6}), hits(text(OP(TEXT), "from: ann")));
    EXPECT_EQ((Uids{1, 2, 3, 4, 5, 6}), hits(text(OP(BODY), "")));
}

TEST_F(Search, every_text_part_and_the_headers_of_messages_inside_count)
{
    add("From: a@b.c\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\npreamble-word\r\n"
        "--o\r\nContent-Type: text/plain\r\n\r\nfirst part\r\n"
        "--o\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nZmlyc3Q=\r\n"
        "--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?Q?inn=65r?= subject\r\n\r\ninner text\r\n"
        "--o\r\nContent-Type: text/html\r\n\r\n<p>last part</p>\r\n--o--\r\n");
    for (const char *yes : {"first PART", "inner SUBJECT", "subject: inner", "INNER text", "last part</P>"}) {
        EXPECT_EQ((Uids{1}), hits(text(OP(BODY), yes))) << yes;
        EXPECT_EQ((Uids{1}), hits(text(OP(TEXT), yes))) << yes;
    }
    for (const char *no : {"ZmlyC3Q=", "from: a@b.c", "multipart/mixed", "part\r\n--o", "inner subject inner"}) {
        EXPECT_EQ((Uids{}), hits(text(OP(BODY), no))) << no;
    }
}

/* BODY and TEXT did not see what lies in a part that the structure does not open. */
TEST_F(Search, text_below_the_depth_of_the_structure_is_found)
{
    std::string m = "From: a@b.c\r\n";
    for (int i = 0; i < 80; i++) {
        std::string b = "b" + std::to_string(i);
        m += "Content-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" + b + "\r\n";
    }
    add(m + "\r\nthe innermost text\r\n");
    EXPECT_EQ((Uids{1}), hits(text(OP(BODY), "INNERMOST")));
    EXPECT_EQ((Uids{1}), hits(text(OP(TEXT), "INNERMOST")));
    EXPECT_EQ((Uids{}), hits(text(OP(BODY), "outermost")));
}

TEST_F(Search, parts_beyond_the_limit_of_the_structure_are_found)
{
    std::string m = "From: a@b.c\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n";
    for (int i = 0; i < 1200; i++) {
        m += "--o\r\nContent-Type: text/plain\r\n\r\npart " + std::to_string(i) + ".\r\n";
    }
    add(m + "--o--\r\n");
    add("From: a@b.c\r\n\r\npart 5.\r\n");
    EXPECT_EQ((Uids{1, 2}), hits(text(OP(BODY), "PART 5.")));
    EXPECT_EQ((Uids{1}), hits(text(OP(BODY), "PART 1199.")));
    EXPECT_EQ((Uids{1}), hits(text(OP(TEXT), "PART 1199.")));
    EXPECT_EQ((Uids{}), hits(text(OP(BODY), "PART 1200.")));
}

TEST_F(Search, needles_are_found_at_every_offset_around_the_borders)
{
    std::string body(40000, 'x');
    const std::string needle = "NeEdLe-\xc3\xa4\xc3\xb6-end";
    std::vector<size_t> at;
    for (size_t border : {4080u, 4096u, 8192u, 12288u, 16384u, 32768u}) {
        for (size_t d = 0; d < 24; d++) {
            at.push_back(border - d);
        }
    }
    for (size_t off : at) {
        std::string b = body;
        b.replace(off, needle.size(), needle);
        add(letter("Content-Type: text/plain; charset=utf-8\r\n", b));
    }
    EXPECT_EQ(at.size(), hits(text(OP(BODY), "needle-\xc3\x84\xc3\x96-END")).size());
    EXPECT_EQ(at.size(), hits(text(OP(BODY), "x\x6e"
                                             "eedle"))
                             .size());
    EXPECT_EQ(0u, hits(text(OP(BODY), "needle-ao-end")).size());
}

TEST_F(Search, the_end_of_the_body_is_looked_at_and_nothing_joins_parts)
{
    add(letter("", std::string(8191, 'x') + "fin"));
    add(letter("Content-Type: multipart/mixed; boundary=o\r\n", "--o\r\n\r\nfi\r\n--o\r\n\r\nn\r\n--o--\r\n"));
    add(letter("Content-Transfer-Encoding: quoted-printable\r\n", "the fin=\r\n"));
    EXPECT_EQ((Uids{1, 3}), hits(text(OP(BODY), "FIN")));
}

TEST_F(Search, and_or_not_combine_cheap_and_dear_keys)
{
    add(letter("Subject: one\r\nX-Rare: r1\r\n", "alpha"), FLAG_SEEN);
    add(letter("Subject: two\r\nX-Rare: r2\r\n", "beta"));
    add(letter("Subject: three\r\n", "alpha beta"), FLAG_SEEN);
    Key alpha = text(OP(BODY), "alpha");
    Key beta = text(OP(TEXT), "beta");
    Key rare = named(OP(HEADER), "x-rare", "r");
    Key seen = flags(FLAG_SEEN, 0);
    Key two = named(OP(ADDRESS), "subject", "t");
    EXPECT_EQ((Uids{3}), hits(all_of({alpha, beta})));
    EXPECT_EQ((Uids{1, 2, 3}), hits(any_of({alpha, beta})));
    EXPECT_EQ((Uids{1}), hits(all_of({alpha, none_of(beta), seen})));
    EXPECT_EQ((Uids{2, 3}), hits(all_of({any_of({beta, rare}), two})));
    EXPECT_EQ((Uids{2}), hits(none_of(alpha)));
    EXPECT_EQ((Uids{2}), hits(none_of(any_of({all_of({alpha, seen}), all_of({beta, seen})}))));
    EXPECT_EQ((Uids{1, 2}), hits(all_of({rare, any_of({alpha, beta})})));
    EXPECT_EQ((Uids{1, 2, 3}), hits(all_of({})));
    EXPECT_EQ((Uids{}), hits(any_of({})));
    EXPECT_EQ((Uids{1, 2, 3}), hits(none_of(none_of(plain(OP(ALL))))));
}

TEST_F(Search, only_the_messages_from_from_uid_on)
{
    for (int i = 0; i < 6; i++) {
        add(simple_mail(i));
    }
    EXPECT_EQ((Uids{4, 5, 6}), call(plain(OP(ALL)), 4).uids);
    EXPECT_EQ((Uids{5}), call(uid_key({2, 5}), 4).uids);
    EXPECT_EQ((Uids{}), call(plain(OP(ALL)), 7).uids);
}

/* --- hostile programs --- */

Key nested(int depth)
{
    Key k = plain(OP(ALL));
    for (int i = 1; i < depth; i++) {
        k = i % 2 == 0 ? none_of(k) : all_of({k});
    }
    return k;
}

TEST_F(Search, nesting_is_bounded)
{
    add(simple_mail(1));
    EXPECT_EQ(OK, search(nested(101)).status);
    EXPECT_EQ(OK, search(nested(SEARCH_DEPTH_MAX)).status);
    EXPECT_EQ(ERR_LIMIT, search(nested(SEARCH_DEPTH_MAX + 1)).status);
    EXPECT_EQ(ERR_LIMIT, search(nested(400)).status);
}

TEST_F(Search, the_number_of_keys_is_bounded)
{
    add(simple_mail(1));
    std::vector<Key> keys(999);
    EXPECT_EQ(OK, search(all_of(keys)).status);
    EXPECT_EQ(OK, search(any_of(keys)).status);
    keys.emplace_back();
    EXPECT_EQ(ERR_LIMIT, search(all_of(keys)).status);
    keys.assign(500, text(OP(BODY), "x"));
    EXPECT_EQ(ERR_LIMIT, search(any_of({all_of(keys), all_of(keys)})).status);
}

TEST_F(Search, a_thousand_text_keys_share_one_pass)
{
    std::string body;
    for (int i = 0; i < 990; i++) {
        body += "word" + std::to_string(i) + ".\r\n";
    }
    add(letter("", body));
    std::vector<Key> keys;
    for (int i = 0; i < 990; i++) {
        keys.push_back(text(i % 2 == 0 ? OP(BODY) : OP(TEXT), "Word" + std::to_string(i) + "."));
    }
    EXPECT_EQ((Uids{1}), hits(all_of(keys)));
    keys.push_back(text(OP(BODY), "word990."));
    EXPECT_EQ((Uids{}), hits(all_of(keys)));
}

TEST_F(Search, a_text_is_bounded)
{
    add(letter("", std::string(9000, 'q')));
    EXPECT_EQ((Uids{1}), hits(text(OP(BODY), std::string(8192, 'Q'))));
    EXPECT_EQ(ERR_LIMIT, search(text(OP(BODY), std::string(8193, 'q'))).status);
    std::string wide; /* U+FDFA is 18 characters when compared */
    for (int i = 0; i < 2000; i++) {
        wide += "\xef\xb7\xba";
    }
    EXPECT_EQ(ERR_LIMIT, search(text(OP(BODY), wide)).status);
}

TEST_F(Search, malformed_programs_are_refused)
{
    add(simple_mail(1));
    EXPECT_EQ(ERR_INVAL, search(group(OP(NOT), {})).status);
    EXPECT_EQ(ERR_INVAL, search(group(OP(NOT), {Key(), Key()})).status);
    EXPECT_EQ(ERR_INVAL, search(named(OP(HEADER), "", "x")).status);
    EXPECT_EQ(ERR_INVAL, search(named(OP(ADDRESS), "", "x")).status);
    Key broken = plain(OP(UIDS));
    broken.uids = "\x05";
    EXPECT_EQ(ERR_INVAL, search(broken).status);
    EXPECT_EQ(ERR_INVAL, search(plain(static_cast<Op>(99))).status);
    Pb__ReadSearch q = PB__READ_SEARCH__INIT;
    q.account = kAccount;
    q.mailbox = inbox;
    EXPECT_EQ(ERR_INVAL, s.read(METHOD_SEARCH, &q.base).status);
    q.mailbox = 999;
    EXPECT_EQ(ERR_NOTFOUND, s.read(METHOD_SEARCH, &q.base).status);
}

TEST_F(Search, a_message_whose_bytes_are_gone_is_damage)
{
    add(simple_mail(1));
    struct kv_txn *t = nullptr;
    struct kv_cursor *c = nullptr;
    struct slice k;
    struct slice v;
    uint8_t first[5] = {s.prefix[0], s.prefix[1], s.prefix[2], s.prefix[3], 'B'};
    ASSERT_EQ(OK, kv_begin(s.kv, true, &t));
    ASSERT_EQ(OK, kv_cursor_open(t, &c));
    ASSERT_EQ(OK, kv_cursor_seek(c, slice_make(first, 5), &k, &v));
    ASSERT_EQ('B', k.p[4]);
    std::string key(reinterpret_cast<const char *>(k.p), k.n);
    kv_cursor_close(c);
    ASSERT_EQ(OK, kv_del(t, slice_make(key.data(), key.size())));
    ASSERT_EQ(OK, kv_commit(t));
    EXPECT_EQ(ERR_CORRUPT, search(text(OP(BODY), "zzz")).status);
    EXPECT_EQ(ERR_CORRUPT, search(named(OP(HEADER), "x-other", "zzz")).status);
    EXPECT_EQ((Uids{1}), hits(named(OP(HEADER), "subject", "number")));
}

} // namespace
