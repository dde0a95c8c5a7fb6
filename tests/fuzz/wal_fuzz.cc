/* What a disk may hold where the write-ahead log should be: any bytes in its two files. Checksums are made right, so
 * that what is behind them is reached; the first octet says which file has how much, and what a checkpoint holds. */
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "storage/kv/wal_internal.h"

namespace
{

constexpr uint64_t STORE = 1;

void must(bool x)
{
    if (!x) {
        abort();
    }
}

/* One folder a process, in memory. Its name outlives the handler at exit, which a static object would not. */
const std::string &path()
{
    static const std::string &made = *new std::string([] {
        char name[] = "/dev/shm/pb-wal-fuzz-XXXXXX";
        must(mkdtemp(name) != nullptr);
        atexit([] {
            for (const char *f : {"-wal0", "-wal1"}) {
                unlink((path() + f).c_str());
            }
            rmdir(path().substr(0, path().rfind('/')).c_str());
        });
        return std::string(name) + "/v";
    }());
    return made;
}

/* Every block that says it is a record of this store is one, as far as it has bytes. */
void seal(std::string *io)
{
    for (size_t at = 0; at + WAL_HEAD_BYTES <= io->size(); at += WAL_BLOCK_BYTES) {
        auto *p = reinterpret_cast<uint8_t *>(io->data() + at);
        size_t n = get_le32(p + 28);
        if (get_le32(p) == WAL_MAGIC && n <= io->size() - at - WAL_HEAD_BYTES) {
            put_le64(p + 8, STORE);
            put_le32(p + WAL_CRC_AT, crc32c(0, p + WAL_CRC_FROM, WAL_HEAD_BYTES - WAL_CRC_FROM + n));
        }
    }
}

void lay_down(int file, std::string bytes)
{
    seal(&bytes);
    std::ofstream(path() + "-wal" + std::to_string(file), std::ios::binary | std::ios::trunc) << bytes;
}

struct seen {
    uint64_t records;
    uint64_t changes;
};

enum err count(void *ctx, struct slice payload)
{
    auto *s = static_cast<struct seen *>(ctx);
    struct wal_change c;
    enum err e;
    s->records++;
    while ((e = wal_change_next(&payload, &c)) == OK) {
        must(c.key.n > 0);
        s->changes++;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n < 1) {
        return 0;
    }
    std::string all(reinterpret_cast<const char *>(p + 1), n - 1);
    size_t first = all.size() * (p[0] >> 4) / 15;
    lay_down(0, all.substr(0, first));
    lay_down(1, all.substr(first));
    struct buf why;
    struct wal *w;
    struct wal_config cfg = {path().c_str(), STORE};
    struct seen s = {};
    buf_init(&why, 1000);
    must(wal_open(&cfg, &w, &why) == OK);
    enum err e = wal_replay(w, p[0] & 15, count, &s);
    must(e == OK || e == ERR_CORRUPT);
    must(e != OK || wal_seq(w) >= (p[0] & 15U) + s.records);
    wal_close(w);
    buf_fini(&why);
    return 0;
}
