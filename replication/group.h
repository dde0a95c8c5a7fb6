/* replication/: many Raft groups over a kv store. It knows nothing of mail: an entry is a type and bytes, its owner's
 * state machine is a struct repl_fsm. Built on C raft 0.22.1's raft_step() (a pure state machine; raft.h is included by
 * raft_driver.c/.h only).
 *
 * A replica's rows in the volume's key space, after the replica number (4 bytes big-endian):
 *   'M'                      meta: term, vote, applied index, first/last log index, snapshot index/term/configuration,
 * format version 'L' index(8)             log row: term, type, body size, crc32c, entry bytes (<= 256 KiB are cut in
 * KV_CHUNK_BYTES chunks 'L' index chunk(2)) 'T' first index(8)       term ranges (RAFT_START wants the log's terms) 'C'
 * index(8)             configuration entries 'B' index(8) ordinal(2) chunk(4)  body chunks: 4 bytes crc32c + up to
 * 4,076 bytes. Written once, never copied. 'Q' index(8) ordinal(2)  dead bodies: time of death; removed locally when
 * log and retention allow 'S' ...                  the state machine's own keys
 */
#ifndef REPLICATION_GROUP_H
#define REPLICATION_GROUP_H

#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/id.h"
#include "proto/base/kv.h"
#include "proto/base/rng.h"
#include "proto/base/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REPL_ENTRY_BYTES_MAX (256 * 1024) /* entry bytes + body */
#define REPL_BODY_CHUNK_DATA (KV_CHUNK_BYTES - 4)
#define REPL_RESULT_BYTES_MAX (1024 * 1024) /* limit of the buf that apply writes its result to */

/* A proposal: the state machine's entry, and the body that travels with it but is stored once, in its own rows. */
struct repl_entry {
    struct slice data; /* log row */
    struct slice body; /* may be empty; stored under 'B' index 0 */
};

/* Where an entry stands when it is applied. */
struct repl_position {
    uint64_t index;
    uint64_t term;
};

/* The replicated state machine. All calls come from the volume's thread inside its write transaction. */
struct repl_fsm {
    void *ctx;
    /* Pure function of (state, entry). `result` gets the bytes to answer the proposer with (NULL on replicas where
     * nobody waits). The entry's outcome, refusals included, is in the result: an error here means that the transaction
     * cannot go on (ERR_FULL, ERR_NOMEM: aborted and retried later; ERR_CORRUPT: the process stops). */
    enum err (*apply)(void *ctx, struct kv_txn *txn, struct repl_position pos, struct slice data, uint32_t body_bytes,
                      struct buf *result);
    /* The transaction of the preceding applies became durable / was thrown away (the same entries are applied again
     * later). May be NULL. */
    void (*committed)(void *ctx);
    void (*aborted)(void *ctx);
};

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_GROUP_H */
