/* Reading the log after a start. A record that is not whole ends it: it was under way when the power went, and nobody
 * was told that it was done. Only the last one can be so, as each is flushed before the next is written: whole records
 * behind it mean that the disk lost what it had promised. */
#include "storage/kv/wal_internal.h"

#include <errno.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"
#include "proto/base/kv.h"

#define SCAN_BYTES ((size_t)1 << 20)

struct replay {
    struct wal *w;
    uint64_t after;
    uint64_t next; /* the number that must come */
    enum err (*apply)(void *ctx, struct slice payload);
    void *ctx;
    struct buf read; /* the record in hand */
    struct buf held; /* the payload before it, which the next record may take back */
    bool holds;
};

/* --- one record --- */

static enum err read_at(int fd, uint8_t *p, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t done = pread(fd, p, n, (off_t)at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return ERR_IO;
        }
        if (done == 0) {
            return ERR_NOTFOUND;
        }
        p += done;
        n -= (size_t)done;
        at += (uint64_t)done;
    }
    return OK;
}

static bool head_read(const struct wal *w, const uint8_t *p, struct wal_head *out)
{
    uint32_t kind = get_le32(p + 24);
    out->seq = get_le64(p + 16);
    out->payload_n = get_le32(p + 28);
    out->kind = (enum wal_kind)kind;
    return get_le32(p) == WAL_MAGIC && get_le64(p + 8) == w->store && out->seq > 0 &&
           (kind == WAL_COMMIT || kind == WAL_VOID) && out->payload_n <= WAL_RECORD_BYTES_MAX - WAL_HEAD_BYTES;
}

/* The whole record at a place into r->read. ERR_NOTFOUND: there is none. */
static enum err record_read(struct replay *r, int file, uint64_t at, struct wal_head *out)
{
    uint8_t head[WAL_HEAD_BYTES];
    uint8_t *p;
    int fd = r->w->fds[file];
    enum err e = read_at(fd, head, sizeof(head), at);
    if (e != OK) {
        return e;
    }
    if (!head_read(r->w, head, out) || at + wal_record_bytes(out->payload_n) > r->w->filled[file]) {
        return ERR_NOTFOUND;
    }
    size_t n = WAL_HEAD_BYTES + out->payload_n;
    buf_reset(&r->read);
    e = buf_reserve(&r->read, n, &p);
    if (e == OK) {
        e = read_at(fd, p, n, at);
    }
    if (e != OK) {
        return e;
    }
    buf_commit(&r->read, n);
    return crc32c(0, p + WAL_CRC_FROM, n - WAL_CRC_FROM) == get_le32(p + WAL_CRC_AT) ? OK : ERR_NOTFOUND;
}

/* --- one file --- */

/* The last payload stands: no record takes it back. */
static enum err release(struct replay *r)
{
    if (!r->holds) {
        return OK;
    }
    r->holds = false;
    return r->apply(r->ctx, buf_slice(&r->held));
}

static enum err take(struct replay *r, const struct wal_head *h)
{
    if (h->seq != r->next) {
        return ERR_CORRUPT; /* a gap behind the checkpoint */
    }
    r->next++;
    if (h->kind == WAL_VOID) {
        bool known = r->holds;
        r->holds = false;
        return known ? OK : ERR_CORRUPT;
    }
    enum err e = release(r);
    if (e != OK) {
        return e;
    }
    struct buf spare = r->held;
    r->held = r->read;
    r->read = spare;
    buf_consume(&r->held, WAL_HEAD_BYTES);
    r->holds = true;
    return OK;
}

/* Whether a block in `p` begins a record that must come later. */
static enum err block_check(struct replay *r, int file, uint64_t at, const uint8_t *p)
{
    struct wal_head h;
    if (!head_read(r->w, p, &h) || h.seq < r->next) {
        return OK;
    }
    enum err e = record_read(r, file, at, &h);
    return e == OK ? ERR_CORRUPT : e == ERR_NOTFOUND ? OK : e;
}

/* What follows the end of a file must be older: see above. */
static enum err tail_check(struct replay *r, int file, uint64_t at)
{
    struct buf scan;
    uint8_t *p;
    buf_init(&scan, SCAN_BYTES);
    enum err e = buf_reserve(&scan, SCAN_BYTES, &p);
    while (e == OK && at + WAL_BLOCK_BYTES <= r->w->filled[file]) {
        uint64_t left = r->w->filled[file] - at;
        size_t n = left < SCAN_BYTES ? (size_t)left / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES : SCAN_BYTES;
        e = read_at(r->w->fds[file], p, n, at);
        for (size_t i = 0; e == OK && i < n; i += WAL_BLOCK_BYTES) {
            e = block_check(r, file, at + i, p + i);
        }
        at += n;
    }
    buf_fini(&scan);
    return e;
}

static enum err file_replay(struct replay *r, int file)
{
    uint64_t at = 0;
    uint64_t before = 0;
    struct wal_head h;
    enum err e;
    while ((e = record_read(r, file, at, &h)) == OK && (before == 0 || h.seq == before + 1)) {
        before = h.seq;
        at += wal_record_bytes(h.payload_n);
        e = h.seq > r->after ? take(r, &h) : OK;
        if (e != OK) {
            return e;
        }
    }
    return e == OK || e == ERR_NOTFOUND ? tail_check(r, file, at) : e;
}

/* --- both --- */

/* The number of a file's first record; none is behind all others. */
static enum err first_seq(struct replay *r, int file, uint64_t *out)
{
    struct wal_head h;
    enum err e = record_read(r, file, 0, &h);
    *out = e == OK ? h.seq : UINT64_MAX;
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err files_replay(struct replay *r)
{
    uint64_t first[WAL_FILES];
    for (int i = 0; i < WAL_FILES; i++) {
        enum err e = first_seq(r, i, &first[i]);
        if (e != OK) {
            return e;
        }
    }
    int older = first[0] <= first[1] ? 0 : 1;
    enum err e = file_replay(r, older);
    if (e == OK) {
        e = file_replay(r, 1 - older);
    }
    return e == OK ? release(r) : e;
}

enum err wal_replay(struct wal *w, uint64_t after, enum err (*apply)(void *ctx, struct slice payload), void *ctx)
{
    struct replay r = {.w = w, .after = after, .next = after + 1, .apply = apply, .ctx = ctx};
    buf_init(&r.read, WAL_RECORD_BYTES_MAX);
    buf_init(&r.held, WAL_RECORD_BYTES_MAX);
    enum err e = files_replay(&r);
    buf_fini(&r.read);
    buf_fini(&r.held);
    if (e == OK) {
        w->seq = r.next - 1;
        w->at = 0;
    }
    return e;
}

/* --- changes --- */

enum err wal_change_next(struct slice *io_payload, struct wal_change *out)
{
    struct reader r = reader_make(*io_payload);
    if (io_payload->n == 0) {
        return ERR_NOTFOUND;
    }
    uint8_t kind = reader_u8(&r);
    uint8_t zero = reader_u8(&r);
    uint16_t key_n = reader_le16(&r);
    uint32_t value_n = reader_le32(&r);
    out->key = reader_bytes(&r, key_n);
    out->value = reader_bytes(&r, value_n);
    out->del = kind == WAL_DEL;
    if (r.failed || zero != 0 || key_n == 0 || key_n > KV_KEY_BYTES_MAX || (kind != WAL_PUT && kind != WAL_DEL) ||
        (kind == WAL_DEL && value_n != 0)) {
        return ERR_CORRUPT;
    }
    *io_payload = slice_make(r.p, (size_t)(r.end - r.p));
    return OK;
}
