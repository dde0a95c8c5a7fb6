#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "replication/volume.h"
#include "storage/kv/kv_lmdb.h"

namespace
{

struct Toy {
    uint64_t applied = 0;
    uint8_t prefix[5];
    static enum err apply(void *ctx, struct kv_txn *t, struct repl_position pos, struct slice data, uint32_t, buf *result)
    {
        Toy *self = static_cast<Toy *>(ctx);
        uint8_t key[13];
        memcpy(key, self->prefix, 5);
        put_be64(key + 5, pos.index);
        self->applied++;
        enum err e = kv_put(t, slice_make(key, sizeof(key)), data);
        return e == OK ? buf_append_slice(result, data) : e;
    }
};

struct Write {
    struct proposal p;
    int answered = 0;
    enum err status = OK;
    std::string result;
    std::string data;
    std::string body;
    static void done(struct proposal *p, enum err status, struct slice result)
    {
        Write *w = reinterpret_cast<Write *>(p);
        w->answered++;
        w->status = status;
        w->result.assign(reinterpret_cast<const char *>(result.p), result.n);
    }
    Write(uint32_t shard, std::string d, std::string b) : data(d), body(b)
    {
        memset(&p, 0, sizeof(p));
        p.shard = shard;
        p.data = slice_make(data.data(), data.size());
        p.body = slice_make(body.data(), body.size());
        p.done = done;
    }
};

TEST(Volume, AnswersAWriteOnLmdbAndFindsItAfterARestart)
{
    char dir[] = "/tmp/pb-volume-XXXXXX";
    ASSERT_NE(mkdtemp(dir), nullptr);
    std::string path = std::string(dir) + "/v.mdb";
    for (int round = 0; round < 3; round++) {
        struct kv_lmdb_config kc = {};
        kc.path = path.c_str();
        struct kv *kv = nullptr;
        struct buf why;
        buf_init(&why, 1000);
        ASSERT_EQ(kv_lmdb_open(&kc, &kv, &why), OK);
        struct volume_config vc = {};
        vc.kv = kv;
        vc.clock = clock_system();
        vc.rng = rng_system();
        struct volume *v = nullptr;
        ASSERT_EQ(volume_open(&vc, &v), OK);
        size_t found = 0;
        volume_found(v, &found);
        EXPECT_EQ(found, round == 0 ? 0u : 3u);
        Toy toys[3];
        for (uint32_t s = 0; s < 3; s++) {
            struct repl_fsm fsm = {&toys[s], Toy::apply, nullptr, nullptr};
            struct shard_id shard = {s};
            struct node_id node = {7};
            ASSERT_EQ(volume_replica_open(v, shard, node, &fsm), OK);
            ASSERT_EQ(volume_state_prefix(v, shard, toys[s].prefix), OK);
        }
        uint64_t term = 0;
        struct shard_id one = {1};
        EXPECT_FALSE(volume_leads(v, one, &term));
        volume_turn(v, nullptr);
        EXPECT_TRUE(volume_leads(v, one, &term));
        EXPECT_EQ(term, 2u + (unsigned)round);
        Write w(1, "hello", std::string(10000, 'x'));
        volume_turn(v, &w.p);
        EXPECT_EQ(w.answered, 1);
        EXPECT_EQ(w.status, OK);
        EXPECT_EQ(w.result, "hello");
        struct volume_stats st;
        volume_stats(v, &st);
        EXPECT_EQ(st.commits, 2u);
        volume_close(v);
        kv_close(kv);
        buf_fini(&why);
    }
    EXPECT_EQ(system((std::string("rm -r ") + dir).c_str()), 0);
}

} // namespace
