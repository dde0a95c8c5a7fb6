/* One shard of a mail store with one account: volume, log and state machine as a node has them, without its threads.
 * The clock stands still but for a millisecond a turn, randomness is seeded. */
#ifndef BENCH_MICRO_SHARD_H
#define BENCH_MICRO_SHARD_H

#include <protobuf-c/protobuf-c.h>

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/uidset.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SHARD_ACCOUNT 11
#define SHARD_BATCH 16 /* writes a turn, as of so many connections */

enum shard_kv { SHARD_KV_MEM, SHARD_KV_LMDB };

struct shard;

struct shard *shard_open(enum shard_kv kind);
void shard_close(struct shard *s);

/* Adds a write to the next turn; the body must stay until then. Done by value: the message may go. */
void shard_write(struct shard *s, enum method m, const ProtobufCMessage *op, struct slice body);
/* All that was added; each must succeed. */
void shard_turn(struct shard *s);

/* Answers a read as a reader thread does; meta and attach are replaced. */
void shard_read(struct shard *s, enum method m, const ProtobufCMessage *request, struct buf *meta, struct buf *attach);

/* n messages in INBOX, UIDs 1 to n. */
void shard_fill(struct shard *s, uint32_t n, struct slice mail);
uint64_t shard_inbox(struct shard *s);

/* UIDs first to last as a field of a message; the memory is the buf's. */
ProtobufCBinaryData shard_uids(uint32_t first, uint32_t last, struct buf *memory);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MICRO_SHARD_H */
