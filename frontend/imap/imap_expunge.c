#include "frontend/imap/imap_expunge.h"

#include "frontend/imap/imap_search.h"
#include "proto/rpc/flags.h"

/* Which messages have \Deleted: nothing is written when there are none. Also those that the client has not been told
 * of. */
static enum err find_deleted(struct imap_session *s, struct uidset *out)
{
    Pb__SearchKey key = PB__SEARCH_KEY__INIT;
    key.op = PB__SEARCH_KEY__OP__FLAGS;
    key.flags_set = FLAG_DELETED;
    uint64_t modseq;
    return imap_search_uids(s, &key, out, &modseq);
}

static enum err expunge_chunk(struct imap_session *s, const struct uidset *chunk)
{
    Pb__OpExpunge req = PB__OP_EXPUNGE__INIT;
    req.account = s->account.id.v;
    req.mailbox = s->view->mailbox.v;
    req.only_deleted = true;
    struct arena arena;
    struct uidset gone;
    struct backend_reply reply = {.message = NULL};
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    uidset_init(&gone);
    enum err e = imap_put_uids(chunk, &arena, &req.uids);
    if (e == OK) {
        e = imap_call(s, METHOD_EXPUNGE, &req.base, &arena, &reply);
    }
    if (e == OK) {
        e = imap_get_uids(&((const Pb__OpExpungeResult *)reply.message)->uids, &gone);
    }
    if (e == OK) {
        e = imap_view_vanish(s->view, &gone);
    }
    backend_reply_fini(&reply);
    uidset_fini(&gone);
    arena_fini(&arena);
    return e;
}

static enum err expunge_all(struct imap_session *s, const struct uidset *uids)
{
    struct uidset chunk;
    uidset_init(&chunk);
    struct imap_chunks chunks = {.set = uids};
    bool more = true;
    enum err e = OK;
    while (e == OK && more) {
        e = imap_chunk_next(&chunks, OP_UIDS_MAX, &chunk, &more);
        if (e == OK && more) {
            e = expunge_chunk(s, &chunk);
        }
    }
    uidset_fini(&chunk);
    return e;
}

enum err imap_expunge(struct imap_session *s, const struct uidset *within)
{
    struct uidset deleted;
    struct uidset chosen;
    uidset_init(&deleted);
    uidset_init(&chosen);
    enum err e = find_deleted(s, &deleted);
    if (e == OK) {
        e = within == NULL ? uidset_copy(&chosen, &deleted) : uidset_intersect(&chosen, &deleted, within);
    }
    if (e == OK) {
        e = expunge_all(s, &chosen);
    }
    uidset_fini(&deleted);
    uidset_fini(&chosen);
    return e;
}
