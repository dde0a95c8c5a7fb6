#include "replication/message.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "proto/base/bytes.h"

namespace
{

std::string text(struct slice s)
{
    return std::string(reinterpret_cast<const char *>(s.p), s.n);
}

struct slice view(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

std::string configuration(size_t n = 3)
{
    struct buf b;
    const struct raft_server_info servers[] = {
        {{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}, {{300}, RAFT_ROLE_STANDBY}};
    buf_init(&b, 1000);
    EXPECT_EQ(raft_configuration_put(servers, n, &b), OK);
    std::string s = text(buf_slice(&b));
    buf_fini(&b);
    return s;
}

struct repl_message message(enum repl_message_type type)
{
    struct repl_message m;
    memset(&m, 0, sizeof(m));
    m.type = type;
    m.shard = {9};
    m.from = {2};
    m.to = {1};
    m.term = 7;
    return m;
}

struct Entry {
    uint64_t term;
    enum repl_entry_type type;
    std::string data;
    std::string body;
};

std::string encode(const struct repl_message &m, const std::vector<Entry> &entries = {})
{
    struct buf b;
    buf_init(&b, 1 << 24);
    EXPECT_EQ(repl_message_put(&m, &b), OK);
    for (const Entry &e : entries) {
        struct repl_entry r;
        memset(&r, 0, sizeof(r));
        r.head.term = e.term;
        r.head.type = e.type;
        r.head.data = view(e.data);
        r.body = view(e.body);
        EXPECT_EQ(repl_message_put_entry(&b, 0, &r), OK);
    }
    std::string s = text(buf_slice(&b));
    buf_fini(&b);
    return s;
}

/* From a block of exactly these bytes, so that a read past the end is seen. */
enum err decode(const std::string &s, struct repl_message *out = nullptr)
{
    std::vector<char> exact(s.begin(), s.end());
    struct repl_message m;
    enum err e = repl_message_get(slice_make(exact.data(), exact.size()), &m);
    if (e == OK) {
        struct slice rest = m.entries;
        for (size_t i = 0; i < m.n_entries; i++) {
            struct repl_entry entry;
            repl_message_entry(&rest, &entry);
            volatile size_t n = text(entry.head.data).size() + text(entry.body).size();
            (void)n;
        }
        EXPECT_EQ(rest.n, 0u);
        volatile size_t n = text(m.configuration).size() + text(m.rows).size();
        (void)n;
    }
    if (out != nullptr) {
        *out = m;
    }
    return e;
}

std::vector<Entry> some_entries()
{
    return {{5, REPL_ENTRY_CHANGE, configuration(), ""},
            {5, REPL_ENTRY_COMMAND, "command", "a body"},
            {6, REPL_ENTRY_BARRIER, "", ""},
            {7, REPL_ENTRY_CHUNK, std::string(16, 'o'), "piece"}};
}

/* One of each type, all fields set. */
std::vector<std::string> all()
{
    static const std::string conf = configuration();
    std::vector<std::string> v;
    struct repl_message m = message(REPL_MESSAGE_APPEND);
    m.index = 11;
    m.index_term = 5;
    m.commit = 12;
    m.sent_ms = 13;
    v.push_back(encode(m, some_entries()));
    m = message(REPL_MESSAGE_APPEND_RESULT);
    m.rejected = 3;
    m.index = 2;
    m.sent_ms = 14;
    v.push_back(encode(m));
    m = message(REPL_MESSAGE_VOTE);
    m.index = 11;
    m.index_term = 5;
    m.pre_vote = true;
    v.push_back(encode(m));
    m = message(REPL_MESSAGE_VOTE_RESULT);
    m.granted = true;
    v.push_back(encode(m));
    m = message(REPL_MESSAGE_SNAPSHOT);
    m.index = 11;
    m.index_term = 5;
    m.configuration_index = 4;
    m.configuration = view(conf);
    v.push_back(encode(m));
    m = message(REPL_MESSAGE_TIMEOUT_NOW);
    m.index = 11;
    m.index_term = 5;
    v.push_back(encode(m));
    m = message(REPL_MESSAGE_COPY_PULL);
    m.copy = 77;
    m.attempt = 3;
    m.sequence = 4;
    m.upto = 10;
    m.again = true;
    v.push_back(encode(m));
    m = message(REPL_MESSAGE_COPY_ROWS);
    m.copy = 77;
    m.sequence = 5;
    m.last = true;
    m.index = 11;
    m.index_term = 5;
    m.configuration_index = 4;
    m.configuration = view(conf);
    m.rows = slice_make("rows", 4);
    v.push_back(encode(m));
    return v;
}

TEST(ReplMessage, EachTypeComesBackAsItWent)
{
    std::vector<std::string> v = all();
    ASSERT_EQ(v.size(), 8u);
    for (size_t i = 0; i < v.size(); i++) {
        struct repl_message m;
        ASSERT_EQ(repl_message_get(view(v[i]), &m), OK) << i;
        EXPECT_EQ(m.type, static_cast<enum repl_message_type>(i + 1));
        EXPECT_EQ(m.shard.v, 9u);
        EXPECT_EQ(m.from.v, 2u);
        EXPECT_EQ(m.to.v, 1u);
        EXPECT_EQ(m.term, 7u);
        m.n_entries = 0;
        std::string again = encode(m, m.type == REPL_MESSAGE_APPEND ? some_entries() : std::vector<Entry>{});
        EXPECT_EQ(again, v[i]) << i;
    }
}

TEST(ReplMessage, EveryFieldHasItsPlace)
{
    struct repl_message m;
    std::vector<std::string> v = all();
    ASSERT_EQ(repl_message_get(view(v[0]), &m), OK);
    EXPECT_EQ(m.index, 11u);
    EXPECT_EQ(m.index_term, 5u);
    EXPECT_EQ(m.commit, 12u);
    EXPECT_EQ(m.sent_ms, 13u);
    ASSERT_EQ(m.n_entries, 4u);
    struct slice rest = m.entries;
    for (const Entry &want : some_entries()) {
        struct repl_entry e;
        repl_message_entry(&rest, &e);
        EXPECT_EQ(e.head.term, want.term);
        EXPECT_EQ(e.head.type, want.type);
        EXPECT_EQ(text(e.head.data), want.data);
        EXPECT_EQ(text(e.body), want.body);
        EXPECT_EQ(e.head.body_bytes, want.body.size());
    }
    ASSERT_EQ(repl_message_get(view(v[1]), &m), OK);
    EXPECT_EQ(m.rejected, 3u);
    EXPECT_EQ(m.index, 2u);
    EXPECT_EQ(m.sent_ms, 14u);
    ASSERT_EQ(repl_message_get(view(v[2]), &m), OK);
    EXPECT_TRUE(m.pre_vote);
    EXPECT_FALSE(m.disrupt);
    EXPECT_FALSE(m.granted);
    ASSERT_EQ(repl_message_get(view(v[3]), &m), OK);
    EXPECT_TRUE(m.granted);
    EXPECT_FALSE(m.pre_vote);
    ASSERT_EQ(repl_message_get(view(v[4]), &m), OK);
    EXPECT_EQ(m.configuration_index, 4u);
    EXPECT_EQ(text(m.configuration), configuration());
    ASSERT_EQ(repl_message_get(view(v[6]), &m), OK);
    EXPECT_EQ(m.copy, 77u);
    EXPECT_EQ(m.attempt, 3u);
    EXPECT_EQ(m.sequence, 4u);
    EXPECT_EQ(m.upto, 10u);
    EXPECT_TRUE(m.again);
    ASSERT_EQ(repl_message_get(view(v[7]), &m), OK);
    EXPECT_TRUE(m.last);
    EXPECT_EQ(m.sequence, 5u);
    EXPECT_EQ(m.index, 11u);
    EXPECT_EQ(text(m.rows), "rows");
    EXPECT_EQ(text(m.configuration), configuration());
}

TEST(ReplMessage, EveryTruncationIsCorrupt)
{
    std::vector<std::string> v = all();
    for (size_t i = 0; i < v.size(); i++) {
        size_t rows = v[i].size() - 4; /* rows have no length of their own: what frames the message has */
        for (size_t n = 0; n < v[i].size(); n++) {
            enum err want = i == 7 && n >= rows ? OK : ERR_CORRUPT;
            EXPECT_EQ(decode(v[i].substr(0, n)), want) << i << " cut to " << n;
        }
        if (i != 7) {
            EXPECT_EQ(decode(v[i] + "x"), ERR_CORRUPT) << i;
        }
    }
}

TEST(ReplMessage, EveryFlippedBitIsCorruptOrReadsWithinTheBytes)
{
    size_t corrupt = 0;
    for (const std::string &s : all()) {
        for (size_t bit = 0; bit < s.size() * 8; bit++) {
            std::string flipped = s;
            flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
            enum err e = decode(flipped);
            ASSERT_TRUE(e == OK || e == ERR_CORRUPT);
            corrupt += e == ERR_CORRUPT;
        }
    }
    EXPECT_GT(corrupt, 500u);
}

/* An APPEND after entry `index` of term 5. */
enum err append_of(const std::vector<Entry> &entries, uint64_t index = 11, uint64_t term = 7)
{
    struct repl_message m = message(REPL_MESSAGE_APPEND);
    m.index = index;
    m.index_term = index == 0 ? 0 : 5;
    m.term = term;
    return decode(encode(m, entries));
}

TEST(ReplMessage, AConfigurationChangeStandsInFrontOfItsMessageOnly)
{
    const Entry command = {5, REPL_ENTRY_COMMAND, "x", ""};
    const Entry change = {5, REPL_ENTRY_CHANGE, configuration(), ""};
    EXPECT_EQ(append_of({change, command}), OK);
    EXPECT_EQ(append_of({command, change}), ERR_CORRUPT);
    EXPECT_EQ(append_of({change, change}), ERR_CORRUPT);
}

TEST(ReplMessage, ALogBeginsWithAConfiguration)
{
    const Entry command = {5, REPL_ENTRY_COMMAND, "x", ""};
    const Entry change = {5, REPL_ENTRY_CHANGE, configuration(), ""};
    EXPECT_EQ(append_of({change, command}, 0), OK);
    EXPECT_EQ(append_of({command}, 0), ERR_CORRUPT);
    EXPECT_EQ(append_of({}, 0), OK);
}

TEST(ReplMessage, AChangeThatDoesNotDecodeIsRefused)
{
    EXPECT_EQ(append_of({{5, REPL_ENTRY_CHANGE, "", ""}}), ERR_CORRUPT);
    EXPECT_EQ(append_of({{5, REPL_ENTRY_CHANGE, configuration().substr(0, 20), ""}}), ERR_CORRUPT);
}

TEST(ReplMessage, TermsAscendAndTheMessagesIsTheHighest)
{
    EXPECT_EQ(append_of({{5, REPL_ENTRY_COMMAND, "x", ""}, {7, REPL_ENTRY_COMMAND, "y", ""}}), OK);
    EXPECT_EQ(append_of({{6, REPL_ENTRY_COMMAND, "x", ""}, {5, REPL_ENTRY_COMMAND, "y", ""}}), ERR_CORRUPT);
    EXPECT_EQ(append_of({{4, REPL_ENTRY_COMMAND, "x", ""}}), ERR_CORRUPT); /* below the entry in front */
    EXPECT_EQ(append_of({{8, REPL_ENTRY_COMMAND, "x", ""}}), ERR_CORRUPT);
    EXPECT_EQ(append_of({{0, REPL_ENTRY_COMMAND, "x", ""}}), ERR_CORRUPT);
    EXPECT_EQ(append_of({{0, REPL_ENTRY_CHANGE, configuration(), ""}}, 0), ERR_CORRUPT);
}

TEST(ReplMessage, EntriesAreBoundedInNumberAndSize)
{
    const Entry small = {5, REPL_ENTRY_COMMAND, "x", ""};
    EXPECT_EQ(append_of(std::vector<Entry>(REPL_MESSAGE_ENTRIES_MAX, small)), OK);
    EXPECT_EQ(append_of(std::vector<Entry>(REPL_MESSAGE_ENTRIES_MAX + 1, small)), ERR_CORRUPT);
    Entry large = {5, REPL_ENTRY_COMMAND, std::string(1000, 'd'), std::string(REPL_ENTRY_BYTES_MAX - 1000, 'b')};
    EXPECT_EQ(append_of({large}), OK);
    large.data += "d";
    EXPECT_EQ(append_of({large}), ERR_CORRUPT);
    large.body.clear();
    large.data = std::string(REPL_ENTRY_BYTES_MAX + 1, 'd');
    EXPECT_EQ(append_of({large}), ERR_CORRUPT);
}

TEST(ReplMessage, TheTimeOfSendingIsThereOrNot)
{
    struct repl_message m = message(REPL_MESSAGE_APPEND_RESULT);
    std::string without = encode(m);
    m.sent_ms = 1;
    std::string with = encode(m);
    EXPECT_EQ(with.size(), without.size() + 8);
    EXPECT_EQ(decode(without), OK);
    EXPECT_EQ(decode(with), OK);
    with[with.size() - 8] = 0;
    EXPECT_EQ(decode(with), ERR_CORRUPT); /* one way to say it */
}

TEST(ReplMessage, NumbersThatWouldWrapAreRefused)
{
    struct repl_message m = message(REPL_MESSAGE_APPEND_RESULT);
    m.index = REPL_MESSAGE_NUMBER_MAX;
    EXPECT_EQ(decode(encode(m)), OK);
    m.index++;
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    m.index = 0;
    m.term = REPL_MESSAGE_NUMBER_MAX;
    EXPECT_EQ(decode(encode(m)), OK);
    m.term++;
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
}

TEST(ReplMessage, WhatRaftWouldNotExpectIsRefused)
{
    struct repl_message m = message(REPL_MESSAGE_VOTE);
    m.term = 0;
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    m = message(REPL_MESSAGE_VOTE);
    m.from = {0};
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    m = message(REPL_MESSAGE_VOTE);
    m.to = {0};
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    m = message(REPL_MESSAGE_APPEND);
    m.index_term = 5; /* of entry 0 */
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    std::string conf = configuration();
    m = message(REPL_MESSAGE_SNAPSHOT);
    m.configuration = view(conf);
    m.index_term = 5;
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    m.index = 3;
    EXPECT_EQ(decode(encode(m)), OK);
    m.index_term = 0;
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    m.index_term = 5;
    m.configuration = view(conf.substr(0, 0));
    EXPECT_EQ(decode(encode(m)), ERR_CORRUPT);
    m = message(REPL_MESSAGE_COPY_PULL);
    m.term = 0; /* not raft's */
    EXPECT_EQ(decode(encode(m)), OK);
    std::string bytes = encode(m);
    bytes[0] = 9;
    EXPECT_EQ(decode(bytes), ERR_CORRUPT);
    bytes[0] = 0;
    EXPECT_EQ(decode(bytes), ERR_CORRUPT);
}

TEST(ReplMessage, EntriesAreAddedBehindWhatTheBufferHas)
{
    struct buf b;
    struct repl_message m = message(REPL_MESSAGE_APPEND);
    struct repl_entry e;
    memset(&e, 0, sizeof(e));
    e.head.term = 5;
    e.head.type = REPL_ENTRY_COMMAND;
    e.head.data = slice_make("x", 1);
    m.index = 11;
    m.index_term = 5;
    buf_init(&b, 10000);
    ASSERT_EQ(buf_append(&b, "in front", 8), OK);
    ASSERT_EQ(repl_message_put(&m, &b), OK);
    ASSERT_EQ(repl_message_put_entry(&b, 8, &e), OK);
    ASSERT_EQ(repl_message_put_entry(&b, 8, &e), OK);
    ASSERT_EQ(repl_message_get(slice_sub(buf_slice(&b), 8, b.len), &m), OK);
    EXPECT_EQ(m.n_entries, 2u);
    EXPECT_EQ(m.entries.n, 2 * repl_message_entry_bytes(&e));
    buf_fini(&b);
}

/* --- configurations --- */

enum err configuration_of(const std::vector<struct raft_server_info> &servers, const std::string &address)
{
    std::string s(9, '\0');
    struct raft_server_info out[RAFT_SERVERS_MAX];
    size_t n;
    s[0] = 1;
    s[1] = static_cast<char>(servers.size());
    for (const struct raft_server_info &i : servers) {
        uint8_t id[8];
        put_le64(id, i.node.v);
        s += std::string(reinterpret_cast<char *>(id), 8) + (address.empty() ? std::to_string(i.node.v) : address);
        s += std::string(1, '\0') + static_cast<char>(i.role);
    }
    s += std::string((8 - s.size() % 8) % 8, '\0');
    return raft_configuration_get(view(s), out, &n);
}

TEST(RaftConfigurationGet, RefusesWhatTheLibraryWouldRefuseHalfWay)
{
    EXPECT_EQ(configuration_of({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_STANDBY}}, ""), OK);
    EXPECT_EQ(configuration_of({{{1}, RAFT_ROLE_VOTER}, {{1}, RAFT_ROLE_STANDBY}}, ""), ERR_CORRUPT);
    EXPECT_EQ(configuration_of({{{1}, RAFT_ROLE_VOTER}}, "2"), ERR_CORRUPT);
    EXPECT_EQ(configuration_of({{{1}, RAFT_ROLE_STANDBY}, {{2}, RAFT_ROLE_SPARE}}, ""), ERR_CORRUPT); /* no voter */
    EXPECT_EQ(configuration_of({{{0}, RAFT_ROLE_VOTER}}, ""), ERR_CORRUPT);
    EXPECT_EQ(configuration_of({}, ""), ERR_CORRUPT);
    std::vector<struct raft_server_info> many;
    for (uint64_t i = 1; i <= RAFT_SERVERS_MAX; i++) {
        many.push_back({{i}, RAFT_ROLE_VOTER});
    }
    EXPECT_EQ(configuration_of(many, ""), OK);
    many.push_back({{99}, RAFT_ROLE_VOTER});
    EXPECT_EQ(configuration_of(many, ""), ERR_CORRUPT);
}

} // namespace
