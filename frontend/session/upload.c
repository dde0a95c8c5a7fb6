/* Bodies on their way to storage: small ones wait in memory for their request, larger ones go out chunk by chunk as
 * they arrive. */
#include "frontend/session/backend_internal.h"
#include "proto/base/mem.h"
#include "proto/rpc/flags.h"

#define ARENA_BYTES 4096
#define RESERVE_SLACK (128u * 1024) /* trace headers, and senders whose SIZE= was a guess */

struct backend_upload {
    struct backend *backend;
    struct shard_id shard;
    struct account_id account;
    uint64_t reserve;      /* bytes to reserve when it must be staged */
    uint64_t expected;     /* of them, 0 when nobody knows */
    struct buf pending;    /* not sent yet: the whole body, or less than a chunk of it */
    uint64_t staged_index; /* 0: nothing staged */
    uint64_t sent;
    bool used;
    bool away; /* for a delivery: it stays in its shard when the account moves */
};

enum err backend_upload_begin(struct backend *b, struct shard_id shard, struct account_id account, uint64_t size_hint,
                              struct backend_upload **out)
{
    struct backend_upload *u = mem_zalloc(sizeof(*u));
    if (u == NULL) {
        return ERR_NOMEM;
    }
    u->backend = b;
    u->shard = shard;
    u->account = account;
    u->reserve = size_hint == 0 ? b->cfg.upload_bytes_max + RESERVE_SLACK : size_hint + size_hint / 8 + RESERVE_SLACK;
    u->reserve = u->reserve > STAGE_BODY_BYTES_MAX ? STAGE_BODY_BYTES_MAX : u->reserve;
    u->expected = size_hint < u->reserve ? size_hint : u->reserve;
    buf_init(&u->pending, 2 * BODY_INLINE_MAX);
    *out = u;
    return OK;
}

static enum err upload_call(struct backend_upload *u, enum method m, const ProtobufCMessage *msg, struct slice attach,
                            struct arena *arena, struct backend_reply *reply)
{
    struct backend_request req = {.shard = u->shard,
                                  .account = u->account,
                                  .method = m,
                                  .message = msg,
                                  .attach = attach,
                                  .stays = u->staged_index != 0};
    return backend_call(u->backend, &req, arena, reply);
}

/* Storage has no room for this upload now: its size is not to blame, that was limited here. */
static enum err for_now(enum err e)
{
    return e == ERR_LIMIT ? ERR_FULL : e;
}

static enum err stage_begin(struct backend_upload *u, struct arena *arena)
{
    Pb__OpStageBegin op = PB__OP_STAGE_BEGIN__INIT;
    struct backend_reply reply;
    op.account = u->account.v;
    op.size = (uint32_t)u->reserve;
    op.expected = (uint32_t)u->expected;
    op.away = u->away;
    enum err e = upload_call(u, METHOD_STAGE_BEGIN, &op.base, slice_str(""), arena, &reply);
    if (e == OK) {
        u->shard = reply.shard; /* where the account lives by now */
        u->staged_index = ((const Pb__OpStageBeginResult *)(const void *)reply.message)->staged_index;
    }
    backend_reply_fini(&reply);
    return for_now(e);
}

static enum err chunk_send(struct backend_upload *u, size_t n, struct arena *arena)
{
    Pb__OpStageChunk op = PB__OP_STAGE_CHUNK__INIT;
    struct backend_reply reply;
    op.account = u->account.v;
    op.staged_index = u->staged_index;
    op.offset = (uint32_t)u->sent;
    enum err e = upload_call(u, METHOD_STAGE_CHUNK, &op.base, slice_sub(buf_slice(&u->pending), 0, n), arena, &reply);
    backend_reply_fini(&reply);
    if (e == OK) {
        u->sent += n;
        buf_consume(&u->pending, n);
    }
    /* A reservation that has ended (it is an hour old) is no missing mailbox. */
    return e == ERR_NOTFOUND || e == ERR_STALE ? ERR_UNAVAILABLE : for_now(e);
}

/* Sends full chunks (and, with all, the rest), beginning the staging with the first. */
static enum err chunks_send(struct backend_upload *u, bool all)
{
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum err e = u->staged_index == 0 ? stage_begin(u, &arena) : OK;
    while (e == OK && (u->pending.len >= STAGE_CHUNK_BYTES || (all && u->pending.len > 0))) {
        e = chunk_send(u, u->pending.len < STAGE_CHUNK_BYTES ? u->pending.len : STAGE_CHUNK_BYTES, &arena);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    return e;
}

enum err backend_upload_write(struct backend_upload *u, struct slice bytes)
{
    while (bytes.n > 0) {
        size_t room =
            BODY_INLINE_MAX + 1 - u->pending.len; /* one more than what may be attached: then it must be staged */
        size_t n = bytes.n < room ? bytes.n : room;
        enum err e = u->sent + u->pending.len + n > u->reserve ? ERR_LIMIT : buf_append(&u->pending, bytes.p, n);
        bytes = slice_sub(bytes, n, bytes.n);
        if (e == OK && u->pending.len > BODY_INLINE_MAX) {
            e = chunks_send(u, false);
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err backend_upload_finish(struct backend_upload *u, Pb__BodySource *out_source, struct slice *out_attach)
{
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    if (u->staged_index != 0) {
        enum err e = chunks_send(u, true);
        if (e != OK) {
            return e;
        }
    }
    source.staged_index = u->staged_index;
    source.size = (uint32_t)(u->sent + u->pending.len);
    *out_source = source;
    *out_attach = buf_slice(&u->pending);
    return OK;
}

void backend_upload_for_delivery(struct backend_upload *u)
{
    u->away = true;
}

bool backend_upload_staged(const struct backend_upload *u, struct shard_id *out_shard)
{
    *out_shard = u->shard;
    return u->staged_index != 0;
}

void backend_upload_used(struct backend_upload *u)
{
    u->used = true;
}

void backend_upload_free(struct backend_upload *u)
{
    if (u->staged_index != 0 && !u->used) {
        Pb__OpStageAbort op = PB__OP_STAGE_ABORT__INIT;
        struct backend_reply reply;
        struct arena arena;
        arena_init(&arena, ARENA_BYTES);
        op.account = u->account.v;
        op.staged_index = u->staged_index;
        enum err e = upload_call(u, METHOD_STAGE_ABORT, &op.base, slice_str(""), &arena, &reply);
        (void)e; /* a reservation that stays is purged by storage when it expires */
        backend_reply_fini(&reply);
        arena_fini(&arena);
    }
    buf_fini(&u->pending);
    mem_free(u);
}
