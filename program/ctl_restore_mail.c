/* The messages of one mailbox, from the backup into the cluster. What is there already is told by its octets and its
 * internal date, not by an id: an appended message gets new ids, and request ids are forgotten after minutes. So a
 * restore that was broken off is run again, and one that was run twice doubles nothing. Flags of what is there stay. */
#include <stdio.h>
#include <stdlib.h>

#include "program/ctl_restore.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/uidset.h"
#include "proto/rpc/flags.h"

#define KEYWORDS_MAX 256
#define OVERFLOW_BYTES 24
#define ATTACH_BYTES_MAX ((size_t)1 << 20)
#define COLUMNS (FETCH_COL_FLAGS | FETCH_COL_INTERNAL | FETCH_COL_SIZE | FETCH_COL_RECORD | FETCH_COL_CONTENT)

/* A message that the cluster's mailbox has. */
struct have {
    int64_t internal_s;
    uint32_t size;
    uint32_t uid;
    bool used; /* by one of the backup's */
};

struct mail_run {
    const struct mail_side *from;
    const struct mail_side *to;
    uint64_t from_mailbox;
    uint64_t to_mailbox;
    const char *to_name;
    struct have *have; /* by date and size */
    size_t n_have;
    struct mail_counts *counts;
    struct buf page; /* texts of a page of the backup */
    struct buf a;    /* pieces of bodies */
    struct buf b;
    struct buf *why;
};

/* One of the backup's, in a page. */
struct message {
    uint32_t uid;
    uint64_t flags;
    const uint8_t *overflow; /* NULL: it has none */
    int64_t internal_s;
    uint32_t size;
    struct slice record;
    struct slice content; /* empty: it is larger than that */
};

static enum err explain(struct mail_run *r, enum err e, const struct message *m)
{
    enum err ignored =
        buf_printf(r->why, "%s: the message of %u bytes with UID %u of the backup", r->to_name, m->size, m->uid);
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

/* --- what is there --- */

static int by_date_and_size(const void *a, const void *b)
{
    const struct have *x = a;
    const struct have *y = b;
    if (x->internal_s != y->internal_s) {
        return x->internal_s < y->internal_s ? -1 : 1;
    }
    return x->size < y->size ? -1 : x->size > y->size;
}

static enum err have_add(struct mail_run *r, const Pb__ReadFetchResult *page)
{
    struct have *more = mem_realloc(r->have, (r->n_have + page->rows + 1) * sizeof(*more));
    if (more == NULL) {
        return ERR_NOMEM;
    }
    r->have = more;
    if (page->uid.len < 4ul * page->rows || page->internal_s.len < 8ul * page->rows ||
        page->size.len < 4ul * page->rows) {
        return ERR_PROTOCOL;
    }
    for (uint32_t i = 0; i < page->rows; i++) {
        more[r->n_have++] = (struct have){.internal_s = (int64_t)get_le64(page->internal_s.data + 8ul * i),
                                          .size = get_le32(page->size.data + 4ul * i),
                                          .uid = get_le32(page->uid.data + 4ul * i)};
    }
    return OK;
}

static enum err all_uids(struct buf *out)
{
    struct uidset all;
    uidset_init(&all);
    enum err e = uidset_add_range(&all, 1, UINT32_MAX);
    if (e == OK) {
        e = uidset_encode(&all, out);
    }
    uidset_fini(&all);
    return e;
}

static enum err fetch(const struct mail_side *side, uint64_t mailbox, uint32_t columns, uint32_t from_uid,
                      struct buf *attach, const Pb__ReadFetchResult **out)
{
    Pb__ReadFetch req = PB__READ_FETCH__INIT;
    ProtobufCMessage *reply = NULL;
    struct buf uids;
    buf_init(&uids, 4096);
    req.account = side->account.v;
    req.mailbox = mailbox;
    req.columns = columns;
    req.from_uid = from_uid;
    enum err e = all_uids(&uids);
    if (e == OK) {
        req.uids = (ProtobufCBinaryData){.len = uids.len, .data = (uint8_t *)(uintptr_t)buf_slice(&uids).p};
        e = mail_ask(side, METHOD_FETCH, &req.base, slice_str(""), &reply, attach);
    }
    buf_fini(&uids);
    *out = (const Pb__ReadFetchResult *)(const void *)reply;
    return e;
}

static enum err load_have(struct mail_run *r)
{
    Pb__ReadSelect select = PB__READ_SELECT__INIT;
    ProtobufCMessage *reply = NULL;
    select.account = r->to->account.v;
    select.name = (char *)(uintptr_t)r->to_name;
    enum err e = mail_ask(r->to, METHOD_SELECT, &select.base, slice_str(""), &reply, NULL);
    if (e != OK) {
        return e;
    }
    r->to_mailbox = ((const Pb__ReadSelectResult *)(const void *)reply)->info->mailbox;
    uint32_t from_uid = 1;
    while (e == OK && from_uid != 0) {
        const Pb__ReadFetchResult *page;
        e = fetch(r->to, r->to_mailbox, FETCH_COL_INTERNAL | FETCH_COL_SIZE, from_uid, &r->a, &page);
        e = e == OK ? have_add(r, page) : e;
        from_uid = e == OK ? page->next_uid : 0;
    }
    if (e == OK && r->n_have > 0) {
        qsort(r->have, r->n_have, sizeof(*r->have), by_date_and_size);
    }
    return e;
}

static enum err body_read(const struct mail_side *side, uint64_t mailbox, uint32_t uid, uint32_t offset, uint32_t n,
                          struct buf *out)
{
    Pb__ReadBody req = PB__READ_BODY__INIT;
    ProtobufCMessage *reply = NULL;
    req.account = side->account.v;
    req.mailbox = mailbox;
    req.uid = uid;
    req.offset = offset;
    req.length = n;
    enum err e = mail_ask(side, METHOD_BODY, &req.base, slice_str(""), &reply, out);
    return e == OK && out->len != n ? ERR_CORRUPT : e;
}

static uint32_t piece(uint32_t size, uint32_t offset)
{
    return size - offset < STAGE_CHUNK_BYTES ? size - offset : STAGE_CHUNK_BYTES;
}

static enum err same_body(struct mail_run *r, const struct message *m, uint32_t uid, bool *out)
{
    *out = true;
    for (uint32_t off = 0; *out && off < m->size; off += STAGE_CHUNK_BYTES) {
        uint32_t n = piece(m->size, off);
        enum err e = body_read(r->from, r->from_mailbox, m->uid, off, n, &r->a);
        if (e == OK) {
            e = body_read(r->to, r->to_mailbox, uid, off, n, &r->b);
        }
        if (e != OK) {
            *out = false;
            return e == ERR_EXPUNGED ? OK : e;
        }
        *out = slice_eq(buf_slice(&r->a), buf_slice(&r->b));
    }
    return OK;
}

static enum err is_there(struct mail_run *r, const struct message *m, bool *out)
{
    const struct have want = {.internal_s = m->internal_s, .size = m->size};
    size_t low = 0;
    *out = false;
    for (size_t high = r->n_have; low < high;) {
        size_t middle = (low + high) / 2;
        bool less = by_date_and_size(&r->have[middle], &want) < 0;
        low = less ? middle + 1 : low;
        high = less ? high : middle;
    }
    for (size_t i = low; i < r->n_have && by_date_and_size(&r->have[i], &want) == 0; i++) {
        if (r->have[i].used) {
            continue;
        }
        enum err e = same_body(r, m, r->have[i].uid, &r->have[i].used);
        if (e != OK || r->have[i].used) {
            *out = r->have[i].used;
            return e;
        }
    }
    return OK;
}

/* --- what is not --- */

static enum err stage(struct mail_run *r, const struct message *m, uint64_t *out_index)
{
    Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
    ProtobufCMessage *reply = NULL;
    begin.account = r->to->account.v;
    begin.size = begin.expected = m->size;
    enum err e = mail_ask(r->to, METHOD_STAGE_BEGIN, &begin.base, slice_str(""), &reply, NULL);
    if (e != OK) {
        return e;
    }
    *out_index = ((const Pb__OpStageBeginResult *)(const void *)reply)->staged_index;
    for (uint32_t off = 0; e == OK && off < m->size; off += STAGE_CHUNK_BYTES) {
        Pb__OpStageChunk chunk = PB__OP_STAGE_CHUNK__INIT;
        chunk.account = r->to->account.v;
        chunk.staged_index = *out_index;
        chunk.offset = off;
        e = body_read(r->from, r->from_mailbox, m->uid, off, piece(m->size, off), &r->a);
        if (e == OK) {
            e = mail_ask(r->to, METHOD_STAGE_CHUNK, &chunk.base, buf_slice(&r->a), NULL, NULL);
        }
    }
    return e;
}

static bool has_keyword(const struct message *m, size_t i)
{
    if (i < FLAG_KEYWORDS_MAX) {
        return (m->flags >> (FLAG_KEYWORD_SHIFT + i) & 1) != 0;
    }
    size_t bit = i - FLAG_KEYWORDS_MAX;
    return m->overflow != NULL && bit / 8 < OVERFLOW_BYTES && (m->overflow[bit / 8] >> bit % 8 & 1) != 0;
}

static enum err append(struct mail_run *r, const Pb__ReadFetchResult *page, const struct message *m)
{
    Pb__OpAppend op = PB__OP_APPEND__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    char *keywords[KEYWORDS_MAX];
    enum err e = OK;
    op.account = r->to->account.v;
    op.mailbox = (char *)(uintptr_t)r->to_name;
    op.body = &source;
    op.record = (ProtobufCBinaryData){.len = m->record.n, .data = (uint8_t *)(uintptr_t)m->record.p};
    op.flags = m->flags & FLAG_SYSTEM_MASK;
    op.internal_s = m->internal_s;
    op.has_internal_s = true;
    op.keywords = keywords;
    for (size_t i = 0; i < page->n_keywords && i < KEYWORDS_MAX; i++) {
        if (has_keyword(m, i)) {
            keywords[op.n_keywords++] = page->keywords[i];
        }
    }
    source.size = m->size;
    if (m->content.n != m->size) {
        e = stage(r, m, &source.staged_index);
    }
    return e == OK ? mail_ask(r->to, METHOD_APPEND, &op.base, m->content, NULL, NULL) : e;
}

/* --- the backup's pages --- */

static enum err restore_message(struct mail_run *r, const Pb__ReadFetchResult *page, const struct message *m)
{
    bool there;
    enum err e = is_there(r, m, &there);
    if (e == OK && there) {
        r->counts->there++;
        return OK;
    }
    if (e == OK) {
        e = append(r, page, m);
    }
    if (e != OK) {
        return explain(r, e, m);
    }
    r->counts->messages++;
    r->counts->bytes += m->size;
    return OK;
}

static enum err restore_page(struct mail_run *r, const Pb__ReadFetchResult *page)
{
    struct reader texts = reader_make(buf_slice(&r->page));
    size_t overflows = 0;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < page->rows; i++) {
        struct message m = {.uid = get_le32(page->uid.data + 4 * i),
                            .flags = get_le64(page->flags.data + 8 * i),
                            .internal_s = (int64_t)get_le64(page->internal_s.data + 8 * i),
                            .size = get_le32(page->size.data + 4 * i)};
        if ((m.flags & FLAG_OVERFLOW) != 0) {
            m.overflow = page->overflow.data + OVERFLOW_BYTES * overflows++;
        }
        m.record = reader_bytes(&texts, get_le32(page->lens.data + 8 * i));
        m.content = reader_bytes(&texts, get_le32(page->lens.data + 8 * i + 4));
        e = texts.failed ? ERR_CORRUPT : restore_message(r, page, &m);
    }
    return e;
}

/* Replies of the backup lie in its arena: what a message asks for goes with its page. */
static enum err restore_pages(struct mail_run *r)
{
    enum err e = OK;
    for (uint32_t from_uid = 1; e == OK && from_uid != 0;) {
        const Pb__ReadFetchResult *page;
        arena_reset(r->from->arena);
        e = fetch(r->from, r->from_mailbox, COLUMNS, from_uid, &r->page, &page);
        if (e == OK) {
            from_uid = page->next_uid;
            e = restore_page(r, page);
        }
    }
    return e;
}

enum err ctl_restore_mail(const struct mail_side *from, uint64_t from_mailbox, const struct mail_side *to,
                          const char *to_name, struct mail_counts *out, struct buf *why)
{
    struct mail_run r = {
        .from = from, .to = to, .from_mailbox = from_mailbox, .to_name = to_name, .counts = out, .why = why};
    buf_init(&r.page, ATTACH_BYTES_MAX);
    buf_init(&r.a, ATTACH_BYTES_MAX);
    buf_init(&r.b, ATTACH_BYTES_MAX);
    enum err e = load_have(&r);
    if (e == OK) {
        e = restore_pages(&r);
    }
    mem_free(r.have);
    buf_fini(&r.page);
    buf_fini(&r.a);
    buf_fini(&r.b);
    return e;
}
