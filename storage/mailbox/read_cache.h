/* What a SELECT wants of a mailbox and a scan would have to find: its UIDs and the first unseen one, kept for the MODSEQ they were read at. A change of the
 * mailbox makes another MODSEQ, so nothing here is ever stale. Shared by the readers: thread-safe, bounded in bytes, least recently used first out. */
#ifndef STORAGE_MAILBOX_READ_CACHE_H
#define STORAGE_MAILBOX_READ_CACHE_H

#include "storage/mailbox/message.h"

#ifdef __cplusplus
extern "C" {
#endif

struct read_cache;

MUST_CHECK enum err read_cache_new(size_t bytes_max, struct read_cache **out);
void read_cache_free(struct read_cache *c);

/* The mailbox's UIDs encoded (proto/base/uidset.h) into out, and the first unseen UID (0 = none). c may be NULL: no cache. */
MUST_CHECK enum err read_cache_uids(struct read_cache *c, const struct store *s, struct account_id a, uint32_t mailbox,
                                    const struct mailbox_row *row, struct buf *out, uint32_t *out_first_unseen);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_READ_CACHE_H */
