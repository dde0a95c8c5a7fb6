/* ReadFetch: rows of a mailbox as columns, a page at a time. Nothing is allocated or parsed per row: columns have room
 * for a page, texts are copied from the records. ERR_NOTFOUND, ERR_INVAL. */
#include "replication/volume.h"
#include "storage/mailbox/changes.h"
#include "storage/mailbox/email.h"
#include "storage/method/method.h"

#define TEXT_BYTES_LIKELY 48

struct fetch {
    const struct store *store;
    struct account_id account;
    uint32_t mailbox;
    const Pb__ReadFetch *req;
    struct email_reader emails;
    bool reads_emails;
    bool overflows;     /* the mailbox has more keywords than bits */
    size_t n_texts;     /* text columns asked for */
    size_t fixed_bytes; /* of one row in meta */
    size_t budget;      /* bytes left of the page */
    uint32_t rows;
    uint32_t rows_max; /* the columns have room for */
    uint32_t next_uid;
    struct column uid, flags, modseq, internal, saved, size, objectid, lens, overflow;
    struct buf *attach;
};

static size_t row_bytes(uint32_t columns)
{
    size_t n = 4;
    n += (columns & FETCH_COL_FLAGS) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_MODSEQ) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_INTERNAL) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_SAVED) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_SIZE) != 0 ? 4 : 0;
    n += (columns & FETCH_COL_OBJECTID) != 0 ? 32 : 0;
    return n;
}

static enum err columns_alloc(struct read_context *rc, struct fetch *f)
{
    size_t rows = f->rows_max;
    struct {
        struct column *c;
        uint32_t wanted;
        size_t width;
    } all[] = {
        {&f->uid, UINT32_MAX, 4},
        {&f->flags, FETCH_COL_FLAGS, 8},
        {&f->modseq, FETCH_COL_MODSEQ, 8},
        {&f->internal, FETCH_COL_INTERNAL, 8},
        {&f->saved, FETCH_COL_SAVED, 8},
        {&f->size, FETCH_COL_SIZE, 4},
        {&f->objectid, FETCH_COL_OBJECTID, 32},
        {&f->lens, FETCH_COL_TEXT_MASK, 4 * f->n_texts},
        {&f->overflow, f->overflows ? FETCH_COL_FLAGS : 0, OVERFLOW_BYTES},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if ((f->req->columns & all[i].wanted) == 0 && all[i].wanted != UINT32_MAX) {
            continue;
        }
        all[i].c->p = arena_alloc(rc->arena, rows * all[i].width);
        if (all[i].c->p == NULL) {
            return ERR_NOMEM;
        }
    }
    return OK;
}

/* The texts asked for of one record, in their order. */
static size_t texts_of(uint32_t columns, const struct msg_record *m, struct slice record, struct slice out[5])
{
    size_t n = 0;
    if ((columns & FETCH_COL_ENVELOPE) != 0) {
        out[n++] = m->envelope;
    }
    if ((columns & FETCH_COL_BODY) != 0) {
        out[n++] = m->body;
    }
    if ((columns & FETCH_COL_BODYSTRUCTURE) != 0) {
        out[n++] = m->bodystructure;
    }
    if ((columns & FETCH_COL_HEADERS) != 0) {
        out[n++] = m->headers_cut == 0 ? m->headers : slice_str("");
    }
    if ((columns & FETCH_COL_RECORD) != 0) {
        out[n++] = record;
    }
    return n;
}

/* ERR_LIMIT: the page is full, nothing was added. */
static enum err take_room(struct fetch *f, size_t bytes)
{
    if ((bytes > f->budget && f->rows > 0) || f->rows == f->rows_max) {
        return ERR_LIMIT;
    }
    f->budget -= bytes < f->budget ? bytes : f->budget;
    return OK;
}

static enum err add_content(struct fetch *f, const struct email_row *email, uint32_t n)
{
    enum err e = n == 0 ? OK
                        : repl_body_read(f->store->t, f->store->prefix, email->body_index,
                                         (uint16_t)email->body_ordinal, 0, n, f->attach);
    column_le32(&f->lens, n);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

static enum err add_email(struct fetch *f, const struct message_row *row)
{
    struct email_row email;
    struct slice record;
    struct msg_record m;
    struct slice texts[5];
    size_t n = 0;
    size_t bytes = f->fixed_bytes;
    bool wants_content = (f->req->columns & FETCH_COL_CONTENT) != 0;
    enum err e = email_reader_get(&f->emails, row->email, &email, &record);
    uint32_t content = e == OK && wants_content && email.body_bytes <= FETCH_CONTENT_MAX ? email.body_bytes : 0;
    bytes += content;
    if (e == OK && f->n_texts > (wants_content ? 1 : 0)) {
        e = msg_record_decode(record, &m);
        if (e == OK) {
            n = texts_of(f->req->columns, &m, record, texts);
        }
    }
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < n; i++) {
        bytes += texts[i].n;
    }
    e = take_room(f, bytes);
    for (size_t i = 0; e == OK && i < n; i++) {
        e = buf_append_slice(f->attach, texts[i]);
        column_le32(&f->lens, (uint32_t)texts[i].n);
    }
    if (e == OK && wants_content) {
        e = add_content(f, &email, content);
    }
    if (e == OK && f->objectid.p != NULL) {
        column_bytes(&f->objectid, email.emailid, 16);
        column_bytes(&f->objectid, email.threadid, 16);
    }
    return e;
}

static enum err add_overflow(struct fetch *f, uint32_t uid, uint64_t flags)
{
    struct flagset set;
    enum err e = flagset_get(f->store, f->account, f->mailbox, uid, flags, &set);
    if (e == OK) {
        column_bytes(&f->overflow, set.over, sizeof(set.over));
        f->budget -= sizeof(set.over) < f->budget ? sizeof(set.over) : f->budget;
    }
    return e;
}

static void add_fixed(struct fetch *f, uint32_t uid, const struct message_row *row)
{
    column_le32(&f->uid, uid);
    if (f->flags.p != NULL) {
        column_le64(&f->flags, row->flags);
    }
    if (f->modseq.p != NULL) {
        column_le64(&f->modseq, row->modseq);
    }
    if (f->internal.p != NULL) {
        column_le64(&f->internal, (uint64_t)row->internal_s);
    }
    if (f->saved.p != NULL) {
        column_le64(&f->saved, (uint64_t)row->save_s);
    }
    if (f->size.p != NULL) {
        column_le32(&f->size, row->size);
    }
    f->rows++;
}

/* ERR_LIMIT: the page is full. */
static enum err add_row(struct fetch *f, uint32_t uid, const struct message_row *row)
{
    enum err e = f->reads_emails ? add_email(f, row) : take_room(f, f->fixed_bytes);
    if (e == OK && f->flags.p != NULL && (row->flags & FLAG_OVERFLOW) != 0) {
        e = f->overflow.p == NULL ? ERR_CORRUPT : add_overflow(f, uid, row->flags);
    }
    if (e == OK) {
        add_fixed(f, uid, row);
    }
    return e;
}

static enum err walk(struct fetch *f, const struct uidset *uids)
{
    struct message_walk w;
    uint32_t uid;
    struct message_row row;
    enum err e = message_walk_open(&w, f->store, f->account, f->mailbox, uids, f->req->from_uid);
    if (e != OK) {
        return e;
    }
    for (e = message_walk_next(&w, &uid, &row); e == OK; e = message_walk_next(&w, &uid, &row)) {
        if (f->req->changed_since != 0 && row.modseq <= f->req->changed_since) {
            continue;
        }
        e = add_row(f, uid, &row);
        if (e == ERR_LIMIT) {
            f->next_uid = uid;
        }
        if (e != OK) {
            break;
        }
    }
    message_walk_close(&w);
    return e == ERR_NOTFOUND || e == ERR_LIMIT ? OK : e;
}

/* CHANGEDSINCE over a large mailbox: only what the indexes name is walked, unless that is most of it. */
static enum err narrow(struct fetch *f, const struct mailbox_row *row, struct uidset *io_uids)
{
    struct uidset changed;
    struct uidset both;
    uidset_init(&changed);
    uidset_init(&both);
    enum err e = changes_uids(f->store, f->account, f->mailbox, f->req->changed_since, row->modseq, &changed);
    if (e == OK) {
        e = uidset_intersect(&both, io_uids, &changed);
    }
    if (e == OK) {
        e = uidset_copy(io_uids, &both);
    }
    uidset_fini(&changed);
    uidset_fini(&both);
    return e == ERR_LIMIT ? OK : e;
}

static enum err read_page(struct read_context *rc, struct fetch *f, const struct mailbox_row *row, struct uidset *uids)
{
    enum err e = columns_alloc(rc, f);
    if (e == OK && f->req->changed_since != 0) {
        e = narrow(f, row, uids);
    }
    if (e != OK || !f->reads_emails) {
        return e == OK ? walk(f, uids) : e;
    }
    e = email_reader_open(&f->emails, f->store, f->account);
    if (e != OK) {
        return e;
    }
    e = walk(f, uids);
    email_reader_close(&f->emails);
    return e;
}

static enum err answer_pack(const struct fetch *f, const struct keyword_table *table, struct buf *meta)
{
    Pb__ReadFetchResult answer = PB__READ_FETCH_RESULT__INIT;
    answer.next_uid = f->next_uid;
    answer.rows = f->rows;
    answer.uid = column_data(&f->uid);
    answer.flags = column_data(&f->flags);
    answer.modseq = column_data(&f->modseq);
    answer.internal_s = column_data(&f->internal);
    answer.save_s = column_data(&f->saved);
    answer.size = column_data(&f->size);
    answer.objectid = column_data(&f->objectid);
    answer.lens = column_data(&f->lens);
    answer.overflow = column_data(&f->overflow);
    answer.keywords = table->names;
    answer.n_keywords = table->n;
    return pb_pack(&answer.base, meta);
}

static void set_up(struct fetch *f, const Pb__ReadFetch *req, const struct keyword_table *table)
{
    size_t most = REPLY_BYTES_MAX - method_keywords_bytes(table);
    f->req = req;
    f->budget = req->max_bytes != 0 && req->max_bytes < most ? req->max_bytes : most;
    f->n_texts = (size_t)__builtin_popcount(req->columns & FETCH_COL_TEXT_MASK);
    f->fixed_bytes = row_bytes(req->columns) + 4 * f->n_texts;
    /* The first row always fits. A text is rarely shorter than this: columns need no room for more rows. */
    f->rows_max = (uint32_t)(f->budget / (f->fixed_bytes + TEXT_BYTES_LIKELY * f->n_texts)) + 1;
    f->reads_emails = (req->columns & (FETCH_COL_TEXT_MASK | FETCH_COL_OBJECTID)) != 0;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadFetch *req = (const Pb__ReadFetch *)request;
    struct store s = method_store(rc);
    struct account_row acct;
    struct mailbox_row row;
    struct uidset uids;
    struct keyword_table table = {.names = NULL, .n = 0};
    struct fetch f = {.store = &s, .account = {req->account}, .mailbox = (uint32_t)req->mailbox, .attach = attach};
    enum err e = method_mailbox(&s, req->account, req->mailbox, &acct, &row);
    if (e == OK && (req->columns & FETCH_COL_FLAGS) != 0) {
        e = keyword_table_get(&s, f.account, f.mailbox, row.keywords, rc->arena, &table);
    }
    if (e != OK) {
        return e;
    }
    set_up(&f, req, &table);
    f.overflows = row.keywords > FLAG_KEYWORDS_MAX;
    uidset_init(&uids);
    e = method_uids(req->uids, &uids);
    if (e == OK) {
        e = read_page(rc, &f, &row, &uids);
    }
    uidset_fini(&uids);
    return e == OK ? answer_pack(&f, &table, meta) : e;
}

STORAGE_METHOD(fetch) = {
    .method = METHOD_FETCH,
    .request = &pb__read_fetch__descriptor,
    .run = run,
};
