/* ReadSelect: all that SELECT answers with, the UIDs as runs. ERR_NOTFOUND (also \NoSelect). */
#include "storage/mailbox/read_cache.h"
#include "storage/method/method.h"

static enum err find_mailbox(struct read_context *rc, const struct store *s, const Pb__ReadSelect *req,
                             const struct account_row *acct, uint32_t *out)
{
    struct account_id a = {req->account};
    struct name_path path;
    struct tree_entry entry;
    struct slice name;
    uint32_t parent;
    if (req->mailbox != 0) {
        *out = (uint32_t)req->mailbox;
        return req->mailbox <= UINT32_MAX ? OK : ERR_NOTFOUND;
    }
    enum err e = name_to_nfc(rc->arena, slice_str(req->name), &name);
    if (e == OK) {
        e = name_split(name, &path);
    }
    if (e != OK) {
        return e;
    }
    if (name_is_inbox(&path)) {
        *out = acct->inbox;
        return OK;
    }
    e = tree_find(s, a, &path, &entry, &parent);
    if (e != OK) {
        return e;
    }
    *out = entry.mailbox;
    return entry.mailbox == 0 ? ERR_NOTFOUND : OK;
}

static enum err fill(struct read_context *rc, const struct store *s, struct account_id a, uint32_t mailbox,
                     const struct mailbox_row *row, struct mailbox_uids *sets, Pb__ReadSelectResult *answer)
{
    struct keyword_table table;
    enum err e = mailbox_uids_load(s, rc->cache, rc->shard, a, mailbox, row, sets);
    if (e == OK) {
        e = method_pack_uids(rc->arena, &sets->uids, &answer->uids);
    }
    if (e == OK) {
        e = keyword_table_get(s, a, mailbox, row->keywords, rc->arena, &table);
    }
    if (e != OK) {
        return e;
    }
    answer->keywords = table.names;
    answer->n_keywords = table.n;
    answer->first_unseen_uid = uidset_at(&sets->unseen, 0);
    return info_fill(s, a, mailbox, row, rc->arena, answer->info);
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadSelect *req = (const Pb__ReadSelect *)request;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row acct;
    struct mailbox_row row;
    struct mailbox_uids sets;
    uint32_t mailbox;
    Pb__ReadSelectResult answer = PB__READ_SELECT_RESULT__INIT;
    Pb__MailboxInfo info = PB__MAILBOX_INFO__INIT;
    (void)attach;
    answer.info = &info;
    enum err e = account_get_live(&s, a, &acct);
    if (e == OK) {
        e = find_mailbox(rc, &s, req, &acct, &mailbox);
    }
    if (e == OK) {
        e = mailbox_get_live(&s, a, mailbox, &row);
    }
    if (e != OK) {
        return e;
    }
    mailbox_uids_init(&sets);
    e = fill(rc, &s, a, mailbox, &row, &sets, &answer);
    mailbox_uids_fini(&sets);
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(select) = {
    .method = METHOD_SELECT,
    .request = &pb__read_select__descriptor,
    .run = run,
};
