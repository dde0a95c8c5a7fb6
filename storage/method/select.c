#include "storage/mailbox/read_cache.h"
#include "storage/method/method.h"

static enum err find(const struct read_context *rc, const struct store *s, const Pb__ReadSelect *req, uint32_t *out_mailbox,
                     struct mailbox_row *row, char **out_name)
{
    struct account_id a = {req->account};
    struct buf path;
    enum err e = OK;
    if (req->mailbox == 0) {
        e = method_mailbox_named(s, a, req->name, out_mailbox, row);
    } else {
        e = method_mailbox(s, a, req->mailbox, row);
        *out_mailbox = (uint32_t)req->mailbox;
    }
    buf_init(&path, NAME_BYTES_MAX + 1);
    if (e == OK) {
        e = tree_path(s, a, row->node, &path);
    }
    if (e == OK) {
        *out_name = arena_slice_str(rc->arena, buf_slice(&path));
        e = *out_name == NULL ? ERR_NOMEM : OK;
    }
    buf_fini(&path);
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadSelect *req = (const Pb__ReadSelect *)(const void *)req_base;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct mailbox_row row;
    Pb__MailboxInfo info;
    Pb__ReadSelectResult res = PB__READ_SELECT_RESULT__INIT;
    struct buf uids;
    uint32_t mailbox = 0;
    char *name = NULL;
    (void)attach;
    enum err e = find(rc, &s, req, &mailbox, &row, &name);
    if (e == OK) {
        e = method_keywords(rc, &s, a, mailbox, &row, &res.keywords, &res.n_keywords);
    }
    if (e != OK) {
        return e;
    }
    buf_init(&uids, RPC_FRAME_BYTES_MAX);
    e = read_cache_uids(rc->cache, &s, a, mailbox, &row, &uids, &res.first_unseen_uid);
    if (e == OK) {
        method_mailbox_info(&info, mailbox, name, &row);
        res.info = &info;
        res.uids = pb_bytes(buf_slice(&uids));
        e = pb_pack(&res.base, meta);
    }
    buf_fini(&uids);
    return e;
}

STORAGE_METHOD(select) = {.method = METHOD_SELECT, .run = run};
