/* Changing flags: one OpStore of at most 1,000 messages, and its result as a look-up by UID. */
#ifndef FRONTEND_IMAP_IMAP_STORE_H
#define FRONTEND_IMAP_IMAP_STORE_H

#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a STORE did: of each message that was there and passed, in UID order. Owns its arrays. */
struct imap_stored {
    struct uidset uids;
    uint64_t *flags;
    uint64_t *modseqs;
    uint8_t *overflow; /* IMAP_OVERFLOW_BYTES of each; NULL while none has any */
    size_t n;
    uint64_t modseq;      /* of this operation */
    struct uidset failed; /* UNCHANGEDSINCE */
};

void imap_stored_init(struct imap_stored *st);
void imap_stored_fini(struct imap_stored *st);

/* Sends req with the chunk's UIDs and adds the result to *st; the changes are noted in the view as our own. */
MUST_CHECK enum err imap_store_chunk(struct imap_session *s, Pb__OpStore *req, const struct uidset *chunk,
                                     struct imap_stored *st);
/* +FLAGS (\Seen) on any number of messages; *st collects all of them. */
MUST_CHECK enum err imap_store_seen(struct imap_session *s, const struct uidset *uids, struct imap_stored *st);
/* Of row i; NULL for none. */
const uint8_t *imap_stored_overflow(const struct imap_stored *st, size_t i);
/* Puts the new flags and modseq of a message that the STORE changed into its row. */
void imap_stored_patch(const struct imap_stored *st, struct imap_row *row);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_STORE_H */
