/* A backup's files on a file system. Blocks. */
#ifndef STORAGE_BACKUP_BACKUP_IO_H
#define STORAGE_BACKUP_BACKUP_IO_H

#include "storage/backup/backup_set.h"

#ifdef __cplusplus
extern "C" {
#endif

/* backup_write_fn and backup_read_fn; ctx is the address of a descriptor. ERR_FULL, ERR_IO. */
MUST_CHECK enum err backup_fd_write(void *ctx, struct slice bytes);
MUST_CHECK enum err backup_fd_read(void *ctx, void *p, size_t n, size_t *out_n);
/* Makes dir/name anew, or opens it. ERR_IO, ERR_FULL, ERR_LIMIT (the path is too long), with the reason in why. */
MUST_CHECK enum err backup_io_create(const char *dir, const char *name, int *out_fd, struct buf *why);
MUST_CHECK enum err backup_io_open(const char *dir, const char *name, int *out_fd, struct buf *why);
/* Flushes and closes. */
MUST_CHECK enum err backup_io_done(int fd);

/* One of a backup's files, from its first to its last byte: as the manifest says. */
struct backup_source {
    int fd;
    char path[BACKUP_PATH_BYTES_MAX];
    struct backup_reader *reader;
    const struct backup_entry *entry;
};
MUST_CHECK enum err backup_source_open(const char *dir, const struct backup_set *set, const struct backup_entry *entry,
                                       struct backup_source *out, struct buf *why);
/* As backup_reader_next; at the end also compares with the manifest. */
MUST_CHECK enum err backup_source_next(struct backup_source *s, struct slice *out, struct buf *why);
void backup_source_close(struct backup_source *s);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_BACKUP_BACKUP_IO_H */
