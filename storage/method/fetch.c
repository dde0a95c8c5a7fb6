/* Rows of a mailbox as columns, a page at a time. Walks the message rows and, for text columns, the emails beside them: both in key order, so a page is two
 * sequential scans. No allocation per row. */
#include "storage/method/method.h"

#define PAGE_ROWS_MAX 8192
#define PAGE_BYTES_MAX (224 * 1024) /* leaves room for keywords and heads in a frame */
#define EMAIL_COLUMNS (FETCH_COL_TEXT_MASK | FETCH_COL_OBJECTID)
#define TEXT_COLUMNS_MAX 5

struct page {
    const struct read_context *rc;
    struct store store;
    struct account_id account;
    const Pb__ReadFetch *req;
    uint32_t rows_max;
    uint32_t rows;
    size_t bytes;     /* used of the page */
    size_t bytes_max;
    uint32_t next_uid;
    uint8_t *uid, *flags, *modseq, *internal_s, *save_s, *size, *objectid, *lens;
    size_t n_lens;
    struct email_reader emails;
    struct buf *attach;
};

static uint32_t row_bytes(uint32_t columns)
{
    uint32_t n = 4;
    n += (columns & FETCH_COL_FLAGS) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_MODSEQ) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_INTERNAL) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_SAVED) != 0 ? 8 : 0;
    n += (columns & FETCH_COL_SIZE) != 0 ? 4 : 0;
    n += (columns & FETCH_COL_OBJECTID) != 0 ? 32 : 0;
    return n + 4 * (uint32_t)__builtin_popcount(columns & FETCH_COL_TEXT_MASK);
}

static bool column(const struct page *p, uint32_t bit, size_t bytes, uint8_t **out)
{
    if ((p->req->columns & bit) == 0) {
        return true;
    }
    *out = arena_alloc(p->rc->arena, p->rows_max * bytes);
    return *out != NULL;
}

static enum err page_open(struct page *p)
{
    uint32_t columns = p->req->columns;
    uint32_t n_text = (uint32_t)__builtin_popcount(columns & FETCH_COL_TEXT_MASK);
    p->bytes_max = p->req->max_bytes == 0 || p->req->max_bytes > PAGE_BYTES_MAX ? PAGE_BYTES_MAX : p->req->max_bytes;
    size_t rows = p->bytes_max / row_bytes(columns);
    p->rows_max = (uint32_t)(rows < 1 ? 1 : rows > PAGE_ROWS_MAX ? PAGE_ROWS_MAX : rows);
    p->uid = arena_alloc(p->rc->arena, p->rows_max * 4);
    bool good = p->uid != NULL && column(p, FETCH_COL_FLAGS, 8, &p->flags) && column(p, FETCH_COL_MODSEQ, 8, &p->modseq) &&
                column(p, FETCH_COL_INTERNAL, 8, &p->internal_s) && column(p, FETCH_COL_SAVED, 8, &p->save_s) &&
                column(p, FETCH_COL_SIZE, 4, &p->size) && column(p, FETCH_COL_OBJECTID, 32, &p->objectid) &&
                column(p, FETCH_COL_TEXT_MASK, 4 * (size_t)(n_text == 0 ? 1 : n_text), &p->lens);
    if (!good) {
        return ERR_NOMEM;
    }
    return (columns & EMAIL_COLUMNS) == 0 ? OK : email_reader_open(&p->emails, &p->store, p->account);
}

/* The text columns asked for, in the order of the reply. */
static enum err row_texts(struct page *p, struct slice record, struct slice out[TEXT_COLUMNS_MAX], size_t *out_n)
{
    static const uint32_t bits[TEXT_COLUMNS_MAX] = {FETCH_COL_ENVELOPE, FETCH_COL_BODY, FETCH_COL_BODYSTRUCTURE,
                                                    FETCH_COL_HEADERS, FETCH_COL_RECORD};
    struct msg_record r;
    enum err e = msg_record_decode(record, &r);
    if (e != OK) {
        return e;
    }
    const struct slice all[TEXT_COLUMNS_MAX] = {r.envelope, r.body, r.bodystructure, r.headers, record};
    size_t n = 0;
    for (size_t i = 0; i < TEXT_COLUMNS_MAX; i++) {
        if ((p->req->columns & bits[i]) != 0) {
            out[n++] = all[i];
        }
    }
    *out_n = n;
    return OK;
}

/* False: the row does not fit this page any more. */
static enum err row_email(struct page *p, const struct message_row *m, bool *out_fits)
{
    struct email_row email;
    struct slice record;
    struct slice texts[TEXT_COLUMNS_MAX];
    size_t n = 0;
    size_t bytes = 0;
    enum err e = email_reader_get(&p->emails, m->email, &email, &record);
    if (e == OK && (p->req->columns & FETCH_COL_TEXT_MASK) != 0) {
        e = row_texts(p, record, texts, &n);
    }
    for (size_t i = 0; i < n; i++) {
        bytes += texts[i].n;
    }
    *out_fits = p->rows == 0 || p->bytes + bytes + row_bytes(p->req->columns) <= p->bytes_max;
    if (e != OK || !*out_fits) {
        return e;
    }
    for (size_t i = 0; e == OK && i < n; i++) {
        put_le32(p->lens + 4 * p->n_lens++, (uint32_t)texts[i].n);
        e = buf_append_slice(p->attach, texts[i]);
    }
    if (p->objectid != NULL) {
        memcpy(p->objectid + 32 * (size_t)p->rows, email.emailid, 16);
        memcpy(p->objectid + 32 * (size_t)p->rows + 16, email.threadid, 16);
    }
    p->bytes += bytes;
    return e;
}

static enum err row_add(struct page *p, uint32_t uid, const struct message_row *m, bool *out_fits)
{
    size_t i = p->rows;
    *out_fits = p->rows < p->rows_max;
    enum err e = OK;
    if (*out_fits && (p->req->columns & EMAIL_COLUMNS) != 0) {
        e = row_email(p, m, out_fits);
    }
    if (e != OK || !*out_fits) {
        return e;
    }
    put_le32(p->uid + 4 * i, uid);
    if (p->flags != NULL) {
        put_le64(p->flags + 8 * i, m->flags);
    }
    if (p->modseq != NULL) {
        put_le64(p->modseq + 8 * i, m->modseq);
    }
    if (p->internal_s != NULL) {
        put_le64(p->internal_s + 8 * i, (uint64_t)m->internal_s);
    }
    if (p->save_s != NULL) {
        put_le64(p->save_s + 8 * i, (uint64_t)m->save_s);
    }
    if (p->size != NULL) {
        put_le32(p->size + 4 * i, m->size);
    }
    p->bytes += row_bytes(p->req->columns);
    p->rows++;
    return OK;
}

static enum err rows_walk(struct page *p, const struct uidset *uids)
{
    struct message_walk w;
    struct message_row m;
    uint32_t uid;
    bool fits = true;
    enum err e = message_walk_open(&w, &p->store, p->account, (uint32_t)p->req->mailbox, uids, p->req->from_uid);
    if (e != OK) {
        return e;
    }
    for (e = message_walk_next(&w, &uid, &m); e == OK; e = message_walk_next(&w, &uid, &m)) {
        if (p->req->changed_since != 0 && m.modseq <= p->req->changed_since) {
            continue;
        }
        e = row_add(p, uid, &m, &fits);
        if (e != OK || !fits) {
            break;
        }
    }
    message_walk_close(&w);
    if (!fits) {
        p->next_uid = uid;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static ProtobufCBinaryData column_bytes(const uint8_t *p, size_t n)
{
    return pb_bytes(slice_make(p, p == NULL ? 0 : n));
}

static enum err page_pack(struct page *p, const struct mailbox_row *row, struct buf *meta)
{
    Pb__ReadFetchResult res = PB__READ_FETCH_RESULT__INIT;
    size_t n = p->rows;
    enum err e = OK;
    res.next_uid = p->next_uid;
    res.rows = p->rows;
    res.uid = column_bytes(p->uid, 4 * n);
    res.flags = column_bytes(p->flags, 8 * n);
    res.modseq = column_bytes(p->modseq, 8 * n);
    res.internal_s = column_bytes(p->internal_s, 8 * n);
    res.save_s = column_bytes(p->save_s, 8 * n);
    res.size = column_bytes(p->size, 4 * n);
    res.objectid = column_bytes(p->objectid, 32 * n);
    res.lens = column_bytes(p->lens, 4 * p->n_lens);
    if ((p->req->columns & FETCH_COL_FLAGS) != 0) {
        e = method_keywords(p->rc, &p->store, p->account, (uint32_t)p->req->mailbox, row, &res.keywords, &res.n_keywords);
    }
    return e == OK ? pb_pack(&res.base, meta) : e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    struct page *p = arena_zalloc(rc->arena, sizeof(*p));
    struct mailbox_row row;
    struct uidset uids;
    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->rc = rc;
    p->req = (const Pb__ReadFetch *)(const void *)req_base;
    p->store = method_store(rc);
    p->account.v = p->req->account;
    p->attach = attach;
    enum err e = method_mailbox(&p->store, p->account, p->req->mailbox, &row);
    if (e != OK) {
        return e;
    }
    uidset_init(&uids);
    e = uidset_decode(&uids, pb_slice(p->req->uids), METHOD_RUNS_MAX);
    if (e == OK) {
        e = page_open(p);
    }
    if (e == OK) {
        e = rows_walk(p, &uids);
        if ((p->req->columns & EMAIL_COLUMNS) != 0) {
            email_reader_close(&p->emails);
        }
    }
    uidset_fini(&uids);
    return e == OK ? page_pack(p, &row, meta) : e;
}

STORAGE_METHOD(fetch) = {.method = METHOD_FETCH, .run = run};
