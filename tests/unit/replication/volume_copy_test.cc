/* Whose turn it is when a node sends copies, and how fast. What is copied: volume_peers_test.cc. */
#include "peers_fixture.h"
#include "replication/copy_rate.h"

namespace
{

constexpr uint64_t RATE = 1 << 20;
constexpr uint64_t RECEIVER = 3;

class CopyTurns : public Peers
{
  protected:
    /* One voter with so many bytes of bodies, more than its log. */
    void fill(uint64_t shard, int bodies)
    {
        for (int i = 0; i < bodies; i++) {
            Write w(static_cast<uint32_t>(shard), "entry", std::string(20000, static_cast<char>('a' + i % 26)));
            propose(1, &w);
            for (int k = 0; k < 50 && w.answers == 0; k++) {
                run(50);
            }
            ASSERT_EQ(w.status, OK);
        }
    }
    /* Bytes of copies that are on the wire now. */
    uint64_t bulk_bytes()
    {
        uint64_t n = 0;
        for (const Letter &l : wire) {
            n += l.bulk && l.from == 1 ? l.bytes.size() : 0;
        }
        return n;
    }
};

TEST_F(CopyTurns, ACopyIsSentNoFasterThanTheRate)
{
    log_entries_max = 8;
    copy_bytes_per_s = RATE;
    open(1);
    run(100);
    fill(SHARD.v, 250); /* 5 MB */
    open(3);
    const struct raft_server_info servers[] = {{{1}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_STANDBY}};
    uint64_t term = status(1).term;
    uint64_t began = clock.ms;
    uint64_t bytes = 0;
    ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, servers, 2), OK);
    while (volume_applied(nodes[3]->volume, SHARD) == 0 && clock.ms < began + 30000) {
        clock.ms += 5;
        bytes += bulk_bytes();
        deliver();
        turn(1);
        turn(3);
        ASSERT_LE(bytes, COPY_RATE_BURST_BYTES + 2 * 200 * 1024 + RATE * (clock.ms - began) / 1000);
    }
    EXPECT_GT(bytes, 5000000u);
    EXPECT_GT(clock.ms - began, 3000u);
    EXPECT_LT(clock.ms - began, 8000u); /* and not much slower either */
    EXPECT_EQ(status(1).term, term);
    EXPECT_EQ(elections(1) + elections(3), 0u);
    run(2000);
    EXPECT_EQ(state(3), state(1));
}

/* The turn ends when the bucket is empty, and the node asks for the next one itself. */
TEST_F(CopyTurns, ASourceThatMayNotSendYetWakesUpByItself)
{
    log_entries_max = 8;
    copy_bytes_per_s = RATE;
    open(1);
    run(100);
    fill(SHARD.v, 150);
    struct repl_message m = {};
    m.type = REPL_MESSAGE_COPY_PULL;
    m.from = {RECEIVER};
    m.to = {1};
    m.copy = 7;
    uint64_t all = 0;
    uint64_t wait = 0;
    for (m.upto = 6; all < 2 * COPY_RATE_BURST_BYTES && m.sequence < 20; m.sequence++, m.upto++) {
        receive(1, encode(m));
        wait = turn(1);
        all += bulk_bytes();
        wire.clear();
    }
    ASSERT_LT(all, COPY_RATE_BURST_BYTES + 200 * 1024u) << "in no time";
    ASSERT_GT(wait, 0u);
    ASSERT_LE(wait, 200u);
    clock.ms += wait;
    turn(1);
    EXPECT_GT(bulk_bytes(), 100000u);
}

class ManyCopies : public CopyTurns
{
  protected:
    ManyCopies()
    {
        log_entries_max = 8;
    }
    void SetUp() override
    {
        CopyTurns::SetUp();
        open(1);
        for (uint32_t shard = 1; shard < SHARDS; shard++) {
            struct repl_fsm fsm = machines[shard].fsm();
            ASSERT_EQ(volume_replica_open(nodes[1]->volume, {shard}, {1}, &fsm), OK);
            ASSERT_EQ(volume_state_prefix(nodes[1]->volume, {shard}, machines[shard].prefix), OK);
        }
        run(100);
        for (uint32_t shard = 0; shard < SHARDS; shard++) {
            fill(shard, 30);
        }
        wire.clear();
    }
    void pull(uint32_t shard, uint64_t done, uint16_t attempt = 0)
    {
        struct repl_message m = {};
        m.type = REPL_MESSAGE_COPY_PULL;
        m.shard = {shard};
        m.from = {RECEIVER};
        m.to = {1};
        m.copy = 100 + shard;
        m.sequence = done;
        m.upto = done + 2;
        m.attempt = attempt;
        m.again = attempt > 0;
        receive(1, encode(m));
    }
    /* What the source says, by shard: sequences, 0 for "wait". */
    std::map<uint32_t, std::vector<uint64_t>> said()
    {
        std::map<uint32_t, std::vector<uint64_t>> all;
        for (const Letter &l : wire) {
            struct repl_message m;
            EXPECT_EQ(repl_message_get(slice_of(l.bytes), &m), OK);
            EXPECT_EQ(m.type, REPL_MESSAGE_COPY_ROWS);
            EXPECT_TRUE(m.sequence > 0 || m.rows.n == 0);
            all[m.shard.v].push_back(m.sequence);
            last[m.shard.v] = last[m.shard.v] || m.last;
        }
        wire.clear();
        return all;
    }
    static constexpr uint32_t SHARDS = 6;
    Machine machines[SHARDS];
    bool last[SHARDS] = {};
};

TEST_F(ManyCopies, FourAreSentAtATimeAndTheNextBeginsWhenOneIsSent)
{
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        pull(shard, 0);
    }
    turn(1);
    auto first = said();
    ASSERT_EQ(first.size(), 4u);
    for (uint32_t shard = 0; shard < 4; shard++) {
        EXPECT_EQ(first[shard], (std::vector<uint64_t>{1, 2}));
    }
    std::map<uint32_t, std::vector<uint64_t>> next;
    for (uint64_t done = 2; !last[2] && done < 20; done++) {
        pull(2, done);
        turn(1);
        next = said();
    }
    ASSERT_TRUE(last[2]);
    if (next.count(4) == 0) {
        turn(1);
        next = said();
    }
    EXPECT_EQ(next[4], (std::vector<uint64_t>{1, 2}));
    EXPECT_EQ(next.count(5), 0u);
}

TEST_F(ManyCopies, BatchesOfDifferentCopiesGoInTurn)
{
    pull(0, 0);
    pull(1, 0);
    turn(1);
    std::vector<uint32_t> order;
    for (const Letter &l : wire) {
        struct repl_message m;
        ASSERT_EQ(repl_message_get(slice_of(l.bytes), &m), OK);
        order.push_back(m.shard.v);
    }
    EXPECT_EQ(order, (std::vector<uint32_t>{0, 1, 0, 1}));
}

TEST_F(ManyCopies, WhoWaitsForItsTurnIsToldSo)
{
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        pull(shard, 0);
    }
    turn(1);
    said();
    pull(5, 0, 1);
    turn(1);
    auto answer = said();
    EXPECT_EQ(answer[5], (std::vector<uint64_t>{0}));
}

TEST_F(ManyCopies, ACopyThatIsGivenUpMakesRoom)
{
    for (uint32_t shard = 0; shard < 5; shard++) {
        pull(shard, 0);
    }
    turn(1);
    ASSERT_EQ(said().count(4), 0u);
    struct repl_message m = {};
    m.type = REPL_MESSAGE_COPY_PULL;
    m.shard = {0};
    m.from = {RECEIVER};
    m.to = {1};
    m.copy = 200; /* another one: the receiver has started again */
    receive(1, encode(m));
    turn(1);
    EXPECT_EQ(said()[4], (std::vector<uint64_t>{1, 2}));
}

/* Longer than a copy may stand still otherwise (copy_in.c). */
TEST_F(CopyTurns, AReceiverThatIsToldToWaitDoesNotGiveUp)
{
    log_entries_max = 8;
    open(1);
    run(100);
    fill(SHARD.v, 50);
    open(3);
    const struct raft_server_info servers[] = {{{1}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_STANDBY}};
    no_bulk = true;
    ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, servers, 2), OK);
    uint64_t copy = 0;
    for (uint64_t end = clock.ms + 60000; clock.ms < end; clock.ms += 50) {
        std::deque<Letter> now;
        now.swap(wire);
        for (const Letter &l : now) {
            struct repl_message m;
            ASSERT_EQ(repl_message_get(slice_of(l.bytes), &m), OK);
            if (m.type == REPL_MESSAGE_COPY_PULL) {
                EXPECT_TRUE(copy == 0 || m.copy == copy) << "it gave up after " << clock.ms;
                copy = m.copy;
                m.type = REPL_MESSAGE_COPY_ROWS;
                std::swap(m.from, m.to);
                receive(3, encode(m));
            } else if (!l.bulk) {
                receive(l.to, l.bytes);
            }
        }
        turn(1);
        turn(3);
    }
    EXPECT_NE(copy, 0u);
    no_bulk = false;
    run(5000);
    EXPECT_EQ(state(3), state(1));
}

} // namespace
