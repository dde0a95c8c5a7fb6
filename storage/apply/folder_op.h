/* What the operations on folders and accounts share. */
#ifndef STORAGE_APPLY_FOLDER_OP_H
#define STORAGE_APPLY_FOLDER_OP_H

#include "storage/apply/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A fresh mailbox at a node of the tree. node 0: the node is made too (the caller checked TREE_NODES_MAX); else it was
 * \NoSelect. */
MUST_CHECK enum err folder_make(struct op_context *ox, struct op_account *a, uint32_t parent, struct slice name,
                                uint32_t node, uint32_t special_use, struct op_mailbox **out);
/* Makes the missing components [depth, upto) of a path below `at`; *io_parent is the last one's node then. */
MUST_CHECK enum err folder_make_parents(struct op_context *ox, struct op_account *a, const struct name_path *path,
                                        size_t depth, size_t upto, uint32_t *io_parent);
/* ERR_LIMIT: may the account have n more nodes? */
MUST_CHECK enum err folder_room(const struct op_account *a, size_t n);

/* ERR_INVAL, ERR_LIMIT: name and credentials of a new account. */
MUST_CHECK enum err account_op_check(const Pb__OpAccountCreate *req);
MUST_CHECK enum err account_op_check_credentials(const Pb__Credentials *c);
/* With INBOX and the special-use folders, subscribed. */
MUST_CHECK enum err account_op_make(struct op_context *ox, const Pb__OpAccountCreate *req);
/* Packs the credentials (arena memory). */
MUST_CHECK enum err account_op_pack(struct op_context *ox, const Pb__Credentials *c, struct slice *out);

/* Rows that OpPurge will work off: mailbox 0 = the whole account. keep_as: its messages are to be kept, as of that time
 * and under that name; empty: they are not. */
struct purge_queued {
    uint64_t entry_ms;
    struct slice keep_as;
};
MUST_CHECK enum err purge_queue_put(const struct store *s, struct account_id a, uint32_t mailbox,
                                    const struct purge_queued *q);
/* keep_as is valid until the next write. ERR_NOTFOUND. */
MUST_CHECK enum err purge_queue_get(const struct store *s, struct account_id a, uint32_t mailbox,
                                    struct purge_queued *out);
MUST_CHECK enum err purge_queue_del(const struct store *s, struct account_id a, uint32_t mailbox);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_FOLDER_OP_H */
