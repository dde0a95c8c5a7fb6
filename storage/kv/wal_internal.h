/* Inside the write-ahead log: its layout, and what writing (wal.c) and replaying (wal_replay.c) share. */
#ifndef STORAGE_KV_WAL_INTERNAL_H
#define STORAGE_KV_WAL_INTERNAL_H

#include "storage/kv/wal.h"

#define WAL_FILES 2
#define WAL_MAGIC UINT32_C(0x6c617750) /* "Pwal" */
#define WAL_HEAD_BYTES 32
#define WAL_CRC_AT 4
#define WAL_CRC_FROM 8 /* what the checksum covers starts here */
#define WAL_CHANGE_BYTES 8

enum wal_kind { WAL_COMMIT = 1, WAL_VOID = 2 };
enum wal_change_kind { WAL_PUT = 1, WAL_DEL = 2 };

struct wal {
    int fds[WAL_FILES];
    uint64_t filled[WAL_FILES]; /* size of the file: what is below needs no new blocks */
    int now;                    /* the file in hand */
    uint64_t at;                /* where its next record goes */
    uint64_t seq;               /* of the last record */
    uint64_t store;
    struct buf record;    /* the transaction in hand, its head included */
    size_t changes_n;     /* in it */
    const uint8_t *later; /* where a value is written, ... */
    size_t later_to;      /* ... where it goes in the record, ... */
    size_t later_n;       /* ... and its size; 0: none */
};

struct wal_head {
    uint64_t seq;
    enum wal_kind kind;
    uint32_t payload_n;
};

/* Bytes of a record on disk. */
uint64_t wal_record_bytes(size_t payload_n);

#endif /* STORAGE_KV_WAL_INTERNAL_H */
