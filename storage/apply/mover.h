/* What the leader of a source shard does to move an account (deploy/docs/adr/0010), without threads and sockets: from a
 * snapshot of the source and what the destination last answered it gives the next request. Whoever drives it sends
 * that, and tells what came back; several may be on their way at a time, in order. All that is kept here can be lost:
 * it is asked for again.
 *
 * One thread at a time. */
#ifndef STORAGE_APPLY_MOVER_H
#define STORAGE_APPLY_MOVER_H

#include "proto/base/buf.h"
#include "proto/rpc/method.h"
#include "storage/mailbox/moving.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A fence that lasts longer is given up, below the deadline of a frontend's call. */
#define MOVER_FENCE_MS_MAX 15000u
/* How long the fence waits for uploads to end. */
#define MOVER_UPLOADS_MS_MAX 10000u

struct mover {
    struct shard_id from;
    struct account_id account;
    uint32_t shards; /* of the cluster, the directory counted; a move to none of them is given up. 0: not known */
    /* Of the move that is driven; what follows is about it. */
    uint8_t id[MOVE_ID_BYTES];
    bool begun;      /* the destination has told how far it is */
    bool alone;      /* a request is out that nothing may follow */
    uint32_t out;    /* requests that are not answered */
    uint64_t email;  /* the last one sent */
    bool kept;       /* what the source has dropped is dropped there, */
    uint64_t keep;   /* as far as this number */
    uint64_t emails; /* of the source, counted on the way */
    bool all_rows;   /* sent, as far as `cursor` */
    uint32_t cursor_bytes;
    uint8_t cursor[KV_KEY_BYTES_MAX];
    bool counted; /* rows and crc are those up to the cursor */
    uint64_t rows;
    uint32_t crc;
    bool ready;
    bool activated;
    bool named;
    bool cancelled;
    uint64_t locked_ms; /* since when the fence waits for uploads; 0: it does not */
    uint64_t staged_index;
    uint64_t staged; /* bytes of the next email's body */
};

struct mover_request {
    struct shard_id shard;
    enum method method;
    bool own_id; /* request_id is to be used: it must not be done twice */
    struct u128 request_id;
    struct buf op;         /* the packed request */
    struct buf body;       /* its attachment */
    uint64_t staged_index; /* != 0: a chunk */
    uint64_t staged_offset;
    bool alone;   /* nothing may be sent before it is answered */
    uint32_t how; /* of OpArriveEnd */
    uint8_t of[MOVE_ID_BYTES];
};

enum mover_next {
    MOVER_SEND,
    MOVER_WAIT, /* for the answers that are out; when there are none, for a moment */
    MOVER_OVER, /* the move has ended */
};

void mover_init(struct mover *m, struct shard_id from, struct account_id account, uint32_t shards);
void mover_request_init(struct mover_request *r);
void mover_request_fini(struct mover_request *r);

/* The source as it is in the snapshot; now_ms: wall clock. out is overwritten. */
MUST_CHECK enum err mover_next(struct mover *m, const struct store *source, uint64_t now_ms, struct mover_request *out,
                               enum mover_next *out_next);
/* What came of a request, in the order in which they were given. status: the transport's or the operation's; result:
 * the operation's result message. True: it was taken; false: wait a moment before the next one. */
bool mover_answered(struct mover *m, const struct mover_request *r, enum err status, struct slice result,
                    uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_MOVER_H */
