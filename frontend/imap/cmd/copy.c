#include "frontend/imap/imap_copy.h"
#include "proto/base/rng.h"
#include "proto/rpc/flags.h"

static enum err send_copy(struct imap_session *s, Pb__OpCopy *req, const struct uidset *chunk,
                          struct imap_copied *copied)
{
    struct arena arena;
    struct backend_reply reply = {.message = NULL};
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    enum err e = imap_put_uids(chunk, &arena, &req->uids);
    if (e == OK) {
        e = imap_call(s, METHOD_COPY, &req->base, &arena, &reply);
    }
    if (e == OK && !req->undo) {
        e = imap_copied_add(copied, (const Pb__OpCopyResult *)reply.message);
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return e;
}

/* RFC 3501, 6.4.7: all or nothing. Should this fail too, storage undoes the copy by itself after a while. */
static void undo(struct imap_session *s, Pb__OpCopy *req)
{
    struct uidset none;
    uidset_init(&none);
    req->undo = true;
    req->last = false;
    enum err e = send_copy(s, req, &none, NULL);
    (void)e;
    uidset_fini(&none);
}

/* A copy of more than an operation takes goes in steps under one id; the last one makes them count. */
static enum err copy_steps(struct imap_session *s, Pb__OpCopy *req, const struct uidset *uids,
                           struct imap_copied *copied)
{
    struct uidset chunk;
    uidset_init(&chunk);
    struct imap_chunks chunks = {.set = uids};
    uint32_t left = uidset_count(uids);
    bool more = true;
    enum err e = OK;
    while (e == OK && left > 0) {
        e = imap_chunk_next(&chunks, OP_UIDS_MAX, &chunk, &more);
        if (e == OK) {
            left -= uidset_count(&chunk);
            req->last = left == 0;
            e = send_copy(s, req, &chunk, copied);
        }
    }
    if (e != OK && req->copy_id.len > 0) {
        undo(s, req);
    }
    uidset_fini(&chunk);
    return e;
}

static enum err copy(struct imap_session *s, struct imap_command *cmd, const struct uidset *uids)
{
    const struct imap_copy_args *a = cmd->args;
    struct u128 id = rng_u128(rng_system());
    const char *code = NULL;
    Pb__OpCopy req = PB__OP_COPY__INIT;
    req.account = s->account.id.v;
    req.mailbox = s->view->mailbox.v;
    req.to = a->to;
    if (uidset_count(uids) > OP_UIDS_MAX) {
        req.copy_id.data = id.b;
        req.copy_id.len = sizeof(id.b);
    }
    struct imap_copied copied;
    imap_copied_init(&copied);
    enum err e = copy_steps(s, &req, uids, &copied);
    if (e == OK) {
        s->dirty = true; /* the target may be the selected mailbox */
        e = imap_copied_code(&copied, cmd->arena, &code);
    }
    if (e == OK && !cmd->uid && uidset_count(&copied.source) < uidset_count(uids)) {
        (void)imap_ok(cmd, code, "Copied what still existed");
    } else if (e == OK) {
        (void)imap_ok(cmd, code, NULL);
    }
    imap_copied_fini(&copied);
    return e;
}

static enum err copy_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct imap_copy_args *a = cmd->args;
    struct uidset uids;
    uidset_init(&uids);
    cmd->about = IMAP_ABOUT_TARGET;
    enum err e = imap_resolve(s, cmd, &a->set, &uids);
    if (e == OK && uids.n > 0) {
        e = copy(s, cmd, &uids);
    }
    uidset_fini(&uids);
    return e;
}

IMAP_CMD(copy) = {
    .name = "COPY",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_UID,
    .parse = imap_parse_copy,
    .run = copy_run,
};
