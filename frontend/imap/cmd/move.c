#include "frontend/imap/imap_copy.h"
#include "frontend/imap/imap_sync.h"
#include "proto/rpc/flags.h"

/* One atomic step of at most 1,000 messages. COPYUID goes out before the EXPUNGE responses (RFC 6851, 4.3). */
static enum err move_chunk(struct imap_session *s, struct imap_command *cmd, const struct uidset *chunk)
{
    const struct imap_copy_args *a = cmd->args;
    Pb__OpMove req = PB__OP_MOVE__INIT;
    struct arena arena;
    struct imap_copied moved;
    struct backend_reply reply = {.message = NULL};
    const char *code = NULL;
    req.account = s->account.id.v;
    req.mailbox = s->view->mailbox.v;
    req.to = a->to;
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    imap_copied_init(&moved);
    enum err e = imap_put_uids(chunk, &arena, &req.uids);
    if (e == OK) {
        e = imap_call(s, METHOD_MOVE, &req.base, &arena, &reply);
    }
    if (e == OK) {
        e = imap_copied_add(&moved, (const Pb__OpCopyResult *)reply.message);
    }
    if (e == OK) {
        e = imap_copied_code(&moved, &arena, &code);
    }
    if (e == OK && code != NULL) {
        struct imap_reply untagged = {.code = code, .text = "Moved"};
        imap_write_reply(s, slice_make(NULL, 0), NULL, &untagged);
        e = imap_view_vanish(s->view, &moved.source);
        enum err reported = imap_report_expunges(s);
        e = e == OK ? reported : e;
    }
    backend_reply_fini(&reply);
    imap_copied_fini(&moved);
    arena_fini(&arena);
    return e;
}

static enum err move_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct imap_copy_args *a = cmd->args;
    struct uidset uids;
    struct uidset chunk;
    uidset_init(&uids);
    uidset_init(&chunk);
    cmd->about = IMAP_ABOUT_TARGET;
    enum err e = imap_resolve(s, cmd, &a->set, &uids);
    struct imap_chunks chunks = {.set = &uids};
    bool more = e == OK;
    while (e == OK && more && s->out.err == OK) {
        e = imap_chunk_next(&chunks, OP_UIDS_MAX, &chunk, &more);
        if (e == OK && more) {
            s->dirty = true;
            e = move_chunk(s, cmd, &chunk);
        }
    }
    uidset_fini(&uids);
    uidset_fini(&chunk);
    return e;
}

IMAP_CMD(move) = {
    .name = "MOVE",
    .capability = "MOVE",
    .states = IMAP_STATE_SELECTED,
    .flags = IMAP_CMD_UID | IMAP_CMD_WRITE,
    .parse = imap_parse_copy,
    .run = move_run,
};
