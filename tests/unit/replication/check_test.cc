#include "replication/check.h"

#include "volume_fixture.h"

namespace
{

class Check : public VolumeTest
{
  protected:
    void SetUp() override
    {
        VolumeTest::SetUp();
        config.log_entries_max = 4;
        start(3);
        for (int i = 0; i < 30; i++) {
            ASSERT_EQ(one(static_cast<uint32_t>(i % 3), std::string(i == 29 ? 9000 : 20, 'd'), std::string(9000, 'b')),
                      OK);
        }
        machines[1].kill_next = "dies";
        ASSERT_EQ(one(1, "dies", "body"), OK);
        settle();
        close();
    }
    struct Found {
        std::vector<std::string> problems;
        int replicas = 0;
        int bodies = 0;
        int dead = 0;
    };
    static void problem(void *ctx, const char *what, struct slice)
    {
        static_cast<Found *>(ctx)->problems.push_back(what);
    }
    static void replica(void *ctx, struct shard_id, const uint8_t *)
    {
        static_cast<Found *>(ctx)->replicas++;
    }
    static void body(void *ctx, const uint8_t *, uint64_t, uint16_t, uint64_t, bool dead)
    {
        static_cast<Found *>(ctx)->bodies++;
        static_cast<Found *>(ctx)->dead += dead;
    }
    Found run()
    {
        Found f;
        struct repl_check c = {&f, problem, replica, body};
        EXPECT_EQ(read([&](struct kv_txn *t) { return repl_check_run(t, &c, &totals); }), OK);
        EXPECT_EQ(totals.problems, f.problems.size());
        return f;
    }
    struct repl_check_totals totals = {};
};

TEST_F(Check, AVolumeInOrderHasNoProblems)
{
    Found f = run();
    EXPECT_TRUE(f.problems.empty()) << f.problems[0];
    EXPECT_EQ(f.replicas, 3);
    EXPECT_EQ(f.bodies, 31);
    EXPECT_EQ(f.dead, 1);
    EXPECT_EQ(totals.dead_bodies, 1u);
    EXPECT_GE(totals.entries, 12u);
    EXPECT_EQ(totals.body_bytes, 30u * 9000 + 4);
}

TEST_F(Check, EveryFlippedByteOfEveryRowButTheStatesIsFound)
{
    for (const Row &row : rows()) {
        if (row.key[4] == 'S' || row.key[4] == 'V' || row.key[4] == 'R' || row.key[4] == 'Q') {
            continue;
        }
        for (size_t i = 0; i < row.value.size(); i += row.value.size() / 7 + 1) {
            std::string bad = row.value;
            bad[i] = static_cast<char>(bad[i] ^ 0x10);
            put(row.key, bad);
            EXPECT_FALSE(run().problems.empty()) << row.key[4] << " " << i;
        }
        put(row.key, row.value);
    }
    EXPECT_TRUE(run().problems.empty());
}

TEST_F(Check, EveryMissingRowIsFound)
{
    for (const Row &row : rows()) {
        bool last_chunk_of_a_body = row.key[4] == 'B' && static_cast<uint8_t>(row.key.back()) == 2;
        bool whole_body = row.key[4] == 'B' && row.value.size() < 10;
        if (row.key[4] == 'S' || row.key[4] == 'V' || row.key[4] == 'R' || row.key[4] == 'Q' || last_chunk_of_a_body ||
            whole_body) {
            continue; /* what the state refers to is the state machine's check */
        }
        del(row.key);
        EXPECT_FALSE(run().problems.empty()) << row.key[4];
        put(row.key, row.value);
    }
}

TEST_F(Check, StrangeRowsAreFound)
{
    for (const std::string &key : {std::string("\0\0\0\1Z", 5), std::string("\0\0\0\1L\1", 6), std::string("abc"),
                                   std::string("\0\0\0\0X", 5), std::string("\0\0\0\x63L", 5), std::string("\xff")}) {
        put(key, "x");
        EXPECT_FALSE(run().problems.empty());
        del(key);
    }
    EXPECT_TRUE(run().problems.empty());
}

} // namespace
