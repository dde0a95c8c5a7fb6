/* Offline verification of an LMDB 0.9 file's pages, without LMDB: its pages carry no checksums, and LMDB follows what a
 * damaged page says, out of the page and out of the map. What this finds nothing wrong with, LMDB can walk.
 *
 * Both meta pages must agree; from the newer one's roots every page of the tree and of the free list is looked at: its
 * own number and kind, that its nodes lie within it, that keys ascend over the whole tree, that no page is used twice
 * or is free as well, and that the counters of the meta page are true. What rows say is for storage/check and
 * replication/check. Blocks on reading the whole tree (large values apart); memory: one bit a page of the file. */
#ifndef STORAGE_KV_KV_PAGES_H
#define STORAGE_KV_KV_PAGES_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_pages_config {
    /* One damage; `what` is static text. May be NULL. */
    void (*finding)(void *ctx, uint64_t page, const char *what);
    void *ctx;
};

struct kv_pages_totals {
    uint64_t pages; /* in use, the meta pages too */
    uint64_t free_pages;
    uint64_t rows;
    uint64_t findings;
};

/* Damage is a finding and OK. ERR_IO, ERR_LOCKED (a node runs on it), ERR_NOMEM, ERR_CORRUPT (not an LMDB 0.9 file at
 * all), with the reason in why. */
MUST_CHECK enum err kv_pages_verify(const char *path, const struct kv_pages_config *cfg, struct kv_pages_totals *out,
                                    struct buf *why);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_KV_KV_PAGES_H */
