/* Write requests become entries: header with time, random bits and whether it keeps what it expunges, then the
 * request's own bytes. Nothing is decoded here but what fills staged bodies: apply decodes once and decides, and its
 * answer is on record. */
#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "proto/rpc/level.h"
#include "proto/schema/op.pb-c.h"
#include "storage/node/courier.h"
#include "storage/node/linear.h"
#include "storage/node/node_internal.h"
#include "storage/mailbox/row.h"
#include "storage/node/node_table.h"

#define ISSUE_SKEW_MS (5 * 60 * 1000) /* ARCHITECTURE, section 6.1 */

METRIC_COUNTER(metric_expired, "pillarbox_rpc_expired_total", "Writes refused because they were issued too long ago");

static void refuse(struct rpc_request *r, enum err e)
{
    rpc_request_reply(r, e, 0, slice_str(""), slice_str(""));
}

static bool issued_too_far(const struct node *n, uint64_t issue_ms)
{
    uint64_t now = clock_wall_ms(n->clock);
    return issue_ms > now ? issue_ms - now > ISSUE_SKEW_MS : now - issue_ms > ISSUE_SKEW_MS;
}

/* Whether the disk watermark applies: what frees, and what is bookkeeping, is taken even when the disk is nearly full.
 */
static bool grows(unsigned method)
{
    switch (method) {
    case METHOD_EXPUNGE:
    case METHOD_MOVE: /* to the trash, as most clients delete */
    case METHOD_MAILBOX_DELETE:
    case METHOD_ACCOUNT_REMOVE:
    case METHOD_DIR_ACCOUNT_REMOVE:
    case METHOD_NODE_SET:
    case METHOD_NODE_CLAIM:
    case METHOD_CLUSTER_SET:
    case METHOD_SHARD_SET:
    case METHOD_STAGE_ABORT:
    case METHOD_HANDOFF_DONE:
    case METHOD_PURGE:
    case METHOD_KEPT_DROP:
    case METHOD_UNDELETE: /* rows go as rows come, and what is kept here would be dropped */
    case METHOD_MOVE_STEP:
    case METHOD_ARRIVE_END:
    case METHOD_ARRIVE_KEEP:
    case METHOD_DIR_ACCOUNT_MOVE:
    case METHOD_STORE:
    case METHOD_MAILBOX_SUBSCRIBE:
    case METHOD_RECENT_CLAIM:
    case METHOD_QUOTA_SET:
    case METHOD_CREDENTIALS_SET:
        return false;
    default:
        return true;
    }
}

/* Do all nodes of the cluster understand it? */
static bool level_allows(const struct node *n, unsigned method, struct slice op)
{
    return level_needed(method, op) <= node_table_level(n);
}

static void entry_fill(struct node *n, struct node_write *w, const struct entry_head *from, struct slice op)
{
    struct entry_head h = *from;
    h.level = node_table_level(n);
    h.entry_ms = clock_wall_ms(n->clock);
    h.keep = keep_expunged(n, h.method);
    rng_fill(n->rng, h.random, sizeof(h.random));
    entry_head_encode(&h, w->data);
    if (op.n > 0) {
        memcpy(w->data + ENTRY_HEAD_BYTES, op.p, op.n);
    }
    w->p.data = slice_make(w->data, ENTRY_HEAD_BYTES + op.n);
}

/* Whether a packed message has a field (length-delimited ones and varints are stepped over; that is all OpDeliver has).
 */
static bool has_field(struct slice message, uint64_t field)
{
    struct reader r = reader_make(message);
    while (reader_left(&r) > 0) {
        uint64_t tag = reader_varint(&r);
        if (tag >> 3 == field) {
            return true;
        }
        uint64_t value = reader_varint(&r);
        if ((tag & 7) == 2) {
            (void)reader_bytes(&r, value);
        }
    }
    return false;
}

#define DELIVER_FIELD_HANDOFFS 5 /* proto/schema/op.proto */
#define CLUSTER_FIELD_LEVEL 1
#define RESULT_FIELD_HANDED_OFF 2

static void request_done(struct proposal *p, enum err status, struct slice result)
{
    struct node_write *w = (struct node_write *)(void *)p; /* p is the first member */
    __atomic_sub_fetch(&w->node->writes_open, 1, __ATOMIC_RELAXED);
    if (status == OK && result.n < APPLY_RESULT_HEAD_BYTES && w->p.staged_index == 0) {
        status = ERR_CORRUPT;
    }
    if (status == OK && w->p.staged_index == 0) {
        status = err_from_wire(get_le32(result.p));
        result = slice_sub(result, APPLY_RESULT_HEAD_BYTES, result.n);
    }
    if (status == OK && w->p.staged_index == 0 && get_le16(w->data + 2) == METHOD_DELIVER &&
        has_field(result, RESULT_FIELD_HANDED_OFF)) {
        courier_look(w->node->courier, (struct shard_id){w->p.shard}); /* made by apply: for accounts that moved */
    }
    w->done(w, status, result);
}

static void reply(struct node_write *w, enum err status, struct slice result)
{
    struct rpc_request *r = w->request;
    if (status == ERR_NOT_LEADER) {
        linear_refuse(w->node, r);
    } else if (status == ERR_MOVED) { /* apply says where to; the head is where frontends look */
        rpc_request_reply(r, status, result.n == 4 ? get_le32(result.p) : 0, slice_str(""), slice_str(""));
    } else {
        rpc_request_reply(r, status, 0, result, slice_str(""));
    }
    mem_free(w);
}

/* A delivery that owes mail to other shards: the courier answers when it is carried there. */
static void reply_after_handoffs(struct node_write *w, enum err status, struct slice result)
{
    bool owes = has_field(w->request->meta, DELIVER_FIELD_HANDOFFS) || has_field(result, RESULT_FIELD_HANDED_OFF);
    if (status == OK && owes) {
        courier_hand_off(w->node->courier, w->request, result);
        mem_free(w);
    } else {
        reply(w, status, result);
    }
}

static struct node_write *write_new(struct node *n, size_t op_bytes, uint32_t shard, unsigned method)
{
    struct node_write *w = mem_zalloc(sizeof(*w) + ENTRY_HEAD_BYTES + op_bytes);
    if (w != NULL) {
        w->node = n;
        w->p.shard = shard;
        w->p.grows = grows(method);
        w->p.done = request_done;
    }
    return w;
}

static struct entry_head head_of(const struct rpc_request *r)
{
    return (struct entry_head){.method = r->head.method,
                               .shard = r->head.shard,
                               .account = r->head.account,
                               .issue_ms = r->head.issue_ms,
                               .request_id = r->head.request_id};
}

void propose_request(struct node *n, struct rpc_request *r)
{
    if (issued_too_far(n, r->head.issue_ms)) {
        metric_inc(&metric_expired);
        refuse(r, ERR_EXPIRED);
        return;
    }
    if (!level_allows(n, r->head.method, r->meta)) {
        refuse(r, ERR_UNSUPPORTED);
        return;
    }
    if (r->head.method == METHOD_CLUSTER_SET && has_field(r->meta, CLUSTER_FIELD_LEVEL)) {
        refuse(r, ERR_PERM); /* the directory's leader alone knows when (level.c) */
        return;
    }
    struct node_write *w = write_new(n, r->meta.n, r->head.shard.v, r->head.method);
    if (w == NULL) {
        refuse(r, ERR_NOMEM);
        return;
    }
    struct entry_head h = head_of(r);
    entry_fill(n, w, &h, r->meta);
    w->p.body = r->attach;
    w->request = r;
    w->done = r->head.method == METHOD_DELIVER ? reply_after_handoffs : reply;
    writer_submit(n, &w->p);
}

/* --- staged bodies --- */

bool propose_needs_check(const struct rpc_request *r)
{
    return r->head.method == METHOD_STAGE_BEGIN || r->head.method == METHOD_STAGE_CHUNK;
}

static void chunk_propose(struct node *n, struct rpc_request *r)
{
    Pb__OpStageChunk *op = pb__op_stage_chunk__unpack(NULL, r->meta.n, r->meta.p);
    struct node_write *w = op == NULL ? NULL : write_new(n, 0, r->head.shard.v, r->head.method);
    if (w == NULL) {
        refuse(r, op == NULL ? ERR_CORRUPT : ERR_NOMEM);
    } else {
        w->p.staged_index = op->staged_index;
        w->p.staged_offset = op->offset;
        w->p.body = r->attach;
        w->request = r;
        w->done = reply;
        writer_submit(n, &w->p);
    }
    if (op != NULL) {
        pb__op_stage_chunk__free_unpacked(op, NULL);
    }
}

void propose_checked(struct node *n, struct rpc_request *r, struct kv_txn *t)
{
    uint8_t prefix[5];
    struct buf result;
    struct entry_head h = head_of(r);
    bool may_grow = true;
    bool done = false;
    buf_init(&result, RPC_FRAME_BYTES_MAX);
    h.entry_ms = clock_wall_ms(n->clock);
    enum err e = volume_state_prefix(n->volume, r->head.shard, prefix);
    if (e == OK) {
        e = storage_precheck(t, prefix, &h, r->meta, (uint32_t)r->attach.n, &may_grow, &done, &result);
    }
    struct slice s = buf_slice(&result);
    if (e == ERR_MOVED) {
        rpc_request_reply(r, e, propose_moved_to(n, r, t), slice_str(""), slice_str(""));
    } else if (e != OK) {
        refuse(r, e);
    } else if (done && s.n >= APPLY_RESULT_HEAD_BYTES) {
        rpc_request_reply(r, err_from_wire(get_le32(s.p)), 0, slice_sub(s, APPLY_RESULT_HEAD_BYTES, s.n),
                          slice_str(""));
    } else if (r->head.method == METHOD_STAGE_CHUNK) {
        chunk_propose(n, r);
    } else {
        propose_request(n, r);
    }
    buf_fini(&result);
}

uint64_t propose_moved_to(struct node *n, const struct rpc_request *r, struct kv_txn *t)
{
    struct store s = {.t = t};
    uint32_t to = 0;
    enum err e = volume_state_prefix(n->volume, r->head.shard, s.prefix);
    if (e == OK) {
        e = account_moved_to(&s, r->head.account, &to);
    }
    return e == OK ? to : 0;
}

/* --- the node's own writes --- */

enum err propose_own(struct node *n, const struct proposal_spec *spec)
{
    if (!spec->raises_level && !level_allows(n, spec->method, spec->op)) {
        return ERR_UNSUPPORTED;
    }
    struct node_write *w = write_new(n, spec->op.n, spec->shard.v, spec->method);
    if (w == NULL) {
        return ERR_NOMEM;
    }
    if (spec->staged_index == 0) {
        struct entry_head h = {.method = (uint16_t)spec->method,
                               .shard = spec->shard,
                               .account = spec->account,
                               .issue_ms = clock_wall_ms(n->clock),
                               .request_id = spec->request_id != NULL ? *spec->request_id : rng_u128(n->rng)};
        entry_fill(n, w, &h, spec->op);
    }
    w->p.staged_index = spec->staged_index;
    w->p.staged_offset = spec->staged_offset;
    w->p.body = spec->body;
    w->done = spec->done;
    w->user = spec->user;
    writer_submit(n, &w->p);
    return OK;
}
