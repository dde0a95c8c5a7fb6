#include "storage/node/node_dir.h"

#include "proto/rpc/level.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

namespace
{
std::set<ino_t> synced; /* what fsync was called for */
}

extern "C" int fsync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0) {
        synced.insert(st.st_ino);
    }
    return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace
{
class NodeDir : public ::testing::Test
{
  protected:
    std::string dir;
    struct buf why;

    void SetUp() override
    {
        char path[] = "/tmp/pb-node-dir-XXXXXX";
        ASSERT_NE(mkdtemp(path), nullptr);
        dir = std::string(path) + "/data";
        buf_init(&why, 4096);
    }
    void TearDown() override
    {
        buf_fini(&why);
        std::string parent = dir.substr(0, dir.rfind('/'));
        unlink((dir + "/node.id").c_str());
        unlink((dir + "/volume.mdb").c_str());
        unlink((dir + "/node.claim").c_str());
        rmdir(dir.c_str());
        rmdir(parent.c_str());
    }
    void write(const std::string &text)
    {
        mkdir(dir.c_str(), 0700);
        std::ofstream(dir + "/node.id") << text;
    }
    std::string reason() const
    {
        return std::string(reinterpret_cast<const char *>(buf_slice(&why).p), buf_slice(&why).n);
    }
};
} // namespace

/* Its own name lies in its parent: without a flush there a power cut could take the whole directory. */
TEST_F(NodeDir, ThatIsMadeIsFlushedAndSoIsItsNameInTheParent)
{
    struct node_identity id;
    struct stat parent;
    struct stat own;
    synced.clear();
    ASSERT_EQ(node_dir_open(dir.c_str(), 7, &id, &why), OK) << reason();
    ASSERT_EQ(stat((dir + "/..").c_str(), &parent), 0);
    ASSERT_EQ(stat(dir.c_str(), &own), 0);
    EXPECT_EQ(synced.count(own.st_ino), 1u);
    EXPECT_EQ(synced.count(parent.st_ino), 1u);
}

TEST_F(NodeDir, IsMadeOnceAndFoundAgain)
{
    struct node_identity first;
    struct node_identity again;
    ASSERT_EQ(node_dir_open(dir.c_str(), 8, &first, &why), OK) << reason();
    EXPECT_EQ(first.shards, 8u);
    EXPECT_EQ(first.node.v, 1u);
    EXPECT_FALSE(u128_is_zero(&first.cluster));
    struct stat st;
    ASSERT_EQ(stat(dir.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0700u);
    ASSERT_EQ(node_dir_open(dir.c_str(), 64, &again, &why), OK) << reason();
    EXPECT_EQ(again.shards, 8u) << "the directory decides, not the configuration";
    EXPECT_TRUE(u128_eq(&first.cluster, &again.cluster));
}

TEST_F(NodeDir, ANewerFormatIsRefused)
{
    write("pillarbox-data 3\ncluster 0123456789abcdef0123456789abcdef\nnode 1\nshards 64\nlevel 2\n");
    struct node_identity id;
    EXPECT_EQ(node_dir_open(dir.c_str(), 8, &id, &why), ERR_UNSUPPORTED);
    EXPECT_NE(reason().find("another version"), std::string::npos) << reason();
}

TEST_F(NodeDir, TheClustersLevelIsNotedAndAHigherOneRefused)
{
    struct node_identity id;
    struct node_identity again;
    ASSERT_EQ(node_dir_open(dir.c_str(), 8, &id, &why), OK) << reason();
    EXPECT_EQ(id.level, LEVEL_FIRST);
    id.made = true;
    ASSERT_EQ(node_dir_level(dir.c_str(), 2, &id, &why), OK) << reason();
    EXPECT_EQ(id.level, 2);
    ASSERT_EQ(node_dir_read(dir.c_str(), &again, &why), OK) << reason();
    EXPECT_TRUE(again.level == 2 && again.made && u128_eq(&again.cluster, &id.cluster));
    std::ifstream in(dir + "/node.id");
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    EXPECT_EQ(text.substr(0, 17), "pillarbox-data 2\n") << "a program from before levels refuses it";
    write(text.substr(0, text.find("level")) + "level " + std::to_string(LEVEL_NOW + 1) + "\n");
    EXPECT_EQ(node_dir_read(dir.c_str(), &again, &why), ERR_UNSUPPORTED);
    EXPECT_NE(reason().find("newer version"), std::string::npos) << reason();
    write(text.substr(0, text.find("level")));
    EXPECT_EQ(node_dir_read(dir.c_str(), &again, &why), ERR_CORRUPT);
}

TEST_F(NodeDir, DamageIsRefusedAndNotWrittenOver)
{
    for (const char *text : {"", "hello\n", "pillarbox-data 1\n", "pillarbox-data 1\ncluster xyz\nnode 1\nshards 64\n",
                             "pillarbox-data 1\ncluster 0123456789abcdef0123456789abcdef\nnode 0\nshards 64\n",
                             "pillarbox-data 1\ncluster 0123456789abcdef0123456789abcdef\nnode 1\nshards 0\n",
                             "pillarbox-data 1\ncluster 0123456789abcdef0123456789abcdef\nnode 1\nshards 99999999\n"}) {
        write(text);
        struct node_identity id;
        EXPECT_EQ(node_dir_open(dir.c_str(), 8, &id, &why), ERR_CORRUPT) << text;
        std::ifstream in(dir + "/node.id");
        std::string still((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        EXPECT_EQ(still, text);
    }
}

TEST_F(NodeDir, AStoreWithoutItsIdentityIsNotTakenForAFreshNode)
{
    mkdir(dir.c_str(), 0700);
    for (const char *file : {"", "-wal0", "-wal1", "-checkpoint"}) { /* what was acknowledged last may be in the log */
        std::string path = dir + "/volume.mdb" + file;
        std::ofstream(path) << "x";
        struct node_identity id;
        EXPECT_EQ(node_dir_open(dir.c_str(), 8, &id, &why), ERR_CORRUPT) << path;
        EXPECT_NE(access((dir + "/node.id").c_str(), F_OK), 0);
        unlink(path.c_str());
    }
}

TEST_F(NodeDir, AnAbsentDirectoryIsNotMadeByReading)
{
    struct node_identity id;
    EXPECT_EQ(node_dir_read(dir.c_str(), &id, &why), ERR_NOTFOUND);
    EXPECT_NE(access(dir.c_str(), F_OK), 0);
}

namespace
{
std::string read_all(const std::string &path)
{
    std::ifstream in(path);
    return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}
} // namespace

TEST_F(NodeDir, IsFoundedOnceByAnOperator)
{
    struct node_identity id;
    struct node_identity again;
    ASSERT_EQ(node_dir_found(dir.c_str(), 3, &id, &why), OK) << reason();
    EXPECT_EQ(id.node.v, 1u);
    EXPECT_EQ(node_dir_found(dir.c_str(), 3, &again, &why), ERR_EXISTS);
    ASSERT_EQ(node_dir_read(dir.c_str(), &again, &why), OK);
    EXPECT_TRUE(u128_eq(&id.cluster, &again.cluster));
    EXPECT_EQ(again.shards, 3u);
    EXPECT_FALSE(again.made);
    unlink((dir + "/node.id").c_str());
    std::ofstream(dir + "/volume.mdb") << "x";
    EXPECT_EQ(node_dir_found(dir.c_str(), 3, &id, &why), ERR_CORRUPT) << "a store of somebody";
}

TEST_F(NodeDir, KeepsItsClaimTokenAndMakesAnotherWhenEmptied)
{
    struct u128 first;
    struct u128 again;
    struct stat st;
    synced.clear();
    ASSERT_EQ(node_dir_claim_token(dir.c_str(), &first, &why), OK) << reason();
    ASSERT_EQ(stat((dir + "/node.claim").c_str(), &st), 0);
    EXPECT_EQ(synced.count(st.st_ino), 1u);
    ASSERT_EQ(stat(dir.c_str(), &st), 0);
    EXPECT_EQ(synced.count(st.st_ino), 1u);
    ASSERT_EQ(node_dir_claim_token(dir.c_str(), &again, &why), OK);
    EXPECT_TRUE(u128_eq(&first, &again));
    unlink((dir + "/node.claim").c_str());
    ASSERT_EQ(node_dir_claim_token(dir.c_str(), &again, &why), OK);
    EXPECT_FALSE(u128_eq(&first, &again));
    for (const char *bad : {"", "pillarbox-claim 1\n", "pillarbox-claim 1\ntoken 0\n",
                            "pillarbox-claim 2\ntoken 0123456789abcdef0123456789abcdef\n"}) {
        std::ofstream(dir + "/node.claim") << bad;
        EXPECT_EQ(node_dir_claim_token(dir.c_str(), &again, &why), ERR_CORRUPT) << bad;
        EXPECT_EQ(read_all(dir + "/node.claim"), bad);
    }
}

TEST_F(NodeDir, AdoptsOneIdentityAndNoOther)
{
    struct node_identity id = {{{1, 2, 3}}, {7}, 12, false};
    struct node_identity got;
    struct u128 token;
    ASSERT_EQ(node_dir_claim_token(dir.c_str(), &token, &why), OK);
    ASSERT_EQ(node_dir_adopt(dir.c_str(), &id, &why), OK) << reason();
    ASSERT_EQ(node_dir_open(dir.c_str(), 64, &got, &why), OK) << reason();
    EXPECT_EQ(got.node.v, 7u);
    EXPECT_EQ(got.shards, 12u);
    EXPECT_TRUE(u128_eq(&got.cluster, &id.cluster));
    EXPECT_EQ(node_dir_adopt(dir.c_str(), &id, &why), OK) << "the same again";
    id.node.v = 8;
    EXPECT_EQ(node_dir_adopt(dir.c_str(), &id, &why), ERR_EXISTS);
    id.node.v = 7;
    id.cluster.b[0]++;
    EXPECT_EQ(node_dir_adopt(dir.c_str(), &id, &why), ERR_EXISTS);
    ASSERT_EQ(node_dir_read(dir.c_str(), &got, &why), OK);
    EXPECT_EQ(got.cluster.b[0], 1);
}

/* It would come back without its votes. */
TEST_F(NodeDir, ThatWasMadeIsRefusedWithoutItsStore)
{
    struct node_identity id;
    ASSERT_EQ(node_dir_open(dir.c_str(), 3, &id, &why), OK);
    EXPECT_EQ(node_dir_open(dir.c_str(), 3, &id, &why), OK) << "nothing was made yet";
    std::ofstream(dir + "/volume.mdb") << "x";
    ASSERT_EQ(node_dir_made(dir.c_str(), &id, &why), OK) << reason();
    ASSERT_EQ(node_dir_open(dir.c_str(), 3, &id, &why), OK) << reason();
    EXPECT_TRUE(id.made);
    EXPECT_NE(read_all(dir + "/node.id").find("\nmade yes\n"), std::string::npos);
    unlink((dir + "/volume.mdb").c_str());
    EXPECT_EQ(node_dir_open(dir.c_str(), 3, &id, &why), ERR_CORRUPT);
    EXPECT_NE(reason().find("--replace"), std::string::npos) << reason();
    EXPECT_EQ(node_dir_read(dir.c_str(), &id, &why), OK) << "only starting is refused";
}

TEST_F(NodeDir, LeavesNoOtherFilesBehind)
{
    struct node_identity id;
    struct u128 token;
    ASSERT_EQ(node_dir_claim_token(dir.c_str(), &token, &why), OK);
    ASSERT_EQ(node_dir_found(dir.c_str(), 3, &id, &why), OK);
    EXPECT_EQ(node_dir_found(dir.c_str(), 3, &id, &why), ERR_EXISTS);
    ASSERT_EQ(node_dir_made(dir.c_str(), &id, &why), OK);
    unlink((dir + "/node.id").c_str());
    unlink((dir + "/node.claim").c_str());
    EXPECT_EQ(rmdir(dir.c_str()), 0) << "something else lies there";
}
