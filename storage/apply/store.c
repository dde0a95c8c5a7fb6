/* OpStore: flags and keywords of up to 1,000 messages, with CONDSTORE's UNCHANGEDSINCE (RFC 7162, 3.1.3). Rows that
 * would not change keep their MODSEQ. ERR_NOTFOUND, ERR_INVAL, ERR_LIMIT. */
#include "storage/apply/rows.h"

struct plan {
    struct op_mailbox *mailbox;
    struct op_rows rows; /* that exist and passed UNCHANGEDSINCE */
    struct uidset *modified;
    struct op_keywords keywords;
};

static enum err split_modified(const Pb__OpStore *req, struct plan *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->rows.n; i++) {
        struct op_row *r = &p->rows.list[i];
        if (req->has_unchanged_since && r->row.modseq > req->unchanged_since) {
            enum err e = uidset_add(p->modified, r->uid);
            if (e != OK) {
                return e;
            }
        } else {
            p->rows.list[kept++] = *r;
        }
    }
    p->rows.n = kept;
    return OK;
}

static enum err check(struct op_context *ox, const Pb__OpStore *req, struct plan *p)
{
    struct op_account *a;
    struct uidset *uids;
    struct slice *names;
    if (req->mode > PB__OP_STORE__MODE__REMOVE) {
        return ERR_INVAL;
    }
    enum err e = op_own_account(ox, req->account, &a);
    if (e == OK) {
        e = op_mailbox(ox, a, req->mailbox, &p->mailbox);
    }
    if (e == OK) {
        e = op_uids(ox, req->uids, &uids);
    }
    if (e == OK) {
        e = op_rows_collect(ox, p->mailbox, uids, &p->rows);
    }
    if (e == OK) {
        p->modified = op_set(ox);
        e = split_modified(req, p);
    }
    if (e == OK) {
        e = op_strings(ox, req->keywords, req->n_keywords, &names);
    }
    bool make = req->mode != PB__OP_STORE__MODE__REMOVE;
    return e == OK ? op_keywords_plan(ox, p->mailbox, names, req->n_keywords, make, &p->keywords) : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    *out_plan = p;
    return p == NULL ? ERR_NOMEM : check(ox, request, p);
}

static void new_flags(const Pb__OpStore *req, const struct flagset *given, struct flagset *io)
{
    switch (req->mode) {
    case PB__OP_STORE__MODE__ADD:
        flagset_union(io, given);
        return;
    case PB__OP_STORE__MODE__REMOVE:
        flagset_subtract(io, given);
        return;
    case PB__OP_STORE__MODE__REPLACE:
    case _PB__OP_STORE__MODE_IS_INT_SIZE:
        *io = *given;
        return;
    }
}

static enum err change_rows(struct op_context *ox, const Pb__OpStore *req, struct plan *p)
{
    struct flagset given;
    struct mailbox_work w;
    bool working = false;
    flagset_init(&given, req->flags);
    for (size_t i = 0; i < p->keywords.n; i++) {
        flagset_add_keyword(&given, p->keywords.numbers[i]);
    }
    for (size_t i = 0; i < p->rows.n; i++) {
        struct op_row *r = &p->rows.list[i];
        struct flagset want = r->flags;
        new_flags(req, &given, &want);
        if (flagset_eq(&want, &r->flags)) {
            continue;
        }
        if (!working) {
            w = op_work(ox, p->mailbox);
            working = true;
        }
        enum err e = message_set_flags(&w, r->uid, &r->row, &want);
        if (e != OK) {
            return e;
        }
        r->flags = want;
    }
    return OK;
}

/* The columns: flags and modseqs of every row, overflow bits of those that have them. */
static enum err fill_columns(struct op_context *ox, const struct plan *p, Pb__OpStoreResult *answer)
{
    size_t n = p->rows.n;
    uint8_t *flags = arena_alloc(ox->arena, n * 8);
    uint8_t *modseqs = arena_alloc(ox->arena, n * 8);
    size_t n_over = 0;
    for (size_t i = 0; i < n; i++) {
        n_over += (p->rows.list[i].flags.bits & FLAG_OVERFLOW) != 0;
    }
    uint8_t *over = arena_alloc(ox->arena, n_over * OVERFLOW_BYTES);
    if (flags == NULL || modseqs == NULL || over == NULL) {
        return ERR_NOMEM;
    }
    answer->flags = pb_bytes(slice_make(flags, n * 8));
    answer->modseqs = pb_bytes(slice_make(modseqs, n * 8));
    answer->overflow = pb_bytes(slice_make(over, n_over * OVERFLOW_BYTES));
    for (size_t i = 0; i < n; i++) {
        const struct op_row *r = &p->rows.list[i];
        put_le64(flags + i * 8, r->flags.bits);
        put_le64(modseqs + i * 8, r->row.modseq);
        if ((r->flags.bits & FLAG_OVERFLOW) != 0) {
            memcpy(over, r->flags.over, OVERFLOW_BYTES);
            over += OVERFLOW_BYTES;
        }
    }
    return OK;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    Pb__OpStoreResult answer = PB__OP_STORE_RESULT__INIT;
    struct uidset *uids;
    enum err e = p->rows.n > 0 ? op_keywords_commit(ox, p->mailbox, &p->keywords) : OK;
    if (e == OK) {
        e = change_rows(ox, request, p);
    }
    if (e == OK) {
        e = op_rows_uids(ox, &p->rows, &uids);
    }
    if (e == OK) {
        e = op_pack_uids(ox, uids, &answer.changed_uids);
    }
    if (e == OK) {
        e = op_pack_uids(ox, p->modified, &answer.modified_uids);
    }
    if (e == OK) {
        e = fill_columns(ox, p, &answer);
    }
    if (e != OK) {
        return e;
    }
    answer.modseq = p->mailbox->account->modseq;
    return pb_pack(&answer.base, result);
}

/* The keyword table only grows, so it need not be kept with the result. */
static enum err finish(struct op_context *ox, const void *request, struct buf *result)
{
    const Pb__OpStore *req = request;
    struct account_id a = {req->account};
    struct mailbox_row row;
    struct keyword_table table;
    Pb__OpStoreResult answer = PB__OP_STORE_RESULT__INIT;
    enum err e = mailbox_get_live(&ox->store, a, req->mailbox, &row);
    if (e == OK) {
        e = keyword_table_get(&ox->store, a, (uint32_t)req->mailbox, row.keywords, ox->arena, &table);
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    answer.keywords = table.names;
    answer.n_keywords = table.n;
    return pb_pack(&answer.base, result);
}

STORAGE_OP(store) = {
    .method = METHOD_STORE,
    .request = &pb__op_store__descriptor,
    .prepare = prepare,
    .commit = commit,
    .finish = finish,
};
