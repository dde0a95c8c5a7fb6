/* Backup files in memory and in a temporary directory. */
#ifndef TESTS_UNIT_STORAGE_BACKUP_FILES_H
#define TESTS_UNIT_STORAGE_BACKUP_FILES_H

#include <gtest/gtest.h>

#include <dirent.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "storage/backup/backup_file.h"
#include "storage/backup/backup_io.h"
#include "storage/backup/backup_restore.h"

namespace backup_test
{

inline std::string string_of(struct slice s)
{
    return std::string(reinterpret_cast<const char *>(s.p), s.n);
}

inline struct slice slice_of(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

inline enum err append(void *ctx, struct slice bytes)
{
    static_cast<std::string *>(ctx)->append(reinterpret_cast<const char *>(bytes.p), bytes.n);
    return OK;
}

/* Gives `step` bytes at a time. */
struct Bytes {
    std::string s;
    size_t at = 0;
    size_t step = 100000;
    static enum err read(void *ctx, void *p, size_t n, size_t *out_n)
    {
        Bytes *b = static_cast<Bytes *>(ctx);
        size_t left = b->s.size() - b->at;
        n = n < left ? n : left;
        n = n < b->step ? n : b->step;
        if (n > 0) {
            memcpy(p, b->s.data() + b->at, n);
        }
        b->at += n;
        *out_n = n;
        return OK;
    }
};

struct Why {
    struct buf b;
    Why()
    {
        buf_init(&b, 10000);
    }
    ~Why()
    {
        buf_fini(&b);
    }
    Why(const Why &) = delete;
    std::string text() const
    {
        return string_of(buf_slice(&b));
    }
};

struct Read {
    enum err status = OK;
    std::string content;
    struct backup_head head = {};
    struct backup_end end = {};
    std::string why;
};

/* One file, to its end and nothing behind it. */
inline Read read_all(const std::string &bytes, size_t step = 100000)
{
    Bytes in{bytes, 0, step};
    Why why;
    Read r;
    struct backup_reader *reader = nullptr;
    struct slice block;
    r.status = backup_reader_open("file", Bytes::read, &in, &reader, &why.b);
    if (r.status == OK) {
        r.head = *backup_reader_head(reader);
        while ((r.status = backup_reader_next(reader, &block, &why.b)) == OK) {
            r.content += string_of(block);
        }
        if (r.status == ERR_NOTFOUND) {
            r.end = *backup_reader_end(reader);
            r.status = backup_reader_expect_eof(reader, &why.b);
        }
        backup_reader_free(reader);
    }
    r.why = why.text();
    return r;
}

inline struct backup_head head_of(enum backup_kind kind, uint32_t shard, uint64_t first = 0, uint64_t term_before = 0,
                                  uint32_t shards = 4)
{
    struct backup_head h = {};
    h.kind = kind;
    memset(h.cluster.b, 7, sizeof(h.cluster.b));
    h.shards = shards;
    h.shard = {shard};
    h.wall_ms = 5;
    h.first = first;
    h.term_before = term_before;
    return h;
}

struct File {
    std::string bytes;
    struct backup_entry entry = {};
};

inline File write_file(const struct backup_head &head, const std::vector<std::string> &records,
                       const struct backup_end &end)
{
    File f;
    struct backup_writer *w = nullptr;
    EXPECT_EQ(OK, backup_writer_open(&head, append, &f.bytes, &w));
    for (const std::string &r : records) {
        EXPECT_EQ(OK, backup_writer_add(w, slice_of(r)));
    }
    EXPECT_EQ(OK, backup_writer_end(w, &end));
    EXPECT_EQ(f.bytes.size(), backup_writer_bytes(w));
    f.entry.kind = head.kind;
    f.entry.shard = head.shard;
    f.entry.first = head.first;
    f.entry.index = end.index;
    f.entry.term = end.term;
    f.entry.wall_ms = end.wall_ms;
    f.entry.bytes = f.bytes.size();
    f.entry.crc = backup_writer_crc(w);
    backup_writer_free(w);
    return f;
}

class Folder
{
  public:
    Folder()
    {
        char name[] = "/tmp/pb-backup-XXXXXX";
        EXPECT_NE(nullptr, mkdtemp(name));
        path = name;
    }
    ~Folder()
    {
        DIR *d = opendir(path.c_str());
        for (const struct dirent *it = readdir(d); it != nullptr; it = readdir(d)) {
            unlink((path + "/" + it->d_name).c_str());
        }
        closedir(d);
        rmdir(path.c_str());
    }
    Folder(const Folder &) = delete;
    void put(const std::string &name, const std::string &bytes) const
    {
        FILE *f = fopen((path + "/" + name).c_str(), "w");
        ASSERT_NE(nullptr, f);
        ASSERT_EQ(bytes.size(), fwrite(bytes.data(), 1, bytes.size(), f));
        ASSERT_EQ(0, fclose(f));
    }
    std::string path;
};

/* A directory with its manifest, as `ctl backup` leaves it. */
class Dir : public Folder
{
  public:
    Dir()
    {
        backup_set_init(&set);
        memset(set.cluster.b, 7, sizeof(set.cluster.b));
        set.shards = 4;
    }
    ~Dir()
    {
        backup_set_fini(&set);
    }
    void add(File f)
    {
        backup_set_name(&set, f.entry.kind, f.entry.shard, f.entry.name);
        put(f.entry.name, f.bytes);
        ASSERT_EQ(OK, backup_set_add(&set, &f.entry));
    }
    struct backup_set set;
};

} // namespace backup_test

#endif /* TESTS_UNIT_STORAGE_BACKUP_FILES_H */
