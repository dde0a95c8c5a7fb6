/* The bytes of a section: from the record's cached header fields when they have them, otherwise by ranges from storage,
 * one chunk in memory at a time; the client's socket gives the back-pressure. */
#include "frontend/imap/imap_fetch.h"
#include "frontend/imap/imap_section.h"
#include "frontend/imap/imap_session.h"
#include "proto/base/log.h"
#include "proto/rpc/flags.h"

#define CHUNK_BYTES ((uint32_t)128 * 1024)
/* A header block is read whole to pick fields from it; what lies beyond is not looked at. */
#define HEADER_BYTES_MAX ((uint32_t)1024 * 1024)

static void out_label(struct imap_fetch_run *run, const struct imap_fetch_arg *arg)
{
    imap_out_slice(run->out, arg->label);
    imap_out_char(run->out, ' ');
}

static void out_nil(struct imap_fetch_run *run, const struct imap_fetch_arg *arg)
{
    out_label(run, arg);
    imap_out_str(run->out, "NIL");
}

static void out_literal_header(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, uint64_t n)
{
    out_label(run, arg);
    imap_out_char(run->out, '{');
    imap_out_u64(run->out, n);
    imap_out_str(run->out, "}\r\n");
}

typedef enum err (*chunk_fn)(void *user, struct slice bytes);

/* Reads a range in chunks. What `fn` gets is never empty. */
static enum err read_range(struct imap_fetch_run *run, uint32_t uid, struct imap_byte_range range, chunk_fn fn,
                           void *user)
{
    enum err e = OK;
    while (range.length > 0 && e == OK) {
        Pb__ReadBody req = PB__READ_BODY__INIT;
        req.account = run->s->account.id.v;
        req.mailbox = run->view->mailbox.v;
        req.uid = uid;
        req.offset = range.from;
        req.length = range.length < CHUNK_BYTES ? range.length : CHUNK_BYTES;
        struct arena arena;
        arena_init(&arena, 4096);
        struct backend_reply reply;
        e = imap_call(run->s, METHOD_BODY, &req.base, &arena, &reply);
        if (e == OK && (reply.attach.n == 0 || reply.attach.n > range.length)) {
            e = ERR_CORRUPT;
        }
        if (e == OK) {
            range.from += (uint32_t)reply.attach.n;
            range.length -= (uint32_t)reply.attach.n;
            e = fn(user, reply.attach);
        }
        backend_reply_fini(&reply);
        arena_fini(&arena);
    }
    return e;
}

struct stream {
    struct imap_fetch_run *run;
    const struct imap_fetch_arg *arg;
    uint32_t total;
    bool begun;
};

static enum err stream_chunk(void *user, struct slice bytes)
{
    struct stream *st = user;
    if (!st->begun) {
        out_literal_header(st->run, st->arg, st->total);
        st->begun = true;
    }
    imap_out_slice(st->run->out, bytes);
    return st->run->out->err;
}

/* The literal's length is promised with its first chunk. If a later one cannot be had, only the end of the connection
 * is honest. */
static void stream_range(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row,
                         struct imap_byte_range range)
{
    struct stream st = {.run = run, .arg = arg, .total = range.length};
    if (range.length == 0) {
        out_label(run, arg);
        imap_out_str(run->out, "\"\"");
        return;
    }
    enum err e = read_range(run, row->uid, range, stream_chunk, &st);
    if (e == OK || run->out->err != OK) {
        return;
    }
    if (!st.begun) {
        out_nil(run, arg);
        run->expunged = run->expunged || e == ERR_EXPUNGED || e == ERR_NOTFOUND;
        run->failed = run->failed == OK && !run->expunged ? e : run->failed;
        return;
    }
    log_warn("imap.body", "a message's bytes ended early; closing the connection",
             LOG_STR("user", run->s->account.name), LOG_U64("uid", row->uid), LOG_ERR(e));
    run->out->err = ERR_CLOSED;
}

static enum err gather_chunk(void *user, struct slice bytes)
{
    return buf_append_slice(user, bytes);
}

static void out_selected(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, struct slice text)
{
    struct imap_byte_range range = imap_section_clip(arg->section, (struct imap_byte_range){0, (uint32_t)text.n});
    out_literal_header(run, arg, range.length);
    imap_out_slice(run->out, slice_sub(text, range.from, range.from + range.length));
}

/* HEADER.FIELDS and its NOT: the fields are picked from the block, or from what the record keeps of it. */
static enum err fields(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row,
                       const struct msg_record *record, struct imap_byte_range range)
{
    const struct imap_section *sec = arg->section;
    bool not_listed = sec->kind == IMAP_SECTION_FIELDS_NOT;
    struct buf block;
    struct buf picked;
    buf_init(&block, HEADER_BYTES_MAX);
    buf_init(&picked, (size_t)HEADER_BYTES_MAX + 4);
    enum err e = OK;
    struct slice header = record->headers;
    if (sec->n_part > 0 || not_listed || !msg_headers_cached(record, sec->names, sec->n_names)) {
        range.length = range.length < HEADER_BYTES_MAX ? range.length : HEADER_BYTES_MAX;
        e = read_range(run, row->uid, range, gather_chunk, &block);
        header = buf_slice(&block);
    }
    if (e == OK) {
        e = msg_headers_select(header, sec->names, sec->n_names, not_listed, &picked);
    }
    if (e == OK) {
        out_selected(run, arg, buf_slice(&picked));
    }
    buf_fini(&block);
    buf_fini(&picked);
    return e;
}

/* The usual header fields of a list: what the records keep of them came with the page. */
static enum err kept_fields(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    const struct imap_section *sec = arg->section;
    struct buf picked;
    buf_init(&picked, (size_t)HEADER_BYTES_MAX + 4);
    enum err e = msg_headers_select(row->headers, sec->names, sec->n_names, false, &picked);
    if (e == OK) {
        out_selected(run, arg, buf_slice(&picked));
    }
    buf_fini(&picked);
    return e;
}

static enum err format_by_record(struct imap_fetch_run *run, const struct imap_fetch_arg *arg,
                                 const struct imap_row *row)
{
    struct msg_record record;
    struct imap_byte_range range;
    enum err e = msg_record_decode(row->record, &record);
    if (e == OK) {
        e = imap_section_find(arg->section, &record, &range);
    }
    if (e != OK) {
        return e;
    }
    if (arg->section->kind == IMAP_SECTION_FIELDS || arg->section->kind == IMAP_SECTION_FIELDS_NOT) {
        return fields(run, arg, row, &record, range);
    }
    stream_range(run, arg, row, imap_section_clip(arg->section, range));
    return OK;
}

/* A message whose record does not keep all of its header fields: the page came without the record. */
static enum err format_by_own_record(struct imap_fetch_run *run, const struct imap_fetch_arg *arg,
                                     const struct imap_row *row)
{
    struct arena arena;
    struct backend_reply reply = {.message = NULL};
    struct imap_page page;
    struct imap_row own = *row;
    struct uidset one;
    Pb__ReadFetch req = PB__READ_FETCH__INIT;
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    uidset_init(&one);
    req.account = run->s->account.id.v;
    req.mailbox = run->view->mailbox.v;
    req.columns = FETCH_COL_RECORD;
    enum err e = uidset_add(&one, row->uid);
    if (e == OK) {
        e = imap_put_uids(&one, &arena, &req.uids);
    }
    if (e == OK) {
        e = imap_call(run->s, METHOD_FETCH, &req.base, &arena, &reply);
    }
    if (e == OK) {
        const Pb__ReadFetchResult *r = (const Pb__ReadFetchResult *)reply.message;
        e = r->rows == 1 ? imap_page_init(&page, r, reply.attach, req.columns) : ERR_EXPUNGED;
    }
    if (e == OK) {
        e = imap_page_row(&page, 0, &own);
    }
    if (e == OK) {
        e = format_by_record(run, arg, &own);
    }
    uidset_fini(&one);
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return e;
}

static enum err format_section(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    if (row->record.n > 0) {
        return format_by_record(run, arg, row);
    }
    return row->headers.n > 0 ? kept_fields(run, arg, row) : format_by_own_record(run, arg, row);
}

void imap_section_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row)
{
    if (row->content.n > 0 && row->content.n == row->size && arg->section->n_part == 0 &&
        arg->section->kind == IMAP_SECTION_ALL && !arg->section->partial) {
        out_literal_header(run, arg, row->content.n);
        imap_out_slice(run->out, row->content);
        return;
    }
    if (arg->section->n_part == 0 && arg->section->kind == IMAP_SECTION_ALL) {
        stream_range(run, arg, row, imap_section_clip(arg->section, (struct imap_byte_range){0, row->size}));
        return;
    }
    enum err e = format_section(run, arg, row);
    if (e == OK) {
        return;
    }
    out_nil(run, arg); /* no such part, or nothing to be had */
    if (e == ERR_EXPUNGED) {
        run->expunged = true;
    } else if (e != ERR_NOTFOUND && run->failed == OK) {
        run->failed = e;
    }
}
