#include "storage/apply/folder_op.h"
#include "storage/mailbox/secret.h"
#include "storage/mailbox/subscription.h"

static const struct {
    const char *name;
    uint32_t special_use;
} folders[] = {
    {"INBOX", SPECIAL_USE_NONE},  {"Drafts", SPECIAL_USE_DRAFTS}, {"Sent", SPECIAL_USE_SENT},
    {"Trash", SPECIAL_USE_TRASH}, {"Junk", SPECIAL_USE_JUNK},     {"Archive", SPECIAL_USE_ARCHIVE},
};

#define N_FOLDERS (sizeof(folders) / sizeof(folders[0]))

enum err account_op_check_credentials(const Pb__Credentials *c)
{
    if (c != NULL && protobuf_c_message_get_packed_size(&c->base) > SECRET_BYTES_MAX) {
        return ERR_LIMIT;
    }
    return OK;
}

enum err account_op_check(const Pb__OpAccountCreate *req)
{
    struct slice name = slice_str(req->name);
    if (req->account == 0 || name.n == 0) {
        return ERR_INVAL;
    }
    if (name.n > SECRET_NAME_BYTES_MAX) {
        return ERR_LIMIT;
    }
    return account_op_check_credentials(req->credentials);
}

enum err account_op_pack(struct op_context *ox, const Pb__Credentials *c, struct slice *out)
{
    *out = slice_make(NULL, 0);
    if (c == NULL) {
        return OK;
    }
    size_t n = protobuf_c_message_get_packed_size(&c->base);
    uint8_t *p = arena_alloc(ox->arena, n);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out = slice_make(p, protobuf_c_message_pack(&c->base, p));
    return OK;
}

static enum err make_folders(struct op_context *ox, struct op_account *a)
{
    for (size_t i = 0; i < N_FOLDERS; i++) {
        struct op_mailbox *m;
        struct slice name = slice_str(folders[i].name);
        enum err e = folder_make(ox, a, 0, name, 0, folders[i].special_use, &m);
        if (e == OK) {
            e = subscription_add(&ox->store, a->id, &a->row, name);
        }
        if (e != OK) {
            return e;
        }
        if (i == 0) {
            a->row.inbox = m->id;
        }
    }
    return OK;
}

enum err account_op_make(struct op_context *ox, const Pb__OpAccountCreate *req)
{
    struct account_row row;
    struct op_account *a;
    struct secret secret = {.version = 1, .name = slice_str(req->name)};
    memset(&row, 0, sizeof(row));
    row.version = ROW_VERSION;
    row.state = ACCOUNT_LIVE;
    row.created_ms = ox->head.entry_ms;
    row.next_email = 1;
    row.next_mailbox = 1;
    row.secret_version = 1;
    row.quota_bytes = req->quota_bytes;
    row.quota_messages = req->quota_messages;
    enum err e = op_account_add(ox, req->account, &row, &a);
    if (e == OK) {
        e = account_op_pack(ox, req->credentials, &secret.credentials);
    }
    if (e == OK) {
        e = secret_put(&ox->store, a->id, &secret);
    }
    return e == OK ? make_folders(ox, a) : e;
}
