/* A volume on a kv_mem with a tame state machine: state row = index -> data; the result is the data. */
#ifndef TESTS_UNIT_REPLICATION_VOLUME_FIXTURE_H
#define TESTS_UNIT_REPLICATION_VOLUME_FIXTURE_H

#include <list>
#include <map>

#include "proto/base/bytes.h"
#include "replication/volume.h"
#include "store_fixture.h"

struct TestClock {
    struct clock base; /* first */
    uint64_t ms;
    static uint64_t mono(struct clock *c)
    {
        return reinterpret_cast<TestClock *>(c)->ms;
    }
    static uint64_t wall(struct clock *c)
    {
        return reinterpret_cast<TestClock *>(c)->ms + 1000000;
    }
};

struct Machine {
    uint8_t prefix[5] = {};
    int applied = 0;
    int committed = 0;
    int aborted = 0;
    enum err fail = OK;    /* what apply answers for data that contains "bad" */
    enum err staged = OK;  /* what it says to chunks */
    uint64_t added = 0;    /* what they added, as it was told */
    std::string kill_next; /* data that kills the body of its own entry */
    uint64_t over = 0;     /* data that begins with "over" goes to the row of this index */
    std::vector<uint64_t> indexes;

    static enum err apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t,
                          struct buf *result)
    {
        Machine *m = static_cast<Machine *>(ctx);
        uint8_t key[13];
        memcpy(key, m->prefix, 5);
        put_be64(key + 5, pos.index);
        m->applied++;
        std::string s = string_of(data);
        if (m->fail != OK && s.find("bad") != std::string::npos) {
            return m->fail;
        }
        if (m->over != 0 && s.compare(0, 4, "over") == 0) {
            put_be64(key + 5, m->over);
        }
        enum err e = kv_put(t, slice_make(key, sizeof(key)), data);
        if (e == OK && !m->kill_next.empty() && s == m->kill_next) {
            e = repl_body_kill(t, m->prefix, pos.index, 0, 1000000);
        }
        m->indexes.push_back(pos.index);
        return e == OK ? buf_append_slice(result, data) : e;
    }
    static void on_committed(void *ctx)
    {
        static_cast<Machine *>(ctx)->committed++;
    }
    static void on_aborted(void *ctx)
    {
        static_cast<Machine *>(ctx)->aborted++;
    }
    static enum err on_staged(void *ctx, struct kv_txn *, uint64_t, uint32_t bytes)
    {
        Machine *m = static_cast<Machine *>(ctx);
        m->added += m->staged == OK ? bytes : 0;
        return m->staged;
    }
    struct repl_fsm fsm()
    {
        struct repl_fsm f = {this, apply, on_committed, on_aborted, on_staged, nullptr};
        return f;
    }
};

struct Write {
    struct proposal p; /* first */
    std::string data;
    std::string body;
    int answers = 0;
    enum err status = OK;
    std::string result;
    static void done(struct proposal *p, enum err status, struct slice result)
    {
        Write *w = reinterpret_cast<Write *>(p);
        w->answers++;
        w->status = status;
        w->result = string_of(result);
    }
    Write(uint32_t shard, const std::string &d, const std::string &b = "") : data(d), body(b)
    {
        memset(&p, 0, sizeof(p));
        p.shard = shard;
        p.data = slice_of(data);
        p.body = slice_of(body);
        p.done = done;
    }
    Write(const Write &) = delete;
    Write &operator=(const Write &) = delete;
};

class VolumeTest : public Store
{
  protected:
    void SetUp() override
    {
        Store::SetUp();
        clock.base.mono_ms = TestClock::mono;
        clock.base.wall_ms = TestClock::wall;
        clock.ms = 1000;
        rng_seeded_init(&rng, 1);
        config = {};
        config.kv = kv;
        config.clock = &clock.base;
        config.rng = &rng;
    }
    void TearDown() override
    {
        close();
        Store::TearDown();
    }
    enum err open(uint32_t shards = 2)
    {
        enum err e = volume_open(&config, &volume);
        for (uint32_t s = 0; s < shards && e == OK; s++) {
            e = open_replica(s);
        }
        return e;
    }
    enum err open_replica(uint32_t s, uint64_t node = 7)
    {
        struct repl_fsm fsm = machines[s].fsm();
        enum err e = volume_replica_open(volume, {s}, {node}, &fsm);
        return e == OK ? volume_state_prefix(volume, {s}, machines[s].prefix) : e;
    }
    void start(uint32_t shards = 2)
    {
        ASSERT_EQ(open(shards), OK);
        turn();
        for (uint32_t s = 0; s < shards; s++) {
            ASSERT_TRUE(leads(s));
        }
    }
    void close()
    {
        if (volume != nullptr) {
            volume_close(volume);
            volume = nullptr;
        }
    }
    void restart(uint32_t shards = 2)
    {
        close();
        start(shards);
    }
    bool leads(uint32_t shard)
    {
        return volume_leads(volume, {shard}, &term);
    }
    uint64_t turn(const std::vector<Write *> &writes = {})
    {
        for (size_t i = 0; i + 1 < writes.size(); i++) {
            writes[i]->p.node.next = &writes[i + 1]->p.node;
        }
        if (!writes.empty()) {
            writes.back()->p.node.next = nullptr;
        }
        return volume_turn(volume, writes.empty() ? nullptr : &writes[0]->p, nullptr);
    }
    /* One write alone; its status. */
    enum err one(uint32_t shard, const std::string &data, const std::string &body = "")
    {
        Write w(shard, data, body);
        turn({&w});
        for (int i = 0; i < 10 && w.answers == 0; i++) {
            turn(); /* a turn that failed is tried again */
        }
        EXPECT_EQ(w.answers, 1);
        return w.status;
    }
    /* Turns until nothing is waited for soon. */
    void settle()
    {
        for (int i = 0; i < 10000; i++) {
            uint64_t wait = turn();
            if (wait > 5000) {
                return;
            }
            clock.ms += wait;
        }
        ADD_FAILURE() << "no rest";
    }
    TestClock clock;
    struct rng rng;
    struct volume_config config;
    struct volume *volume = nullptr;
    std::map<uint32_t, Machine> machines;
    uint64_t term = 0;
};

#endif /* TESTS_UNIT_REPLICATION_VOLUME_FIXTURE_H */
