#include "storage/method/method.h"

static const struct storage_method *find(unsigned method)
{
    for (size_t i = 0; storage_method_table[i] != NULL; i++) {
        if ((unsigned)storage_method_table[i]->method == method) {
            return storage_method_table[i];
        }
    }
    return NULL;
}

bool storage_method_local(unsigned method)
{
    const struct storage_method *m = find(method);
    return m != NULL && m->local;
}

bool storage_method_volume(unsigned method)
{
    const struct storage_method *m = find(method);
    return m != NULL && m->volume;
}

enum err storage_method_run(struct read_context *rc, unsigned method, struct slice req_meta, struct buf *meta,
                            struct buf *attach)
{
    ProtobufCMessage *req;
    const struct storage_method *m = find(method);
    if (m == NULL || m->volume) {
        return ERR_UNSUPPORTED;
    }
    enum err e = m->check == NULL ? OK : m->check(req_meta);
    if (e == OK) {
        e = pb_unpack(m->request, req_meta, rc->arena, &req);
    }
    return e == OK ? m->run(rc, req, meta, attach) : e;
}

enum err method_mailbox(const struct store *s, uint64_t account, uint64_t mailbox, struct account_row *out_account,
                        struct mailbox_row *out_mailbox)
{
    struct account_id a = {account};
    enum err e = account_get_live(s, a, out_account);
    return e == OK ? mailbox_get_live(s, a, mailbox, out_mailbox) : e;
}

enum err method_uids(ProtobufCBinaryData in, struct uidset *out)
{
    enum err e = uidset_decode(out, pb_slice(in), SIZE_MAX);
    return e == ERR_CORRUPT ? ERR_INVAL : e;
}

enum err method_pack_uids(struct arena *a, const struct uidset *set, ProtobufCBinaryData *out)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    enum err e = uidset_encode(set, &b);
    if (e == OK) {
        void *copy = arena_dup(a, buf_slice(&b).p, b.len);
        *out = pb_bytes(slice_make(copy, b.len));
        e = copy == NULL ? ERR_NOMEM : OK;
    }
    buf_fini(&b);
    return e;
}

size_t method_keywords_bytes(const struct keyword_table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        n += strlen(t->names[i]) + 3;
    }
    return n;
}
