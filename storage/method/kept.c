/* ReadKept: what was expunged and can be brought back, as columns, a page at a time. ERR_NOTFOUND (account), ERR_INVAL
 * and ERR_LIMIT (the mailbox's name). */
#include "storage/mailbox/kept.h"
#include "storage/mailbox/tree.h"
#include "storage/method/method.h"

#define ROWS_MAX 1000
#define LOOK_MAX 4000 /* rows walked in one call: those asked for may be few */
#define TEXT_BYTES_MAX 200
#define ROW_BYTES 48 /* of the columns, with the lengths */

struct page {
    const struct store *store;
    struct account_id account;
    const Pb__ReadKept *req;
    struct slice name; /* asked for, in its one spelling; empty: any */
    uint32_t mailbox;  /* the one that has this name now, 0: none */
    uint32_t rows;
    uint32_t rows_max;
    size_t budget;
    struct kept_key next;
    bool more;
    struct email_reader emails;
    struct buf value;
    struct buf texts;
    struct column time, mailboxes, uid, flags, internal, size, lens;
};

static enum err columns_alloc(struct read_context *rc, struct page *p)
{
    struct {
        struct column *c;
        size_t width;
    } all[] = {{&p->time, 8},     {&p->mailboxes, 4}, {&p->uid, 4},  {&p->flags, 8},
               {&p->internal, 8}, {&p->size, 4},      {&p->lens, 12}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        all[i].c->p = arena_alloc(rc->arena, p->rows_max * all[i].width);
        if (all[i].c->p == NULL) {
            return ERR_NOMEM;
        }
    }
    return OK;
}

/* Which mailbox has the name now? It may have had another one when it lost the message. */
static enum err find_name(struct read_context *rc, struct page *p)
{
    struct name_path path;
    struct tree_entry entry;
    struct slice nfc;
    uint32_t parent;
    if (p->req->name[0] == '\0') {
        return OK;
    }
    enum err e = name_to_nfc(rc->arena, slice_str(p->req->name), &nfc);
    if (e == OK) {
        e = name_canonical(rc->arena, nfc, &p->name);
    }
    if (e == OK) {
        e = name_split(p->name, &path);
    }
    if (e == OK) {
        e = tree_find(p->store, p->account, &path, &entry, &parent);
        p->mailbox = e == OK ? entry.mailbox : 0;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static struct slice field(struct slice headers, const char *name)
{
    struct slice field_name;
    struct slice value;
    struct slice line;
    while (msg_header_next(&headers, &field_name, &value, &line)) {
        if (slice_ieq_str(field_name, name)) {
            return slice_sub(value, 0, TEXT_BYTES_MAX);
        }
    }
    return slice_make(NULL, 0);
}

static enum err add_texts(struct page *p, const struct slice texts[3])
{
    for (size_t i = 0; i < 3; i++) {
        enum err e = buf_append_slice(&p->texts, texts[i]);
        if (e != OK) {
            return e;
        }
        column_le32(&p->lens, (uint32_t)texts[i].n);
    }
    return OK;
}

/* ERR_LIMIT: the page is full, nothing was added. */
static enum err add(struct page *p, const struct kept_key *at, const struct kept *kept)
{
    struct email_row email;
    struct slice record;
    struct msg_record m;
    enum err e = email_reader_get(&p->emails, kept->row.email, &email, &record);
    if (e == OK) {
        e = msg_record_decode(record, &m);
    }
    if (e != OK) {
        return e;
    }
    const struct slice texts[3] = {kept->name, field(m.headers, "From"), field(m.headers, "Subject")};
    size_t bytes = ROW_BYTES + texts[0].n + texts[1].n + texts[2].n;
    if (p->rows == p->rows_max || bytes > p->budget) {
        return ERR_LIMIT;
    }
    e = add_texts(p, texts);
    if (e != OK) {
        return e;
    }
    p->budget -= bytes;
    p->rows++;
    column_le64(&p->time, at->ms);
    column_le32(&p->mailboxes, at->mailbox);
    column_le32(&p->uid, at->uid);
    column_le64(&p->flags, kept->row.flags);
    column_le64(&p->internal, (uint64_t)kept->row.internal_s);
    column_le32(&p->size, kept->row.size);
    return OK;
}

static bool wanted(const struct page *p, const struct kept_key *at, const struct kept *kept)
{
    return p->name.n == 0 || at->mailbox == p->mailbox || slice_eq(kept->name, p->name);
}

/* The row at hand. */
static enum err look(struct page *p, const struct kept_key *at)
{
    struct kept kept;
    buf_reset(&p->value);
    enum err e = kept_get(p->store, p->account, at, &p->value, &kept);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    return wanted(p, at, &kept) ? add(p, at, &kept) : OK;
}

static enum err walk(struct page *p, struct kept_walk *w)
{
    struct kept_key at;
    struct kept_row row;
    for (uint32_t looked = 0;; looked++) {
        enum err e = kept_walk_next(w, &at, &row);
        if (e != OK || (p->req->until_ms != 0 && at.ms >= p->req->until_ms)) {
            return e == ERR_NOTFOUND ? OK : e;
        }
        e = looked == LOOK_MAX ? ERR_LIMIT : look(p, &at);
        if (e == ERR_LIMIT) {
            p->more = true;
            p->next = at;
            return OK;
        }
        if (e != OK) {
            return e;
        }
    }
}

static enum err read_page(struct page *p)
{
    struct kept_walk w;
    struct kept_key from = {p->req->from_ms, (uint32_t)p->req->from_mailbox, p->req->from_uid};
    if (from.ms < p->req->since_ms) {
        from = (struct kept_key){.ms = p->req->since_ms};
    }
    enum err e = email_reader_open(&p->emails, p->store, p->account);
    if (e != OK) {
        return e;
    }
    e = kept_walk_open(&w, p->store, p->account, &from);
    if (e == OK) {
        e = walk(p, &w);
        kept_walk_close(&w);
    }
    email_reader_close(&p->emails);
    return e;
}

static enum err answer_pack(const struct page *p, struct buf *meta)
{
    Pb__ReadKeptResult answer = PB__READ_KEPT_RESULT__INIT;
    answer.rows = p->rows;
    answer.more = p->more;
    answer.next_ms = p->next.ms;
    answer.next_mailbox = p->next.mailbox;
    answer.next_uid = p->next.uid;
    answer.time_ms = column_data(&p->time);
    answer.mailbox = column_data(&p->mailboxes);
    answer.uid = column_data(&p->uid);
    answer.flags = column_data(&p->flags);
    answer.internal_s = column_data(&p->internal);
    answer.size = column_data(&p->size);
    answer.lens = column_data(&p->lens);
    answer.texts = pb_bytes(buf_slice(&p->texts));
    return pb_pack(&answer.base, meta);
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadKept *req = (const Pb__ReadKept *)request;
    struct store s = method_store(rc);
    struct account_row acct;
    struct page p = {.store = &s, .account = {req->account}, .req = req, .budget = REPLY_BYTES_MAX};
    (void)attach;
    if (req->from_mailbox > UINT32_MAX) {
        return ERR_INVAL;
    }
    p.rows_max = req->max_rows == 0 || req->max_rows > ROWS_MAX ? ROWS_MAX : req->max_rows;
    enum err e = account_get_live(&s, p.account, &acct);
    if (e == OK) {
        e = find_name(rc, &p);
    }
    if (e == OK) {
        e = columns_alloc(rc, &p);
    }
    if (e != OK) {
        return e;
    }
    buf_init(&p.value, SIZE_MAX / 2);
    buf_init(&p.texts, REPLY_BYTES_MAX);
    e = read_page(&p);
    if (e == OK) {
        e = answer_pack(&p, meta);
    }
    buf_fini(&p.value);
    buf_fini(&p.texts);
    return e;
}

STORAGE_METHOD(kept) = {
    .method = METHOD_KEPT,
    .request = &pb__read_kept__descriptor,
    .run = run,
};
