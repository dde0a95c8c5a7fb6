#include "storage/kv/wal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "proto/base/kv.h"
#include "proto/base/mem.h"

/* The file grows by this much at a time: a flush that grows it costs the file system a commit of its own journal. */
#define FILL_BYTES ((uint64_t)256 << 10)
/* A transaction of unusual size does not keep its memory. */
#define RECORD_KEPT_BYTES ((size_t)16 << 20)

uint64_t wal_record_bytes(size_t payload_n)
{
    return (WAL_HEAD_BYTES + (uint64_t)payload_n + WAL_BLOCK_BYTES - 1) / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
}

/* --- files --- */

static enum err file_open(struct wal *w, int i, const char *path, struct buf *why)
{
    char name[4096];
    struct stat st;
    int n = snprintf(name, sizeof(name), "%s-wal%d", path, i);
    ASSERT(n > 0 && (size_t)n < sizeof(name));
    w->fds[i] = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (w->fds[i] < 0 || fstat(w->fds[i], &st) != 0) {
        enum err ignored = buf_printf(why, "%s: cannot open: %s", name, strerror(errno));
        (void)ignored; /* a courtesy */
        return ERR_IO;
    }
    w->filled[i] = (uint64_t)st.st_size;
    return OK;
}

enum err wal_open(const struct wal_config *cfg, struct wal **out, struct buf *why)
{
    struct wal *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        return ERR_NOMEM;
    }
    w->store = cfg->store;
    buf_init(&w->record, WAL_RECORD_BYTES_MAX);
    w->fds[0] = w->fds[1] = -1;
    enum err e = OK;
    for (int i = 0; e == OK && i < WAL_FILES; i++) {
        e = file_open(w, i, cfg->path, why);
    }
    if (e != OK) {
        wal_close(w);
        return e;
    }
    *out = w;
    return OK;
}

void wal_close(struct wal *w)
{
    for (int i = 0; i < WAL_FILES; i++) {
        if (w->fds[i] >= 0) {
            close(w->fds[i]);
        }
    }
    buf_fini(&w->record);
    mem_free(w);
}

/* --- gathering --- */

void wal_begin(struct wal *w)
{
    buf_reset(&w->record);
    if (w->record.cap > RECORD_KEPT_BYTES) {
        buf_shrink(&w->record);
    }
    w->changes_n = 0;
    w->later_n = 0;
    w->later = NULL;
}

bool wal_is_empty(const struct wal *w)
{
    return w->record.len == 0;
}

/* Room for a change, its head and key written; *out_value is where the value goes. */
static enum err gather(struct wal *w, enum wal_change_kind kind, struct slice key, size_t value_n, uint8_t **out_value)
{
    size_t head_n = w->record.len == 0 ? WAL_HEAD_BYTES : 0;
    size_t n = head_n + WAL_CHANGE_BYTES + key.n + value_n;
    uint8_t *p;
    ASSERT(w->later_n == 0 && key.n <= KV_KEY_BYTES_MAX);
    enum err e = value_n > UINT32_MAX / 2 ? ERR_LIMIT : buf_reserve(&w->record, n, &p);
    if (e != OK) {
        return e;
    }
    memset(p, 0, head_n); /* written when the record is whole */
    p += head_n;
    p[0] = (uint8_t)kind;
    p[1] = 0;
    put_le16(p + 2, (uint16_t)key.n);
    put_le32(p + 4, (uint32_t)value_n);
    memcpy(p + WAL_CHANGE_BYTES, key.p, key.n);
    *out_value = p + WAL_CHANGE_BYTES + key.n;
    buf_commit(&w->record, n);
    w->changes_n++;
    return OK;
}

enum err wal_put(struct wal *w, struct slice key, struct slice value)
{
    uint8_t *p;
    enum err e = gather(w, WAL_PUT, key, value.n, &p);
    if (e == OK && value.n > 0) {
        memcpy(p, value.p, value.n);
    }
    return e;
}

enum err wal_del(struct wal *w, struct slice key)
{
    uint8_t *p;
    return gather(w, WAL_DEL, key, 0, &p);
}

enum err wal_put_later(struct wal *w, struct slice key, size_t value_n)
{
    uint8_t *p;
    enum err e = gather(w, WAL_PUT, key, value_n, &p);
    if (e == OK) {
        memset(p, 0, value_n); /* should it never be given a place */
        w->later_to = w->record.len - value_n;
        w->later_n = value_n;
    }
    return e;
}

void wal_later_at(struct wal *w, const uint8_t *value)
{
    w->later = value;
}

void wal_fetch(struct wal *w)
{
    if (w->later_n > 0 && w->later != NULL) {
        memcpy(w->record.base + w->record.off + w->later_to, w->later, w->later_n);
    }
    w->later_n = 0;
    w->later = NULL;
}

struct slice wal_payload(struct wal *w)
{
    wal_fetch(w);
    struct slice record = buf_slice(&w->record);
    ASSERT(record.n >= WAL_HEAD_BYTES);
    return slice_make(record.p + WAL_HEAD_BYTES, record.n - WAL_HEAD_BYTES);
}

size_t wal_changes(const struct wal *w)
{
    return w->changes_n;
}

/* --- writing --- */

static enum err write_all(int fd, const uint8_t *p, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, (off_t)at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
            return ERR_FULL;
        }
        if (done <= 0) {
            return ERR_IO;
        }
        p += done;
        n -= (size_t)done;
        at += (uint64_t)done;
    }
    return OK;
}

/* Blocks up to `end` and for one record more, which must have room whatever happens: the one that takes back. */
static enum err fill(struct wal *w, uint64_t end)
{
    static const uint8_t zeros[64 << 10];
    uint64_t *filled = &w->filled[w->now];
    if (end + WAL_BLOCK_BYTES <= *filled) {
        return OK;
    }
    uint64_t to = (end + WAL_BLOCK_BYTES + FILL_BYTES - 1) / FILL_BYTES * FILL_BYTES;
    while (*filled < to) {
        uint64_t n = to - *filled < sizeof(zeros) ? to - *filled : sizeof(zeros);
        enum err e = write_all(w->fds[w->now], zeros, n, *filled);
        if (e != OK) {
            return e;
        }
        *filled += n;
    }
    return OK;
}

/* The record's head, and zeros up to the block's end. */
static enum err seal(struct wal *w, enum wal_kind kind)
{
    size_t payload_n = w->record.len - WAL_HEAD_BYTES;
    size_t pad = wal_record_bytes(payload_n) - w->record.len;
    uint8_t *p;
    enum err e = buf_reserve(&w->record, pad, &p);
    if (e != OK) {
        return e;
    }
    memset(p, 0, pad);
    uint8_t *head = w->record.base + w->record.off;
    put_le32(head, WAL_MAGIC);
    put_le64(head + 8, w->store);
    put_le64(head + 16, w->seq + 1);
    put_le32(head + 24, (uint32_t)kind);
    put_le32(head + 28, (uint32_t)payload_n);
    put_le32(head + WAL_CRC_AT, crc32c(0, head + WAL_CRC_FROM, WAL_HEAD_BYTES - WAL_CRC_FROM + payload_n));
    buf_commit(&w->record, pad);
    return OK;
}

static enum err record_write(struct wal *w, enum wal_kind kind)
{
    enum err e = seal(w, kind);
    struct slice record = buf_slice(&w->record);
    if (e == OK && kind == WAL_COMMIT) {
        e = fill(w, w->at + record.n);
    }
    if (e == OK) {
        e = write_all(w->fds[w->now], record.p, record.n, w->at);
    }
    if (e == OK && fdatasync(w->fds[w->now]) != 0) {
        e = ERR_IO;
    }
    if (e == OK) {
        w->at += record.n;
        w->seq++;
    }
    wal_begin(w);
    return e;
}

enum err wal_commit(struct wal *w)
{
    ASSERT(!wal_is_empty(w));
    wal_fetch(w);
    return record_write(w, WAL_COMMIT);
}

enum err wal_void(struct wal *w)
{
    uint8_t *p;
    ASSERT(wal_is_empty(w) && w->at > 0);
    enum err e = buf_reserve(&w->record, WAL_HEAD_BYTES, &p);
    if (e != OK) {
        return e;
    }
    buf_commit(&w->record, WAL_HEAD_BYTES);
    return record_write(w, WAL_VOID);
}

uint64_t wal_seq(const struct wal *w)
{
    return w->seq;
}

uint64_t wal_bytes(const struct wal *w)
{
    return w->at;
}

void wal_switch(struct wal *w)
{
    w->now = 1 - w->now;
    w->at = 0;
}
