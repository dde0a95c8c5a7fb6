#include "storage/apply/rows.h"

/* Which keywords the messages have, as numbers of the source. */
static size_t keywords_used(const struct op_rows *rows, uint16_t used[KEYWORDS_MAX])
{
    struct flagset all;
    size_t n = 0;
    flagset_init(&all, 0);
    for (size_t i = 0; i < rows->n; i++) {
        flagset_union(&all, &rows->list[i].flags);
    }
    for (uint16_t k = 0; k < KEYWORDS_MAX; k++) {
        if (flagset_has_keyword(&all, k)) {
            used[n++] = k;
        }
    }
    return n;
}

static enum err plan_keywords(struct op_context *ox, struct op_copying *c)
{
    uint16_t used[KEYWORDS_MAX];
    struct slice names[KEYWORDS_MAX];
    struct keyword_table table;
    size_t n = keywords_used(&c->rows, used);
    if (n == 0) {
        return OK;
    }
    enum err e =
        keyword_table_get(&ox->store, c->from->account->id, c->from->id, c->from->row.keywords, ox->arena, &table);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < n; i++) {
        if (used[i] >= table.n) {
            return ERR_CORRUPT;
        }
        names[i] = slice_str(table.names[used[i]]);
    }
    e = op_keywords_plan(ox, c->to, names, n, true, &c->keywords);
    if (e != OK) {
        return e;
    }
    /* Every name is known or made, so numbers are in the order of the names. The names outlive this call: they lie in
     * the arena. */
    ASSERT(c->keywords.n == n);
    for (size_t i = 0; i < n; i++) {
        c->map[used[i]] = c->keywords.numbers[i];
    }
    return OK;
}

enum err op_copying_plan(struct op_context *ox, struct op_account *a, uint64_t mailbox, ProtobufCBinaryData uids,
                         const char *to, bool moving, struct op_copying *out)
{
    struct uidset *set;
    memset(out, 0, sizeof(*out));
    enum err e = op_mailbox(ox, a, mailbox, &out->from);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_STALE : e;
    }
    e = op_mailbox_named(ox, a, to, &out->to);
    if (e == OK) {
        e = op_uids(ox, uids, &set);
    }
    if (e == OK) {
        e = op_rows_collect(ox, out->from, set, &out->rows);
    }
    if (e == OK && !moving) {
        e = op_quota_check(a, out->rows.n, op_rows_bytes(&out->rows));
        if (out->rows.n == 0 && e == ERR_QUOTA) {
            e = OK; /* nothing is asked for */
        }
    }
    if (e == OK) {
        e = op_uid_room(out->to, (uint32_t)out->rows.n);
    }
    return e == OK ? plan_keywords(ox, out) : e;
}

static void map_flags(const struct op_copying *c, const struct flagset *in, struct flagset *out)
{
    flagset_init(out, in->bits);
    if ((in->bits & ~FLAG_SYSTEM_MASK) == 0) {
        return;
    }
    for (uint16_t k = 0; k < KEYWORDS_MAX; k++) {
        if (flagset_has_keyword(in, k)) {
            flagset_add_keyword(out, c->map[k]);
        }
    }
}

enum err op_copying_commit(struct op_context *ox, struct op_copying *c, bool moving, uint32_t *out_first)
{
    struct mailbox_work w = op_work(ox, c->to);
    *out_first = c->to->row.uidnext;
    enum err e = op_keywords_commit(ox, c->to, &c->keywords);
    for (size_t i = 0; e == OK && i < c->rows.n; i++) {
        const struct op_row *r = &c->rows.list[i];
        struct message_row row = r->row;
        struct flagset flags;
        uint32_t uid;
        map_flags(c, &r->flags, &flags);
        row.save_s = op_now_s(ox);
        if (!moving) {
            e = email_ref_take(&ox->store, w.account, row.email);
        }
        if (e == OK) {
            e = message_add(&w, &row, &flags, &uid);
        }
    }
    return e;
}

enum err op_copying_result(struct op_context *ox, const struct op_copying *c, uint32_t first, struct buf *result)
{
    Pb__OpCopyResult answer = PB__OP_COPY_RESULT__INIT;
    struct uidset *source;
    struct uidset *dest = op_set(ox);
    enum err e = op_rows_uids(ox, &c->rows, &source);
    if (e == OK && c->rows.n > 0) {
        e = uidset_add_range(dest, first, first + (uint32_t)c->rows.n - 1);
    }
    if (e == OK) {
        e = op_pack_uids(ox, source, &answer.source_uids);
    }
    if (e == OK) {
        e = op_pack_uids(ox, dest, &answer.dest_uids);
    }
    if (e != OK) {
        return e;
    }
    answer.to_mailbox = c->to->id;
    answer.uidvalidity = c->to->row.uidvalidity;
    answer.modseq = c->to->account->modseq;
    return pb_pack(&answer.base, result);
}
