/* Offline verification of a shard's state (`pillarbox ctl check`). Walks every row and every body once and sees that
 * checksums, references, counters and indexes agree in both directions. Reads only. */
#ifndef STORAGE_CHECK_CHECK_H
#define STORAGE_CHECK_CHECK_H

#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

struct check_finding {
    struct slice key; /* of the row that is wrong or missing, with its prefix; valid during the call */
    const char *what; /* static text */
};

struct check_totals {
    uint64_t accounts, mailboxes, messages, emails, bodies, body_bytes, findings;
};

struct check_config {
    void (*finding)(void *ctx, const struct check_finding *f);
    void *ctx;
    bool skip_bodies;       /* references only, no checksums of the chunks */
    uint64_t applied_index; /* bodies of later entries wait in the log; 0: all entries are applied */
};

/* One shard's replica. Memory grows with its emails (counts per email and body). Findings are no error: ERR_NOMEM,
 * ERR_IO and the store's own ERR_CORRUPT end the check. */
MUST_CHECK enum err storage_check(struct kv_txn *t, const uint8_t prefix[5], const struct check_config *cfg,
                                  struct check_totals *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_CHECK_CHECK_H */
