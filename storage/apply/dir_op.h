/* What the operations that add accounts to the directory share. */
#ifndef STORAGE_APPLY_DIR_OP_H
#define STORAGE_APPLY_DIR_OP_H

#include "storage/apply/op.h"
#include "storage/directory/directory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Parses a name and sees that its domain is ours: ERR_INVAL, ERR_NOTFOUND. */
MUST_CHECK enum err dir_op_name(struct op_context *ox, const char *name, struct dir_name *out);
/* ERR_INVAL, ERR_LIMIT. */
MUST_CHECK enum err dir_op_check_shards(uint32_t shard, uint32_t shards);
/* Nothing has the name yet: ERR_EXISTS. */
MUST_CHECK enum err dir_op_check_free(struct op_context *ox, const struct dir_name *n);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_DIR_OP_H */
