/* Keys of replication in a volume's key space. A key starts with the replica number (4 bytes big-endian) and a letter;
 * numbers are big-endian, so memory order is numeric order. Number 0 is the volume's own:
 *
 *   0 'G' replica(4)                          a replica whose rows are to be deleted
 *   0 'I'                                     whose the volume is: cluster, node (replication/volume_owner.h)
 *   0 'V'                                     volume row: format version, next replica number
 *   0 'R' shard(4)                            replica number of the shard
 *   n 'B' index(8) ordinal(2) chunk(4)        body chunk
 *   n 'C' index(8)                            configuration
 *   n 'L' index(8) [chunk(2)]                 log entry, continuation
 *   n 'M'                                     meta row
 *   n 'P' index(8) offset(8)                  piece of a staged body
 *   n 'Q' index(8) ordinal(2)                 dead body
 *   n 'S' ...                                 the state machine's
 *   n 'T' index(8)                            term range */
#ifndef REPLICATION_KEY_H
#define REPLICATION_KEY_H

#include "proto/base/bytes.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KEY_BYTES_MAX 21
#define KEY_HEAD_BYTES 5 /* replica number and letter */
#define KEY_INDEX_BYTES 13
#define KEY_BODY_BYTES 15 /* without the chunk */
#define KEY_PIECE_BYTES 21

struct repl_key {
    uint8_t b[KEY_BYTES_MAX];
    uint8_t n;
};

static inline struct slice key_slice(const struct repl_key *k)
{
    return slice_make(k->b, k->n);
}

static inline struct repl_key key_head(uint32_t replica, char letter)
{
    struct repl_key k;
    put_be32(k.b, replica);
    k.b[4] = (uint8_t)letter;
    k.n = KEY_HEAD_BYTES;
    return k;
}

static inline struct repl_key key_index(uint32_t replica, char letter, uint64_t index)
{
    struct repl_key k = key_head(replica, letter);
    put_be64(k.b + 5, index);
    k.n = KEY_INDEX_BYTES;
    return k;
}

static inline struct repl_key key_log_chunk(uint32_t replica, uint64_t index, uint16_t chunk)
{
    struct repl_key k = key_index(replica, 'L', index);
    put_be16(k.b + KEY_INDEX_BYTES, chunk);
    k.n = KEY_INDEX_BYTES + 2;
    return k;
}

/* 'B' and 'Q' rows name a body. */
static inline struct repl_key key_body(uint32_t replica, char letter, uint64_t index, uint16_t ordinal)
{
    struct repl_key k = key_index(replica, letter, index);
    put_be16(k.b + KEY_INDEX_BYTES, ordinal);
    k.n = KEY_BODY_BYTES;
    return k;
}

static inline struct repl_key key_chunk(uint32_t replica, uint64_t index, uint16_t ordinal, uint32_t chunk)
{
    struct repl_key k = key_body(replica, 'B', index, ordinal);
    put_be32(k.b + KEY_BODY_BYTES, chunk);
    k.n = KEY_BODY_BYTES + 4;
    return k;
}

static inline struct repl_key key_piece(uint32_t replica, uint64_t index, uint64_t offset)
{
    struct repl_key k = key_index(replica, 'P', index);
    put_be64(k.b + KEY_INDEX_BYTES, offset);
    k.n = KEY_PIECE_BYTES;
    return k;
}

static inline struct repl_key key_shard(uint32_t shard)
{
    struct repl_key k = key_head(0, 'R');
    put_be32(k.b + 5, shard);
    k.n = KEY_HEAD_BYTES + 4;
    return k;
}

static inline struct repl_key key_garbage(uint32_t replica)
{
    struct repl_key k = key_head(0, 'G');
    put_be32(k.b + 5, replica);
    k.n = KEY_HEAD_BYTES + 4;
    return k;
}

/* True when the key belongs to (replica, letter): scans end where it stops. */
static inline bool key_under(struct slice key, uint32_t replica, char letter)
{
    return key.n >= KEY_HEAD_BYTES && get_be32(key.p) == replica && key.p[4] == (uint8_t)letter;
}

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_KEY_H */
