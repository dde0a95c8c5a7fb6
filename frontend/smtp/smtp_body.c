#include "frontend/smtp/smtp_body.h"

#include <string.h>

#include "proto/rpc/flags.h"

/* A parser's and an upload's memory for one message, apart from the chunk that is being filled. */
#define BODY_FIXED_BYTES (64 * 1024)
#define REQUEST_BYTES_MAX (1024 * 1024)

/* What all messages being received by this process may hold; a process pool, so it is shared by the loops. */
static uint64_t budget_used;

static enum err budget_take(struct smtp_body *b, uint64_t bytes)
{
    uint64_t used = __atomic_add_fetch(&budget_used, bytes, __ATOMIC_RELAXED);
    if (used > b->session->cfg->body_budget_bytes) {
        __atomic_sub_fetch(&budget_used, bytes, __ATOMIC_RELAXED);
        return ERR_OVERLOAD;
    }
    b->reserved = bytes;
    return OK;
}

static uint64_t chunk_bytes(const struct smtp_envelope *e)
{
    return e->size > 0 && e->size < STAGE_CHUNK_BYTES ? e->size : STAGE_CHUNK_BYTES;
}

static enum err begin_uploads(struct smtp_body *b)
{
    const struct smtp_server_config *cfg = b->session->cfg;
    struct smtp_envelope *e = &b->session->envelope;
    enum err err = OK;
    for (uint32_t i = 0; i < b->n && err == OK; i++) {
        err = backend_upload_begin(cfg->backend, e->homes[i].shard, e->homes[i].account, e->size, &b->uploads[i]);
        if (err == OK) {
            backend_upload_for_delivery(b->uploads[i]);
        }
    }
    return err;
}

enum err smtp_body_begin(struct smtp_body *b, struct smtp_session *s)
{
    struct smtp_envelope *e = &s->envelope;
    memset(b, 0, sizeof(*b));
    b->session = s;
    b->n = e->n_homes;
    buf_init(&b->record, 2 * MESSAGE_RECORD_MAX);
    b->uploads = arena_calloc(&s->arena, b->n, sizeof(struct backend_upload *));
    b->failed = arena_calloc(&s->arena, b->n, sizeof(enum err));
    if (b->uploads == NULL || b->failed == NULL) {
        return ERR_NOMEM;
    }
    enum err err = budget_take(b, BODY_FIXED_BYTES + b->n * chunk_bytes(e));
    if (err == OK) {
        err = msg_parser_new(&msg_limits_default, &b->parser);
    }
    return err == OK ? begin_uploads(b) : err;
}

enum err smtp_body_write(struct smtp_body *b, struct slice bytes)
{
    if (bytes.n == 0) {
        return OK;
    }
    enum err err = msg_parser_feed(b->parser, bytes);
    for (uint32_t i = 0; i < b->n && err == OK; i++) {
        if (b->failed[i] == OK) {
            b->failed[i] = backend_upload_write(b->uploads[i], bytes);
        }
    }
    return err;
}

bool smtp_body_lost(const struct smtp_body *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->failed[i] == OK) {
            return false;
        }
    }
    return true;
}

static enum err call(struct smtp_body *b, uint32_t home, Pb__OpDeliver *op, struct slice attach, struct arena *arena)
{
    struct smtp_session *s = b->session;
    struct backend_reply reply = {0};
    struct backend_request req = {
        .shard = s->envelope.homes[home].shard,
        .account = s->envelope.homes[home].account,
        .method = METHOD_DELIVER,
        .message = &op->base,
        .attach = attach,
        .stays = true, /* storage carries it on to recipients that moved */
    };
    enum err err = backend_call(s->cfg->backend, &req, arena, &reply);
    const Pb__OpDeliverResult *result = (const Pb__OpDeliverResult *)reply.message;
    if (err == OK) {
        backend_upload_used(b->uploads[home]);
    }
    smtp_envelope_settle(&s->envelope, home, err, result);
    backend_reply_fini(&reply);
    return err;
}

/* The request id is made inside backend_call and kept over its retries: a copy is stored once, however often it is
 * sent. */
static enum err deliver_home(struct smtp_body *b, uint32_t home, struct arena *arena)
{
    Pb__OpDeliver op = PB__OP_DELIVER__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    struct slice attach = slice_make(NULL, 0);
    struct slice record = buf_slice(&b->record);
    if (b->failed[home] != OK) {
        return b->failed[home];
    }
    enum err err = backend_upload_finish(b->uploads[home], &source, &attach);
    if (err == OK) {
        err = smtp_envelope_fill(&b->session->envelope, home, arena, &op);
    }
    if (err != OK) {
        return err;
    }
    op.body = &source;
    op.record.data = (uint8_t *)record.p;
    op.record.len = record.n;
    (void)call(b, home, &op, attach, arena); /* its outcome is settled per target */
    return OK;
}

void smtp_body_deliver(struct smtp_body *b)
{
    enum err err = msg_parser_finish(b->parser, &b->record);
    for (uint32_t i = 0; i < b->n; i++) {
        struct arena arena;
        arena_init(&arena, REQUEST_BYTES_MAX);
        enum err home = err == OK ? deliver_home(b, i, &arena) : err;
        if (home != OK) {
            smtp_envelope_settle(&b->session->envelope, i, home, NULL);
        }
        arena_fini(&arena);
    }
}

void smtp_body_fini(struct smtp_body *b)
{
    for (uint32_t i = 0; b->uploads != NULL && i < b->n; i++) {
        if (b->uploads[i] != NULL) {
            backend_upload_free(b->uploads[i]);
        }
    }
    msg_parser_free(b->parser);
    buf_fini(&b->record);
    __atomic_sub_fetch(&budget_used, b->reserved, __ATOMIC_RELAXED);
}
