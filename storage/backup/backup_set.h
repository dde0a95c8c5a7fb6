/* A backup's directory: files (backup_file.h) and `manifest`, which names them. The manifest is text, written under
 * another name, flushed and renamed after its files are flushed: what it names is whole, and what it does not name is
 * no part of the backup.
 *
 *     pillarbox-backup 1
 *     cluster 0123456789abcdef0123456789abcdef
 *     shards 64
 *     file 00000-000001.base base 0 0 4711 3 1764500000000 1048576 123456789
 *     file 00000-000002.log log 0 4712 4800 3 1764500100000 2048 987654321
 *     end 2 123456789
 *
 * A file line: name, kind, shard, first entry (0: a base), last index, its term, until when (wall clock ms of the
 * source), bytes, crc32c. The last line: how many file lines, crc32c of all before it. Lines of a shard are in the
 * order in which they were taken: each log goes on where the line of the shard before it ends.
 *
 * One process at a time (a lock on the directory, backup_dir_lock). */
#ifndef STORAGE_BACKUP_BACKUP_SET_H
#define STORAGE_BACKUP_BACKUP_SET_H

#include "storage/backup/backup_file.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BACKUP_MANIFEST_VERSION 1
#define BACKUP_MANIFEST_BYTES_MAX ((size_t)256 << 20)
#define BACKUP_NAME_BYTES_MAX 47
#define BACKUP_PATH_BYTES_MAX 4096
#define BACKUP_NOW UINT64_MAX /* as late as the backup reaches */

struct backup_entry {
    char name[BACKUP_NAME_BYTES_MAX + 1];
    enum backup_kind kind;
    struct shard_id shard;
    uint64_t first;
    uint64_t index;
    uint64_t term;
    uint64_t wall_ms;
    uint64_t bytes;
    uint32_t crc;
};

struct backup_set {
    struct u128 cluster;
    uint32_t shards; /* account shards; 0 is the directory */
    struct backup_entry *files;
    size_t n;
    size_t capacity;
};

void backup_set_init(struct backup_set *s);
void backup_set_fini(struct backup_set *s);
MUST_CHECK enum err backup_set_add(struct backup_set *s, const struct backup_entry *f);

/* Text and back. ERR_CORRUPT, ERR_UNSUPPORTED (another version), ERR_NOMEM; `name` stands before the reason. */
MUST_CHECK enum err backup_set_print(const struct backup_set *s, struct buf *out);
MUST_CHECK enum err backup_set_parse(const char *name, struct slice text, struct backup_set *s, struct buf *why);

/* The shard's last file; NULL: it has none. */
const struct backup_entry *backup_set_tip(const struct backup_set *s, struct shard_id shard);
/* A name that the set does not have. */
void backup_set_name(const struct backup_set *s, enum backup_kind kind, struct shard_id shard,
                     char out[BACKUP_NAME_BYTES_MAX + 1]);
/* Above every index of the shard that the backup knows of. */
uint64_t backup_set_index_max(const struct backup_set *s, struct shard_id shard);

/* What a shard is restored from: the latest base that is not after until_ms, and the logs that go on from there. */
struct backup_plan {
    const struct backup_entry *base;
    size_t n_logs;
    const struct backup_entry **logs; /* the caller's to mem_free */
};
/* ERR_NOTFOUND: the backup has nothing of the shard. ERR_INVAL: it reaches back only to, or up to, another time; why
 * says which. */
MUST_CHECK enum err backup_set_plan(const struct backup_set *s, struct shard_id shard, uint64_t until_ms,
                                    struct backup_plan *out, struct buf *why);

/* --- the directory --- */

/* ERR_NOTFOUND: no manifest. ERR_IO, and as backup_set_parse. */
MUST_CHECK enum err backup_dir_load(const char *dir, struct backup_set *s, struct buf *why);
/* Writes the manifest, durable and at once. ERR_IO, ERR_FULL. */
MUST_CHECK enum err backup_dir_save(const char *dir, const struct backup_set *s, struct buf *why);
MUST_CHECK enum err backup_dir_empty(const char *dir, bool *out, struct buf *why);
/* Makes the directory (mode 0700) if it is missing. ERR_NONEMPTY: something is in it. ERR_IO. */
MUST_CHECK enum err backup_dir_make(const char *dir, struct buf *why);
/* Holds it against other processes until the descriptor is closed. ERR_LOCKED, ERR_IO. */
MUST_CHECK enum err backup_dir_lock(const char *dir, int *out_fd, struct buf *why);

/* "2026-11-30 09:15:02 UTC" */
#define BACKUP_TIME_BYTES 32
void backup_time_text(uint64_t wall_ms, char out[BACKUP_TIME_BYTES]);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_BACKUP_BACKUP_SET_H */
