/* The messages that an operation meets: at most OP_UIDS_MAX rows of a mailbox with their flags, and the results that
 * name them. */
#ifndef STORAGE_APPLY_ROWS_H
#define STORAGE_APPLY_ROWS_H

#include "storage/apply/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct op_row {
    uint32_t uid;
    struct message_row row;
    struct flagset flags;
};

struct op_rows {
    struct op_row *list; /* in UID order, arena memory */
    size_t n;
};

/* Those of `uids` that exist. ERR_LIMIT when they are more than OP_UIDS_MAX. */
MUST_CHECK enum err op_rows_collect(struct op_context *ox, const struct op_mailbox *m, const struct uidset *uids,
                                    struct op_rows *out);
/* Keeps the rows that have all of these flags. */
void op_rows_keep(struct op_rows *rows, uint64_t flags);
uint64_t op_rows_bytes(const struct op_rows *rows);
MUST_CHECK enum err op_rows_uids(struct op_context *ox, const struct op_rows *rows, struct uidset **out);

/* What becomes of the emails of messages that leave a mailbox. */
enum op_fate {
    OP_FATE_DROP,
    OP_FATE_MOVE, /* another message has them */
    OP_FATE_KEEP, /* they can be brought back: keeping.h */
};

/* Removes the rows and records the expunge. */
MUST_CHECK enum err op_rows_expunge(struct op_context *ox, struct op_mailbox *m, const struct op_rows *rows,
                                    enum op_fate fate);

/* Copies of messages in another mailbox (or the same): keywords go by name. */
struct op_copying {
    struct op_mailbox *from;
    struct op_mailbox *to;
    struct op_rows rows;
    struct op_keywords keywords; /* to be known in `to` */
    uint16_t map[KEYWORDS_MAX];  /* number in `from` -> in `to` */
};

/* ERR_NOTFOUND (destination), ERR_STALE (source), ERR_QUOTA unless moving, ERR_LIMIT, ERR_INVAL. */
MUST_CHECK enum err op_copying_plan(struct op_context *ox, struct op_account *a, uint64_t mailbox,
                                    ProtobufCBinaryData uids, const char *to, bool moving, struct op_copying *out);
/* Adds the rows to the destination; their emails get another reference unless moving. out_first: the first UID given;
 * they are consecutive. */
MUST_CHECK enum err op_copying_commit(struct op_context *ox, struct op_copying *c, bool moving, uint32_t *out_first);
/* OpCopyResult of n messages from out_first on. */
MUST_CHECK enum err op_copying_result(struct op_context *ox, const struct op_copying *c, uint32_t first,
                                      struct buf *result);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_ROWS_H */
