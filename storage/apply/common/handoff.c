#include "storage/apply/handoff.h"

void handoff_key(struct key *k, const struct store *s, uint64_t index, struct shard_id to)
{
    key_shard(k, s, SHARD_HANDOFFS);
    key_u64(k, index);
    key_u32(k, to.v);
}

enum err handoff_decode(struct slice value, struct handoff_head *out, struct slice *out_op)
{
    if (value.n < sizeof(*out)) {
        return ERR_CORRUPT;
    }
    memcpy(out, value.p, sizeof(*out));
    if (out->body_ordinal > UINT16_MAX) {
        return ERR_CORRUPT;
    }
    *out_op = slice_sub(value, sizeof(*out), value.n);
    return OK;
}

static enum err encode(struct op_context *ox, const Pb__OpDeliver *req, const Pb__Handoff *h,
                       const struct op_body *body, struct buf *out)
{
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    struct handoff_head head = {
        .entry_ms = ox->head.entry_ms,
        .body_index = body->ref.index,
        .body_ordinal = body->ref.ordinal,
        .body_bytes = body->ref.bytes,
        .recipients = (uint32_t)h->n_recipients,
    };
    source.size = body->ref.bytes;
    op.body = &source;
    op.recipients = h->recipients;
    op.n_recipients = h->n_recipients;
    op.record = req->record;
    op.reverse_path = req->reverse_path;
    op.handoff = true;
    enum err e = buf_append(out, &head, sizeof(head));
    return e == OK ? pb_pack(&op.base, out) : e;
}

enum err handoff_put(struct op_context *ox, const Pb__OpDeliver *req, const Pb__Handoff *h, struct op_body *body)
{
    struct key k;
    struct buf value;
    struct shard_id to = {h->shard};
    buf_init(&value, SIZE_MAX / 2);
    enum err e = op_body_use(ox, body);
    if (e == OK) {
        e = encode(ox, req, h, body, &value);
    }
    if (e == OK) {
        handoff_key(&k, &ox->store, ox->pos.index, to);
        e = store_put_long(&ox->store, &k, buf_slice(&value));
    }
    buf_fini(&value);
    ox->changed = true;
    return e;
}
