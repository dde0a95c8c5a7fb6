/* Three volumes and a network driven by hand. */
#include <atomic>
#include <thread>

#include "peers_fixture.h"
#include "replication/body.h"

namespace
{

TEST_F(Peers, AWriteIsOnAllOfThem)
{
    start();
    ASSERT_EQ(one(1, "write", std::string(9000, 'b')), OK);
    run(1000);
    for (uint64_t id = 1; id <= 3; id++) {
        struct kv_txn *t;
        struct buf b;
        buf_init(&b, 10000);
        ASSERT_EQ(kv_begin(nodes[id]->kv, false, &t), OK);
        EXPECT_EQ(repl_body_read(t, nodes[id]->machine.prefix, status(id).applied, 0, 0, 9000, &b), OK);
        kv_abort(t);
        EXPECT_EQ(string_of(buf_slice(&b)), std::string(9000, 'b'));
        buf_fini(&b);
        EXPECT_NE(state(id).find("write"), std::string::npos);
        EXPECT_EQ(status(id).applied, status(1).applied);
    }
}

TEST_F(Peers, AProposalIsAnsweredAfterAMajorityHasItAndNotBefore)
{
    Write w(SHARD.v, "w");
    start();
    cut = {{1, 3}};
    propose(1, &w);
    turn(1);
    EXPECT_EQ(w.answers, 0);
    uint64_t commits = kv_mem_commits(nodes[2]->kv);
    uint64_t log_last = status(2).log_last;
    for (int i = 0; i < 5; i++) {
        turn(1); /* alone it waits */
    }
    EXPECT_EQ(w.answers, 0);
    deliver();
    turn(2);
    EXPECT_EQ(kv_mem_commits(nodes[2]->kv), commits + 1);
    EXPECT_EQ(status(2).log_last, log_last + 1);
    EXPECT_EQ(w.answers, 0);
    deliver();
    turn(1);
    EXPECT_EQ(w.answers, 1);
    EXPECT_EQ(w.status, OK);
    EXPECT_EQ(w.result, "w");
}

TEST_F(Peers, AnAnswerToTheLeaderLeavesAfterTheCommitOnly)
{
    Write w(SHARD.v, "w");
    start();
    cut = {{1, 3}};
    propose(1, &w);
    kv_mem_faults(nodes[2]->kv)->commit_full_nth = 1;
    deliver();
    turn(2); /* its transaction fails */
    for (const Letter &l : wire) {
        EXPECT_NE(l.from, 2u) << "an answer left without a commit";
    }
    deliver();
    turn(1);
    EXPECT_EQ(w.answers, 0);
    run(1000); /* tried again */
    EXPECT_EQ(w.answers, 1);
    EXPECT_EQ(w.status, OK);
}

TEST_F(Peers, AFollowerIsNotTheLeader)
{
    Write w(SHARD.v, "w");
    start();
    uint64_t log_last = status(2).log_last;
    propose(2, &w);
    EXPECT_EQ(w.answers, 1);
    EXPECT_EQ(w.status, ERR_NOT_LEADER);
    run(500);
    EXPECT_EQ(status(2).log_last, log_last);
    EXPECT_EQ(status(2).leader.v, 1u);
    EXPECT_EQ(volume_leader(nodes[2]->volume, SHARD).v, 1u);
    EXPECT_EQ(volume_transfer(nodes[2]->volume, SHARD, {3}), ERR_NOT_LEADER);
    const struct raft_server_info self = {{2}, RAFT_ROLE_VOTER};
    EXPECT_EQ(volume_change(nodes[2]->volume, SHARD, &self, 1), ERR_NOT_LEADER);
}

TEST_F(Peers, ALeaderWithoutAMajorityStepsDownAndAnswersThatItDoesNotKnow)
{
    Write w(SHARD.v, "lost");
    start();
    isolate(1);
    propose(1, &w);
    EXPECT_TRUE(leads(1));
    run(6000);
    EXPECT_FALSE(leads(1));
    EXPECT_EQ(w.answers, 1);
    EXPECT_EQ(w.status, ERR_UNAVAILABLE);
    uint64_t other = leader();
    EXPECT_NE(other, 1u);
    ASSERT_EQ(one(other, "kept"), OK);
    cut.clear();
    run(3000);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_EQ(state(id).find("lost"), std::string::npos) << id;
        EXPECT_NE(state(id).find("kept"), std::string::npos) << id;
        EXPECT_EQ(state(id), state(1));
    }
}

TEST_F(Peers, AFullDiskOnAFollowerHoldsItBackAndNothingElse)
{
    start();
    Write w(SHARD.v, "w", std::string(100000, 'b'));
    cut = {{1, 3}, {3, 1}};
    uint64_t log_last = status(2).log_last;
    kv_mem_limit(nodes[2]->kv, 20000);
    propose(1, &w);
    run(500);
    EXPECT_EQ(w.answers, 0);
    EXPECT_EQ(status(2).log_last, log_last);
    EXPECT_EQ(status(1).match[1], log_last);
    kv_mem_limit(nodes[2]->kv, UINT64_MAX);
    run(500);
    EXPECT_EQ(w.answers, 1);
    EXPECT_EQ(w.status, OK);
    EXPECT_EQ(status(2).log_last, log_last + 1);
}

TEST_F(Peers, EverybodyGoesAndComesBack)
{
    start();
    for (int i = 0; i < 20; i++) {
        ASSERT_EQ(one(1, "entry " + std::to_string(i)), OK);
    }
    uint64_t term = status(1).term;
    for (uint64_t id = 1; id <= 3; id++) {
        stop(id);
    }
    wire.clear();
    for (uint64_t id = 1; id <= 3; id++) {
        open(id);
        EXPECT_FALSE(leads(id)); /* one voter of three does not lead by itself */
    }
    uint64_t l = leader();
    EXPECT_GT(status(l).term, term);
    ASSERT_EQ(one(l, "after"), OK);
    run(2000);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_EQ(state(id), state(l));
        EXPECT_NE(state(id).find("entry 19"), std::string::npos);
        EXPECT_NE(state(id).find("after"), std::string::npos);
    }
}

TEST_F(Peers, LeadershipIsHandedOver)
{
    start();
    ASSERT_EQ(volume_transfer(nodes[1]->volume, SHARD, {2}), OK);
    run(200);
    EXPECT_TRUE(leads(2));
    EXPECT_FALSE(leads(1));
    EXPECT_EQ(one(1, "x"), ERR_NOT_LEADER);
    EXPECT_EQ(one(2, "y"), OK);
    EXPECT_EQ(volume_transfer(nodes[2]->volume, SHARD, {9}), ERR_NOTFOUND);
}

TEST_F(Peers, AVoterThatHasHeardOfNoConfigurationVotes)
{
    open(1);
    open(3);
    isolate(3);
    run(100);
    change({{{1}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_STANDBY}});
    const struct raft_server_info both[] = {{{1}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_VOTER}};
    ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, both, 2), OK);
    run(100); /* durable, not committed: from now on it needs the other's vote */
    stop(1);
    cut.clear();
    open(1);
    EXPECT_EQ(status(3).n_servers, 0u);
    run(15000);
    ASSERT_TRUE(leads(1));
    EXPECT_EQ(one(1, "x"), OK);
    EXPECT_EQ(status(3).n_servers, 2u);
}

TEST_F(Peers, AChangeStaysInTheLogUntilRaftHasHeardThatItIsCommitted)
{
    std::list<Write> writes;
    log_entries_max = 8;
    start();
    const struct raft_server_info two[] = {{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}};
    ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, two, 2), OK);
    for (int i = 0; i < 40; i++) {
        writes.emplace_back(SHARD.v, "entry " + std::to_string(i));
        nodes[1]->queued.push_back(&writes.back());
    }
    run(1000); /* one transaction appends all, the next applies all, the change too, when the log is too long */
    for (const Write &w : writes) {
        EXPECT_EQ(w.status, OK);
    }
    EXPECT_FALSE(status(1).changing);
    EXPECT_LT(status(1).log_last - status(1).log_first, 10u);
}

TEST_F(Peers, ElectionsAreCountedButNotLeadershipThatIsHandedOver)
{
    start();
    ASSERT_EQ(volume_transfer(nodes[1]->volume, SHARD, {2}), OK);
    run(1000);
    ASSERT_TRUE(leads(2));
    EXPECT_EQ(elections(1) + elections(2) + elections(3), 0u);
    isolate(2);
    run(5000);
    EXPECT_GT(elections(1) + elections(3), 0u);
}

/* --- copies --- */

class Copies : public Peers
{
  protected:
    /* One voter with more state than its log, and an empty replica on node 3. */
    void start_behind(int entries)
    {
        log_entries_max = 8;
        open(1);
        run(100);
        for (int i = 0; i < entries; i++) {
            ASSERT_EQ(one(1, "entry " + std::to_string(i), std::string(20000, static_cast<char>('a' + i % 26))), OK);
        }
        open(3);
        const struct raft_server_info servers[] = {{{1}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_STANDBY}};
        ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, servers, 2), OK);
    }
    std::string body_of(uint64_t id, uint64_t index)
    {
        struct kv_txn *t;
        struct buf b;
        buf_init(&b, 30000);
        EXPECT_EQ(kv_begin(nodes[id]->kv, false, &t), OK);
        enum err e = repl_body_read(t, nodes[id]->machine.prefix, index, 0, 0, 20000, &b);
        kv_abort(t);
        std::string s = e == OK ? string_of(buf_slice(&b)) : err_text(e);
        buf_fini(&b);
        return s;
    }
    bool is_dead(uint64_t id, uint64_t index)
    {
        struct kv_txn *t;
        bool dead = false;
        EXPECT_EQ(kv_begin(nodes[id]->kv, false, &t), OK);
        EXPECT_EQ(body_is_dead(t, get_be32(nodes[id]->machine.prefix), index, 0, &dead), OK);
        kv_abort(t);
        return dead;
    }
    uint64_t applied(uint64_t id)
    {
        return volume_applied(nodes[id]->volume, SHARD); /* also while it starts again */
    }
    void expect_same()
    {
        size_t alive = 0;
        EXPECT_EQ(status(3).applied, status(1).applied);
        EXPECT_EQ(state(3), state(1));
        for (uint64_t index : nodes[1]->machine.indexes) {
            std::string want = body_of(1, index);
            if (want.size() == 20000 && !is_dead(1, index)) { /* each purges the dead when its log allows */
                EXPECT_TRUE(body_of(3, index) == want) << index;
                alive++;
            }
        }
        EXPECT_GT(alive, 50u);
        expect_clean(3);
    }
    size_t garbage(uint64_t id)
    {
        return count(id, std::string("\0\0\0\0G", 5));
    }
};

/* A delivery at a time, so that the source writes behind the copy's cursor. */
TEST_F(Copies, ANewcomerCatchesUpWhileTheSourceGoesOn)
{
    std::list<Write> writes;
    start_behind(200);
    uint32_t before = get_be32(nodes[3]->machine.prefix);
    nodes[1]->machine.kill_next = "dies";
    for (int i = 0; i < 40; i++) {
        writes.emplace_back(SHARD.v, i % 4 == 3 ? "dies" : "meanwhile " + std::to_string(i), std::string(20000, 'm'));
        propose(1, &writes.back());
        deliver();
        turn(1);
        turn(3);
        if (i == 8) {
            EXPECT_EQ(status(3).applied, 0u) << "the copy is over already";
        }
    }
    run(15000);
    expect_same();
    EXPECT_NE(get_be32(nodes[3]->machine.prefix), before);
    EXPECT_NE(state(3).find("meanwhile 38"), std::string::npos);
    EXPECT_EQ(garbage(3), 0u);
    EXPECT_EQ(count(3, std::string("\0\0\0\1", 4)), 0u); /* nothing of the replica that it replaced */
}

TEST_F(Copies, ARowWrittenBehindTheCursorIsSentAgain)
{
    std::list<Write> writes;
    log_entries_max = 1000;
    for (auto &n : nodes) {
        n.second->machine.over = 3; /* an early row */
    }
    open(1);
    run(100);
    for (int i = 0; i < 900; i++) {
        writes.emplace_back(SHARD.v, "entry " + std::to_string(i) + std::string(3000, 'e'));
        propose(1, &writes.back());
    }
    stop(1);
    log_entries_max = 8;
    open(1);
    run(1000);
    stop(1);
    log_entries_max = 1000; /* the copy is not left behind */
    open(1);
    open(3);
    const struct raft_server_info servers[] = {{{1}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_STANDBY}};
    ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, servers, 2), OK);
    int written = 0;
    for (; written < 200 && applied(3) == 0; written++) {
        writes.emplace_back(SHARD.v, "over " + std::to_string(written));
        propose(1, &writes.back());
        deliver();
        turn(1);
        turn(3);
    }
    EXPECT_GT(written, 5);
    run(5000);
    EXPECT_EQ(status(3).applied, status(1).applied);
    EXPECT_TRUE(state(3) == state(1));
    EXPECT_NE(state(3).find("over " + std::to_string(written - 1)), std::string::npos);
}

TEST_F(Copies, ACopyThatWasBrokenOffLeavesGarbageThatIsDeleted)
{
    start_behind(100);
    for (int i = 0; i < 400 && garbage(3) == 0; i++) {
        clock.ms += 50;
        deliver();
        turn(1);
        turn(3);
    }
    ASSERT_EQ(garbage(3), 1u);
    ASSERT_EQ(status(3).applied, 0u);
    stop(3);
    no_bulk = true; /* no other copy yet */
    open(3);
    run(2000);
    EXPECT_EQ(garbage(3), 0u);
    EXPECT_EQ(count(3, std::string("\0\0\0\2", 4)), 0u);
    no_bulk = false;
    run(30000);
    expect_same();
}

/* Its log's head has passed the copy by the time it is there: another one, soon. */
TEST_F(Copies, ACopyThatTheSourcesLogLeftBehindIsFollowedByAnother)
{
    std::list<Write> writes;
    start_behind(100);
    while (applied(3) == 0 && writes.size() < 100) {
        writes.emplace_back(SHARD.v, "meanwhile");
        propose(1, &writes.back());
        deliver();
        turn(1);
        turn(3);
    }
    cut = {{1, 3}, {3, 1}};
    for (int i = 0; i < 60; i++) {
        ASSERT_EQ(one(1, "later " + std::to_string(i)), OK);
    }
    ASSERT_GT(status(1).log_first, applied(3) + 1);
    cut.clear();
    run(10000);
    expect_same();
}

TEST_F(Copies, LostBatchesArePulledAgain)
{
    start_behind(200);
    for (int i = 0; i < 8; i++) {
        no_bulk = i == 5;
        deliver();
        turn(1);
        turn(3);
    }
    ASSERT_EQ(status(3).applied, 0u);
    no_bulk = true;
    run(500);
    no_bulk = false;
    run(4000); /* less than it takes to give up */
    expect_same();
}

/* The leader's heartbeats name its snapshot, which the library takes for committed here while the old log is still in
 * place: what a deposed leader wrote there must not be applied. */
TEST_F(Copies, AReplicaWithAnotherLogAppliesNothingWhileItIsReplaced)
{
    std::list<Write> lost;
    log_entries_max = 8;
    start();
    isolate(1);
    for (int i = 0; i < 5; i++) {
        lost.emplace_back(SHARD.v, "lost " + std::to_string(i));
        propose(1, &lost.back());
    }
    uint64_t applied = status(1).applied;
    run(6000);
    uint64_t other = leader();
    ASSERT_NE(other, 1u);
    for (int i = 0; i < 60; i++) {
        ASSERT_EQ(one(other, "kept " + std::to_string(i)), OK);
    }
    cut.clear();
    no_bulk = true;
    run(5000);
    EXPECT_EQ(status(1).applied, applied);
    EXPECT_EQ(state(1).find("lost"), std::string::npos);
    no_bulk = false;
    run(30000);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_EQ(state(id), state(other));
        EXPECT_NE(state(id).find("kept 59"), std::string::npos);
    }
}

/* --- what only a peer's bytes bring about --- */

struct repl_message message_to_1(enum repl_message_type type, uint64_t term)
{
    struct repl_message m;
    memset(&m, 0, sizeof(m));
    m.type = type;
    m.shard = SHARD;
    m.from = {2};
    m.to = {1};
    m.term = term;
    return m;
}

TEST_F(Peers, AVoteLeavesOnceItIsDurableAndNotBefore)
{
    start();
    run(1000); /* it votes for nobody when it has just started */
    struct repl_message m = message_to_1(REPL_MESSAGE_VOTE, status(1).term + 5);
    m.index = 1000;
    m.index_term = m.term - 1;
    m.disrupt = true;
    kv_mem_faults(nodes[1]->kv)->commit_full_nth = 1;
    wire.clear();
    receive(1, encode(m));
    turn(1); /* its transaction fails */
    EXPECT_EQ(kv_mem_faults(nodes[1]->kv)->commit_full_nth, 0u);
    EXPECT_TRUE(wire.empty());
    clock.ms += 200;
    turn(1);
    ASSERT_EQ(wire.size(), 1u);
    struct repl_message answer;
    ASSERT_EQ(repl_message_get(slice_of(wire[0].bytes), &answer), OK);
    EXPECT_EQ(answer.type, REPL_MESSAGE_VOTE_RESULT);
    EXPECT_TRUE(answer.granted);
    stop(1);
    open(1);
    EXPECT_EQ(status(1).term, m.term);
}

TEST_F(Peers, WhatDoesNotFitIsRefusedThoughAnotherGroupWaitsForItsTurn)
{
    Machine lone;
    struct repl_fsm fsm = lone.fsm();
    start();
    ASSERT_EQ(volume_replica_open(nodes[1]->volume, {1}, {1}, &fsm), OK);
    ASSERT_EQ(volume_state_prefix(nodes[1]->volume, {1}, lone.prefix), OK);
    run(200);
    Write shared(SHARD.v, "for three");
    kv_mem_faults(nodes[1]->kv)->commit_full_nth = 1;
    propose(1, &shared); /* put off: it is among the active ones, and first */
    ASSERT_EQ(kv_mem_faults(nodes[1]->kv)->commit_full_nth, 0u);
    Write alone(1, "for one");
    kv_mem_faults(nodes[1]->kv)->commit_full_nth = 1;
    propose(1, &alone);
    EXPECT_EQ(alone.answers, 1);
    EXPECT_EQ(alone.status, ERR_FULL);
    EXPECT_EQ(shared.answers, 0);
    run(500);
    EXPECT_EQ(shared.answers, 1);
    EXPECT_EQ(shared.status, OK);
}

/* It elects itself again, without a barrier: its term has no entry yet. */
TEST_F(Peers, ASoleVoterThatHearsOfAHigherTermGoesOn)
{
    open(1);
    run(100);
    ASSERT_EQ(one(1, "before"), OK);
    receive(1, encode(message_to_1(REPL_MESSAGE_APPEND_RESULT, 9)));
    turn(1);
    EXPECT_FALSE(leads(1));
    run(10000);
    EXPECT_TRUE(leads(1));
    EXPECT_EQ(status(1).term, 9u);
    EXPECT_EQ(one(1, "after"), OK);
    EXPECT_EQ(one(1, "and on"), OK);
    stop(1);
    open(1);
    EXPECT_EQ(one(1, "restarted"), OK);
}

std::string append_of(uint64_t term, uint64_t index, uint64_t index_term, uint64_t entry_term)
{
    struct buf b;
    struct repl_message m = message_to_1(REPL_MESSAGE_APPEND, term);
    struct repl_entry e;
    memset(&e, 0, sizeof(e));
    e.head.term = entry_term;
    e.head.type = REPL_ENTRY_COMMAND;
    e.head.data = slice_make("other", 5);
    m.index = index;
    m.index_term = index_term;
    buf_init(&b, 10000);
    EXPECT_EQ(repl_message_put(&m, &b), OK);
    EXPECT_EQ(repl_message_put_entry(&b, 0, &e), OK);
    std::string s = string_of(buf_slice(&b));
    buf_fini(&b);
    return s;
}

/* After a start the library knows less of what is committed than the disk. */
TEST_F(Peers, ALeaderThatContradictsWhatIsAppliedIsNotFollowed)
{
    log_entries_max = 8;
    start();
    for (int i = 0; i < 30; i++) {
        ASSERT_EQ(one(1, "entry " + std::to_string(i)), OK);
    }
    run(500);
    stop(1);
    open(1);
    struct volume_status st = status(1);
    std::string before = state(1);
    ASSERT_GT(st.log_first, 3u);
    receive(1, append_of(st.term + 1, st.applied - 2, st.term, st.term + 1));
    turn(1);
    EXPECT_EQ(state(1), before);
    run(1);
    /* Terms below the snapshot's, from an index that is gone. */
    receive(1, append_of(st.term + 2, st.log_first - 2, 1, 1));
    turn(1);
    EXPECT_EQ(state(1), before);
    cut.clear();
    run(5000);
    ASSERT_EQ(one(leader(), "on"), OK);
}

TEST_F(Peers, MessagesForOthersAndGarbageAreDropped)
{
    struct volume_stats before;
    struct volume_stats after;
    start();
    volume_stats(nodes[1]->volume, &before);
    struct repl_message m = message_to_1(REPL_MESSAGE_APPEND_RESULT, 9);
    m.to = {3};
    receive(1, encode(m));
    m.to = {1};
    m.from = {1};
    receive(1, encode(m));
    m.from = {2};
    m.shard = {5};
    receive(1, encode(m));
    receive(1, "garbage");
    nodes[1]->inbox.emplace_back(2, std::string("\xff\xff\xff\x7f too long", 13));
    turn(1);
    volume_stats(nodes[1]->volume, &after);
    EXPECT_EQ(after.messages_dropped, before.messages_dropped + 5);
    EXPECT_TRUE(leads(1));
}

TEST_F(Peers, ANodeSpeaksForItselfOnly)
{
    start();
    uint64_t term = status(1).term;
    struct volume_stats before;
    struct volume_stats after;
    struct repl_message m = message_to_1(REPL_MESSAGE_APPEND_RESULT, term + 1);
    m.from = {2};
    volume_stats(nodes[1]->volume, &before);
    receive(1, encode(m), 3); /* node 3 in node 2's name: a higher term would end the leadership */
    turn(1);
    volume_stats(nodes[1]->volume, &after);
    EXPECT_EQ(after.messages_dropped, before.messages_dropped + 1);
    EXPECT_TRUE(leads(1));
    EXPECT_EQ(status(1).term, term);
    receive(1, encode(m), 2);
    turn(1);
    EXPECT_FALSE(leads(1));
}

/* --- what readers look at --- */

std::set<uint64_t> voters_of(const struct volume_read &r)
{
    std::set<uint64_t> v;
    for (size_t i = 0; i < r.n_voters; i++) {
        v.insert(r.voters[i].v);
    }
    return v;
}

TEST_F(Peers, AReadKnowsTheVotersInForceCommittedOrNot)
{
    struct volume_read r = {};
    struct volume_read changed = {};
    start();
    ASSERT_TRUE(volume_read_begin(nodes[1]->volume, SHARD, &r));
    EXPECT_EQ(voters_of(r), (std::set<uint64_t>{1, 2, 3}));
    EXPECT_EQ(r.term, status(1).term);
    EXPECT_EQ(r.index, status(1).commit);
    EXPECT_FALSE(r.alone);
    EXPECT_FALSE(volume_read_begin(nodes[2]->volume, SHARD, &changed));
    isolate(1); /* the change stays uncommitted */
    const struct raft_server_info two[] = {{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}, {{3}, RAFT_ROLE_STANDBY}};
    ASSERT_EQ(volume_change(nodes[1]->volume, SHARD, two, 3), OK);
    ASSERT_TRUE(status(1).changing);
    ASSERT_TRUE(volume_read_begin(nodes[1]->volume, SHARD, &changed));
    EXPECT_EQ(voters_of(changed), (std::set<uint64_t>{1, 2}));
    EXPECT_EQ(changed.configuration, status(1).log_last + 1);
    EXPECT_LT(r.configuration, changed.configuration);
    EXPECT_EQ(changed.index, r.index);
    cut.clear();
    run(1000);
    ASSERT_TRUE(volume_read_begin(nodes[1]->volume, SHARD, &r));
    EXPECT_EQ(r.configuration, changed.configuration) << "to be committed changes nothing";
    EXPECT_EQ(voters_of(r), (std::set<uint64_t>{1, 2}));
    run(6000);
    isolate(1);
    run(8000);
    EXPECT_FALSE(volume_read_begin(nodes[1]->volume, SHARD, &r)) << "alone it leads no more";
}

TEST_F(Peers, ReadersOnOtherThreadsSeeOneMoment)
{
    std::atomic<bool> over{false};
    std::atomic<uint64_t> looks{0};
    std::map<uint64_t, std::set<uint64_t>> seen; /* by configuration */
    size_t torn = 0;
    start();
    struct volume *v = nodes[1]->volume;
    std::thread reader([&] {
        struct volume_read last = {};
        while (!over) {
            struct volume_read r;
            if (!volume_read_begin(v, SHARD, &r)) {
                continue;
            }
            auto there = seen.emplace(r.configuration, voters_of(r));
            torn += there.first->second != voters_of(r) || r.index < last.index || r.configuration < last.configuration;
            last = r;
            looks++;
        }
    });
    while (looks == 0) { /* on a busy machine the thread may come late */
        std::this_thread::yield();
    }
    for (int i = 0; i < 20; i++) {
        const enum raft_server_role role = i % 2 == 0 ? RAFT_ROLE_STANDBY : RAFT_ROLE_VOTER;
        change({{{1}, RAFT_ROLE_VOTER}, {{2}, RAFT_ROLE_VOTER}, {{3}, role}});
        ASSERT_EQ(one(1, "write"), OK);
    }
    over = true;
    reader.join();
    EXPECT_EQ(torn, 0u);
    EXPECT_GE(seen.size(), 1u);
}

} // namespace
