/* A log in the store of a shard that has none (tests/unit/storage/apply/shard.h). */
#ifndef TESTS_UNIT_STORAGE_METHOD_LOG_ROWS_H
#define TESTS_UNIT_STORAGE_METHOD_LOG_ROWS_H

#include "replication/log.h"
#include "tests/unit/storage/apply/shard.h"

struct LogRow {
    enum repl_entry_type type;
    uint64_t term;
    std::string data;
    std::string body;
};

/* Entries from `first` on, applied up to the last but `behind`. */
inline void put_log(shard_test::Shard *s, uint64_t first, const std::vector<LogRow> &rows, uint64_t behind = 0)
{
    uint32_t replica = get_be32(s->prefix);
    struct kv_txn *t = nullptr;
    struct repl_meta m = {};
    uint64_t index = first;
    ASSERT_EQ(OK, kv_begin(s->kv, true, &t));
    for (const LogRow &r : rows) {
        struct log_entry e = {index, r.term, r.type, static_cast<uint32_t>(r.body.size()),
                              slice_make(r.data.data(), r.data.size())};
        uint16_t ordinal = r.type == REPL_ENTRY_CHUNK ? REPL_ORDINAL_PIECE : 0;
        ASSERT_EQ(OK, log_entry_put(t, replica, &e));
        ASSERT_EQ(OK, body_write(t, replica, index, ordinal, 0, slice_make(r.body.data(), r.body.size())));
        index++;
    }
    m.node = 1;
    m.term = m.last_term = rows.back().term;
    m.log_first = first;
    m.log_last = index - 1;
    m.applied = m.log_last - behind;
    m.snapshot_index = first - 1;
    m.snapshot_term = rows[0].term;
    m.snapshot_configuration = 1;
    ASSERT_EQ(OK, log_meta_put(t, replica, &m));
    ASSERT_EQ(OK, kv_commit(t));
}

#endif /* TESTS_UNIT_STORAGE_METHOD_LOG_ROWS_H */
