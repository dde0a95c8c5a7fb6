#include "proto/rpc/frame.h"

#include <string.h>

#include "proto/base/bytes.h"

#define FRAME_MAGIC 0x31584250u /* "PBX1" read as little-endian */
#define FRAME_VERSION 1
#define FRAME_FLAG_REPLY 1u
#define FRAME_FLAG_FORWARD 2u
#define HINT_TOPIC "HINT"

void rpc_head_encode(const struct rpc_head *h, uint8_t out[RPC_HEAD_BYTES])
{
    put_le32(out, FRAME_MAGIC);
    out[4] = FRAME_VERSION;
    out[5] = (uint8_t)((h->reply ? FRAME_FLAG_REPLY : 0u) | (h->forward ? FRAME_FLAG_FORWARD : 0u));
    put_le16(out + 6, h->method);
    put_le32(out + 8, h->shard.v);
    put_le32(out + 12, (uint32_t)h->status);
    memcpy(out + 16, h->request_id.b, 16);
    put_le64(out + 32, h->account.v);
    put_le64(out + 40, h->issue_ms);
    put_le32(out + 48, h->budget_ms);
    put_le32(out + 52, h->meta_bytes);
    put_le32(out + 56, h->attach_bytes);
    put_le32(out + 60, 0);
    put_le64(out + 64, h->hint);
}

static void head_fields(const uint8_t *p, struct rpc_head *h)
{
    h->method = get_le16(p + 6);
    h->reply = (p[5] & FRAME_FLAG_REPLY) != 0;
    h->forward = (p[5] & FRAME_FLAG_FORWARD) != 0;
    h->shard.v = get_le32(p + 8);
    h->status = err_from_wire(get_le32(p + 12));
    memcpy(h->request_id.b, p + 16, 16);
    h->account.v = get_le64(p + 32);
    h->issue_ms = get_le64(p + 40);
    h->budget_ms = get_le32(p + 48);
    h->meta_bytes = get_le32(p + 52);
    h->attach_bytes = get_le32(p + 56);
    h->hint = get_le64(p + 64);
}

enum err rpc_frame_decode(struct slice frame, struct rpc_head *out, struct slice *out_meta, struct slice *out_attach)
{
    if (frame.n < RPC_HEAD_BYTES || frame.n > RPC_FRAME_BYTES_MAX) {
        return ERR_CORRUPT;
    }
    if (get_le32(frame.p) != FRAME_MAGIC || frame.p[4] != FRAME_VERSION) {
        return ERR_CORRUPT;
    }
    uint64_t meta = get_le32(frame.p + 52);
    uint64_t attach = get_le32(frame.p + 56);
    if (RPC_HEAD_BYTES + meta + attach != frame.n) {
        return ERR_CORRUPT;
    }
    head_fields(frame.p, out);
    *out_meta = slice_make(frame.p + RPC_HEAD_BYTES, (size_t)meta);
    *out_attach = slice_make(frame.p + RPC_HEAD_BYTES + meta, (size_t)attach);
    return OK;
}

void rpc_hint_encode(const struct rpc_hint *h, uint8_t out[RPC_HINT_BYTES])
{
    memcpy(out, HINT_TOPIC, 4);
    put_le32(out + 4, h->shard.v);
    put_le64(out + 8, h->epoch);
    put_le64(out + 16, h->seq);
    put_le64(out + 24, h->account.v);
    put_le64(out + 32, h->mailbox.v);
    put_le64(out + 40, h->modseq);
    put_le32(out + 48, 0);
}

enum err rpc_hint_decode(struct slice frame, struct rpc_hint *out)
{
    if (frame.n != RPC_HINT_BYTES || memcmp(frame.p, HINT_TOPIC, 4) != 0) {
        return ERR_CORRUPT;
    }
    out->shard.v = get_le32(frame.p + 4);
    out->epoch = get_le64(frame.p + 8);
    out->seq = get_le64(frame.p + 16);
    out->account.v = get_le64(frame.p + 24);
    out->mailbox.v = get_le64(frame.p + 32);
    out->modseq = get_le64(frame.p + 40);
    return OK;
}
