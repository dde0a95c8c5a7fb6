/* The entries of a log file's block. */
#ifndef STORAGE_BACKUP_BACKUP_ENTRIES_H
#define STORAGE_BACKUP_BACKUP_ENTRIES_H

#include "replication/saved.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Calls take with each entry until it gives an error, which is given on. ERR_PROTOCOL: the block is not whole entries.
 */
MUST_CHECK enum err backup_entries_each(struct slice block, enum err (*take)(void *ctx, const struct repl_entry *e),
                                        void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_BACKUP_BACKUP_ENTRIES_H */
