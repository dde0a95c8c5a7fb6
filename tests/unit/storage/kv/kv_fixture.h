/* Stores for the tests: one on LMDB in a folder of its own, one in memory, behind one face. */
#ifndef TESTS_UNIT_STORAGE_KV_KV_FIXTURE_H
#define TESTS_UNIT_STORAGE_KV_KV_FIXTURE_H

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "storage/kv/kv_lmdb.h"
#include "storage/kv/kv_mem.h"

struct TempDir {
    std::string path;
    explicit TempDir(const std::filesystem::path &where = std::filesystem::temp_directory_path())
    {
        std::string name = (where / "pb-kv-XXXXXX").string();
        path = mkdtemp(name.data());
    }
    ~TempDir()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    TempDir(const TempDir &) = delete;
    TempDir &operator=(const TempDir &) = delete;
    std::string file() const
    {
        return path + "/volume.mdb";
    }
};

/* In memory where there is some: for tests whose disk is simulated anyway, since real flushes are slow. */
struct QuickDir : TempDir {
    QuickDir() : TempDir(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path())
    {
    }
};

/* checkpoint_bytes: made by the committing thread after so much log; 0: as in the program. */
inline enum err open_lmdb(const std::string &path, struct kv **out, uint64_t map_bytes = 0,
                          uint64_t checkpoint_bytes = 0, std::string *reason = nullptr)
{
    struct kv_lmdb_config cfg = {};
    struct buf why;
    buf_init(&why, 1000);
    cfg.path = path.c_str();
    cfg.map_bytes = map_bytes;
    cfg.checkpoint_bytes = checkpoint_bytes;
    cfg.checkpoint_inline = checkpoint_bytes != 0;
    enum err e = kv_lmdb_open(&cfg, out, &why);
    if (reason != nullptr) {
        struct slice s = buf_slice(&why);
        reason->assign(reinterpret_cast<const char *>(s.p), s.n);
    }
    buf_fini(&why);
    return e;
}

/* The files of a volume: itself, and what lies beside it. */
inline const std::vector<std::string> VOLUME_FILES = {"", "-wal0", "-wal1", "-checkpoint"};

/* What a crash of the process leaves: the files as the system has them, under another name. */
inline void copy_volume(const std::string &from, const std::string &to)
{
    for (const std::string &f : VOLUME_FILES) {
        std::filesystem::remove(to + f);
        if (std::filesystem::exists(from + f)) {
            std::filesystem::copy_file(from + f, to + f);
        }
    }
}

inline struct slice str(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

inline std::string text(struct slice s)
{
    return std::string(reinterpret_cast<const char *>(s.p), s.n);
}

inline void put(struct kv *kv, const std::string &key, const std::string &value)
{
    struct kv_txn *t;
    ASSERT_EQ(kv_begin(kv, true, &t), OK);
    ASSERT_EQ(kv_put(t, str(key), str(value)), OK);
    ASSERT_EQ(kv_commit(t), OK);
}

inline std::string get(struct kv_txn *t, const std::string &key)
{
    struct slice v;
    enum err e = kv_get(t, str(key), &v);
    return e == OK ? text(v) : err_name(e);
}

#endif /* TESTS_UNIT_STORAGE_KV_KV_FIXTURE_H */
