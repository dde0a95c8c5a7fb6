/* What the tests of this folder share: parse a message at given splits, look at its record. */
#ifndef TESTS_UNIT_PROTO_MESSAGE_PARSE_H
#define TESTS_UNIT_PROTO_MESSAGE_PARSE_H

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "proto/message/message.h"

inline slice to_slice(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

inline std::string to_string(slice s)
{
    return s.n == 0 ? std::string() : std::string(reinterpret_cast<const char *>(s.p), s.n);
}

/* An owned buf. */
struct Buf {
    buf b;
    explicit Buf(size_t limit = size_t{1} << 26)
    {
        buf_init(&b, limit);
    }
    ~Buf()
    {
        buf_fini(&b);
    }
    Buf(const Buf &) = delete;
    Buf &operator=(const Buf &) = delete;
    std::string str() const
    {
        return to_string(buf_slice(&b));
    }
};

/* Feeds [0, cuts[0]), [cuts[0], cuts[1]), ... and the rest; each piece from memory of its own, so that ASan sees a read
 * past it. */
inline std::string parse_at(const std::string &message, const std::vector<size_t> &cuts,
                            const msg_limits &limits = msg_limits_default)
{
    msg_parser *p = nullptr;
    EXPECT_EQ(OK, msg_parser_new(&limits, &p));
    size_t from = 0;
    for (size_t i = 0; i <= cuts.size(); i++) {
        size_t to = i < cuts.size() ? cuts[i] : message.size();
        std::vector<char> piece(message.begin() + static_cast<long>(from), message.begin() + static_cast<long>(to));
        EXPECT_EQ(OK, msg_parser_feed(p, slice_make(piece.data(), piece.size())));
        from = to;
    }
    Buf out;
    EXPECT_EQ(OK, msg_parser_finish(p, &out.b));
    msg_parser_free(p);
    return out.str();
}

inline std::string parse(const std::string &message, const msg_limits &limits = msg_limits_default)
{
    return parse_at(message, {}, limits);
}

inline std::string parse_bytewise(const std::string &message, const msg_limits &limits = msg_limits_default)
{
    std::vector<size_t> cuts;
    for (size_t i = 1; i < message.size(); i++) {
        cuts.push_back(i);
    }
    return parse_at(message, cuts, limits);
}

/* A record and its decoded view. */
struct Record {
    std::string bytes;
    msg_record r;
    explicit Record(const std::string &record) : bytes(record)
    {
        EXPECT_EQ(OK, msg_record_decode(to_slice(bytes), &r));
    }
    Record(const Record &) = delete;
    Record &operator=(const Record &) = delete;
    std::string envelope() const
    {
        return to_string(r.envelope);
    }
    std::string body() const
    {
        return to_string(r.body);
    }
    std::string structure() const
    {
        return to_string(r.bodystructure);
    }
    std::string headers() const
    {
        return to_string(r.headers);
    }
    msg_part part(uint32_t index) const
    {
        msg_part p{};
        EXPECT_EQ(OK, msg_part_at(&r, index, &p));
        return p;
    }
    /* The part a number such as "1.2" names, or an error. */
    err find(const std::vector<uint32_t> &numbers, msg_part *out) const
    {
        return msg_part_find(&r, numbers.data(), numbers.size(), out);
    }
};

/* The same text with each LF as CRLF. */
inline std::string crlf(const std::string &s)
{
    std::string out;
    for (char c : s) {
        if (c == '\n') {
            out += '\r';
        }
        out += c;
    }
    return out;
}

inline void collect_mails(const std::string &dir, std::vector<std::string> *out)
{
    DIR *d = opendir(dir.c_str());
    if (d == nullptr) {
        return;
    }
    while (dirent *e = readdir(d)) {
        std::string name = e->d_name;
        std::string path = dir + "/" + name;
        struct stat st;
        if (name[0] == '.' || stat(path.c_str(), &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            collect_mails(path, out);
        } else if (name.find("LICENSE") == std::string::npos && name.find(".txt") == std::string::npos) {
            out->push_back(path);
        }
    }
    closedir(d);
}

inline std::vector<std::string> mail_paths()
{
    std::vector<std::string> paths;
    collect_mails(PB_TEST_DATA "/mail", &paths);
    std::sort(paths.begin(), paths.end());
    return paths;
}

inline std::string read_file(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

#endif /* TESTS_UNIT_PROTO_MESSAGE_PARSE_H */
