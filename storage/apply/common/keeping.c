#include "storage/apply/keeping.h"

/* --- what comes --- */

enum err keeping_name(struct op_context *ox, struct account_id a, uint32_t node, struct slice *out)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    enum err e = tree_path(&ox->store, a, node, &b);
    if (e == OK) {
        void *copy = arena_dup(ox->arena, buf_slice(&b).p, b.len);
        *out = slice_make(copy, b.len);
        e = copy == NULL ? ERR_NOMEM : OK;
    }
    buf_fini(&b);
    return e;
}

enum err keeping_begin(struct keeping *k, struct op_context *ox, struct account_id a, uint32_t mailbox,
                       uint32_t keywords, struct slice name, uint64_t ms)
{
    size_t room = 1;
    memset(k, 0, sizeof(*k));
    k->ox = ox;
    k->account = a;
    k->mailbox = mailbox;
    k->ms = ms;
    k->name = name;
    enum err e = keyword_table_get(&ox->store, a, mailbox, keywords, ox->arena, &k->table);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < k->table.n; i++) {
        room += 1 + strlen(k->table.names[i]);
    }
    k->packed = arena_alloc(ox->arena, room);
    return k->packed == NULL ? ERR_NOMEM : OK;
}

static struct slice pack_keywords(struct keeping *k, const struct flagset *flags)
{
    size_t n = 0;
    for (size_t i = 0; i < k->table.n; i++) {
        if (flagset_has_keyword(flags, (uint16_t)i)) {
            size_t bytes = strlen(k->table.names[i]);
            k->packed[n] = (uint8_t)bytes;
            memcpy(k->packed + n + 1, k->table.names[i], bytes);
            n += 1 + bytes;
        }
    }
    return slice_make(k->packed, n);
}

enum err keeping_add(struct keeping *k, uint32_t uid, const struct message_row *row, const struct flagset *flags)
{
    struct kept_key at = {.ms = k->ms, .mailbox = k->mailbox, .uid = uid};
    struct kept kept = {
        .row = {.size = row->size,
                .email = row->email,
                .flags = flags->bits & FLAG_SYSTEM_MASK,
                .internal_s = row->internal_s},
        .name = k->name,
        .keywords = pack_keywords(k, flags),
    };
    k->kept.messages++;
    k->kept.bytes += row->size;
    return kept_put(&k->ox->store, k->account, &at, &kept);
}

enum err keeping_end(struct keeping *k)
{
    if (k->kept.messages == 0) {
        return OK;
    }
    k->ox->changed = true;
    enum err e = kept_time_put(&k->ox->store, k->account, k->ms);
    return e == OK ? kept_totals_add(&k->ox->store, k->account, &k->kept) : e;
}

/* --- what goes --- */

struct going {
    struct kept_key at;
    struct kept_row row;
};

/* Takes no more once they have so many bytes. */
struct bound {
    uint32_t rows;
    uint64_t bytes;
};

static void bound_take(struct bound *b, uint32_t size)
{
    b->rows--;
    b->bytes -= size < b->bytes ? size : b->bytes;
}

/* The first rows of an account: of one time, or (NULL) of any. ERR_CORRUPT when there is none of that time. */
static enum err collect(struct op_context *ox, struct account_id a, const uint64_t *ms, struct going *out,
                        struct bound *io_left, uint32_t *out_n)
{
    struct kept_walk w;
    struct kept_key from = {.ms = ms == NULL ? 0 : *ms};
    uint32_t n = 0;
    enum err e = kept_walk_open(&w, &ox->store, a, &from);
    if (e != OK) {
        return e;
    }
    while (e == OK && io_left->rows > 0 && io_left->bytes > 0) {
        e = kept_walk_next(&w, &out[n].at, &out[n].row);
        if (e == OK && ms != NULL && out[n].at.ms != *ms) {
            break;
        }
        if (e == OK) {
            bound_take(io_left, out[n].row.size);
            n++;
        }
    }
    kept_walk_close(&w);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    *out_n = n;
    return n == 0 && ms != NULL ? ERR_CORRUPT : OK;
}

/* Of a copy that may end in the middle of a row, and whose emails are gone already. */
static enum err forget_row(struct op_context *ox, struct account_id a, const struct kept_key *at)
{
    struct key k;
    uint32_t budget = UINT32_MAX;
    bool done;
    key_account(&k, &ox->store, a, ACCOUNT_KEPT);
    key_u64(&k, at->ms);
    key_u32(&k, at->mailbox);
    key_u32(&k, at->uid);
    return store_del_range(&ox->store, &k, &budget, &done);
}

static enum err drop_row(struct op_context *ox, struct account_id a, const struct going *g)
{
    enum err e = kept_del(&ox->store, a, &g->at);
    return e == OK ? email_ref_drop(&ox->store, a, g->row.email, ox->head.entry_ms) : e;
}

static enum err drop(struct op_context *ox, struct account_id a, const struct going *list, uint32_t n, bool whole)
{
    struct kept_totals gone = {.messages = n};
    enum err e = OK;
    for (uint32_t i = 0; e == OK && i < n; i++) {
        gone.bytes += list[i].row.size;
        e = whole ? drop_row(ox, a, &list[i]) : forget_row(ox, a, &list[i].at);
        if (e == OK && (i + 1 == n || list[i + 1].at.ms != list[i].at.ms)) {
            e = kept_time_settle(&ox->store, a, list[i].at.ms);
        }
    }
    ox->changed = ox->changed || n > 0;
    return e == OK ? kept_totals_sub(&ox->store, a, &gone) : e;
}

/* The account's rows are on their way to another shard, or from one: none may go for a moment. */
static enum err is_still(struct op_context *ox, struct account_id a, bool *out)
{
    struct op_account *account;
    enum err e = op_account_any(ox, a.v, &account);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    uint32_t state = account->row.state;
    *out =
        state == ACCOUNT_FENCED || state == ACCOUNT_ARRIVING || state == ACCOUNT_ARRIVED || state == ACCOUNT_CANCELLED;
    return OK;
}

enum err keeping_drop_before(struct op_context *ox, uint64_t before_ms, uint32_t max, uint64_t bytes)
{
    struct bound left = {max, bytes};
    struct going *list = arena_calloc(ox->arena, max, sizeof(*list));
    if (list == NULL) {
        return ERR_NOMEM;
    }
    while (left.rows > 0 && left.bytes > 0) {
        uint64_t ms;
        struct account_id a;
        uint32_t n = 0;
        enum err e = kept_time_first(&ox->store, &ms, &a);
        bool still = false;
        if (e == ERR_NOTFOUND || (e == OK && ms >= before_ms)) {
            return OK;
        }
        if (e == OK) {
            e = is_still(ox, a, &still);
        }
        if (e == OK && still) {
            return OK;
        }
        if (e == OK) {
            e = collect(ox, a, &ms, list, &left, &n);
        }
        if (e == OK) {
            e = drop(ox, a, list, n, true);
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err drop_account(struct op_context *ox, struct account_id a, uint32_t max, bool whole, bool *out_done)
{
    uint32_t n = 0;
    struct bound left = {max, UINT64_MAX};
    struct going *list = arena_calloc(ox->arena, max, sizeof(*list));
    if (list == NULL) {
        return ERR_NOMEM;
    }
    enum err e = collect(ox, a, NULL, list, &left, &n);
    if (e == OK) {
        e = drop(ox, a, list, n, whole);
    }
    if (e == OK) {
        *out_done = n == 0;
    }
    return e;
}

enum err keeping_drop_account(struct op_context *ox, struct account_id a, uint32_t max, bool *out_done)
{
    return drop_account(ox, a, max, true, out_done);
}

enum err keeping_forget_account(struct op_context *ox, struct account_id a, uint32_t max, bool *out_done)
{
    return drop_account(ox, a, max, false, out_done);
}
