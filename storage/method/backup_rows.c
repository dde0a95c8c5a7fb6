/* ReadBackupRows: a batch of a copy of the shard's state. The walk and the record of what is written behind it are the
 * volume's (replication/copy.h), so its thread answers. */
#include "storage/method/method.h"

STORAGE_METHOD(backup_rows) = {
    .method = METHOD_BACKUP_ROWS,
    .volume = true,
    .request = &pb__read_backup_rows__descriptor,
};
