/* A replicated operation: one file each (storage/apply/<name>.c, descriptor STORAGE_OP(<name>)); the build makes the
 * table.
 *
 * prepare only reads: it refuses, or leaves in a plan what commit needs. commit mutates and cannot refuse: only store
 * errors come back from it, and they abort the whole transaction. So state is never half changed. storage_precheck runs
 * prepare alone on a read snapshot.
 *
 * Refusals are any error but ERR_NOMEM, ERR_FULL, ERR_CORRUPT and ERR_IO, which mean that the store failed: an
 * operation must not give those for what is wrong with its request. Nothing here looks at a clock, randomness or
 * pointer order: time and random bits come in the entry. */
#ifndef STORAGE_APPLY_OP_H
#define STORAGE_APPLY_OP_H

#include <protobuf-c/protobuf-c.h>

#include "proto/base/arena.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "storage/apply/entry.h"
#include "storage/apply/staging.h"
#include "storage/mailbox/keyword.h"
#include "storage/mailbox/message.h"
#include "storage/mailbox/name.h"
#include "storage/mailbox/pb.h"
#include "storage/mailbox/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An account's row in work: loaded once an entry, put once at its end when dirty. */
struct op_account {
    struct account_id id;
    struct account_row row;
    uint64_t modseq; /* of this entry, 0 = none taken yet */
    bool dirty;
    struct op_account *next;
};

struct op_mailbox {
    struct op_account *account;
    uint32_t id;
    struct mailbox_row row;
    bool dirty;
    struct op_mailbox *next;
};

#define OP_SETS_MAX 8

struct event_log;

struct op_context {
    struct store store;
    struct entry_head head;
    struct repl_position pos; /* zero in a precheck */
    uint32_t body_bytes;      /* of the attachment, stored as body (pos.index, 0) */
    struct arena *arena;
    bool early;     /* a precheck */
    bool changed;   /* commit changed something */
    bool body_used; /* something refers to the attachment now */
    /* The answer is not recorded for retries (dedupe.h): a late duplicate does no harm, whatever happens until then. */
    bool unrecorded;
    uint64_t ids; /* given by op_new_id so far */
    struct op_account *accounts;
    struct op_mailbox *mailboxes;
    struct uidset sets[OP_SETS_MAX]; /* freed when the entry is done */
    size_t n_sets;
    struct event_log *events; /* NULL in a precheck */
};

/* Which states of the account that the head names an operation can meet: what it cannot is refused before it, and not
 * recorded. */
enum op_gate {
    OP_GATE_LIVE, /* no move under its feet: not fenced, arriving or moved */
    OP_GATE_AWAY, /* also an account that is arriving or has moved: it sees to these itself */
    OP_GATE_OPEN, /* all, a fenced one too */
};

struct storage_op {
    enum method method;
    enum op_gate gate;
    bool grows;      /* refused above the disk watermark */
    bool takes_body; /* may come with an attachment */
    const ProtobufCMessageDescriptor *request;
    /* May be NULL (nothing to check). *out_plan is arena memory of the operation's own. */
    enum err (*prepare)(struct op_context *ox, const void *req, void **out_plan);
    /* Appends the packed result message. */
    enum err (*commit)(struct op_context *ox, const void *req, void *plan, struct buf *result);
    /* May be NULL. Appends to the reply what is not worth recording with the result: runs for the first answer and for
     * retries. */
    enum err (*finish)(struct op_context *ox, const void *req, struct buf *result);
};

#define STORAGE_OP(n) const struct storage_op storage_op_##n

/* The generated table, NULL-terminated. */
extern const struct storage_op *const storage_op_table[];
/* NULL for a number no operation has. */
const struct storage_op *storage_op_find(unsigned method);

/* Is it a failure of the store rather than a refusal? */
bool op_error_is_fatal(enum err e);

/* --- rows in work --- */

/* ERR_NOTFOUND unless it is live; ERR_UNAVAILABLE, ERR_MOVED while or after it moves: then, as long as nothing was
 * changed, nothing is recorded either. */
MUST_CHECK enum err op_account(struct op_context *ox, uint64_t account, struct op_account **out);
/* The same for the account that the request is about: ERR_INVAL when the entry's head names another. */
MUST_CHECK enum err op_own_account(struct op_context *ox, uint64_t account, struct op_account **out);
/* In any state; account 0 is made when it is missing. */
MUST_CHECK enum err op_account_any(struct op_context *ox, uint64_t account, struct op_account **out);
/* Enters an account that commit has just made into the rows in work. */
MUST_CHECK enum err op_account_add(struct op_context *ox, uint64_t account, const struct account_row *row,
                                   struct op_account **out);
/* Live mailboxes only. */
MUST_CHECK enum err op_mailbox(struct op_context *ox, struct op_account *a, uint64_t mailbox, struct op_mailbox **out);
/* ERR_INVAL and ERR_LIMIT for a bad name, ERR_NOTFOUND also for \NoSelect. */
MUST_CHECK enum err op_mailbox_named(struct op_context *ox, struct op_account *a, const char *name,
                                     struct op_mailbox **out);
MUST_CHECK enum err op_mailbox_add(struct op_context *ox, struct op_account *a, uint32_t id,
                                   const struct mailbox_row *row, struct op_mailbox **out);
/* Splits a name from a request; in a precheck it must be NFC too. */
MUST_CHECK enum err op_name(struct op_context *ox, const char *name, struct name_path *out);

/* This entry's MODSEQ of the account: one step an entry. The account becomes dirty. */
uint64_t op_modseq(struct op_context *ox, struct op_account *a);
/* The mailbox becomes dirty: its row is put and its change announced at the end. */
struct mailbox_work op_work(struct op_context *ox, struct op_mailbox *m);

/* A UID set of the call. Programmer error to take more than OP_SETS_MAX. */
struct uidset *op_set(struct op_context *ox);
/* Decodes a request's UIDs: ERR_INVAL, ERR_LIMIT (more than OP_UIDS_MAX of them). */
MUST_CHECK enum err op_uids(struct op_context *ox, ProtobufCBinaryData in, struct uidset **out);
/* A 128-bit id from the entry's random bits; another one at each call. */
struct u128 op_new_id(struct op_context *ox);
/* Unix seconds of the entry. */
static inline int64_t op_now_s(const struct op_context *ox)
{
    return (int64_t)(ox->head.entry_ms / 1000);
}
/* Packs a set as the bytes of a result field (arena memory). */
MUST_CHECK enum err op_pack_uids(struct op_context *ox, const struct uidset *set, ProtobufCBinaryData *out);

/* --- quota and limits --- */

/* ERR_QUOTA, ERR_LIMIT: may the account take this much more? */
MUST_CHECK enum err op_quota_check(const struct op_account *a, uint64_t messages, uint64_t bytes);
/* ERR_LIMIT when the mailbox has no UIDs left. */
MUST_CHECK enum err op_uid_room(const struct op_mailbox *m, uint32_t messages);

/* --- moves between shards --- */

/* The account that arrives here by the move of this id, and its row. ERR_INVAL (bad id), ERR_STALE (no such move), and
 * nothing is recorded: pages say themselves where they belong. */
struct arrival_row;
MUST_CHECK enum err op_arrival(struct op_context *ox, uint64_t account, ProtobufCBinaryData id, struct op_account **out,
                               struct arrival_row *out_row);

/* --- bodies and mail --- */

struct op_body {
    struct body_ref ref;
    uint64_t staged_index; /* 0: the attachment */
    struct stage_row staged;
    uint32_t uses;
};

struct op_mail {
    struct op_body body;
    struct slice record;
    struct msg_record fields;
};

/* Checks source and record: ERR_INVAL (sizes do not fit, bad record), ERR_NOTFOUND (no such reservation of one of the
 * accounts), ERR_LIMIT. */
MUST_CHECK enum err op_mail_check(struct op_context *ox, const Pb__BodySource *source, ProtobufCBinaryData record,
                                  const uint64_t *accounts, size_t n_accounts, struct op_mail *out);
/* Makes an email of it in an account. Each further use takes a reference to the body. */
MUST_CHECK enum err op_mail_email(struct op_context *ox, struct op_mail *mail, struct op_account *a,
                                  uint64_t *out_email, uint8_t out_emailid[16]);
/* A reference to the body for something that is no email (handoffs). */
MUST_CHECK enum err op_body_use(struct op_context *ox, struct op_body *b);

/* --- keywords --- */

struct op_keywords {
    uint16_t *numbers; /* of the names known or to be made */
    size_t n;
    struct slice *fresh; /* names to be added to the table, from number first_fresh on */
    size_t n_fresh;
    uint16_t first_fresh;
};

/* ERR_INVAL, ERR_LIMIT. make: unknown names will be added, else they are left out. */
MUST_CHECK enum err op_keywords_plan(struct op_context *ox, const struct op_mailbox *m, const struct slice *names,
                                     size_t n, bool make, struct op_keywords *out);
MUST_CHECK enum err op_keywords_commit(struct op_context *ox, struct op_mailbox *m, const struct op_keywords *plan);
/* The repeated string field of a request as slices. */
MUST_CHECK enum err op_strings(struct op_context *ox, char *const *strings, size_t n, struct slice **out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_OP_H */
