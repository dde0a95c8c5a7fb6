#include "storage/apply/common/dedupe.h"
#include "storage/apply/common/op_run.h"

/* How far a request's issue time may be from the leader's clock (ARCHITECTURE, section 6). */
#define ISSUE_MS_OFF_MAX 300000u

static bool issue_time_ok(const struct entry_head *h)
{
    uint64_t off = h->entry_ms > h->issue_ms ? h->entry_ms - h->issue_ms : h->issue_ms - h->entry_ms;
    return off <= ISSUE_MS_OFF_MAX;
}

static enum err answer_retry(struct op_context *ox, const struct storage_op *op, const ProtobufCMessage *req,
                             bool *out_done, struct buf *result)
{
    struct op_account *owner;
    size_t len = result->len;
    enum err e = op_dedupe_owner(ox, &owner);
    if (e == OK) {
        e = op_dedupe_find(ox, owner, DEDUPE_MS_DEFAULT, result, out_done);
    }
    if (e == OK && *out_done && op->finish != NULL) {
        if (result->len - len < APPLY_RESULT_HEAD_BYTES) {
            return ERR_CORRUPT;
        }
        if (get_le32(buf_slice(result).p + len) == OK) {
            e = op->finish(ox, req, result);
        }
    }
    return e;
}

static enum err check(struct op_context *ox, const struct storage_op *op, struct slice op_bytes, bool *out_done,
                      struct buf *result)
{
    ProtobufCMessage *req;
    void *plan = NULL;
    enum err e = pb_unpack(op->request, op_bytes, ox->arena, &req);
    if (e == OK) {
        e = answer_retry(ox, op, req, out_done, result);
    }
    if (e != OK || *out_done) {
        return e;
    }
    if (ox->body_bytes > 0 && !op->takes_body) {
        return ERR_INVAL;
    }
    return op->prepare == NULL ? OK : op->prepare(ox, req, &plan);
}

enum err storage_precheck(struct kv_txn *t, const uint8_t prefix[5], const struct entry_head *h, struct slice op,
                          uint32_t attach_bytes, bool *out_grows, bool *out_done, struct buf *result)
{
    struct op_context ox;
    struct arena arena;
    const struct storage_op *found = storage_op_find(h->method);
    if (found == NULL) {
        return ERR_UNSUPPORTED;
    }
    if (!issue_time_ok(h)) {
        return ERR_EXPIRED;
    }
    arena_init(&arena, OP_ARENA_BYTES);
    op_context_init(&ox, t, prefix, h, &arena);
    ox.early = true;
    ox.body_bytes = attach_bytes;
    *out_done = false;
    enum err e = check(&ox, found, op, out_done, result);
    *out_grows = found->grows;
    op_context_fini(&ox);
    arena_fini(&arena);
    return e;
}
