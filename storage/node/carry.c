#include "storage/node/carry.h"

#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "proto/rpc/flags.h"
#include "proto/schema/op.pb-c.h"

#define OP_BYTES_MAX (512 * 1024)
#define QUOTA_WAIT_MS (24 * 3600 * UINT64_C(1000))

METRIC_COUNTER_L(metric_delivered, "pillarbox_handoffs_total", "Handoffs between shards", "result=\"delivered\"");
METRIC_COUNTER_L(metric_refused, "pillarbox_handoffs_total", "Handoffs between shards", "result=\"refused\"");

/* --- a proposal of our own, waited for --- */

struct waited {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    enum err status;
    struct buf *result;
};

static void waited_done(struct node_write *w, enum err status, struct slice result)
{
    struct waited *d = w->user;
    pthread_mutex_lock(&d->lock);
    d->status = status;
    if (d->result != NULL && buf_append_slice(d->result, result) != OK) {
        d->status = ERR_NOMEM;
    }
    d->is_done = true;
    pthread_cond_signal(&d->done);
    pthread_mutex_unlock(&d->lock);
    mem_free(w);
}

static enum err propose_wait(struct node *n, struct proposal_spec *spec, struct buf *result)
{
    struct waited d = {.result = result};
    pthread_mutex_init(&d.lock, NULL);
    pthread_cond_init(&d.done, NULL);
    spec->done = waited_done;
    spec->user = &d;
    enum err e = propose_own(n, spec);
    if (e == OK) {
        pthread_mutex_lock(&d.lock);
        while (!d.is_done) {
            pthread_cond_wait(&d.done, &d.lock);
        }
        pthread_mutex_unlock(&d.lock);
        e = d.status;
    }
    pthread_cond_destroy(&d.done);
    pthread_mutex_destroy(&d.lock);
    return e;
}

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
};

/* A request id of a step of this handoff: the same in every attempt. */
static struct u128 step_id(const struct carrying *c, uint8_t step)
{
    struct u128 id = housekeeping_handoff_id(c->from, c->due.index, c->due.to);
    id.b[0] = (uint8_t)(id.b[0] ^ step);
    return id;
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

static enum err stage_chunks(struct carrying *c, uint64_t staged_index)
{
    enum err e = OK;
    for (uint64_t off = 0; e == OK && off < c->due.body_bytes; off += STAGE_CHUNK_BYTES) {
        uint64_t left = c->due.body_bytes - off;
        e = body_read(c, off, left < STAGE_CHUNK_BYTES ? (size_t)left : STAGE_CHUNK_BYTES);
        if (e == OK) {
            struct proposal_spec chunk = {.shard = c->due.to,
                                          .method = METHOD_STAGE_CHUNK,
                                          .staged_index = staged_index,
                                          .staged_offset = off,
                                          .body = buf_slice(&c->body)};
            e = propose_wait(c->node, &chunk, NULL);
        }
    }
    return e;
}

/* A large body goes to the target shard as a staged one. `account` is one of the recipients: reservations belong to an
 * account. */
static enum err stage_body(struct carrying *c, uint64_t account, uint64_t *out_index)
{
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    struct u128 id = step_id(c, 1);
    struct buf op;
    begin.account = account;
    begin.size = c->due.body_bytes;
    buf_init(&op, OP_BYTES_MAX);
    buf_reset(&c->result);
    enum err e = pack(&begin.base, &op);
    if (e == OK) {
        struct proposal_spec spec = {.shard = c->due.to,
                                     .account = {account},
                                     .method = METHOD_STAGE_BEGIN,
                                     .request_id = &id,
                                     .op = buf_slice(&op)};
        e = propose_wait(c->node, &spec, &c->result);
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
    return stage_chunks(c, *out_index);
}

/* Puts the body where the target's operation finds it: in c->body as the attachment, or staged, with the operation
 * packed anew. */
static enum err body_prepare(struct carrying *c)
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
    enum err e = stage_body(c, op->recipients[0]->account, &op->body->staged_index);
    if (e == OK) {
        e = pack(&op->base, &c->op);
    }
    buf_reset(&c->body);
    pb__op_deliver__free_unpacked(op, NULL);
    return e;
}

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

static enum err deliver(struct carrying *c)
{
    struct u128 id = step_id(c, 0);
    enum err e = body_prepare(c);
    if (e != OK) {
        return e;
    }
    struct proposal_spec spec = {.shard = c->due.to,
                                 .method = METHOD_DELIVER,
                                 .request_id = &id,
                                 .op = buf_slice(&c->op),
                                 .body = buf_slice(&c->body)};
    buf_reset(&c->result);
    e = propose_wait(c->node, &spec, &c->result);
    if (worth_waiting(c, e)) {
        return e;
    }
    refusals_log(c, e);
    metric_inc(&metric_delivered);
    return OK;
}

static enum err row_remove(struct carrying *c)
{
    Pb__OpHandoffDone done = PB__OP_HANDOFF_DONE__INIT;
    done.index = c->due.index;
    done.shard = c->due.to.v;
    enum err e = pack(&done.base, &c->op);
    if (e == OK) {
        struct proposal_spec spec = {.shard = c->from, .method = METHOD_HANDOFF_DONE, .op = buf_slice(&c->op)};
        e = propose_wait(c->node, &spec, NULL);
    }
    return e;
}

static enum err next(struct carrying *c, uint64_t index, struct shard_id to)
{
    struct kv_txn *t;
    enum err e = kv_begin(c->node->kv, false, &t);
    if (e == OK) {
        buf_reset(&c->op);
        e = housekeeping_handoff_next(t, c->prefix, index, to, &c->due, &c->op);
        kv_abort(t);
    }
    return e;
}

enum err carry_handoffs(struct node *n, struct shard_id from, bool *out_left)
{
    struct carrying c = {.node = n, .from = from};
    uint64_t term;
    enum err failed = OK;
    enum err e =
        volume_leads(n->volume, from, &term) ? volume_state_prefix(n->volume, from, c.prefix) : ERR_UNAVAILABLE;
    if (e != OK) {
        return e;
    }
    buf_init(&c.op, OP_BYTES_MAX);
    buf_init(&c.body, OP_BYTES_MAX);
    buf_init(&c.result, OP_BYTES_MAX);
    for (e = next(&c, 0, (struct shard_id){0}); e == OK; e = next(&c, c.due.index, c.due.to)) {
        enum err tried = deliver(&c);
        if (tried == OK) {
            tried = row_remove(&c);
        }
        if (tried != OK) {
            *out_left = true;
            failed = tried;
        }
    }
    buf_fini(&c.op);
    buf_fini(&c.body);
    buf_fini(&c.result);
    return e == ERR_NOTFOUND ? failed : e;
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
            e = propose_wait(n, &spec, NULL);
        }
    }
    buf_fini(&op);
    return e;
}
