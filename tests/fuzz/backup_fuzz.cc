/* Backup files and manifests of any octets. The first byte chooses: a file as it is; a file whose checksums are made
 * right, so that what is behind them is reached; octets as rows of a copy, or as entries, in a sound file, restored
 * into an empty store; a manifest, as it is or with its last line made right. */
#include <cstdlib>
#include <cstring>
#include <string>

#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "proto/base/mem.h"
#include "replication/restore.h"
#include "storage/backup/backup_entries.h"
#include "storage/backup/backup_file.h"
#include "storage/backup/backup_set.h"
#include "storage/kv/kv_mem.h"

namespace
{

void must(bool x)
{
    if (!x) {
        abort();
    }
}

struct Input {
    std::string s;
    size_t at = 0;
    static enum err read(void *ctx, void *p, size_t n, size_t *out_n)
    {
        Input *in = static_cast<Input *>(ctx);
        size_t left = in->s.size() - in->at;
        n = n < left ? n : left;
        if (n > 0) {
            memcpy(p, in->s.data() + in->at, n);
        }
        in->at += n;
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
};

/* A small store and a group being restored into it, whose state machine takes everything. */
class Restoring
{
  public:
    Restoring()
    {
        must(kv_mem_new(&kv) == OK);
        const struct restore_config cfg = {kv, {1}, {1}};
        const struct repl_fsm fsm = {nullptr, apply, nullptr, nullptr, nullptr, nullptr};
        must(restore_begin(&cfg, &fsm, &r) == OK);
    }
    ~Restoring()
    {
        restore_free(r);
        kv_close(kv);
    }
    Restoring(const Restoring &) = delete;
    static enum err apply(void *, struct kv_txn *, struct repl_position, struct slice, uint32_t, struct buf *)
    {
        return OK;
    }
    static enum err entry(void *ctx, const struct repl_entry *e)
    {
        return restore_entry(static_cast<Restoring *>(ctx)->r, e);
    }
    void take(const struct backup_head *head, struct slice block)
    {
        uint64_t n = 0;
        uint64_t checked = 0;
        if (head->kind == BACKUP_BASE) {
            enum err looked = restore_rows_check(block, &checked);
            enum err e = restore_rows(r, block, &n);
            must((looked == OK) == (e == OK));
        } else if (head->kind == BACKUP_LOG) {
            if (!based) {
                based = restore_base(r, head->first - 1, head->term_before) == OK;
            }
            enum err e = backup_entries_each(block, entry, this);
            (void)e;
        }
    }
    struct kv *kv = nullptr;
    struct restore *r = nullptr;
    bool based = false;
};

/* True: it is sound to its end. */
bool read_file(const std::string &bytes, std::string *content)
{
    Input in{bytes};
    Why why;
    Restoring to;
    struct backup_reader *r = nullptr;
    struct slice block;
    enum err e = backup_reader_open("file", Input::read, &in, &r, &why.b);
    must((e == OK) == (r != nullptr) && (e == OK || e == ERR_NOTFOUND || why.b.len > 0));
    if (e != OK) {
        return false;
    }
    while ((e = backup_reader_next(r, &block, &why.b)) == OK) {
        must(block.n > 0 && block.n <= BACKUP_BLOCK_BYTES_MAX && content->size() < (size_t{64} << 20));
        content->append(reinterpret_cast<const char *>(block.p), block.n);
        to.take(backup_reader_head(r), block);
    }
    bool sound = e == ERR_NOTFOUND && backup_reader_expect_eof(r, &why.b) == OK;
    must(sound || why.b.len > 0);
    must(!sound || backup_reader_bytes(r) == bytes.size());
    backup_reader_free(r);
    return sound;
}

/* Every checksum as it should be, wherever the records are. */
std::string repaired(std::string s)
{
    uint8_t *p = reinterpret_cast<uint8_t *>(&s[0]);
    if (s.size() < 68) {
        return s;
    }
    memcpy(p, "PBBACKUP", 8);
    put_le32(p + 8, BACKUP_FILE_VERSION);
    put_le32(p + 64, crc32c(0, p, 64));
    size_t at = 68;
    uint32_t blocks = 0;
    while (s.size() - at >= 20 && p[at] == 'B') {
        size_t n = get_le32(p + at + 8);
        if (n > s.size() - at - 20) {
            return s;
        }
        put_le32(p + at + 12, blocks++);
        put_le32(p + at + 16, crc32c(crc32c(0, p + at, 16), p + at + 20, n));
        at += 20 + n;
    }
    if (s.size() - at >= 56) {
        p[at] = 'E';
        put_le32(p + at + 4, blocks);
        put_le32(p + at + 48, crc32c(0, p, at));
        put_le32(p + at + 52, crc32c(0, p + at, 52));
    }
    return s;
}

enum err append(void *ctx, struct slice bytes)
{
    static_cast<std::string *>(ctx)->append(reinterpret_cast<const char *>(bytes.p), bytes.n);
    return OK;
}

/* What a writer makes of them reads as they are. */
void contents(enum backup_kind kind, const std::string &octets)
{
    struct backup_head head = {};
    struct backup_end end = {};
    struct backup_writer *w = nullptr;
    std::string file;
    std::string content;
    head.kind = kind;
    head.shards = 1;
    head.first = kind == BACKUP_LOG ? 2 : 0;
    head.term_before = kind == BACKUP_LOG ? 1 : 0;
    must(backup_writer_open(&head, append, &file, &w) == OK);
    must(backup_writer_add(w, slice_make(octets.data(), octets.size())) == OK);
    must(backup_writer_end(w, &end) == OK);
    must(backup_writer_bytes(w) == file.size() && backup_writer_crc(w) == crc32c(0, file.data(), file.size()));
    backup_writer_free(w);
    must(read_file(file, &content) && content == octets);
}

/* What parses prints to the same, and plans come to an end. */
void manifest(const std::string &text)
{
    struct backup_set set;
    Why why;
    struct buf again;
    if (backup_set_parse("manifest", slice_make(text.data(), text.size()), &set, &why.b) != OK) {
        must(why.b.len > 0);
        return;
    }
    buf_init(&again, size_t{4} << 20);
    must(backup_set_print(&set, &again) == OK);
    for (uint32_t shard = 0; shard <= set.shards && shard < 8; shard++) {
        struct backup_plan plan;
        for (uint64_t until : {BACKUP_NOW, UINT64_C(1764500000000)}) {
            if (backup_set_plan(&set, {shard}, until, &plan, &why.b) == OK) {
                must(plan.base->kind == BACKUP_BASE && plan.n_logs < set.n);
                mem_free(plan.logs);
            }
        }
    }
    backup_set_fini(&set);
    buf_fini(&again);
}

std::string with_end(const std::string &text)
{
    size_t files = 0;
    for (size_t at = text.find("\nfile "); at != std::string::npos; at = text.find("\nfile ", at + 1)) {
        files++;
    }
    return text + "end " + std::to_string(files) + " " + std::to_string(crc32c(0, text.data(), text.size())) + "\n";
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0) {
        return 0;
    }
    std::string rest(reinterpret_cast<const char *>(data) + 1, n - 1);
    std::string content;
    switch (data[0] % 6) {
    case 0:
        read_file(rest, &content);
        break;
    case 1:
        read_file(repaired(rest), &content);
        break;
    case 2:
        contents(BACKUP_BASE, rest);
        break;
    case 3:
        contents(BACKUP_LOG, rest);
        break;
    case 4:
        manifest(rest);
        break;
    default:
        manifest(with_end(rest));
    }
    return 0;
}
