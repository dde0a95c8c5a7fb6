#include "storage/method/method.h"

enum err method_mailbox(const struct store *s, struct account_id a, uint64_t mailbox, struct mailbox_row *out)
{
    struct account_row account;
    enum err e = account_get_live(s, a, &account);
    return e != OK ? e : mailbox_get_live(s, a, mailbox, out);
}

enum err method_mailbox_named(const struct store *s, struct account_id a, const char *name, uint32_t *out_mailbox,
                              struct mailbox_row *out)
{
    struct account_row account;
    struct name_path path;
    struct tree_entry entry;
    uint32_t parent;
    enum err e = account_get_live(s, a, &account);
    if (e == OK) {
        e = name_split(slice_str(name), &path);
    }
    if (e == OK) {
        e = tree_find(s, a, &path, &entry, &parent);
    }
    if (e == OK && entry.mailbox == 0) {
        e = ERR_NOTFOUND;
    }
    if (e == OK) {
        e = mailbox_get_live(s, a, entry.mailbox, out);
    }
    if (e == OK) {
        *out_mailbox = entry.mailbox;
    }
    return e;
}

void method_mailbox_info(Pb__MailboxInfo *info, uint32_t mailbox, char *name, struct mailbox_row *row)
{
    pb__mailbox_info__init(info);
    info->mailbox = mailbox;
    info->name = name;
    info->special_use = row->special_use;
    info->objectid = pb_bytes(slice_make(row->objectid, sizeof(row->objectid)));
    info->uidvalidity = row->uidvalidity;
    info->uidnext = row->uidnext;
    info->highestmodseq = row->modseq;
    info->messages = row->messages;
    info->unseen = row->unseen;
    info->deleted = row->deleted;
    info->recent_uid = row->recent_uid;
    info->recent = row->recent;
    info->size_bytes = row->size_bytes;
}

enum err method_keywords(const struct read_context *rc, const struct store *s, struct account_id a, uint32_t mailbox,
                         const struct mailbox_row *row, char ***out_names, size_t *out_n)
{
    struct keyword_table table;
    enum err e = keyword_table_get(s, a, mailbox, row->keywords, rc->arena, &table);
    if (e == OK) {
        *out_names = table.names;
        *out_n = table.n;
    }
    return e;
}

enum err method_pack_uids(struct arena *arena, const struct uidset *set, ProtobufCBinaryData *out)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 4);
    enum err e = uidset_encode(set, &b);
    struct slice s = buf_slice(&b);
    uint8_t *copy = e == OK ? arena_dup(arena, s.p, s.n) : NULL;
    if (e == OK && copy == NULL) {
        e = ERR_NOMEM;
    }
    if (e == OK) {
        *out = pb_bytes(slice_make(copy, s.n));
    }
    buf_fini(&b);
    return e;
}
