/* The RPC frame: a fixed little-endian header, then the protobuf payload (`meta`), then raw attachment bytes (bodies
 * travel here, so that protobuf never copies them). Requests and replies have the same layout. <= 256 KiB in all.
 * CRC-free: TCP, TLS and our rows have their own.
 *
 *   0  u32 magic "PBX1"     4 u8 version (1)      5 u8 flags (0: reply, 1: forward)   6 u16 method
 *   8  u32 shard           12 u32 status (reply: enum err)
 *  16  u8[16] request id   32 u64 account         40 u64 issue_ms (wall clock of the frontend, when it first sent the
 * request) 48  u32 budget_ms (time left at sending)       52 u32 meta_bytes  56 u32 attach_bytes  60 u32 reserved (0)
 *  64  u64 hint (reply: node that leads, for ERR_NOT_LEADER)
 */
#ifndef PROTO_RPC_FRAME_H
#define PROTO_RPC_FRAME_H

#include "proto/base/id.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RPC_HEAD_BYTES 72
#define RPC_FRAME_BYTES_MAX (256 * 1024)
#define RPC_RECV_BYTES_MAX (1024 * 1024)

struct rpc_head {
    uint16_t method;
    bool reply;
    bool forward; /* a node that does not lead the shard passes the request on to the one that does */
    struct shard_id shard;
    enum err status;
    struct u128 request_id;
    struct account_id account;
    uint64_t issue_ms;
    uint32_t budget_ms;
    uint64_t hint;
    uint32_t meta_bytes;
    uint32_t attach_bytes;
};

void rpc_head_encode(const struct rpc_head *h, uint8_t out[RPC_HEAD_BYTES]);
/* ERR_CORRUPT unless magic, version and lengths fit the whole frame exactly. Views point into `frame`. */
MUST_CHECK enum err rpc_frame_decode(struct slice frame, struct rpc_head *out, struct slice *out_meta,
                                     struct slice *out_attach);

/* A change hint on PUB: which account and mailbox reached which modseq, with an epoch (changes when the leader or its
 * process does) and a sequence number per shard: a gap tells the reader to ask (ReadWatch). Fixed 48 bytes after a
 * 4-byte topic "HINT".
 *
 *   0 "HINT"   4 u32 shard   8 u64 epoch   16 u64 seq   24 u64 account   32 u64 mailbox   40 u64 modseq   48 u32
 * reserved (0)
 *
 * Every account hint raises its shard's seq by one. Heartbeats (account 0) repeat the latest: for a shard, each second
 * while it changed in the last RPC_HINT_QUIET_S seconds; and once a second one for RPC_HINT_SHARD_ALL, whose seq counts
 * the account hints of all shards of this publisher. So idle shards are silent and still a subscriber learns within a
 * second that it missed something, and within 3 s that nobody speaks any more. */
#define RPC_HINT_SHARD_ALL UINT32_MAX
#define RPC_HINT_QUIET_S 3

struct rpc_hint {
    struct shard_id shard;
    uint64_t epoch;
    uint64_t seq;
    struct account_id account; /* 0: heartbeat of the shard's sequence */
    struct mailbox_id mailbox;
    uint64_t modseq;
};
#define RPC_HINT_BYTES 52
void rpc_hint_encode(const struct rpc_hint *h, uint8_t out[RPC_HINT_BYTES]);
MUST_CHECK enum err rpc_hint_decode(struct slice frame, struct rpc_hint *out);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_FRAME_H */
