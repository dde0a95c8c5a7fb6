/* UID runs and unseen UIDs of mailboxes as of a MODSEQ, shared by the readers, so that SELECT of a mailbox does not
 * walk its rows each time. A get gives a copy of the newest state known that is not newer than the reader's snapshot;
 * the reader brings it up to date from the change and expunge indexes and puts it back. Least recently used entries go
 * when the bytes run out. Thread-safe (one lock, held for the copy only). */
#ifndef STORAGE_MAILBOX_READ_CACHE_H
#define STORAGE_MAILBOX_READ_CACHE_H

#include "proto/base/uidset.h"
#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

struct read_cache;

struct mailbox_uids {
    struct uidset uids;
    struct uidset unseen;
};

void mailbox_uids_init(struct mailbox_uids *u);
void mailbox_uids_fini(struct mailbox_uids *u);

MUST_CHECK enum err read_cache_new(size_t bytes_max, struct read_cache **out);
void read_cache_free(struct read_cache *c);

/* shard and account name the mailbox with it. ERR_NOTFOUND; ERR_NOMEM. */
MUST_CHECK enum err read_cache_get(struct read_cache *c, struct shard_id shard, struct account_id a, uint32_t mailbox,
                                   uint64_t modseq_max, struct mailbox_uids *out, uint64_t *out_modseq);
/* Keeps a copy unless a newer one is there. Without memory it just does not. */
void read_cache_put(struct read_cache *c, struct shard_id shard, struct account_id a, uint32_t mailbox, uint64_t modseq,
                    const struct mailbox_uids *u);

/* The mailbox's UIDs in this snapshot, through the cache (NULL: by a walk). */
MUST_CHECK enum err mailbox_uids_load(const struct store *s, struct read_cache *c, struct shard_id shard,
                                      struct account_id a, uint32_t mailbox, const struct mailbox_row *row,
                                      struct mailbox_uids *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_READ_CACHE_H */
