#include "storage/kv/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/hash.h"

/* A slot: magic(4) crc32c(4, of what follows) generation(8) store(8) seq(8) txnid(8) page bytes(4) 0(4) meta(256) */
#define SLOT_AT_BYTES 4096
#define SLOT_MAGIC UINT32_C(0x6b704350) /* "PCpk" */
#define SLOT_META_AT 48
#define SLOT_BYTES (SLOT_META_AT + CHECKPOINT_META_BYTES)
#define SLOT_CRC_FROM 8

/* LMDB 0.9's meta page: page number(8) pad(2) flags(2) 0(4), then magic(4) version(4) ... transaction(8) at the end. */
#define META_FLAGS_AT 10
#define META_FLAG 0x08
#define META_MAGIC_AT 16
#define META_MAGIC UINT32_C(0xBEEFC0DE)
#define META_VERSION_AT 20
#define META_VERSION 1
#define META_TXNID_AT 144
/* The first meta page's rest is empty and stays so: LMDB writes the struct only. */
#define STAMP_AT 2048

enum err checkpoint_open(const char *path, bool create, struct checkpoint_file *out, struct buf *why)
{
    char name[4096];
    int n = snprintf(name, sizeof(name), "%s-checkpoint", path);
    ASSERT(n > 0 && (size_t)n < sizeof(name));
    int fd = open(name, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
    if (fd < 0) {
        enum err e = errno == ENOENT ? ERR_NOTFOUND : ERR_IO; /* before the text can change errno */
        enum err ignored = buf_printf(why, "%s: cannot open: %s", name, strerror(errno));
        (void)ignored; /* a courtesy */
        return e;
    }
    out->fd = fd;
    out->generation = 0;
    return OK;
}

void checkpoint_close(struct checkpoint_file *f)
{
    close(f->fd);
}

/* --- slots --- */

static bool slot_decode(const uint8_t *p, struct checkpoint *out, uint64_t *out_generation)
{
    if (get_le32(p) != SLOT_MAGIC || crc32c(0, p + SLOT_CRC_FROM, SLOT_BYTES - SLOT_CRC_FROM) != get_le32(p + 4)) {
        return false;
    }
    *out_generation = get_le64(p + 8);
    out->store = get_le64(p + 16);
    out->seq = get_le64(p + 24);
    out->txnid = get_le64(p + 32);
    out->page_bytes = get_le32(p + 40);
    memcpy(out->meta, p + SLOT_META_AT, sizeof(out->meta));
    return true;
}

static void slot_encode(uint8_t *p, const struct checkpoint *c, uint64_t generation)
{
    memset(p, 0, SLOT_AT_BYTES);
    put_le32(p, SLOT_MAGIC);
    put_le64(p + 8, generation);
    put_le64(p + 16, c->store);
    put_le64(p + 24, c->seq);
    put_le64(p + 32, c->txnid);
    put_le32(p + 40, c->page_bytes);
    memcpy(p + SLOT_META_AT, c->meta, sizeof(c->meta));
    put_le32(p + 4, crc32c(0, p + SLOT_CRC_FROM, SLOT_BYTES - SLOT_CRC_FROM));
}

enum err checkpoint_read(struct checkpoint_file *f, struct checkpoint *out)
{
    f->generation = 0;
    for (int i = 0; i < 2; i++) {
        uint8_t slot[SLOT_BYTES];
        struct checkpoint c;
        uint64_t generation;
        ssize_t n = pread(f->fd, slot, sizeof(slot), (off_t)i * SLOT_AT_BYTES);
        if (n < 0) {
            return ERR_IO;
        }
        if (n == (ssize_t)sizeof(slot) && slot_decode(slot, &c, &generation) && generation > f->generation) {
            f->generation = generation;
            *out = c;
        }
    }
    return f->generation > 0 ? OK : ERR_NOTFOUND;
}

static enum err block_write(int fd, const uint8_t *p, off_t at)
{
    if (pwrite(fd, p, SLOT_AT_BYTES, at) != SLOT_AT_BYTES) {
        return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
    }
    return OK;
}

enum err checkpoint_write(struct checkpoint_file *f, const struct checkpoint *c)
{
    uint8_t slot[SLOT_AT_BYTES] = {0};
    enum err e = OK;
    if (f->generation == 0) {
        e = block_write(f->fd, slot, 0); /* the slots' blocks, so that none is short of space later */
    }
    uint64_t generation = f->generation + 1;
    slot_encode(slot, c, generation);
    if (e == OK) {
        e = block_write(f->fd, slot, (off_t)(generation % 2) * SLOT_AT_BYTES);
    }
    if (e == OK && fdatasync(f->fd) != 0) {
        e = ERR_IO;
    }
    if (e == OK) {
        f->generation = generation;
    }
    return e;
}

/* --- LMDB's meta pages --- */

static bool is_meta(const uint8_t *p)
{
    return (get_le16(p + META_FLAGS_AT) & META_FLAG) != 0 && get_le32(p + META_MAGIC_AT) == META_MAGIC &&
           get_le32(p + META_VERSION_AT) == META_VERSION;
}

static enum err meta_pread(int fd, uint64_t page, uint32_t page_bytes, uint8_t *out)
{
    ssize_t n = pread(fd, out, CHECKPOINT_META_BYTES, (off_t)(page * page_bytes));
    if (n < 0) {
        return ERR_IO;
    }
    return n == CHECKPOINT_META_BYTES && is_meta(out) ? OK : ERR_CORRUPT;
}

enum err checkpoint_meta_read(int fd, uint64_t txnid, uint32_t page_bytes, uint8_t *out_meta)
{
    enum err e = meta_pread(fd, txnid & 1, page_bytes, out_meta);
    return e == OK && get_le64(out_meta + META_TXNID_AT) != txnid ? ERR_CORRUPT : e;
}

enum err checkpoint_stamp(int fd, uint64_t store)
{
    uint8_t stamp[8];
    put_le64(stamp, store);
    return pwrite(fd, stamp, sizeof(stamp), STAMP_AT) == (ssize_t)sizeof(stamp) && fdatasync(fd) == 0 ? OK : ERR_IO;
}

enum err checkpoint_stamp_read(int fd, uint64_t *out_store)
{
    uint8_t stamp[8];
    ssize_t n = pread(fd, stamp, sizeof(stamp), STAMP_AT);
    if (n < 0) {
        return ERR_IO;
    }
    *out_store = n == (ssize_t)sizeof(stamp) ? get_le64(stamp) : 0;
    return OK;
}

/* LMDB takes the newer of its two meta pages: a later one gives way to the state, as if it were of the transaction
 * before. */
static enum err meta_put(int fd, const struct checkpoint *c, uint64_t page, const uint8_t *now)
{
    uint8_t meta[CHECKPOINT_META_BYTES];
    bool its_own = page == (c->txnid & 1);
    if (!its_own && get_le64(now + META_TXNID_AT) < c->txnid) {
        return OK;
    }
    memcpy(meta, c->meta, sizeof(meta));
    put_le64(meta, page);
    put_le64(meta + META_TXNID_AT, its_own || c->txnid == 0 ? c->txnid : c->txnid - 1);
    if (memcmp(now, meta, sizeof(meta)) == 0) {
        return OK;
    }
    ssize_t n = pwrite(fd, meta, sizeof(meta), (off_t)(page * c->page_bytes));
    return n == (ssize_t)sizeof(meta) && fdatasync(fd) == 0 ? OK : ERR_IO;
}

enum err checkpoint_restore(int fd, const struct checkpoint *c)
{
    uint8_t now[2][CHECKPOINT_META_BYTES];
    uint64_t stamp = 0;
    enum err e = checkpoint_stamp_read(fd, &stamp);
    if (e == OK && stamp != c->store) {
        e = ERR_CORRUPT;
    }
    for (uint64_t i = 0; e == OK && i < 2; i++) {
        e = meta_pread(fd, i, c->page_bytes, now[i]);
    }
    if (e != OK) {
        return e;
    }
    uint64_t newest = get_le64(now[0] + META_TXNID_AT);
    uint64_t other = get_le64(now[1] + META_TXNID_AT);
    newest = newest > other ? newest : other;
    if (newest < c->txnid) {
        return ERR_CORRUPT;
    }
    /* The state's own page first: the other one, later or torn, is still the newer until then. */
    e = meta_put(fd, c, c->txnid & 1, now[c->txnid & 1]);
    return e == OK ? meta_put(fd, c, 1 - (c->txnid & 1), now[1 - (c->txnid & 1)]) : e;
}
