/* Checks ENVELOPE and BODYSTRUCTURE against the grammar of RFC 3501, 9, and the structure against the record's parts.
 * Written from the ABNF, not from the code under test. */
#ifndef TESTS_UNIT_PROTO_MESSAGE_GRAMMAR_H
#define TESTS_UNIT_PROTO_MESSAGE_GRAMMAR_H

#include <string>
#include <vector>

#include "tests/unit/proto/message/parse.h"

class Grammar
{
  public:
    explicit Grammar(const std::string &text) : s(text)
    {
    }

    bool envelope_only()
    {
        return envelope() && at == s.size();
    }

    bool body_only(bool extended)
    {
        ext = extended;
        return body() && at == s.size();
    }

    /* Octets of each non-multipart part, in order, and lines where they are given (else -1). */
    std::vector<long> octets;
    std::vector<long> lines;
    size_t multiparts = 0;

  private:
    const std::string &s;
    size_t at = 0;
    bool ext = false;

    bool lit(const std::string &x)
    {
        if (s.compare(at, x.size(), x) != 0) {
            return false;
        }
        at += x.size();
        return true;
    }
    bool sp()
    {
        return lit(" ");
    }
    bool peek(char c) const
    {
        return at < s.size() && s[at] == c;
    }
    bool number(long *v)
    {
        size_t from = at;
        *v = 0;
        while (at < s.size() && isdigit(static_cast<unsigned char>(s[at])) && at - from < 10) {
            *v = *v * 10 + (s[at++] - '0');
        }
        return at > from;
    }
    /* quoted = DQUOTE *QUOTED-CHAR DQUOTE: no CR, LF, NUL or 8-bit; literal = "{" number "}" CRLF *CHAR8 */
    bool string()
    {
        if (lit("{")) {
            long n;
            if (!number(&n) || !lit("}\r\n") || at + static_cast<size_t>(n) > s.size()) {
                return false;
            }
            for (long i = 0; i < n; i++) {
                if (s[at++] == '\0') {
                    return false;
                }
            }
            return true;
        }
        if (!lit("\"")) {
            return false;
        }
        while (at < s.size() && s[at] != '"') {
            unsigned char c = static_cast<unsigned char>(s[at]);
            if (c == '\\') {
                at++;
                if (!peek('"') && !peek('\\')) {
                    return false;
                }
            } else if (c == 0 || c == '\r' || c == '\n' || c >= 0x80) {
                return false;
            }
            at++;
        }
        return lit("\"");
    }
    bool nstring()
    {
        return lit("NIL") || string();
    }
    bool address()
    {
        return lit("(") && nstring() && sp() && nstring() && sp() && nstring() && sp() && nstring() && lit(")");
    }
    bool addresses()
    {
        if (lit("NIL")) {
            return true;
        }
        if (!lit("(") || !address()) {
            return false;
        }
        while (peek('(')) {
            if (!address()) {
                return false;
            }
        }
        return lit(")");
    }
    bool envelope()
    {
        if (!lit("(") || !nstring() || !sp() || !nstring()) {
            return false;
        }
        for (int i = 0; i < 6; i++) {
            if (!sp() || !addresses()) {
                return false;
            }
        }
        return sp() && nstring() && sp() && nstring() && lit(")");
    }
    bool params()
    {
        if (lit("NIL")) {
            return true;
        }
        if (!lit("(")) {
            return false;
        }
        do {
            if (!string() || !sp() || !string()) {
                return false;
            }
        } while (lit(" "));
        return lit(")");
    }
    bool disposition()
    {
        return lit("NIL") || (lit("(") && string() && sp() && params() && lit(")"));
    }
    bool language()
    {
        if (!lit("(")) {
            return nstring();
        }
        do {
            if (!string()) {
                return false;
            }
        } while (lit(" "));
        return lit(")");
    }
    bool tail()
    {
        return sp() && disposition() && sp() && language() && sp() && nstring();
    }
    bool multipart()
    {
        multiparts++;
        while (peek('(')) {
            if (!body()) {
                return false;
            }
        }
        return sp() && string() && (!ext || (sp() && params() && tail())) && lit(")");
    }
    bool is_at(const std::string &x) const
    {
        if (at + x.size() > s.size()) {
            return false;
        }
        for (size_t i = 0; i < x.size(); i++) {
            if (tolower(static_cast<unsigned char>(s[at + i])) != x[i]) {
                return false;
            }
        }
        return true;
    }
    bool body()
    {
        if (!lit("(")) {
            return false;
        }
        if (peek('(')) {
            return multipart();
        }
        bool text = is_at("\"text\" ");
        bool message = is_at("\"message\" \"rfc822\"") || is_at("\"message\" \"global\"");
        if (is_at("\"multipart\"")) {
            return false;
        }
        long n;
        if (!string() || !sp() || !string() || !sp() || !params() || !sp() || !nstring() || !sp() || !nstring() ||
            !sp() || !string() || !sp() || !number(&n)) {
            return false;
        }
        octets.push_back(n);
        size_t mine = lines.size();
        lines.push_back(-1);
        if (message && (!sp() || !envelope() || !sp() || !body())) {
            return false;
        }
        if ((text || message) && (!sp() || !number(&lines[mine]))) {
            return false;
        }
        return (!ext || (sp() && nstring() && tail())) && lit(")");
    }
};

/* Everything that must hold of any record of any message. */
inline void expect_sound(const std::string &bytes, size_t message_bytes)
{
    Record rec(bytes);
    EXPECT_EQ(message_bytes, rec.r.size_bytes);
    std::string envelope = rec.envelope();
    std::string body = rec.body();
    std::string structure = rec.structure();
    EXPECT_TRUE(Grammar(envelope).envelope_only()) << envelope;
    EXPECT_TRUE(Grammar(body).body_only(false)) << body;
    Grammar g(structure);
    EXPECT_TRUE(g.body_only(true)) << structure;
    size_t leaf = 0;
    size_t multiparts = 0;
    for (uint32_t i = 0; i < rec.r.n_parts; i++) {
        msg_part p = rec.part(i);
        msg_part parent = rec.part(p.parent);
        EXPECT_LE(uint64_t{p.body_off} + p.body_bytes,
                  uint64_t{parent.body_off} + (i == 0 ? p.body_bytes : parent.body_bytes));
        if (i > 0) {
            EXPECT_LT(p.parent, i);
            EXPECT_NE(MSG_PART_LEAF, parent.kind);
            EXPECT_GE(p.header_off, parent.body_off);
        }
        if (p.kind == MSG_PART_MULTIPART) {
            multiparts++;
            continue;
        }
        if (leaf >= g.octets.size()) {
            ADD_FAILURE() << "more parts than in the structure";
            return;
        }
        EXPECT_EQ(p.body_bytes, g.octets[leaf]);
        if (p.is_text || p.kind == MSG_PART_MESSAGE) {
            EXPECT_EQ(p.body_lines, g.lines[leaf]);
        }
        leaf++;
    }
    EXPECT_EQ(leaf, g.octets.size());
    EXPECT_EQ(multiparts, g.multiparts);
}

#endif /* TESTS_UNIT_PROTO_MESSAGE_GRAMMAR_H */
