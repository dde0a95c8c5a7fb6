#include "frontend/imap/imap_fetch.h"
#include "proto/rpc/flags.h"

static const struct {
    uint32_t column;
    size_t field; /* offset in struct imap_row */
} texts[] = {
    {FETCH_COL_ENVELOPE, offsetof(struct imap_row, envelope)},
    {FETCH_COL_BODY, offsetof(struct imap_row, body)},
    {FETCH_COL_BODYSTRUCTURE, offsetof(struct imap_row, bodystructure)},
    {FETCH_COL_HEADERS, offsetof(struct imap_row, headers)},
    {FETCH_COL_RECORD, offsetof(struct imap_row, record)},
    {FETCH_COL_CONTENT, offsetof(struct imap_row, content)},
};
#define N_TEXTS (sizeof(texts) / sizeof(texts[0]))

static bool sized(const ProtobufCBinaryData *column, bool asked, uint64_t rows, size_t width)
{
    return !asked || column->len == rows * width;
}

enum err imap_page_init(struct imap_page *p, const Pb__ReadFetchResult *r, struct slice attach, uint32_t columns)
{
    size_t n_text = 0;
    for (size_t i = 0; i < N_TEXTS; i++) {
        n_text += (columns & texts[i].column) != 0 ? 1 : 0;
    }
    if (!sized(&r->uid, true, r->rows, 4) || !sized(&r->flags, (columns & FETCH_COL_FLAGS) != 0, r->rows, 8) ||
        !sized(&r->modseq, (columns & FETCH_COL_MODSEQ) != 0, r->rows, 8) ||
        !sized(&r->internal_s, (columns & FETCH_COL_INTERNAL) != 0, r->rows, 8) ||
        !sized(&r->save_s, (columns & FETCH_COL_SAVED) != 0, r->rows, 8) ||
        !sized(&r->size, (columns & FETCH_COL_SIZE) != 0, r->rows, 4) ||
        !sized(&r->objectid, (columns & FETCH_COL_OBJECTID) != 0, r->rows, 32) ||
        !sized(&r->lens, n_text > 0, r->rows, 4 * n_text)) {
        return ERR_CORRUPT;
    }
    *p = (struct imap_page){.r = r, .attach = attach, .columns = columns, .n_text = n_text};
    p->overflow.rest = slice_make(r->overflow.data, r->overflow.len);
    return OK;
}

static enum err take_texts(struct imap_page *p, uint32_t i, struct imap_row *row)
{
    size_t k = 0;
    for (size_t t = 0; t < N_TEXTS; t++) {
        if ((p->columns & texts[t].column) == 0) {
            continue;
        }
        uint32_t n = get_le32(p->r->lens.data + 4 * ((size_t)i * p->n_text + k));
        if (n > p->attach.n - p->text_at) {
            return ERR_CORRUPT;
        }
        struct slice text = slice_make(p->attach.p + p->text_at, n);
        memcpy((char *)row + texts[t].field, &text, sizeof(text));
        p->text_at += n;
        k++;
    }
    return OK;
}

enum err imap_page_row(struct imap_page *p, uint32_t i, struct imap_row *out)
{
    const Pb__ReadFetchResult *r = p->r;
    memset(out, 0, sizeof(*out));
    out->uid = get_le32(r->uid.data + (size_t)i * 4);
    if ((p->columns & FETCH_COL_FLAGS) != 0) {
        out->flags = get_le64(r->flags.data + (size_t)i * 8);
        enum err e = imap_overflow_next(&p->overflow, out->flags, &out->overflow);
        if (e != OK) {
            return e;
        }
    }
    if ((p->columns & FETCH_COL_MODSEQ) != 0) {
        out->modseq = get_le64(r->modseq.data + (size_t)i * 8);
    }
    if ((p->columns & FETCH_COL_INTERNAL) != 0) {
        out->internal_s = (int64_t)get_le64(r->internal_s.data + (size_t)i * 8);
    }
    if ((p->columns & FETCH_COL_SAVED) != 0) {
        out->save_s = (int64_t)get_le64(r->save_s.data + (size_t)i * 8);
    }
    if ((p->columns & FETCH_COL_SIZE) != 0) {
        out->size = get_le32(r->size.data + (size_t)i * 4);
    }
    if ((p->columns & FETCH_COL_OBJECTID) != 0) {
        out->emailid = slice_make(r->objectid.data + (size_t)i * 32, 16);
        out->threadid = slice_make(r->objectid.data + (size_t)i * 32 + 16, 16);
    }
    return p->n_text > 0 ? take_texts(p, i, out) : OK;
}
