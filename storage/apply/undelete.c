/* OpUndelete: kept messages of one mailbox become messages again: new UIDs, the flags but \Deleted, keywords, internal
 * date and email that they had. Where to: `into`, else the mailbox if it lives, else one of the name that it had when
 * the last of them went; what does not exist is made. Rows that are not kept (any more) are left out. ERR_INVAL,
 * ERR_LIMIT, ERR_QUOTA, ERR_NOTFOUND (account). */
#include "storage/apply/folder_op.h"
#include "storage/apply/keeping.h"

#define ROW_BYTES 12 /* le64 ms, le32 UID */

struct coming {
    struct kept_key at;
    struct kept_row row;
    struct flagset keywords; /* by number in the plan's names */
};

struct plan {
    struct op_account *account;
    struct coming *list;
    size_t n;
    struct kept_totals totals;
    struct slice names[KEYWORDS_MAX]; /* keywords of all of them */
    size_t n_names;
    struct slice old_name; /* of the mailbox, when the last one went */
    uint64_t old_ms;
    /* where to */
    struct op_mailbox *to; /* NULL: to be made at the path */
    struct name_path path;
    size_t depth; /* components that exist */
    struct tree_entry at;
    uint32_t parent;
    struct op_keywords numbers;
};

/* --- which --- */

/* Its number among the names. Rows have them in one order, so the next one is mostly where the last one was found.
 * ERR_LIMIT: more than a mailbox can have. */
static enum err keyword_number(struct op_context *ox, struct plan *p, struct slice name, size_t *io_hint)
{
    for (size_t i = 0; i < p->n_names; i++) {
        size_t at = (*io_hint + i) % p->n_names;
        if (slice_ieq(p->names[at], name)) {
            *io_hint = at;
            return OK;
        }
    }
    if (p->n_names == KEYWORDS_MAX) {
        return ERR_LIMIT;
    }
    const void *copy = arena_dup(ox->arena, name.p, name.n);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    *io_hint = p->n_names;
    p->names[p->n_names++] = slice_make(copy, name.n);
    return OK;
}

static enum err take_keywords(struct op_context *ox, struct plan *p, struct slice packed, struct flagset *out)
{
    struct slice name;
    size_t hint = 0;
    flagset_init(out, 0);
    while (kept_keyword_next(&packed, &name)) {
        enum err e = keyword_number(ox, p, name, &hint);
        if (e != OK) {
            return e;
        }
        flagset_add_keyword(out, (uint16_t)hint);
    }
    return OK;
}

static enum err take_name(struct op_context *ox, struct plan *p, const struct kept *kept, uint64_t ms)
{
    if (p->old_name.n > 0 && ms < p->old_ms) {
        return OK;
    }
    p->old_ms = ms;
    if (slice_eq(p->old_name, kept->name)) {
        return OK;
    }
    p->old_name = slice_make(arena_dup(ox->arena, kept->name.p, kept->name.n), kept->name.n);
    return p->old_name.p == NULL ? ERR_NOMEM : OK;
}

/* One that is not kept is left out. */
static enum err take_row(struct op_context *ox, struct plan *p, const struct kept_key *at, struct buf *buf)
{
    struct kept kept;
    struct coming *c = &p->list[p->n];
    buf_reset(buf);
    enum err e = kept_get(&ox->store, p->account->id, at, buf, &kept);
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    c->at = *at;
    c->row = kept.row;
    e = take_keywords(ox, p, kept.keywords, &c->keywords);
    if (e == OK) {
        e = take_name(ox, p, &kept, at->ms);
    }
    if (e == OK) {
        p->totals.messages++;
        p->totals.bytes += kept.row.size;
        p->n++;
    }
    return e;
}

static enum err take_rows(struct op_context *ox, const Pb__OpUndelete *req, struct plan *p)
{
    struct buf buf;
    enum err e = OK;
    uint32_t last = 0;
    size_t n = req->rows.len / ROW_BYTES;
    if (req->rows.len % ROW_BYTES != 0 || req->mailbox == 0 || req->mailbox > UINT32_MAX) {
        return ERR_INVAL;
    }
    if (n > OP_UIDS_MAX) {
        return ERR_LIMIT;
    }
    p->list = arena_calloc(ox->arena, n + 1, sizeof(*p->list));
    if (p->list == NULL) {
        return ERR_NOMEM;
    }
    buf_init(&buf, SIZE_MAX / 2);
    for (size_t i = 0; e == OK && i < n; i++) {
        const uint8_t *r = req->rows.data + i * ROW_BYTES;
        struct kept_key at = {.ms = get_le64(r), .mailbox = (uint32_t)req->mailbox, .uid = get_le32(r + 8)};
        e = at.uid > last ? take_row(ox, p, &at, &buf) : ERR_INVAL;
        last = at.uid;
    }
    buf_fini(&buf);
    return e;
}

/* --- where to --- */

static enum err find_named(struct op_context *ox, struct plan *p, struct slice name)
{
    const char *text = arena_slice_str(ox->arena, name);
    if (text == NULL) {
        return ERR_NOMEM;
    }
    enum err e = op_name(ox, text, &p->path);
    if (e == OK && name_is_inbox(&p->path)) {
        e = op_mailbox(ox, p->account, p->account->row.inbox, &p->to);
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (e == OK) {
        e = tree_descend(&ox->store, p->account->id, &p->path, &p->depth, &p->at, &p->parent);
    }
    if (e != OK) {
        return e;
    }
    if (p->depth == p->path.n && p->at.mailbox != 0) {
        e = op_mailbox(ox, p->account, p->at.mailbox, &p->to);
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    return folder_room(p->account, p->path.n - p->depth);
}

static enum err find_target(struct op_context *ox, const Pb__OpUndelete *req, struct plan *p)
{
    if (req->into[0] != '\0') {
        return find_named(ox, p, slice_str(req->into));
    }
    enum err e = op_mailbox(ox, p->account, req->mailbox, &p->to);
    return e == ERR_NOTFOUND ? find_named(ox, p, p->old_name) : e;
}

static enum err plan_keywords(struct op_context *ox, struct plan *p)
{
    struct op_mailbox none = {.account = p->account}; /* one to be made has no keywords yet */
    return op_keywords_plan(ox, p->to == NULL ? &none : p->to, p->names, p->n_names, true, &p->numbers);
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpUndelete *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_own_account(ox, req->account, &p->account);
    if (e == OK) {
        e = take_rows(ox, req, p);
    }
    if (e != OK || p->n == 0) {
        return e;
    }
    e = op_quota_check(p->account, p->totals.messages, p->totals.bytes);
    if (e == OK) {
        e = find_target(ox, req, p);
    }
    if (e == OK && p->to != NULL) {
        e = op_uid_room(p->to, (uint32_t)p->n);
    }
    return e == OK ? plan_keywords(ox, p) : e;
}

/* --- the change --- */

static enum err make_target(struct op_context *ox, struct plan *p)
{
    size_t last = p->path.n - 1;
    if (p->depth == p->path.n) { /* \NoSelect gets a mailbox again */
        return folder_make(ox, p->account, p->parent, p->path.part[last], p->at.node, 0, &p->to);
    }
    uint32_t parent = p->at.node;
    enum err e = folder_make_parents(ox, p->account, &p->path, p->depth, last, &parent);
    return e == OK ? folder_make(ox, p->account, parent, p->path.part[last], 0, 0, &p->to) : e;
}

static void flags_of(const struct plan *p, const struct coming *c, struct flagset *out)
{
    flagset_init(out, c->row.flags & ~FLAG_DELETED);
    for (uint16_t i = 0; i < p->n_names; i++) {
        if (flagset_has_keyword(&c->keywords, i)) {
            flagset_add_keyword(out, p->numbers.numbers[i]);
        }
    }
}

static enum err bring_back(struct op_context *ox, struct plan *p, struct uidset *uids)
{
    struct mailbox_work w = op_work(ox, p->to);
    enum err e = op_keywords_commit(ox, p->to, &p->numbers);
    for (size_t i = 0; e == OK && i < p->n; i++) {
        const struct coming *c = &p->list[i];
        struct message_row row = {
            .email = c->row.email, .internal_s = c->row.internal_s, .save_s = op_now_s(ox), .size = c->row.size};
        struct flagset flags;
        uint32_t uid;
        flags_of(p, c, &flags);
        e = message_add(&w, &row, &flags, &uid);
        if (e == OK) {
            e = uidset_add(uids, uid);
        }
        if (e == OK) {
            e = kept_del(&ox->store, w.account, &c->at);
        }
        if (e == OK) {
            e = kept_time_settle(&ox->store, w.account, c->at.ms);
        }
    }
    return e == OK ? kept_totals_sub(&ox->store, w.account, &p->totals) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    Pb__OpUndeleteResult answer = PB__OP_UNDELETE_RESULT__INIT;
    struct uidset *uids = op_set(ox);
    (void)request;
    if (p->n == 0) {
        return OK;
    }
    enum err e = p->to == NULL ? make_target(ox, p) : OK;
    if (e == OK) {
        e = bring_back(ox, p, uids);
    }
    if (e == OK) {
        e = op_pack_uids(ox, uids, &answer.uids);
    }
    if (e != OK) {
        return e;
    }
    answer.mailbox = p->to->id;
    answer.uidvalidity = p->to->row.uidvalidity;
    answer.modseq = p->account->modseq;
    answer.messages = (uint32_t)p->n;
    return pb_pack(&answer.base, result);
}

STORAGE_OP(undelete) = {
    .method = METHOD_UNDELETE,
    .request = &pb__op_undelete__descriptor,
    .prepare = prepare,
    .commit = commit,
};
