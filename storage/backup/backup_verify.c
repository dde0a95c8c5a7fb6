#include "replication/restore.h"
#include "storage/apply/entry.h"
#include "storage/backup/backup_entries.h"
#include "storage/backup/backup_io.h"
#include "storage/backup/backup_restore.h"

enum err backup_entries_each(struct slice block, enum err (*take)(void *ctx, const struct repl_entry *e), void *ctx)
{
    enum err e = OK;
    while (e == OK && block.n > 0) {
        struct repl_entry entry;
        e = saved_entry_get(&block, &entry);
        if (e != OK) {
            return ERR_PROTOCOL;
        }
        e = take(ctx, &entry);
    }
    return e;
}

/* What has been read of a file. */
struct verified {
    const struct backup_entry *file;
    uint64_t records;
    uint64_t index; /* of the last entry */
    uint64_t term;
};

static enum err check_entry(void *ctx, const struct repl_entry *entry)
{
    struct verified *v = ctx;
    struct entry_head head;
    struct slice op;
    if (entry->head.index != v->index + 1 || entry->head.term < v->term) {
        return ERR_CORRUPT;
    }
    v->records++;
    v->index = entry->head.index;
    v->term = entry->head.term;
    return entry->head.type == REPL_ENTRY_COMMAND && entry_decode(entry->head.data, &head, &op) != OK ? ERR_CORRUPT
                                                                                                      : OK;
}

static enum err check_block(struct verified *v, struct slice block)
{
    uint64_t n = 0;
    if (v->file->kind == BACKUP_LOG) {
        return backup_entries_each(block, check_entry, v);
    }
    enum err e = restore_rows_check(block, &n);
    v->records += n;
    return e;
}

static bool end_agrees(const struct verified *v, const struct backup_end *end)
{
    bool log = v->file->kind == BACKUP_LOG;
    return v->records == end->records && (!log || (v->index == end->index && v->term == end->term));
}

static enum err complain(const struct backup_source *s, struct buf *why, const char *what)
{
    enum err ignored = buf_printf(why, "%s: in the block at byte %llu: %s", s->path,
                                  (unsigned long long)backup_reader_block_at(s->reader), what);
    (void)ignored; /* a courtesy: the error says enough */
    return ERR_CORRUPT;
}

static enum err check_all(struct backup_source *s, struct verified *v, struct buf *why)
{
    struct slice block;
    enum err e;
    while ((e = backup_source_next(s, &block, why)) == OK) {
        if (check_block(v, block) != OK) {
            return complain(s, why, "its content is no state and no log");
        }
    }
    if (e != ERR_NOTFOUND) {
        return e;
    }
    return end_agrees(v, backup_reader_end(s->reader)) ? OK : complain(s, why, "the end says something else");
}

enum err backup_verify_file(const char *dir, const struct backup_set *set, const struct backup_entry *file,
                            uint64_t *out_records, struct buf *why)
{
    struct backup_source s;
    struct verified v = {.file = file};
    enum err e = backup_source_open(dir, set, file, &s, why);
    if (e != OK) {
        return e;
    }
    if (file->kind == BACKUP_LOG) {
        v.index = file->first - 1;
        v.term = backup_reader_head(s.reader)->term_before;
    }
    e = check_all(&s, &v, why);
    backup_source_close(&s);
    *out_records = v.records;
    return e;
}
