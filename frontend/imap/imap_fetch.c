#include "frontend/imap/imap_fetch.h"

#include "frontend/imap/imap_store.h"
#include "frontend/imap/imap_sync.h"
#include "proto/rpc/flags.h"

/* A call costs several changes of threads, so pages are what a frame of RPC takes. */
#define PAGE_BYTES ((uint32_t)240 * 1024)
/* Runs of a request's UID set: with at most 10 bytes each it stays well below the frame limit of RPC (256 KiB). */
#define RUNS_PER_REQUEST 16384

extern const struct imap_fetch_item imap_fetch_flags;
extern const struct imap_fetch_item imap_fetch_modseq;

static bool wants(const struct imap_fetch *f, const struct imap_fetch_item *item)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->args[i].item == item) {
            return true;
        }
    }
    return false;
}

static void format_extra(struct imap_fetch_run *run, const struct imap_fetch *f, const struct imap_row *row)
{
    static const struct imap_fetch_arg none = {.item = NULL};
    if (!wants(f, &imap_fetch_flags)) {
        imap_out_char(run->out, ' ');
        imap_fetch_flags.format(run, &none, row);
    }
    if (run->s->condstore && !wants(f, &imap_fetch_modseq)) {
        imap_out_char(run->out, ' ');
        imap_fetch_modseq.format(run, &none, row);
    }
}

static void format_head(struct imap_out *o, uint32_t seq)
{
    uint8_t *p = imap_out_room(o, U64_DEC_BYTES_MAX + 10);
    if (p != NULL) {
        memcpy(p, "* ", 2);
        size_t n = 2 + u64_dec_put(p + 2, seq);
        memcpy(p + n, " FETCH (", 8);
        imap_out_commit(o, n + 8);
    }
}

void imap_fetch_format(struct imap_fetch_run *run, const struct imap_fetch *f, const struct imap_row *row)
{
    format_head(run->out, row->seq);
    for (size_t i = 0; i < f->n; i++) {
        if (i > 0) {
            imap_out_char(run->out, ' ');
        }
        f->args[i].item->format(run, &f->args[i], row);
    }
    if (row->seen_now) {
        format_extra(run, f, row);
    }
    imap_out_bytes(run->out, ")\r\n", 3);
}

/* UID alone needs nothing from storage. */
static void fetch_local(struct imap_fetch_run *run, const struct imap_fetch *f, const struct uidset *uids)
{
    struct imap_view_walk walk = {0};
    uint32_t uid = 0;
    while ((uid = uidset_next(uids, uid)) != 0 && run->out->err == OK) {
        struct imap_row row = {.uid = uid};
        row.seq = imap_view_walk(run->view, &walk, (struct imap_uid){uid}).v;
        imap_fetch_format(run, f, &row);
    }
}

struct page_state {
    const struct uidset *wanted;
    struct imap_view_walk walk;
    uint32_t found;
};

/* One STORE for the page's unseen messages. A refusal (full disk, no quorum) leaves them unseen; reading goes on. */
static void set_seen(struct imap_fetch_run *run, const Pb__ReadFetchResult *r, const struct page_state *st,
                     struct imap_stored *stored)
{
    struct uidset unseen;
    uidset_init(&unseen);
    enum err e = OK;
    for (uint32_t i = 0; i < r->rows && e == OK; i++) {
        uint32_t uid = get_le32(r->uid.data + (size_t)i * 4);
        if ((get_le64(r->flags.data + (size_t)i * 8) & FLAG_SEEN) == 0 && uidset_has(st->wanted, uid)) {
            e = uidset_add(&unseen, uid);
        }
    }
    if (e == OK && unseen.n > 0) {
        e = imap_store_seen(run->s, &unseen, stored);
    }
    (void)e;
    uidset_fini(&unseen);
}

static enum err format_page(struct imap_fetch_run *run, const struct imap_fetch *f, struct imap_page *page,
                            struct page_state *st, const struct imap_stored *stored)
{
    for (uint32_t i = 0; i < page->r->rows && run->out->err == OK; i++) {
        struct imap_row row;
        enum err e = imap_page_row(page, i, &row);
        if (e != OK) {
            return e;
        }
        row.seq = imap_view_walk(run->view, &st->walk, (struct imap_uid){row.uid}).v;
        if (row.seq == 0 || !uidset_has(st->wanted, row.uid)) {
            continue;
        }
        st->found++;
        row.recent = run->view->recent.n > 0 && uidset_has(&run->view->recent, row.uid);
        if (stored->n > 0) {
            imap_stored_patch(stored, &row);
        }
        imap_fetch_format(run, f, &row);
    }
    return OK;
}

static enum err on_page(struct imap_fetch_run *run, const struct imap_fetch *f, const Pb__ReadFetchResult *r,
                        struct slice attach, uint32_t columns, struct page_state *st)
{
    struct imap_page page;
    struct imap_stored stored;
    enum err e = imap_page_init(&page, r, attach, columns);
    if (e == OK && (columns & FETCH_COL_FLAGS) != 0) {
        e = imap_report_keywords(run->s, r->keywords, r->n_keywords);
    }
    if (e != OK) {
        return e;
    }
    imap_stored_init(&stored);
    if (f->sets_seen && !run->view->read_only) {
        set_seen(run, r, st, &stored);
    }
    e = format_page(run, f, &page, st, &stored);
    imap_stored_fini(&stored);
    return e;
}

static enum err fetch_piece(struct imap_fetch_run *run, const struct imap_fetch *f, const struct uidset *piece,
                            struct page_state *st)
{
    struct arena set_arena;
    arena_init(&set_arena, IMAP_ARENA_BYTES_MAX);
    Pb__ReadFetch req = PB__READ_FETCH__INIT;
    req.account = run->s->account.id.v;
    req.mailbox = run->view->mailbox.v;
    req.columns = f->columns | (f->sets_seen ? FETCH_COL_FLAGS | FETCH_COL_MODSEQ : 0);
    if ((req.columns & FETCH_COL_RECORD) != 0) {
        req.columns &= ~FETCH_COL_HEADERS; /* the record has them */
    }
    req.changed_since = f->changed_since;
    req.max_bytes = PAGE_BYTES;
    enum err e = imap_put_uids(piece, &set_arena, &req.uids);
    do {
        struct arena arena;
        arena_init(&arena, IMAP_ARENA_BYTES_MAX);
        struct backend_reply reply = {.message = NULL};
        if (e == OK) {
            e = imap_call(run->s, METHOD_FETCH, &req.base, &arena, &reply);
        }
        if (e == OK) {
            const Pb__ReadFetchResult *r = (const Pb__ReadFetchResult *)reply.message;
            e = on_page(run, f, r, reply.attach, req.columns, st);
            /* Pages go forward; anything else would never end. */
            e = e == OK && r->next_uid != 0 && r->next_uid <= req.from_uid ? ERR_CORRUPT : e;
            req.from_uid = r->next_uid;
        }
        backend_reply_fini(&reply);
        arena_fini(&arena);
    } while (e == OK && req.from_uid != 0 && run->out->err == OK);
    arena_fini(&set_arena);
    return e;
}

/* The next RUNS_PER_REQUEST runs of the set. */
static enum err next_piece(const struct uidset *set, size_t *io_run, struct uidset *piece)
{
    uidset_clear(piece);
    enum err e = OK;
    for (size_t i = 0; i < RUNS_PER_REQUEST && *io_run < set->n && e == OK; i++, (*io_run)++) {
        e = uidset_add_range(piece, set->runs[*io_run].first, set->runs[*io_run].last);
    }
    return e;
}

static enum err fetch_all(struct imap_fetch_run *run, const struct imap_fetch *f, const struct uidset *uids,
                          struct page_state *st)
{
    struct uidset compact;
    struct uidset piece;
    uidset_init(&compact);
    uidset_init(&piece);
    size_t at = 0;
    enum err e = imap_view_compact(run->view, uids, &compact);
    while (e == OK && at < compact.n && run->out->err == OK) {
        e = next_piece(&compact, &at, &piece);
        if (e == OK) {
            e = fetch_piece(run, f, &piece, st);
        }
    }
    uidset_fini(&compact);
    uidset_fini(&piece);
    return e;
}

enum err imap_fetch_messages(struct imap_fetch_run *run, const struct imap_fetch *f, const struct uidset *uids,
                             uint32_t *out_missing)
{
    *out_missing = 0;
    if (f->columns == 0 && !f->content && !f->has_changed_since) {
        fetch_local(run, f, uids);
        return OK;
    }
    struct page_state st = {.wanted = uids};
    enum err e = fetch_all(run, f, uids, &st);
    if (e == OK && !f->has_changed_since) {
        *out_missing = uidset_count(uids) - st.found;
    }
    return e;
}
