#include "storage/node/carry.h"

#include "proto/base/bytes.h"
#include "proto/base/fault.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "proto/rpc/flags.h"
#include "proto/schema/op.pb-c.h"
#include "storage/node/own_wait.h"

#define OP_BYTES_MAX (512 * 1024)
#define QUOTA_WAIT_MS (24 * 3600 * UINT64_C(1000))

METRIC_COUNTER_L(metric_delivered, "pillarbox_handoffs_total", "Handoffs between shards", "result=\"delivered\"");
METRIC_COUNTER_L(metric_refused, "pillarbox_handoffs_total", "Handoffs between shards", "result=\"refused\"");

static enum err pack(const ProtobufCMessage *m, struct buf *out)
{
    uint8_t *p;
    size_t n = protobuf_c_message_get_packed_size(m);
    buf_reset(out);
    enum err e = buf_reserve(out, n + 1, &p);
    if (e == OK) {
        buf_commit(out, protobuf_c_message_pack(m, p));
    }
    return e;
}

/* --- handoffs --- */

/* One handoff in hand and the memory it needs. */
struct carrying {
    struct node *node;
    struct shard_id from;
    uint8_t prefix[5];
    struct handoff_due due;
    struct buf op;
    struct buf body;
    struct buf result;
    struct own_step step;
    bool tried;   /* it was proposed: the step has a status */
    bool settled; /* delivered or finally refused: the row may go */
};

/* Will another try bring another answer? */
static bool temporary(enum err e)
{
    return e == ERR_NOMEM || e == ERR_NOT_LEADER || e == ERR_UNAVAILABLE || e == ERR_TIMEOUT || e == ERR_FULL ||
           e == ERR_IO || e == ERR_OVERLOAD || e == ERR_SHUTDOWN || e == ERR_CLOSED;
}

/* A full mailbox may be emptied: the handoff is tried for a day, as a queue would. */
static bool worth_waiting(const struct carrying *c, enum err e)
{
    uint64_t now = clock_wall_ms(c->node->clock);
    return temporary(e) || (e == ERR_QUOTA && now < c->due.entry_ms + QUOTA_WAIT_MS);
}

static enum err body_read(struct carrying *c, uint64_t off, size_t bytes)
{
    struct kv_txn *t;
    enum err e = kv_begin(c->node->kv, false, &t);
    if (e == OK) {
        buf_reset(&c->body);
        e = repl_body_read(t, c->prefix, c->due.body_index, c->due.body_ordinal, off, bytes, &c->body);
        kv_abort(t);
    }
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

static enum err stage_chunks(struct carrying *c, uint64_t account, uint64_t staged_index)
{
    enum err e = OK;
    for (uint64_t off = 0; e == OK && off < c->due.body_bytes; off += STAGE_CHUNK_BYTES) {
        uint64_t left = c->due.body_bytes - off;
        e = body_read(c, off, left < STAGE_CHUNK_BYTES ? (size_t)left : STAGE_CHUNK_BYTES);
        if (e == OK) {
            struct proposal_spec chunk = {.shard = c->due.to,
                                          .account = {account},
                                          .method = METHOD_STAGE_CHUNK,
                                          .staged_index = staged_index,
                                          .staged_offset = off,
                                          .body = buf_slice(&c->body)};
            e = own_propose_wait(c->node, &chunk, NULL);
        }
    }
    return e == ERR_NOTFOUND || e == ERR_STALE ? ERR_UNAVAILABLE : e; /* the reservation has ended: another one */
}

/* Reservations belong to an account: one of the recipients. Each attempt makes its own, since the one before may be
 * used up or gone. */
static enum err stage_begin(struct carrying *c, uint64_t account, uint64_t *out_index)
{
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    struct buf op;
    begin.account = account;
    begin.size = c->due.body_bytes;
    begin.expected = c->due.body_bytes; /* a try every second must not write what cannot be kept */
    buf_init(&op, OP_BYTES_MAX);
    buf_reset(&c->result);
    enum err e = pack(&begin.base, &op);
    if (e == OK) {
        struct proposal_spec spec = {
            .shard = c->due.to, .account = {account}, .method = METHOD_STAGE_BEGIN, .op = buf_slice(&op)};
        e = own_propose_wait(c->node, &spec, &c->result);
    }
    buf_fini(&op);
    if (e != OK) {
        return e;
    }
    Pb__OpStageBeginResult *r = pb__op_stage_begin_result__unpack(NULL, c->result.len, buf_slice(&c->result).p);
    if (r == NULL) {
        return ERR_CORRUPT;
    }
    *out_index = r->staged_index;
    pb__op_stage_begin_result__free_unpacked(r, NULL);
    return OK;
}

/* Gives the space back; if this fails too, the reservation expires. */
static void stage_abort(struct carrying *c, uint64_t account, uint64_t staged_index)
{
    Pb__OpStageAbort abort_op = PB__OP_STAGE_ABORT__INIT;
    struct buf op;
    abort_op.account = account;
    abort_op.staged_index = staged_index;
    buf_init(&op, OP_BYTES_MAX);
    if (pack(&abort_op.base, &op) == OK) {
        struct proposal_spec spec = {
            .shard = c->due.to, .account = {account}, .method = METHOD_STAGE_ABORT, .op = buf_slice(&op)};
        (void)!own_propose_wait(c->node, &spec, NULL);
    }
    buf_fini(&op);
}

/* A large body goes to the target shard as a staged one, in the name of the first recipient that may have it.
 * *out_refused: none may. */
static enum err stage_body(struct carrying *c, const Pb__OpDeliver *op, uint64_t *out_index, bool *out_refused)
{
    enum err e = ERR_NOTFOUND;
    for (size_t i = 0; i < op->n_recipients; i++) {
        uint64_t account = op->recipients[i]->account;
        e = stage_begin(c, account, out_index);
        if (e == OK) {
            e = stage_chunks(c, account, *out_index);
            if (e != OK) {
                stage_abort(c, account, *out_index);
            }
            return e;
        }
        if (temporary(e) || e == ERR_CORRUPT || e == ERR_LIMIT) {
            return e; /* a full budget frees itself when older uploads expire */
        }
    }
    *out_refused = !worth_waiting(c, e);
    return e;
}

/* Puts the body where the target's operation finds it: in c->body as the attachment, or staged, with the operation
 * packed anew. */
static enum err body_prepare(struct carrying *c, bool *out_refused)
{
    if (c->due.body_bytes <= BODY_INLINE_MAX) {
        return body_read(c, 0, c->due.body_bytes);
    }
    Pb__OpDeliver *op = pb__op_deliver__unpack(NULL, c->op.len, buf_slice(&c->op).p);
    if (op == NULL || op->n_recipients == 0 || op->body == NULL) {
        if (op != NULL) {
            pb__op_deliver__free_unpacked(op, NULL);
        }
        return ERR_CORRUPT;
    }
    enum err e = stage_body(c, op, &op->body->staged_index, out_refused);
    if (e == OK) {
        e = pack(&op->base, &c->op);
    }
    buf_reset(&c->body);
    pb__op_deliver__free_unpacked(op, NULL);
    return e;
}

/* Before a large body is staged once more: has the target taken the mail, and only the answer was lost? Then c->result
 * is that answer. */
static enum err answered_before(struct carrying *c, const struct u128 *id, bool *out_done, enum err *out_status)
{
    uint8_t prefix[5];
    struct kv_txn *t;
    bool may_grow;
    uint64_t now = clock_wall_ms(c->node->clock);
    struct entry_head h = {
        .method = METHOD_DELIVER, .shard = c->due.to, .entry_ms = now, .issue_ms = now, .request_id = *id};
    buf_reset(&c->result);
    enum err e = volume_state_prefix(c->node->volume, c->due.to, prefix);
    if (e == OK) {
        e = kv_begin(c->node->kv, false, &t);
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_UNAVAILABLE : e;
    }
    /* What it refuses is the proposal's to hear. */
    e = storage_precheck(t, prefix, &h, buf_slice(&c->op), 0, &may_grow, out_done, &c->result);
    kv_abort(t);
    if (e == OK && *out_done) {
        *out_status = err_from_wire(get_le32(buf_slice(&c->result).p));
        buf_consume(&c->result, APPLY_RESULT_HEAD_BYTES);
    }
    return temporary(e) ? e : OK;
}

/* Says which recipients were finally refused: their mail was accepted, so an operator must be able to find it. */
static void refusals_log(const struct carrying *c, enum err status)
{
    Pb__OpDeliver *op = pb__op_deliver__unpack(NULL, c->op.len, buf_slice(&c->op).p);
    Pb__OpDeliverResult *res = pb__op_deliver_result__unpack(NULL, c->result.len, buf_slice(&c->result).p);
    for (size_t i = 0; op != NULL && i < op->n_recipients; i++) {
        enum err e = res != NULL && i < res->n_recipients ? err_from_wire(res->recipients[i]->err) : status;
        if (e != OK) {
            metric_inc(&metric_refused);
            log_error("handoff.refused", "accepted mail could not be delivered",
                      LOG_STR("recipient", op->recipients[i]->address), LOG_STR("from", op->reverse_path),
                      LOG_U64("shard", c->from.v), LOG_U64("index", c->due.index), LOG_ERR(e));
        }
    }
    if (op != NULL) {
        pb__op_deliver__free_unpacked(op, NULL);
    }
    if (res != NULL) {
        pb__op_deliver_result__free_unpacked(res, NULL);
    }
}

/* --- a batch: so many handoffs share each commit --- */

#define BATCH 64
#define BATCH_BODY_BYTES (4 * 1024 * 1024)

struct batch {
    struct own_wait wait;
    uint32_t n;
    struct carrying at[BATCH];
};

static struct batch *batch_new(struct node *n, struct shard_id from, const uint8_t prefix[5])
{
    struct batch *b = mem_zalloc(sizeof(*b));
    if (b == NULL) {
        return NULL;
    }
    own_wait_init(&b->wait);
    for (size_t i = 0; i < BATCH; i++) {
        struct carrying *c = &b->at[i];
        c->node = n;
        c->from = from;
        memcpy(c->prefix, prefix, sizeof(c->prefix));
        buf_init(&c->op, OP_BYTES_MAX);
        buf_init(&c->body, OP_BYTES_MAX);
        buf_init(&c->result, OP_BYTES_MAX);
    }
    return b;
}

static void batch_free(struct batch *b)
{
    for (size_t i = 0; i < BATCH; i++) {
        buf_fini(&b->at[i].op);
        buf_fini(&b->at[i].body);
        buf_fini(&b->at[i].result);
    }
    own_wait_fini(&b->wait);
    mem_free(b);
}

/* The rows after (index, to), as many as a batch takes. ERR_NOTFOUND when there is none. */
static enum err batch_collect(struct batch *b, struct handoff_due *last)
{
    struct kv_txn *t;
    uint64_t bytes = 0;
    enum err e = kv_begin(b->at[0].node->kv, false, &t);
    if (e != OK) {
        return e;
    }
    for (b->n = 0; b->n < BATCH && bytes < BATCH_BODY_BYTES; b->n++) {
        struct carrying *c = &b->at[b->n];
        c->tried = c->settled = false;
        buf_reset(&c->op);
        buf_reset(&c->body);
        buf_reset(&c->result);
        e = housekeeping_handoff_next(t, c->prefix, last->index, last->to, &c->due, &c->op);
        if (e != OK) {
            break;
        }
        *last = c->due;
        bytes += c->due.body_bytes <= BODY_INLINE_MAX ? c->due.body_bytes : 0; /* larger ones leave no copy here */
    }
    kv_abort(t);
    return b->n > 0 ? OK : e;
}

/* Proposes the delivery, or finds out without that what came of it: then the step has its status at once. */
static enum err deliver_propose(struct batch *b, struct carrying *c)
{
    struct u128 id = housekeeping_handoff_id(c->from, c->due.index, c->due.to);
    bool done = false;
    bool refused = false;
    enum err e = OK;
    if (c->due.body_bytes > BODY_INLINE_MAX) {
        e = answered_before(c, &id, &done, &c->step.status);
    }
    if (e == OK && !done) {
        e = body_prepare(c, &refused);
        buf_reset(&c->result);
    }
    if (refused) {
        c->step.status = e;
    } else if (e != OK) {
        return e;
    } else if (!done) {
        struct proposal_spec spec = {.shard = c->due.to,
                                     .method = METHOD_DELIVER,
                                     .request_id = &id,
                                     .op = buf_slice(&c->op),
                                     .body = buf_slice(&c->body)};
        own_propose(c->node, &spec, &b->wait, &c->step, &c->result);
    }
    c->tried = true;
    return OK;
}

/* The last failure of those that are left for another time, OK when none is. */
static enum err batch_deliver(struct batch *b)
{
    enum err failed = OK;
    for (uint32_t i = 0; i < b->n; i++) {
        enum err e = deliver_propose(b, &b->at[i]);
        failed = e != OK ? e : failed;
    }
    own_wait_all(&b->wait);
    for (uint32_t i = 0; i < b->n; i++) {
        struct carrying *c = &b->at[i];
        if (!c->tried) {
            continue;
        }
        if (worth_waiting(c, c->step.status)) {
            failed = c->step.status;
            continue;
        }
        refusals_log(c, c->step.status);
        metric_inc(&metric_delivered);
        c->settled = true;
    }
    return failed;
}

static enum err row_remove_propose(struct batch *b, struct carrying *c)
{
    Pb__OpHandoffDone done = PB__OP_HANDOFF_DONE__INIT;
    done.index = c->due.index;
    done.shard = c->due.to.v;
    enum err e = pack(&done.base, &c->op);
    if (e == OK) {
        struct proposal_spec spec = {.shard = c->from, .method = METHOD_HANDOFF_DONE, .op = buf_slice(&c->op)};
        own_propose(c->node, &spec, &b->wait, &c->step, NULL);
    }
    return e;
}

static enum err batch_remove(struct batch *b)
{
    enum err failed = OK;
    for (uint32_t i = 0; i < b->n; i++) {
        struct carrying *c = &b->at[i];
        enum err e = c->settled ? row_remove_propose(b, c) : OK;
        if (e != OK) {
            c->settled = false; /* nothing proposed: the step's status is the delivery's */
            failed = e;
        }
    }
    own_wait_all(&b->wait);
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->at[i].settled && b->at[i].step.status != OK) {
            failed = b->at[i].step.status;
        }
    }
    return failed;
}

enum err carry_handoffs(struct node *n, struct shard_id from, const bool *stop, bool *out_left)
{
    uint8_t prefix[5];
    uint64_t term;
    struct handoff_due last = {.index = 0};
    enum err failed = OK;
    enum err e = volume_leads(n->volume, from, &term) ? volume_state_prefix(n->volume, from, prefix) : ERR_UNAVAILABLE;
    struct batch *b = e == OK ? batch_new(n, from, prefix) : NULL;
    if (b == NULL) {
        return e == OK ? ERR_NOMEM : e;
    }
    while (!__atomic_load_n(stop, __ATOMIC_RELAXED) && (e = batch_collect(b, &last)) == OK) {
        fault_pass(FAULT_HANDOFF_BEFORE);
        enum err tried = batch_deliver(b);
        fault_pass(FAULT_HANDOFF_AFTER);
        enum err removed = batch_remove(b);
        if (tried != OK || removed != OK) {
            *out_left = true;
            failed = tried != OK ? tried : removed;
        }
    }
    batch_free(b);
    return e == ERR_NOTFOUND || e == OK ? failed : e;
}

/* --- housekeeping --- */

static enum err purge_due(struct node *n, struct shard_id shard, struct housekeeping *h, Pb__OpPurge *out,
                          bool *out_due)
{
    uint8_t prefix[5];
    struct kv_txn *t;
    uint64_t term;
    enum err e =
        volume_leads(n->volume, shard, &term) ? volume_state_prefix(n->volume, shard, prefix) : ERR_UNAVAILABLE;
    if (e == OK) {
        e = kv_begin(n->kv, false, &t);
    }
    if (e == OK) {
        e = housekeeping_purge_due(t, prefix, clock_wall_ms(n->clock), h, &out->account, &out->mailbox, out_due);
        kv_abort(t);
    }
    return e;
}

enum err carry_purge(struct node *n, struct shard_id shard, struct housekeeping *h, unsigned steps_max)
{
    struct buf op;
    enum err e = OK;
    bool due = true;
    buf_init(&op, 4096);
    for (unsigned i = 0; e == OK && due && i < steps_max; i++) {
        Pb__OpPurge purge = PB__OP_PURGE__INIT;
        due = false;
        e = purge_due(n, shard, h, &purge, &due);
        if (e == OK && due) {
            e = pack(&purge.base, &op);
        }
        if (e == OK && due) {
            struct proposal_spec spec = {
                .shard = shard, .account = {purge.account}, .method = METHOD_PURGE, .op = buf_slice(&op)};
            e = own_propose_wait(n, &spec, NULL);
        }
    }
    buf_fini(&op);
    return e;
}
