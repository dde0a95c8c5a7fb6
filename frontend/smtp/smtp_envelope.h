/* One mail transaction: reverse-path, recipients and where their copies are committed (ARCHITECTURE, section 6, step
 * 6). Lives in the session's transaction arena; not thread-safe.
 *
 * A RCPT expands (aliases) to one or more targets. Every target has a home: the shard whose log entry makes it durable.
 * SMTP has one reply, so one home, the first target's shard, and targets elsewhere are handoff rows of that entry. LMTP
 * replies per RCPT, so each RCPT is at home in its own first target's shard, and only an alias that reaches further has
 * handoffs. */
#ifndef FRONTEND_SMTP_SMTP_ENVELOPE_H
#define FRONTEND_SMTP_SMTP_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/base/id.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SMTP_HOMES_MAX 128
/* Recipient rows travel in one log entry beside an inline body and the record (<= 256 KiB in all). */
#define SMTP_TARGET_BYTES_MAX (64 * 1024)
/* Recipients in one shard, and direct ones plus handoffs of one home: what one DELIVER takes whatever the size of its
 * record (storage/apply/deliver.c). */
#define SMTP_HOME_TARGETS_MAX 180

struct smtp_target {
    struct account_id account;
    struct shard_id shard;
    uint32_t home;   /* index into homes */
    char *mailbox;   /* folder of +detail; "" = INBOX */
    char *address;   /* RCPT's */
    bool opens;      /* the first of its shard at its home */
    enum err status; /* after delivery */
};

struct smtp_rcpt {
    char *address;
    uint32_t *targets; /* indexes */
    uint32_t n;
};

struct smtp_home {
    struct shard_id shard;
    struct account_id account; /* of its first direct target: the upload's and the dedupe record's */
};

struct smtp_envelope {
    struct arena *arena;
    char *reverse_path; /* "" = null */
    uint64_t size;      /* declared by SIZE=, 0 = not */
    bool utf8;
    bool per_rcpt; /* LMTP */
    uint32_t targets_max;
    struct smtp_target *targets;
    uint32_t n_targets, cap_targets;
    struct smtp_rcpt *rcpts;
    uint32_t n_rcpts, cap_rcpts;
    struct smtp_home *homes;
    uint32_t n_homes, cap_homes;
    uint32_t bytes; /* of recipient rows */
};

/* All or nothing. ERR_LIMIT: too many recipients for this transaction; ERR_NOMEM. The same mailbox twice is delivered
 * once. The result's targets are local ones (not empty). */
MUST_CHECK enum err smtp_envelope_add(struct smtp_envelope *e, const char *address, const Pb__ReadResolveResult *to,
                                      bool detail_folders);

/* Recipients and handoffs of one home, in the order of the targets, into an initialised request (memory of the arena).
 */
MUST_CHECK enum err smtp_envelope_fill(const struct smtp_envelope *e, uint32_t home, struct arena *arena,
                                       Pb__OpDeliver *out);

/* Spreads a DELIVER's outcome over the home's targets. result may be NULL: all have `status`. */
void smtp_envelope_settle(struct smtp_envelope *e, uint32_t home, enum err status, const Pb__OpDeliverResult *result);

/* The worst outcome of a RCPT's targets: a refusal that asks for another try wins over a final one, any refusal over
 * OK. */
enum err smtp_envelope_rcpt_status(const struct smtp_envelope *e, const struct smtp_rcpt *r);
/* Of all. */
enum err smtp_envelope_status(const struct smtp_envelope *e);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_ENVELOPE_H */
