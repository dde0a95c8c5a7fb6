#include "storage/apply/rows.h"

#include "storage/apply/keeping.h"

static enum err collect(struct op_context *ox, const struct op_mailbox *m, struct message_walk *w, struct op_rows *out)
{
    for (;;) {
        uint32_t uid;
        struct message_row row;
        enum err e = message_walk_next(w, &uid, &row);
        if (e != OK) {
            return e == ERR_NOTFOUND ? OK : e;
        }
        if (out->n == OP_UIDS_MAX) {
            return ERR_LIMIT;
        }
        struct op_row *r = &out->list[out->n++];
        r->uid = uid;
        r->row = row;
        e = flagset_get(&ox->store, m->account->id, m->id, uid, row.flags, &r->flags);
        if (e != OK) {
            return e;
        }
    }
}

enum err op_rows_collect(struct op_context *ox, const struct op_mailbox *m, const struct uidset *uids,
                         struct op_rows *out)
{
    struct message_walk w;
    size_t most = uidset_count(uids) < OP_UIDS_MAX ? uidset_count(uids) : OP_UIDS_MAX;
    out->n = 0;
    out->list = arena_alloc(ox->arena, (most + 1) * sizeof(*out->list));
    if (out->list == NULL) {
        return ERR_NOMEM;
    }
    enum err e = message_walk_open(&w, &ox->store, m->account->id, m->id, uids, 1);
    if (e != OK) {
        return e;
    }
    e = collect(ox, m, &w, out);
    message_walk_close(&w);
    return e;
}

void op_rows_keep(struct op_rows *rows, uint64_t flags)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->n; i++) {
        if ((rows->list[i].row.flags & flags) == flags) {
            rows->list[kept++] = rows->list[i];
        }
    }
    rows->n = kept;
}

uint64_t op_rows_bytes(const struct op_rows *rows)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < rows->n; i++) {
        bytes += rows->list[i].row.size;
    }
    return bytes;
}

enum err op_rows_uids(struct op_context *ox, const struct op_rows *rows, struct uidset **out)
{
    struct uidset *s = op_set(ox);
    for (size_t i = 0; i < rows->n; i++) {
        enum err e = uidset_add(s, rows->list[i].uid);
        if (e != OK) {
            return e;
        }
    }
    *out = s;
    return OK;
}

/* Before the mailbox loses them. */
static enum err keep_rows(struct op_context *ox, struct op_mailbox *m, const struct op_rows *rows)
{
    struct keeping k;
    struct slice name;
    enum err e = keeping_name(ox, m->account->id, m->row.node, &name);
    if (e == OK) {
        e = keeping_begin(&k, ox, m->account->id, m->id, m->row.keywords, name, ox->head.entry_ms);
    }
    for (size_t i = 0; e == OK && i < rows->n; i++) {
        const struct op_row *r = &rows->list[i];
        e = keeping_add(&k, r->uid, &r->row, &r->flags);
    }
    return e == OK ? keeping_end(&k) : e;
}

enum err op_rows_expunge(struct op_context *ox, struct op_mailbox *m, const struct op_rows *rows, enum op_fate fate)
{
    struct uidset *gone;
    struct mailbox_work w = op_work(ox, m);
    enum err e = fate == OP_FATE_KEEP ? keep_rows(ox, m, rows) : OK;
    for (size_t i = 0; e == OK && i < rows->n; i++) {
        e = message_remove(&w, rows->list[i].uid, &rows->list[i].row, fate != OP_FATE_DROP);
    }
    if (e == OK) {
        e = op_rows_uids(ox, rows, &gone);
    }
    return e == OK ? history_add(&w, gone) : e;
}
