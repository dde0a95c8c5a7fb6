/* Sizes and places of a backup file's records (backup_file.h), shared by its writer and reader. */
#ifndef STORAGE_BACKUP_BACKUP_FORMAT_H
#define STORAGE_BACKUP_BACKUP_FORMAT_H

#include "storage/backup/backup_file.h"

#define BACKUP_MAGIC "PBBACKUP"
#define BACKUP_MAGIC_BYTES 8
#define BACKUP_HEAD_BYTES 68
#define BACKUP_BLOCK_HEAD_BYTES 20
#define BACKUP_END_BYTES 56
#define BACKUP_MARK_BLOCK 'B'
#define BACKUP_MARK_END 'E'

#endif /* STORAGE_BACKUP_BACKUP_FORMAT_H */
