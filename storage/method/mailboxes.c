/* ReadMailboxes: the folder list in pages, or one mailbox (STATUS). ERR_NOTFOUND, ERR_INVAL. */
#include "storage/method/method.h"

/* The reply holds as many as fit. */
static enum err list(struct read_context *rc, const struct store *s, const Pb__ReadMailboxes *req,
                     Pb__ReadMailboxesResult *answer)
{
    struct account_id a = {req->account};
    Pb__MailboxInfo **all;
    size_t n;
    size_t bytes = 0;
    enum err e = info_list(s, a, rc->arena, &all, &n);
    if (e != OK) {
        return e;
    }
    size_t from = req->from < n ? req->from : n;
    size_t to = from;
    while (to < n) {
        bytes += protobuf_c_message_get_packed_size(&all[to]->base) + 4;
        if (bytes > REPLY_BYTES_MAX) {
            break;
        }
        to++;
    }
    answer->mailboxes = all + from;
    answer->n_mailboxes = to - from;
    answer->next = to < n ? (uint32_t)to : 0;
    return OK;
}

static enum err one(struct read_context *rc, const struct store *s, const Pb__ReadMailboxes *req,
                    Pb__ReadMailboxesResult *answer)
{
    struct account_id a = {req->account};
    struct name_path path;
    struct tree_entry entry;
    uint32_t parent;
    struct slice name;
    struct mailbox_row *row = arena_alloc(rc->arena, sizeof(*row));
    Pb__MailboxInfo *info = arena_alloc(rc->arena, sizeof(*info));
    answer->mailboxes = arena_alloc(rc->arena, sizeof(*answer->mailboxes));
    if (row == NULL || info == NULL || answer->mailboxes == NULL) {
        return ERR_NOMEM;
    }
    pb__mailbox_info__init(info);
    answer->mailboxes[0] = info;
    answer->n_mailboxes = 1;
    enum err e = name_to_nfc(rc->arena, slice_str(req->name), &name);
    if (e == OK) {
        e = name_split(name, &path);
    }
    if (e == OK) {
        e = tree_find(s, a, &path, &entry, &parent);
    }
    if (e != OK) {
        return e;
    }
    if (entry.mailbox == 0) {
        info->noselect = true;
        info->name = arena_slice_str(rc->arena, name);
        return info->name == NULL ? ERR_NOMEM : OK;
    }
    e = mailbox_get_live(s, a, entry.mailbox, row);
    return e == OK ? info_fill(s, a, entry.mailbox, row, rc->arena, info) : e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadMailboxes *req = (const Pb__ReadMailboxes *)request;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row row;
    Pb__ReadMailboxesResult answer = PB__READ_MAILBOXES_RESULT__INIT;
    (void)attach;
    enum err e = account_get_live(&s, a, &row);
    if (e == OK) {
        e = req->name[0] != '\0' ? one(rc, &s, req, &answer) : list(rc, &s, req, &answer);
    }
    answer.modseq = row.modseq;
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(mailboxes) = {
    .method = METHOD_MAILBOXES,
    .request = &pb__read_mailboxes__descriptor,
    .run = run,
};
