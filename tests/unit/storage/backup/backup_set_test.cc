#include "storage/backup/backup_set.h"

#include "files.h"
#include "proto/base/mem.h"

using namespace backup_test;

namespace
{

struct backup_entry file(enum backup_kind kind, uint32_t shard, uint64_t first, uint64_t index, uint64_t wall_ms)
{
    struct backup_entry f = {};
    snprintf(f.name, sizeof(f.name), "%05u-%llu.%s", shard, static_cast<unsigned long long>(wall_ms),
             kind == BACKUP_BASE ? "base" : "log");
    f.kind = kind;
    f.shard = {shard};
    f.first = first;
    f.index = index;
    f.term = 3;
    f.wall_ms = wall_ms;
    f.bytes = 1000 + index;
    f.crc = 4000000000u;
    return f;
}

class Set : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        backup_set_init(&set);
        set.shards = 4;
        memset(set.cluster.b, 9, sizeof(set.cluster.b));
    }
    void TearDown() override
    {
        backup_set_fini(&set);
    }
    void add(const struct backup_entry &f)
    {
        ASSERT_EQ(OK, backup_set_add(&set, &f));
    }
    /* Shard 1: a base and two logs, a gap, a base and a log; shard 0: a base. */
    void fill()
    {
        add(file(BACKUP_BASE, 0, 0, 7, 1000));
        add(file(BACKUP_BASE, 1, 0, 100, 2000));
        add(file(BACKUP_LOG, 1, 101, 150, 3000));
        add(file(BACKUP_LOG, 1, 151, 150, 4000)); /* nothing happened */
        add(file(BACKUP_BASE, 1, 0, 500, 9000));
        add(file(BACKUP_LOG, 1, 501, 600, 10000));
    }
    std::string text()
    {
        struct buf b;
        buf_init(&b, 100000);
        EXPECT_EQ(OK, backup_set_print(&set, &b));
        std::string s = string_of(buf_slice(&b));
        buf_fini(&b);
        return s;
    }
    static enum err parse(const std::string &s, std::string *out_why = nullptr)
    {
        struct backup_set got;
        Why why;
        enum err e = backup_set_parse("manifest", slice_of(s), &got, &why.b);
        backup_set_fini(&got);
        if (out_why != nullptr) {
            *out_why = why.text();
        }
        return e;
    }
    std::string plan(uint64_t until, uint32_t shard = 1)
    {
        struct backup_plan p;
        Why why;
        enum err e = backup_set_plan(&set, {shard}, until, &p, &why.b);
        if (e != OK) {
            return std::string(err_name(e)) + " " + why.text();
        }
        std::string s = std::to_string(p.base->index);
        for (size_t i = 0; i < p.n_logs; i++) {
            s += "," + std::to_string(p.logs[i]->index);
        }
        mem_free(p.logs);
        return s;
    }
    struct backup_set set;
};

TEST_F(Set, AManifestIsTextAndBack)
{
    fill();
    std::string s = text();
    struct backup_set got;
    Why why;
    ASSERT_EQ(OK, backup_set_parse("manifest", slice_of(s), &got, &why.b)) << why.text();
    EXPECT_TRUE(u128_eq(&got.cluster, &set.cluster));
    EXPECT_EQ(4u, got.shards);
    ASSERT_EQ(set.n, got.n);
    for (size_t i = 0; i < set.n; i++) {
        EXPECT_EQ(0, memcmp(&set.files[i], &got.files[i], sizeof(got.files[i]))) << i;
    }
    backup_set_fini(&got);
    EXPECT_EQ(0u, s.find("pillarbox-backup 1\ncluster 0909"));
}

TEST_F(Set, EveryTruncationAndEveryFlippedBitIsRefused)
{
    fill();
    std::string s = text();
    for (size_t n = 0; n < s.size(); n++) {
        ASSERT_EQ(ERR_CORRUPT, parse(s.substr(0, n))) << n;
    }
    for (size_t i = 0; i < s.size() * 8; i++) {
        std::string bad = s;
        bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << i % 8));
        enum err e = parse(bad);
        ASSERT_TRUE(e == ERR_CORRUPT || e == ERR_UNSUPPORTED) << bad;
    }
    EXPECT_EQ(ERR_CORRUPT, parse(s + "\n"));
}

TEST_F(Set, ItSaysWhatIsWrongAndWhere)
{
    std::string why;
    EXPECT_EQ(ERR_UNSUPPORTED, parse("pillarbox-backup 2\n", &why));
    EXPECT_EQ("manifest: line 1: written by another version of Pillarbox", why);
    EXPECT_EQ(ERR_CORRUPT, parse("root:x:0:0\n", &why));
    EXPECT_EQ("manifest: line 1: this is no backup's manifest", why);
    std::string head = "pillarbox-backup 1\ncluster 09090909090909090909090909090909\nshards 4\n";
    EXPECT_EQ(ERR_CORRUPT, parse(head + "file ../../etc/passwd base 0 0 1 1 1 1 1\n", &why)) << "a name is no path";
    EXPECT_EQ("manifest: line 4: not what a file line looks like", why);
    EXPECT_EQ(ERR_CORRUPT, parse(head + "file a.log log 1 5 9 1 1 1 1\n", &why));
    EXPECT_EQ("manifest: line 4: a log that does not go on where the one before ends", why);
    EXPECT_EQ(ERR_CORRUPT, parse(head + "file a.base base 5 0 9 1 1 1 1\n", &why)) << "no such shard";
    EXPECT_EQ(ERR_CORRUPT, parse(head, &why));
    EXPECT_EQ("manifest: line 4: the manifest is cut short", why);
}

TEST_F(Set, APlanTakesTheLatestBaseAndTheLogsBehindIt)
{
    fill();
    EXPECT_EQ("500,600", plan(BACKUP_NOW));
    EXPECT_EQ("500,600", plan(10000));
    EXPECT_EQ("500,600", plan(9001));
    EXPECT_EQ("500,600", plan(9000)) << "entries of the base's own time may be in the first log";
    EXPECT_EQ("100,150", plan(2000));
    EXPECT_EQ("100,150", plan(2500));
    EXPECT_EQ("100,150,150", plan(3500));
    EXPECT_EQ("100,150,150", plan(4000));
    EXPECT_EQ("7", plan(BACKUP_NOW, 0));
}

TEST_F(Set, ATimeThatItDoesNotReachIsSaid)
{
    fill();
    EXPECT_EQ("ERR_INVAL shard 1: the earliest time that the backup reaches back to is 1970-01-01 00:00:02 UTC",
              plan(1999));
    EXPECT_EQ("ERR_INVAL shard 1: the backup reaches up to 1970-01-01 00:00:10 UTC", plan(10001));
    EXPECT_EQ("ERR_INVAL shard 1: the backup reaches up to 1970-01-01 00:00:04 UTC", plan(8999))
        << "the log before the second base was gone";
    EXPECT_EQ("ERR_NOTFOUND shard 3: the backup has nothing of it", plan(BACKUP_NOW, 3));
}

TEST_F(Set, ItKnowsItsTipsAndHighestIndexes)
{
    fill();
    EXPECT_EQ(600u, backup_set_tip(&set, {1})->index);
    EXPECT_EQ(nullptr, backup_set_tip(&set, {2}));
    EXPECT_EQ(600u, backup_set_index_max(&set, {1}));
    EXPECT_EQ(0u, backup_set_index_max(&set, {2}));
    char a[BACKUP_NAME_BYTES_MAX + 1];
    backup_set_name(&set, BACKUP_LOG, {3}, a);
    EXPECT_STREQ("00003-00000007.log", a);
}

TEST_F(Set, ADirectoryIsSavedAndLoaded)
{
    Folder folder;
    Why why;
    struct backup_set got;
    EXPECT_EQ(ERR_NOTFOUND, backup_dir_load(folder.path.c_str(), &got, &why.b));
    EXPECT_EQ(folder.path + ": holds no backup (no manifest)", why.text());
    fill();
    ASSERT_EQ(OK, backup_dir_save(folder.path.c_str(), &set, &why.b));
    ASSERT_EQ(OK, backup_dir_load(folder.path.c_str(), &got, &why.b));
    EXPECT_EQ(set.n, got.n);
    backup_set_fini(&got);
    buf_reset(&why.b);
    EXPECT_EQ(ERR_NONEMPTY, backup_dir_make(folder.path.c_str(), &why.b));
    EXPECT_EQ(folder.path + ": is not empty", why.text());
}

TEST_F(Set, TwoProcessesDoNotWorkOnOneDirectory)
{
    Folder folder;
    Why why;
    int one = -1;
    int two = -1;
    ASSERT_EQ(OK, backup_dir_lock(folder.path.c_str(), &one, &why.b));
    EXPECT_EQ(ERR_LOCKED, backup_dir_lock(folder.path.c_str(), &two, &why.b));
    close(one);
    ASSERT_EQ(OK, backup_dir_lock(folder.path.c_str(), &two, &why.b));
    close(two);
}

TEST(BackupTime, IsWrittenInUtc)
{
    char text[BACKUP_TIME_BYTES];
    backup_time_text(1796030102999u, text);
    EXPECT_STREQ("2026-11-30 09:15:02 UTC", text);
}

} // namespace
