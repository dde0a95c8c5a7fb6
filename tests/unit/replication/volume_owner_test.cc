#include "replication/volume_owner.h"

#include "replication/check.h"
#include "store_fixture.h"

namespace
{

class VolumeOwner : public Store
{
  protected:
    struct volume_owner owner = {{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
                                 {UINT64_C(0x1122334455667788)}};
    int problems = 0;

    void write_owner()
    {
        ASSERT_EQ(write([&](struct kv_txn *t) { return volume_owner_put(t, &owner); }), OK);
    }
    enum err get(struct volume_owner *out)
    {
        return read([&](struct kv_txn *t) { return volume_owner_get(t, out); });
    }
    void put_raw(const std::string &key, const std::string &value)
    {
        ASSERT_EQ(write([&](struct kv_txn *t) {
                      return kv_put(t, slice_make(key.data(), key.size()), slice_make(value.data(), value.size()));
                  }),
                  OK);
    }
    int check()
    {
        struct repl_check_totals totals;
        problems = 0;
        struct repl_check c = {&problems, [](void *p, const char *, struct slice) { ++*static_cast<int *>(p); },
                               [](void *, struct shard_id, const uint8_t *) {},
                               [](void *, const uint8_t *, uint64_t, uint16_t, uint64_t, bool) {}};
        EXPECT_EQ(read([&](struct kv_txn *t) { return repl_check_run(t, &c, &totals); }), OK);
        return problems;
    }
    const std::string key = std::string("\0\0\0\0I", 5);
};

TEST_F(VolumeOwner, IsWhatWasWritten)
{
    struct volume_owner got = {};
    EXPECT_EQ(get(&got), ERR_NOTFOUND);
    write_owner();
    ASSERT_EQ(get(&got), OK);
    EXPECT_TRUE(u128_eq(&got.cluster, &owner.cluster));
    EXPECT_EQ(got.node.v, owner.node.v);
    EXPECT_EQ(check(), 0);
}

TEST_F(VolumeOwner, EveryFlippedByteAndEveryOtherLengthIsCorrupt)
{
    write_owner();
    std::string good;
    ASSERT_EQ(read([&](struct kv_txn *t) {
                  struct slice v;
                  enum err e = kv_get(t, slice_make(key.data(), key.size()), &v);
                  good.assign(reinterpret_cast<const char *>(v.p), e == OK ? v.n : 0);
                  return e;
              }),
              OK);
    ASSERT_EQ(good.size(), 32u);
    struct volume_owner got = {};
    for (size_t i = 0; i < good.size(); i++) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 0x10);
        put_raw(key, bad);
        EXPECT_EQ(get(&got), ERR_CORRUPT) << i;
        EXPECT_EQ(check(), 1) << i;
        put_raw(key, good.substr(0, i));
        EXPECT_EQ(get(&got), ERR_CORRUPT) << i;
    }
    put_raw(key, good + "x");
    EXPECT_EQ(get(&got), ERR_CORRUPT);
    put_raw(key, good);
    put_raw(key + "x", good);
    EXPECT_EQ(check(), 1) << "a longer key";
}

TEST_F(VolumeOwner, ReplicasAreCountedByTheirRows)
{
    uint32_t n = 99;
    auto count = [&] { return read([&](struct kv_txn *t) { return volume_replicas_stored(t, &n); }); };
    ASSERT_EQ(count(), OK);
    EXPECT_EQ(n, 0u);
    put_raw(std::string("\0\0\0\0R\0\0\0\0", 9), std::string("\0\0\0\1", 4));
    put_raw(std::string("\0\0\0\0R\0\0\0\5", 9), std::string("\0\0\0\2", 4));
    ASSERT_EQ(count(), OK);
    EXPECT_EQ(n, 2u);
    put_raw(std::string("\0\0\0\0V", 5), "x");
    ASSERT_EQ(count(), OK);
    EXPECT_EQ(n, 2u);
}

} // namespace
