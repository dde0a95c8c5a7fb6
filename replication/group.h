/* replication/: many Raft groups over a kv store. It knows nothing of mail: an entry is a type and bytes, its owner's
 * state machine is a struct repl_fsm. Built on C raft 0.22.1's raft_step() (a pure state machine; raft.h is included by
 * raft_driver.c only). The rows of a replica: replication/README.md; their keys: replication/key.h. */
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

/* Where an entry stands when it is applied. */
struct repl_position {
    uint64_t index;
    uint64_t term;
};

/* The replicated state machine. All calls come from the volume's thread inside its write transaction. */
struct repl_fsm {
    void *ctx;
    /* Pure function of (state, entry). The body of an entry is body (pos.index, ordinal 0), already stored; body_bytes
     * is its size. `result` is empty and gets the bytes to answer the proposer with, at most REPL_RESULT_BYTES_MAX
     * (NULL on replicas where nobody waits). The entry's outcome, refusals included, is in the result: an error here
     * means that the transaction cannot go on. ERR_FULL, ERR_NOMEM: aborted and tried again, at last alone; when it
     * fails alone too, the proposer is answered ERR_FULL or ERR_OVERLOAD and the entry never existed. ERR_CORRUPT: this
     * shard stops here until the node is repaired, the others go on. */
    enum err (*apply)(void *ctx, struct kv_txn *txn, struct repl_position pos, struct slice data, uint32_t body_bytes,
                      struct buf *result);
    /* The transaction of the preceding applies became durable / was thrown away (the same entries are applied again
     * later). May be NULL. */
    void (*committed)(void *ctx);
    void (*aborted)(void *ctx);
    /* May a chunk of a staged body be stored under this index now? `bytes` is what it adds to the body; 0: nothing, it
     * repeats what is there or will be refused whatever is said here. OK (with bytes: it is stored, so count it), or
     * the answer to the proposer; ERR_FULL, ERR_NOMEM, ERR_CORRUPT, ERR_IO as from apply. A pure function of (state,
     * entry) too, asked in the transaction that stores the chunk, so that none comes after the upload has ended. NULL:
     * always.
     */
    enum err (*staged)(void *ctx, struct kv_txn *txn, uint64_t index, uint32_t bytes);
    /* The state lies under another prefix from now on (a copy replaced it). NULL: it never does (one server only). */
    void (*moved)(void *ctx, const uint8_t prefix[5]);
};

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_GROUP_H */
