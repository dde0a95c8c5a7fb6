/* The page verifier must find damage before LMDB does: LMDB would follow it out of the file. */
#include "storage/kv/kv_pages.h"

#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <random>
#include <vector>

#include "kv_fixture.h"
#include "proto/base/bytes.h"

namespace
{

constexpr size_t PAGE = 4096;

std::string key_of(unsigned i)
{
    char text[32];
    snprintf(text, sizeof(text), "key-%06u", i);
    return std::string(text) + std::string(i % 60, 'k');
}

/* A tree of three levels with rows of all sizes, and a free list. */
void fill(struct kv *kv, unsigned commits)
{
    std::mt19937 random(7);
    for (unsigned c = 0; c < commits; c++) {
        struct kv_txn *t;
        ASSERT_EQ(kv_begin(kv, true, &t), OK);
        for (unsigned i = 0; i < 400; i++) {
            std::string key = key_of(static_cast<unsigned>(random() % 3000));
            if (random() % 3 == 0) {
                enum err e = kv_del(t, str(key));
                ASSERT_TRUE(e == OK || e == ERR_NOTFOUND);
            } else {
                static const size_t sizes[] = {0, 5, 200, 300, 4080, 9000};
                ASSERT_EQ(kv_put(t, str(key), str(std::string(sizes[random() % 6], 'v'))), OK);
            }
        }
        ASSERT_EQ(kv_commit(t), OK);
    }
}

struct Verified {
    enum err e;
    struct kv_pages_totals totals;
    std::string text;
};

Verified verify(const std::string &path)
{
    Verified v = {};
    struct buf why;
    buf_init(&why, 1000);
    struct kv_pages_config cfg = {};
    cfg.ctx = &v.text;
    cfg.finding = [](void *ctx, uint64_t page, const char *what) {
        *static_cast<std::string *>(ctx) += "page " + std::to_string(page) + " " + what + "\n";
    };
    v.e = kv_pages_verify(path.c_str(), &cfg, &v.totals, &why);
    v.text += text(buf_slice(&why));
    buf_fini(&why);
    return v;
}

/* Every row of every table, as `ctl check` reads them. False when LMDB says that something is corrupt. */
bool walk(const std::string &path, uint64_t *rows)
{
    struct kv *kv = nullptr;
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    *rows = 0;
    if (open_lmdb(path, &kv, 0, true) != OK) {
        return false;
    }
    EXPECT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_seek(c, str(std::string(1, '\0')), &k, &v);
    size_t sum = 0;
    while (e == OK) {
        for (struct slice s : {k, v}) {
            for (size_t i = 0; i < s.n; i++) {
                sum += s.p[i];
            }
        }
        (*rows)++;
        e = kv_cursor_next(c, &k, &v);
    }
    kv_cursor_close(c);
    kv_abort(t);
    kv_close(kv);
    return e == ERR_NOTFOUND && sum != 1;
}

class KvPages : public testing::Test
{
  protected:
    static void SetUpTestSuite()
    {
        TempDir made;
        struct kv *kv = nullptr;
        ASSERT_EQ(open_lmdb(made.file(), &kv, 64 << 20), OK);
        fill(kv, 10);
        kv_close(kv);
        std::ifstream in(made.file(), std::ios::binary);
        whole.assign(std::istreambuf_iterator<char>(in), {});
    }
    void SetUp() override
    {
        write(whole);
        Verified v = verify(dir.file());
        ASSERT_EQ(v.e, OK);
        ASSERT_EQ(v.totals.findings, 0u) << v.text;
    }
    void write(const std::string &bytes)
    {
        std::ofstream(dir.file(), std::ios::binary | std::ios::trunc) << bytes;
    }
    /* What is found when the file has been changed. */
    std::string found(const std::function<void(std::string &)> &damage)
    {
        std::string bytes = whole;
        damage(bytes);
        write(bytes);
        Verified v = verify(dir.file());
        EXPECT_EQ(v.e, OK);
        EXPECT_EQ(v.totals.findings > 0, !v.text.empty());
        return v.text;
    }
    size_t newest() const
    {
        return get_le64(at(PAGE + 16 + 128)) > get_le64(at(16 + 128)) ? PAGE : 0;
    }
    uint64_t root() const
    {
        return get_le64(at(newest() + 16 + 24 + 48 + 40));
    }
    const uint8_t *at(size_t offset) const
    {
        return reinterpret_cast<const uint8_t *>(whole.data()) + offset;
    }
    uint64_t child(uint64_t page, unsigned i) const
    {
        size_t base = page * PAGE;
        const uint8_t *node = at(base + get_le16(at(base + 16 + 2 * i)));
        return get_le32(node) | static_cast<uint64_t>(get_le16(node + 4)) << 32;
    }
    TempDir dir;
    static std::string whole;
};

std::string KvPages::whole;

TEST(KvPagesWhole, AFileInOrderHasNoFindingsAfterAnyCommit)
{
    TempDir dir;
    struct kv *kv = nullptr;
    for (unsigned commits : {0U, 1U, 2U, 5U}) {
        ASSERT_EQ(open_lmdb(dir.file(), &kv, 64 << 20), OK);
        fill(kv, commits);
        struct kv_stat st;
        kv_stat(kv, &st);
        kv_close(kv);
        Verified v = verify(dir.file());
        uint64_t rows;
        ASSERT_EQ(v.e, OK);
        EXPECT_EQ(v.totals.findings, 0u) << v.text;
        ASSERT_TRUE(walk(dir.file(), &rows));
        EXPECT_EQ(v.totals.rows, rows);
        EXPECT_EQ(v.totals.free_pages, st.free_pages);
    }
}

TEST(KvPagesWhole, SaysWhyItCannotLook)
{
    TempDir dir;
    struct kv *kv = nullptr;
    EXPECT_EQ(verify(dir.file()).e, ERR_IO);
    ASSERT_EQ(open_lmdb(dir.file(), &kv), OK);
    Verified v = verify(dir.file());
    EXPECT_EQ(v.e, ERR_LOCKED);
    EXPECT_NE(v.text.find("stop the node"), std::string::npos);
    kv_close(kv);
}

TEST_F(KvPages, AnEmptyOrShortFileHasNoMetaPage)
{
    EXPECT_EQ(found([](std::string &f) { f.clear(); }), "page 0 is not a meta page\n");
    EXPECT_EQ(found([](std::string &f) { f.resize(PAGE); }), "page 1 is not a meta page\n");
    EXPECT_EQ(found([](std::string &f) { f[16] = 'x'; }), "page 0 is not a meta page\n");
}

TEST_F(KvPages, MetaPagesThatAreNotOneCommitApartContradictEachOther)
{
    EXPECT_EQ(found([](std::string &f) { f[16 + 128] ^= 4; }), "page 0 and page 1 contradict each other\n");
}

TEST_F(KvPages, WrongCountersAreFound)
{
    size_t dbs = newest() + 16 + 24;
    for (size_t field : {8, 16, 24, 32}) {
        EXPECT_EQ(found([&](std::string &f) { f[dbs + 48 + field] ^= 1; }),
                  "page " + std::to_string(newest() / PAGE) + " has wrong counters\n");
    }
}

TEST_F(KvPages, ALostOrMisplacedPageIsFound)
{
    uint64_t a = child(root(), 0);
    uint64_t b = child(root(), 1);
    std::string lost = "page " + std::to_string(a) + " is not the page that it should be\n";
    EXPECT_EQ(found([&](std::string &f) { f.replace(a * PAGE, PAGE, PAGE, '\0'); }), lost);
    EXPECT_EQ(found([&](std::string &f) { f.replace(a * PAGE, PAGE, f, b * PAGE, PAGE); }), lost);
    std::string shorter = found([](std::string &f) { f.resize(f.size() / 2); });
    EXPECT_NE(shorter.find("refers to a page outside the file"), std::string::npos) << shorter;
}

TEST_F(KvPages, APageThatIsUsedTwiceIsFound)
{
    size_t base = root() * PAGE;
    size_t first = base + get_le16(at(base + 16));
    size_t second = base + get_le16(at(base + 18));
    std::string text = found([&](std::string &f) { f.replace(second, 6, f, first, 6); });
    EXPECT_NE(text.find("page " + std::to_string(child(root(), 0)) + " is used twice\n"), std::string::npos) << text;
}

TEST_F(KvPages, KeysOutOfOrderAreFound)
{
    uint64_t leaf = root();
    for (uint16_t flags = 1; flags == 1; flags = get_le16(at(leaf * PAGE + 10))) {
        leaf = child(leaf, 0);
    }
    size_t base = leaf * PAGE;
    std::string text = found([&](std::string &f) { f.replace(base + 16, 2, whole.substr(base + 18, 2)); });
    EXPECT_NE(text.find("page " + std::to_string(leaf) + " has keys out of order"), std::string::npos) << text;
}

/* Flips one to four bits, mostly where the structure is; LMDB must be able to walk what has no findings. */
TEST_F(KvPages, WhatItFindsNothingWrongWithCanBeWalked)
{
#ifdef PB_SANITIZE_thread
    const int rounds = 30; /* one thread: that build only makes it slow */
#else
    const int rounds = 200;
#endif
    std::mt19937 random(11);
    int found_something = 0;
    size_t pages = whole.size() / PAGE;
    std::fstream file(dir.file(), std::ios::binary | std::ios::in | std::ios::out);
    auto set = [&](size_t offset, char c) {
        file.seekp(static_cast<std::streamoff>(offset));
        file.put(c);
    };
    for (int round = 0; round < rounds; round++) {
        std::vector<size_t> flipped(1 + random() % 4);
        for (size_t &offset : flipped) {
            size_t page = random() % 4 == 0 ? random() % 2 : random() % pages;
            offset = page * PAGE + (random() % 2 == 0 ? random() % 160 : random() % PAGE);
            set(offset, static_cast<char>(whole[offset] ^ (1 << random() % 8)));
        }
        file.flush();
        Verified v = verify(dir.file());
        ASSERT_EQ(v.e, OK);
        uint64_t rows;
        if (v.totals.findings > 0) {
            found_something++;
        } else if (walk(dir.file(), &rows)) {
            EXPECT_EQ(v.totals.rows, rows);
        }
        for (size_t offset : flipped) {
            set(offset, whole[offset]);
        }
    }
    EXPECT_GT(found_something,
              rounds / 10); /* about a fifth; what LMDB leaves in unused bytes is not always the same */
}

} // namespace
