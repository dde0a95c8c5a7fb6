#include "bench/micro/fetch.h"

#include "bench/micro/micro.h"
#include "bench/micro/read.h"
#include "frontend/imap/imap_fetch.h"
#include "frontend/session/backend_internal.h"
#include "proto/base/mem.h"

struct fetch {
    struct read *read;
    struct imap_session session;
    struct imap_view view;
    struct arena parsed; /* the command's */
    struct arena page;
    struct imap_out out;
    struct imap_fetch fetch;
};

static enum err sink(void *user, struct slice bytes)
{
    (void)user;
    (void)bytes;
    return OK;
}

static void fetch_parse(struct fetch *f, const char *items)
{
    struct imap_cursor c;
    imap_cursor_init(&c, slice_str(items), &f->parsed, &imap_limits_default);
    MICRO_MUST(imap_parse_fetch_items(&c, &f->fetch) && c.p == c.end);
}

void *fetch_open(const char *items, uint32_t columns)
{
    struct fetch *f = mem_zalloc(sizeof(*f));
    MICRO_MUST(f != NULL);
    arena_init(&f->parsed, IMAP_ARENA_BYTES_MAX);
    arena_init(&f->page, IMAP_ARENA_BYTES_MAX);
    imap_out_init(&f->out, sink, NULL);
    imap_view_init(&f->view);
    MICRO_OK(uidset_add_range(&f->view.uids, 1, READ_MESSAGES));
    fetch_parse(f, items);
    MICRO_MUST(f->fetch.columns == columns);
    f->read = read_open(columns);
    read_fetch(f->read);
    return f;
}

/* What imap_fetch_messages does with a reply (frontend/imap/imap_fetch.c), which itself wants a backend. */
void fetch_run(void *state)
{
    struct fetch *f = state;
    struct imap_fetch_run run = {.s = &f->session, .out = &f->out, .view = &f->view};
    struct imap_view_walk walk = {0};
    struct imap_page page;
    struct imap_row row;
    struct slice meta = buf_slice(&f->read->meta);
    ProtobufCAllocator memory = backend_allocator(&f->page);
    Pb__ReadFetchResult *r = pb__read_fetch_result__unpack(&memory, meta.n, meta.p);
    MICRO_MUST(r != NULL && r->rows > 0);
    MICRO_OK(imap_page_init(&page, r, buf_slice(&f->read->attach), f->fetch.columns));
    for (uint32_t i = 0; i < r->rows; i++) {
        MICRO_OK(imap_page_row(&page, i, &row));
        row.seq = imap_view_walk(&f->view, &walk, (struct imap_uid){row.uid}).v;
        MICRO_MUST(row.seq != 0);
        imap_fetch_format(&run, &f->fetch, &row);
    }
    imap_out_flush(&f->out);
    MICRO_OK(f->out.err);
    arena_reset(&f->page);
}

void fetch_close(void *state)
{
    struct fetch *f = state;
    read_close(f->read);
    imap_view_fini(&f->view);
    imap_out_release(&f->out);
    arena_fini(&f->parsed);
    arena_fini(&f->page);
    mem_free(f);
}
