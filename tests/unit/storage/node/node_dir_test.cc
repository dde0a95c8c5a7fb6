#include "storage/node/node_dir.h"

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
    write("pillarbox-data 2\ncluster 0123456789abcdef0123456789abcdef\nnode 1\nshards 64\n");
    struct node_identity id;
    EXPECT_EQ(node_dir_open(dir.c_str(), 8, &id, &why), ERR_UNSUPPORTED);
    EXPECT_NE(reason().find("another version"), std::string::npos) << reason();
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
    std::ofstream(dir + "/volume.mdb") << "x";
    struct node_identity id;
    EXPECT_EQ(node_dir_open(dir.c_str(), 8, &id, &why), ERR_CORRUPT);
    EXPECT_NE(access((dir + "/node.id").c_str(), F_OK), 0);
}

TEST_F(NodeDir, AnAbsentDirectoryIsNotMadeByReading)
{
    struct node_identity id;
    EXPECT_EQ(node_dir_read(dir.c_str(), &id, &why), ERR_NOTFOUND);
    EXPECT_NE(access(dir.c_str(), F_OK), 0);
}
