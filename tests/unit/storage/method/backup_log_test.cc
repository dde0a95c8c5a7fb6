#include "log_rows.h"
#include "replication/saved.h"
#include "storage/method/node_info.h"

using namespace shard_test;

namespace
{

constexpr uint64_t FIRST = 1000;

class BackupLog : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        info.facts = [](void *, struct node_facts *f) {
            *f = {};
            f->wall_ms = 77;
        };
        s.node = &info;
    }
    Result ask(uint64_t index, uint32_t offset, uint64_t term_before)
    {
        Pb__ReadBackupLog q = PB__READ_BACKUP_LOG__INIT;
        q.index = index;
        q.offset = offset;
        q.term_before = term_before;
        return s.read(METHOD_BACKUP_LOG, &q.base);
    }
    /* All that comes, the way a receiver asks. */
    std::string pull(uint64_t index, uint64_t term_before, int *answers)
    {
        std::string all;
        uint32_t offset = 0;
        struct repl_entry e;
        for (*answers = 0; *answers < 100; ++*answers) {
            Result r = ask(index, offset, term_before);
            EXPECT_EQ(OK, r.status);
            auto m = UNPACK(Pb__ReadBackupLogResult, pb__read_backup_log_result, r);
            if (r.status != OK || (r.attach.empty() && m->next_index > m->last)) {
                return all;
            }
            all += r.attach;
            index = m->next_index;
            offset = m->next_offset;
            struct slice rest = slice_make(all.data(), all.size());
            while (saved_entry_get(&rest, &e) == OK) {
                term_before = e.head.term;
            }
        }
        ADD_FAILURE() << "no end";
        return all;
    }
    struct node_info info = {};
    Shard s;
};

TEST_F(BackupLog, gives_committed_entries_with_their_bodies_in_pieces_of_bounded_size)
{
    std::vector<LogRow> rows = {
        {REPL_ENTRY_COMMAND, 3, "one", ""},
        {REPL_ENTRY_BARRIER, 4, "", ""},
        {REPL_ENTRY_CHUNK, 4, std::string(16, 'c'), std::string(130000, 'p')},
        {REPL_ENTRY_COMMAND, 4, std::string(100000, 'd'), std::string(REPL_ENTRY_BYTES_MAX - 100000, 'b')},
        {REPL_ENTRY_COMMAND, 5, "last", "body"},
        {REPL_ENTRY_COMMAND, 5, "not committed", ""}};
    put_log(&s, FIRST, rows, 1);
    int answers = 0;
    std::string all = pull(FIRST, 3, &answers);
    EXPECT_GE(answers, 2) << "the first ends within an entry";
    struct slice rest = slice_make(all.data(), all.size());
    for (size_t i = 0; i + 1 < rows.size(); i++) {
        struct repl_entry e;
        ASSERT_EQ(OK, saved_entry_get(&rest, &e)) << i;
        EXPECT_EQ(FIRST + i, e.head.index);
        EXPECT_EQ(rows[i].term, e.head.term);
        EXPECT_EQ(rows[i].type, e.head.type);
        EXPECT_TRUE(slice_eq_str(e.head.data, rows[i].data.c_str()));
        EXPECT_TRUE(slice_eq_str(e.body, rows[i].body.c_str()));
    }
    EXPECT_EQ(0u, rest.n);
}

TEST_F(BackupLog, says_how_far_it_goes_when_there_is_nothing_new)
{
    put_log(&s, FIRST, {{REPL_ENTRY_COMMAND, 3, "one", ""}, {REPL_ENTRY_COMMAND, 5, "two", ""}});
    Result r = ask(FIRST + 2, 0, 5);
    ASSERT_EQ(OK, r.status);
    auto m = UNPACK(Pb__ReadBackupLogResult, pb__read_backup_log_result, r);
    EXPECT_EQ("", r.attach);
    EXPECT_EQ(FIRST + 1, m->last);
    EXPECT_EQ(5u, m->last_term);
    EXPECT_EQ(FIRST + 2, m->next_index);
    EXPECT_EQ(0u, m->next_offset);
    EXPECT_EQ(77u, m->wall_ms);
}

TEST_F(BackupLog, refuses_what_it_has_not_and_another_history)
{
    put_log(&s, FIRST, {{REPL_ENTRY_COMMAND, 3, "one", ""}, {REPL_ENTRY_COMMAND, 5, "two", ""}});
    EXPECT_EQ(ERR_NOTFOUND, ask(FIRST - 1, 0, 3).status) << "trimmed";
    EXPECT_EQ(ERR_NOTFOUND, ask(FIRST + 3, 0, 5).status) << "it never was so far";
    EXPECT_EQ(ERR_STALE, ask(FIRST + 2, 0, 4).status);
    EXPECT_EQ(ERR_STALE, ask(FIRST + 1, 0, 2).status);
    EXPECT_EQ(ERR_STALE, ask(FIRST, 0, 2).status) << "the entry before the log's first is known too";
    EXPECT_EQ(OK, ask(FIRST, 0, 3).status);
    EXPECT_EQ(ERR_INVAL, ask(0, 0, 0).status);
    EXPECT_EQ(ERR_INVAL, ask(FIRST, SAVED_ENTRY_BYTES_MAX + 1, 3).status);
    EXPECT_EQ(ERR_INVAL, ask(FIRST, 100, 3).status) << "the entry is not so long";
}

TEST_F(BackupLog, refuses_a_damaged_entry)
{
    put_log(&s, FIRST, {{REPL_ENTRY_COMMAND, 3, "one", "body"}});
    struct kv_txn *t = nullptr;
    ASSERT_EQ(OK, kv_begin(s.kv, true, &t));
    ASSERT_EQ(OK, body_drop(t, get_be32(s.prefix), FIRST));
    ASSERT_EQ(OK, kv_commit(t));
    EXPECT_EQ(ERR_CORRUPT, ask(FIRST, 0, 3).status);
}

TEST_F(BackupLog, copies_are_the_volumes_to_answer)
{
    Pb__ReadBackupRows q = PB__READ_BACKUP_ROWS__INIT;
    EXPECT_EQ(ERR_UNSUPPORTED, s.read(METHOD_BACKUP_ROWS, &q.base).status);
    for (unsigned n = 0; n <= METHOD_MAX + 1; n++) {
        EXPECT_EQ(n == METHOD_BACKUP_ROWS, storage_method_volume(n)) << n;
    }
}

} // namespace
