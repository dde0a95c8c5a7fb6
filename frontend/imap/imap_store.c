#include "frontend/imap/imap_store.h"

#include "frontend/imap/imap_flag.h"
#include "frontend/imap/imap_sync.h"
#include "proto/base/mem.h"
#include "proto/rpc/flags.h"

void imap_stored_init(struct imap_stored *st)
{
    memset(st, 0, sizeof(*st));
    uidset_init(&st->uids);
    uidset_init(&st->failed);
}

void imap_stored_fini(struct imap_stored *st)
{
    uidset_fini(&st->uids);
    uidset_fini(&st->failed);
    mem_free(st->flags);
    mem_free(st->modseqs);
    mem_free(st->overflow);
    imap_stored_init(st);
}

static enum err grow(uint64_t **io_column, size_t n)
{
    uint64_t *grown = mem_realloc(*io_column, n * sizeof(uint64_t));
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    *io_column = grown;
    return OK;
}

/* Further keywords are rare: the array is made with the first row that has them. */
static enum err take_overflow(struct imap_stored *st, const Pb__OpStoreResult *r, size_t n)
{
    struct imap_overflow column = {slice_make(r->overflow.data, r->overflow.len)};
    if (r->overflow.len == 0 && st->overflow == NULL) {
        return OK;
    }
    uint8_t *grown = mem_realloc(st->overflow, (st->n + n) * IMAP_OVERFLOW_BYTES);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    size_t from = st->overflow == NULL ? 0 : st->n;
    memset(grown + from * IMAP_OVERFLOW_BYTES, 0, (st->n + n - from) * IMAP_OVERFLOW_BYTES);
    st->overflow = grown;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *bits;
        enum err e = imap_overflow_next(&column, get_le64(r->flags.data + 8 * i), &bits);
        if (e != OK) {
            return e;
        }
        if (bits != NULL) {
            memcpy(grown + (st->n + i) * IMAP_OVERFLOW_BYTES, bits, IMAP_OVERFLOW_BYTES);
        }
    }
    return OK;
}

/* Appends a result's columns. Its UIDs come after those already there: chunks go in ascending order. */
static enum err take_rows(struct imap_stored *st, const Pb__OpStoreResult *r, const struct uidset *uids)
{
    size_t n = uidset_count(uids);
    if (r->flags.len != n * 8 || r->modseqs.len != n * 8) {
        return ERR_CORRUPT;
    }
    enum err e = n == 0 ? OK : grow(&st->flags, st->n + n);
    if (e == OK && n > 0) {
        e = grow(&st->modseqs, st->n + n);
    }
    if (e == OK) {
        e = take_overflow(st, r, n);
    }
    if (e == OK) {
        e = uidset_union(&st->uids, uids);
    }
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < n; i++) {
        st->flags[st->n + i] = get_le64(r->flags.data + 8 * i);
        st->modseqs[st->n + i] = get_le64(r->modseqs.data + 8 * i);
    }
    st->n += n;
    return OK;
}

static enum err take_result(struct imap_session *s, const Pb__OpStoreResult *r, struct imap_stored *st)
{
    struct uidset set;
    uidset_init(&set);
    enum err e = imap_get_uids(&r->modified_uids, &set);
    if (e == OK) {
        e = uidset_union(&st->failed, &set);
    }
    if (e == OK) {
        e = imap_get_uids(&r->changed_uids, &set);
    }
    if (e == OK) {
        e = take_rows(st, r, &set);
    }
    if (e == OK && r->modseq > 0) {
        e = imap_view_own_add(s->view, r->modseq, &set);
    }
    if (e == OK) {
        st->modseq = r->modseq;
        e = imap_report_keywords(s, r->keywords, r->n_keywords);
    }
    uidset_fini(&set);
    return e;
}

enum err imap_store_chunk(struct imap_session *s, Pb__OpStore *req, const struct uidset *chunk, struct imap_stored *st)
{
    struct arena arena;
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    struct backend_reply reply = {.message = NULL};
    req->account = s->account.id.v;
    req->mailbox = s->view->mailbox.v;
    enum err e = imap_put_uids(chunk, &arena, &req->uids);
    if (e == OK) {
        e = imap_call(s, METHOD_STORE, &req->base, &arena, &reply);
    }
    if (e == OK) {
        e = take_result(s, (const Pb__OpStoreResult *)reply.message, st);
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return e;
}

enum err imap_store_seen(struct imap_session *s, const struct uidset *uids, struct imap_stored *st)
{
    struct uidset chunk;
    uidset_init(&chunk);
    struct imap_chunks chunks = {.set = uids};
    bool more = true;
    enum err e = OK;
    while (e == OK && more) {
        e = imap_chunk_next(&chunks, OP_UIDS_MAX, &chunk, &more);
        if (e == OK && more) {
            Pb__OpStore req = PB__OP_STORE__INIT;
            req.mode = PB__OP_STORE__MODE__ADD;
            req.flags = FLAG_SEEN;
            e = imap_store_chunk(s, &req, &chunk, st);
        }
    }
    uidset_fini(&chunk);
    return e;
}

const uint8_t *imap_stored_overflow(const struct imap_stored *st, size_t i)
{
    bool has = st->overflow != NULL && (st->flags[i] & FLAG_OVERFLOW) != 0;
    return has ? st->overflow + i * IMAP_OVERFLOW_BYTES : NULL;
}

void imap_stored_patch(const struct imap_stored *st, struct imap_row *row)
{
    if (!uidset_has(&st->uids, row->uid)) {
        return;
    }
    uint32_t i = uidset_rank(&st->uids, row->uid);
    row->seen_now = true;
    row->flags = st->flags[i];
    row->overflow = imap_stored_overflow(st, i);
    row->modseq = st->modseqs[i];
}
