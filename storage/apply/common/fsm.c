#include "proto/base/mem.h"
#include "proto/rpc/level.h"
#include "replication/volume.h"
#include "storage/apply/common/dedupe.h"
#include "storage/apply/common/event_log.h"
#include "storage/apply/common/op_run.h"
#include "storage/apply/staging.h"

/* Old dedupe rows dropped in passing by each entry of their account. */
#define EXPIRE_PER_ENTRY 4

struct storage_fsm {
    struct storage_fsm_config cfg;
    struct event_log events;
    struct arena arena;
    struct buf value; /* status and result message: the reply and the dedupe record */
};

enum err storage_fsm_new(const struct storage_fsm_config *cfg, struct storage_fsm **out)
{
    struct storage_fsm *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        return ERR_NOMEM;
    }
    f->cfg = *cfg;
    /* OpPurge and the precheck know the default only: shorter is fine, longer they would not keep. */
    if (f->cfg.dedupe_ms == 0 || f->cfg.dedupe_ms > DEDUPE_MS_DEFAULT) {
        f->cfg.dedupe_ms = DEDUPE_MS_DEFAULT;
    }
    event_log_init(&f->events);
    arena_init(&f->arena, OP_ARENA_BYTES);
    buf_init(&f->value, SIZE_MAX / 2);
    *out = f;
    return OK;
}

void storage_fsm_free(struct storage_fsm *f)
{
    if (f == NULL) {
        return;
    }
    event_log_fini(&f->events);
    arena_fini(&f->arena);
    buf_fini(&f->value);
    mem_free(f);
}

void storage_fsm_set_prefix(struct storage_fsm *f, const uint8_t prefix[5])
{
    memcpy(f->cfg.prefix, prefix, STORE_PREFIX_BYTES);
}

const struct storage_event *storage_fsm_events(struct storage_fsm *f, size_t *out_n)
{
    return event_log_take(&f->events, out_n);
}

static enum err put_status(struct buf *value, enum err status)
{
    uint8_t head[APPLY_RESULT_HEAD_BYTES];
    put_le32(head, (uint32_t)status);
    buf_reset(value);
    return buf_append(value, head, sizeof(head));
}

/* The body that came with an entry which does not keep it dies at once. */
static enum err kill_unused_body(struct op_context *ox)
{
    if (ox->body_bytes == 0 || ox->body_used) {
        return OK;
    }
    return repl_body_kill(ox->store.t, ox->store.prefix, ox->pos.index, 0, ox->head.entry_ms);
}

/* What changed nothing else puts the account's row only when the bounds of its records move. */
static enum err record(struct storage_fsm *f, struct op_context *ox, struct op_account *owner)
{
    uint32_t from = owner->row.dedupe_from;
    uint32_t to = owner->row.dedupe_to;
    enum err e = OK;
    if (dedupe_expiry_due(&owner->row, ox->head.entry_ms, f->cfg.dedupe_ms)) {
        e = dedupe_expire(&ox->store, owner->id, &owner->row, ox->head.entry_ms, f->cfg.dedupe_ms, EXPIRE_PER_ENTRY);
    }
    if (e == OK) {
        e = dedupe_put(&ox->store, owner->id, &owner->row, ox->head.entry_ms, &ox->head.request_id,
                       buf_slice(&f->value));
    }
    owner->dirty = owner->dirty || owner->row.dedupe_from != from || owner->row.dedupe_to != to;
    return e;
}

/* Says where the account went, too: the frontend follows. */
static enum err put_moved(struct buf *value, enum err status, const struct op_account *owner)
{
    uint8_t shard[4];
    enum err e = put_status(value, status);
    put_le32(shard, owner->row.inbox);
    return e == OK && status == ERR_MOVED ? buf_append(value, shard, sizeof(shard)) : e;
}

/* Whether a move forbids it: refused for now, and not on record. What was executed before is answered before. */
static enum err gate(const struct op_context *ox, const struct storage_op *op, const struct op_account *owner)
{
    uint32_t state = owner->row.state;
    if (ox->head.account.v == 0 || owner->id.v != ox->head.account.v || op->gate == OP_GATE_OPEN) {
        return OK;
    }
    if (state == ACCOUNT_FENCED || op->gate == OP_GATE_LIVE) {
        enum err e = account_writable(state);
        return e == ERR_NOTFOUND ? OK : e;
    }
    return OK;
}

/* A new request: refuse, or change. Leaves status and result in f->value, and on record: also those of a request that
 * was refused or found nothing to do, since a duplicate that comes late may meet another state. */
static enum err execute(struct storage_fsm *f, struct op_context *ox, const struct storage_op *op,
                        const ProtobufCMessage *req, struct op_account *owner)
{
    void *plan = NULL;
    enum err e = put_status(&f->value, OK);
    if (e == OK && op->prepare != NULL) {
        e = op->prepare(ox, req, &plan);
    }
    if (e == OK) {
        e = op->commit(ox, req, plan, &f->value);
    }
    /* An operation that changed nothing may still answer with a status of its own making (OpDeliver). */
    if (e != OK && !op_error_is_fatal(e)) {
        e = ox->changed ? ERR_CORRUPT /* commit met rows that contradict each other */ : put_status(&f->value, e);
    }
    if (e == OK && !ox->unrecorded) {
        e = record(f, ox, owner);
    }
    return e == OK ? op_context_flush(ox) : e;
}

static enum err run(struct storage_fsm *f, struct op_context *ox, struct slice op_bytes)
{
    struct op_account *owner;
    ProtobufCMessage *req;
    bool found;
    const struct storage_op *op = storage_op_find(ox->head.method);
    if (op == NULL) {
        return put_status(&f->value, ERR_UNSUPPORTED);
    }
    enum err e = pb_unpack(op->request, op_bytes, &f->arena, &req);
    if (e != OK) {
        return e == ERR_INVAL ? put_status(&f->value, e) : e;
    }
    e = op_dedupe_owner(ox, &owner);
    if (e != OK) {
        return e;
    }
    buf_reset(&f->value);
    e = op_dedupe_find(ox, owner, f->cfg.dedupe_ms, &f->value, &found);
    if (e == OK && found && f->value.len < APPLY_RESULT_HEAD_BYTES) {
        e = ERR_CORRUPT;
    }
    if (e == OK && !found) {
        enum err refused = gate(ox, op, owner);
        e = refused == OK ? execute(f, ox, op, req, owner) : put_moved(&f->value, refused, owner);
    }
    if (e == OK && op->finish != NULL && get_le32(buf_slice(&f->value).p) == OK) {
        e = op->finish(ox, req, &f->value);
    }
    return e;
}

static enum err fsm_apply(void *ctx, struct kv_txn *txn, struct repl_position pos, struct slice data,
                          uint32_t body_bytes, struct buf *result)
{
    struct storage_fsm *f = ctx;
    struct entry_head head;
    struct slice op_bytes;
    struct op_context ox;
    enum err decoded = entry_decode(data, &head, &op_bytes);
    if (decoded != OK) {
        memset(&head, 0, sizeof(head));
    }
    op_context_init(&ox, txn, f->cfg.prefix, &head, &f->arena);
    ox.pos = pos;
    ox.body_bytes = body_bytes;
    ox.events = &f->events;
    enum err e = OK;
    if (decoded == OK && head.level > LEVEL_NOW) {
        e = ERR_CORRUPT; /* a newer program's: whatever it means, guessing would fork the replicas */
    } else if (decoded != OK || head.shard.v != f->cfg.shard.v) {
        e = put_status(&f->value, ERR_INVAL);
    } else {
        e = run(f, &ox, op_bytes);
    }
    if (e == OK) {
        e = kill_unused_body(&ox);
    }
    if (e == OK && result != NULL) {
        e = buf_append_slice(result, buf_slice(&f->value));
    }
    op_context_fini(&ox);
    arena_reset(&f->arena);
    return e;
}

static void fsm_committed(void *ctx)
{
    struct storage_fsm *f = ctx;
    event_log_commit(&f->events);
}

static void fsm_aborted(void *ctx)
{
    struct storage_fsm *f = ctx;
    event_log_abort(&f->events);
}

/* A reservation that was used, aborted or purged takes no more chunks: nobody would ever delete them. */
static enum err fsm_staged(void *ctx, struct kv_txn *txn, uint64_t index, uint32_t bytes)
{
    struct storage_fsm *f = ctx;
    struct entry_head none;
    struct op_context ox;
    memset(&none, 0, sizeof(none));
    op_context_init(&ox, txn, f->cfg.prefix, &none, &f->arena);
    enum err e = stage_charge(&ox, index, bytes);
    if (e == OK) {
        e = op_context_flush(&ox);
    }
    op_context_fini(&ox);
    arena_reset(&f->arena);
    return e;
}

void storage_fsm_bind(struct storage_fsm *f, struct repl_fsm *out)
{
    out->ctx = f;
    out->apply = fsm_apply;
    out->committed = fsm_committed;
    out->aborted = fsm_aborted;
    out->staged = fsm_staged;
}
