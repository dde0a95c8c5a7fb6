#include "files.h"

using namespace backup_test;

namespace
{

struct backup_end end_of(uint64_t index)
{
    struct backup_end e = {};
    e.index = index;
    e.term = 3;
    e.wall_ms = 1000 + index;
    return e;
}

/* Files, and the manifest of them as the sender has it. */
class Stream : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        for (const File &f : {write_file(head_of(BACKUP_BASE, 0), {"rows"}, end_of(10)),
                              write_file(head_of(BACKUP_BASE, 1), {"more", "rows"}, end_of(20)),
                              write_file(head_of(BACKUP_LOG, 1, 21, 3), {"entries"}, end_of(25))}) {
            files += f.bytes;
            sent.add(f);
        }
        manifest = manifest_of(sent.set);
    }
    static std::string manifest_of(const struct backup_set &set)
    {
        struct buf b;
        buf_init(&b, 100000);
        EXPECT_EQ(OK, backup_set_print(&set, &b));
        std::string s = write_file(head_of(BACKUP_MANIFEST, 0), {string_of(buf_slice(&b))}, end_of(0)).bytes;
        buf_fini(&b);
        return s;
    }
    std::string receive(const std::string &bytes, const Folder &to)
    {
        Bytes in{bytes};
        Why why;
        struct backup_set set;
        enum err e = backup_receive(to.path.c_str(), Bytes::read, &in, &set, &why.b);
        backup_set_fini(&set);
        return e == OK ? "" : std::string(err_name(e)) + " " + why.text();
    }
    static bool is_backup(const Folder &f)
    {
        Why why;
        struct backup_set set;
        bool yes = backup_dir_load(f.path.c_str(), &set, &why.b) == OK;
        backup_set_fini(&set);
        return yes;
    }
    Dir sent;
    std::string files;
    std::string manifest;
};

TEST_F(Stream, IsADirectoryAsIfItHadBeenTakenThere)
{
    Folder to;
    ASSERT_EQ("", receive(files + manifest, to));
    Why why;
    struct backup_set set;
    ASSERT_EQ(OK, backup_dir_load(to.path.c_str(), &set, &why.b)) << why.text();
    ASSERT_EQ(sent.set.n, set.n);
    for (size_t i = 0; i < set.n; i++) {
        EXPECT_EQ(0, memcmp(&sent.set.files[i], &set.files[i], sizeof(set.files[i]))) << i;
        struct backup_source s;
        struct slice block;
        ASSERT_EQ(OK, backup_source_open(to.path.c_str(), &set, &set.files[i], &s, &why.b)) << why.text();
        enum err e;
        while ((e = backup_source_next(&s, &block, &why.b)) == OK) {
        }
        EXPECT_EQ(ERR_NOTFOUND, e) << why.text();
        backup_source_close(&s);
    }
    backup_set_fini(&set);
}

TEST_F(Stream, ThatEndsEarlyIsNoBackup)
{
    std::string all = files + manifest;
    for (size_t n = 0; n < all.size(); n += n % 7 + 1) {
        Folder to;
        ASSERT_EQ(0u, receive(all.substr(0, n), to).find("ERR_CORRUPT the stream: ")) << n;
        ASSERT_FALSE(is_backup(to));
    }
    Folder to;
    EXPECT_EQ("ERR_CORRUPT the stream: it ended without its manifest: it is not complete", receive(files, to));
}

TEST_F(Stream, WithAnotherManifestIsNoBackup)
{
    sent.set.files[1].crc ^= 1;
    Folder to;
    EXPECT_EQ("ERR_CORRUPT the stream: the manifest at its end is not that of the files before it",
              receive(files + manifest_of(sent.set), to));
    EXPECT_FALSE(is_backup(to));
}

TEST_F(Stream, ThatIsDamagedOrGoesOnIsNoBackup)
{
    Folder to;
    std::string bad = files;
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
    EXPECT_EQ(0u, receive(bad + manifest, to).find("ERR_CORRUPT the stream: at byte "));
    Folder other;
    EXPECT_NE("", receive(files + manifest + "x", other));
    EXPECT_FALSE(is_backup(other));
}

} // namespace
