/* A real process on a real LMDB file, killed at any moment: what it acknowledged is there, once. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "proto/base/bytes.h"
#include "storage/kv/kv_lmdb.h"
#include "toy.h"

namespace
{

constexpr uint32_t SHARDS = 4;
constexpr int ROUNDS = 20;
constexpr size_t RECORD = 4 + 8 + 1 + 16;

enum err open_store(const std::string &path, struct kv **out)
{
    struct kv_lmdb_config cfg = {};
    struct buf why;
    buf_init(&why, 1000);
    cfg.path = path.c_str();
    cfg.map_bytes = 1 << 30;
    enum err e = kv_lmdb_open(&cfg, out, &why);
    buf_fini(&why);
    return e;
}

/* In the child: tells the parent what was acknowledged, as a server tells its client. */
class Telling : public Toy
{
  public:
    explicit Telling(int pipe) : Toy(SHARDS), pipe_(pipe)
    {
    }
    void answered(const sim::Op &op, enum err status, const std::string &result) override
    {
        Toy::answered(op, status, result);
        if (status != OK || op.staged_index != 0) {
            return;
        }
        uint8_t record[RECORD];
        put_be32(record, op.shard);
        put_be64(record + 4, op.tag);
        record[12] = static_cast<uint8_t>(op.data[0]);
        memcpy(record + 13, result.data(), 16);
        if (::write(pipe_, record, sizeof(record)) != static_cast<ssize_t>(sizeof(record))) {
            _exit(3);
        }
    }

  private:
    int pipe_;
};

sim::NodeOptions options(struct kv *kv)
{
    sim::NodeOptions o;
    o.shards = SHARDS;
    o.log_entries_max = 20;
    o.kv = kv;
    return o;
}

[[noreturn]] void child(const std::string &path, int pipe, uint64_t round)
{
    struct kv *kv = nullptr;
    if (open_store(path, &kv) != OK) {
        _exit(2);
    }
    Telling toy(pipe);
    toy.ids_from(round << 32);
    sim::Node node(round, &toy, options(kv));
    if (!node.restart()) {
        _exit(2);
    }
    for (int turns = 0; turns < 100000; turns++) {
        struct kv_txn *t;
        if (kv_begin(kv, false, &t) != OK) {
            _exit(2);
        }
        for (int i = 0; i < 8; i++) {
            sim::Op op;
            op.shard = static_cast<uint32_t>(rng_below(&node.rng, SHARDS));
            if (toy.propose(op.shard, t, &node.rng, &op)) {
                node.submit(op);
            }
        }
        kv_abort(t);
        node.turn();
        node.advance(30);
    }
    _exit(2); /* the parent should have killed us long ago */
}

/* Everything that the child told; kills it after `enough` records. */
uint64_t listen_and_kill(int pipe, pid_t pid, uint64_t enough, Toy *toy)
{
    uint8_t record[RECORD];
    uint64_t n = 0;
    size_t have = 0;
    for (;;) {
        ssize_t got = read(pipe, record + have, RECORD - have);
        if (got <= 0) {
            break;
        }
        have += static_cast<size_t>(got);
        if (have < RECORD) {
            continue;
        }
        have = 0;
        sim::Op op;
        op.shard = get_be32(record);
        op.tag = get_be64(record + 4);
        op.data = std::string(1, static_cast<char>(record[12]));
        toy->answered(op, OK, std::string(reinterpret_cast<char *>(record) + 13, 16));
        if (++n == enough) {
            kill(pid, SIGKILL);
        }
    }
    return n;
}

TEST(KillNine, EverythingAcknowledgedSurvivesTwentyKills)
{
    std::string dir = (std::filesystem::temp_directory_path() / "pb-kill-XXXXXX").string();
    ASSERT_NE(mkdtemp(dir.data()), nullptr);
    std::string path = dir + "/volume.mdb";
    struct rng rng;
    Toy toy(SHARDS);
    rng_seeded_init(&rng, static_cast<uint64_t>(getpid()));
    for (uint64_t round = 1; round <= ROUNDS && !HasFailure(); round++) {
        int fds[2];
        ASSERT_EQ(pipe(fds), 0);
        pid_t pid = fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) {
            close(fds[0]);
            child(path, fds[1], round);
        }
        close(fds[1]);
        EXPECT_GT(listen_and_kill(fds[0], pid, 1 + rng_below(&rng, 200), &toy), 0u);
        close(fds[0]);
        int status = 0;
        ASSERT_EQ(waitpid(pid, &status, 0), pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);

        struct kv *kv = nullptr;
        ASSERT_EQ(open_store(path, &kv), OK);
        {
            sim::Node node(round, &toy, options(kv));
            ASSERT_TRUE(node.restart());
            node.check();
            if (round == ROUNDS) {
                toy.ids_from(UINT64_C(1) << 62);
                node.settle();
                toy.finish(&node);
            }
        }
        kv_close(kv);
    }
    std::filesystem::remove_all(dir);
}

} // namespace
