/* Log entries outside of a log: read from a replica's committed log, and as bytes, for incremental backups
 * (storage/backup) and their restore (replication/restore.h). Pure functions of a transaction.
 *
 * An entry's bytes, little-endian: index(8) term(8) type(1) 0(3) data bytes(4) body bytes(4), data, body. No checksum:
 * whoever keeps them adds one. */
#ifndef REPLICATION_SAVED_H
#define REPLICATION_SAVED_H

#include "replication/message.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SAVED_ENTRY_HEAD_BYTES 28
#define SAVED_ENTRY_BYTES_MAX (SAVED_ENTRY_HEAD_BYTES + REPL_ENTRY_BYTES_MAX)

/* ERR_NOMEM, ERR_LIMIT of the buffer. */
MUST_CHECK enum err saved_entry_put(struct buf *out, const struct repl_entry *e);
/* The next entry of *rest, which moves past it; views its bytes. ERR_NOTFOUND: its end is not there yet. ERR_CORRUPT:
 * no entry begins like that. Both leave *rest as it is. */
MUST_CHECK enum err saved_entry_get(struct slice *rest, struct repl_entry *out);

/* What a replica's log has that is committed and applied. */
struct saved_span {
    uint64_t first; /* oldest entry; last + 1: none */
    uint64_t last;  /* applied */
    uint64_t last_term;
};
/* prefix as from volume_state_prefix. ERR_CORRUPT, and the store's own errors. */
MUST_CHECK enum err saved_span_get(struct kv_txn *t, const uint8_t prefix[5], struct saved_span *out);
/* Term of entry `index`. ERR_NOTFOUND: the log does not know it (any more). */
MUST_CHECK enum err saved_term_get(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, uint64_t *out_term);
/* Appends the bytes of entry `index`, which the span has. ERR_NOTFOUND: it does not. */
MUST_CHECK enum err saved_entry_read(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_SAVED_H */
