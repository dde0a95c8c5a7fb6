#include "frontend/pop3/pop3_ahead.h"

#include "frontend/net/loop.h"
#include "frontend/pop3/pop3_session.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/uidset.h"
#include "proto/rpc/flags.h"

#define PAGE_BYTES_MAX FETCH_CONTENT_MAX
#define PAGE_MESSAGES_MAX 256
#define CALL_BYTES_MAX (64 * 1024)
#define HOLD_MS 3000

struct pop3_page {
    struct loop_timer expiry; /* first; armed between commands */
    struct pop3_session *session;
    struct arena arena;
    struct backend_reply reply;
    const Pb__ReadFetchResult *rows;
    uint32_t row; /* the next */
    size_t at;    /* its content in the attachment */
};

static void page_free(struct pop3_page *p)
{
    backend_reply_fini(&p->reply);
    arena_fini(&p->arena);
    mem_free(p);
}

void pop3_ahead_drop(struct pop3_session *s)
{
    struct pop3_page *p = s->ahead.page;
    if (p != NULL) {
        loop_timer_cancel(conn_loop(s->conn), &p->expiry);
        page_free(p);
        s->ahead.page = NULL;
    }
}

static void page_expired(struct loop *l, struct loop_timer *t)
{
    struct pop3_page *p = (struct pop3_page *)(void *)t;
    (void)l;
    pop3_ahead_drop(p->session);
}

void pop3_ahead_pause(struct pop3_session *s)
{
    struct pop3_page *p = s->ahead.page;
    if (p != NULL && p->row < p->rows->rows) {
        loop_timer_arm(conn_loop(s->conn), &p->expiry, HOLD_MS);
    } else {
        pop3_ahead_drop(s);
    }
}

/* --- a page --- */

/* The unmarked messages from index on that fit: their UIDs. */
static enum err choose(const struct pop3_drop *d, uint32_t index, struct uidset *out, uint32_t *out_n)
{
    enum err err = OK;
    uint32_t n = 0;
    uint64_t bytes = 0;
    for (uint32_t i = index; err == OK && i < d->n && n < PAGE_MESSAGES_MAX; i++) {
        if (d->deleted[i] != 0) {
            continue;
        }
        bytes += d->sizes[i];
        if (bytes > PAGE_BYTES_MAX) {
            break;
        }
        err = uidset_add(out, d->uids[i]);
        n++;
    }
    *out_n = n;
    return err;
}

static enum err page_call(struct pop3_session *s, struct slice uids, struct pop3_page *p)
{
    Pb__ReadFetch req = PB__READ_FETCH__INIT;
    req.account = s->account.id.v;
    req.mailbox = s->drop.mailbox;
    req.uids.data = (uint8_t *)uids.p;
    req.uids.len = uids.n;
    req.from_uid = 1;
    req.columns = FETCH_COL_SIZE | FETCH_COL_CONTENT;
    enum err err = backend_account_call(s->cfg->backend, &s->account, METHOD_FETCH, &req.base, slice_make(NULL, 0),
                                        &p->arena, &p->reply);
    const Pb__ReadFetchResult *r = (const Pb__ReadFetchResult *)p->reply.message;
    if (err == OK && (r == NULL || r->uid.len != (size_t)r->rows * 4 || r->size.len != (size_t)r->rows * 4 ||
                      r->lens.len != (size_t)r->rows * 4)) {
        return ERR_CORRUPT;
    }
    p->rows = r;
    return err;
}

static enum err page_read(struct pop3_session *s, const struct uidset *uids)
{
    struct buf encoded;
    struct pop3_page *p = mem_zalloc(sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->session = s;
    loop_timer_init(&p->expiry, page_expired);
    arena_init(&p->arena, CALL_BYTES_MAX);
    buf_init(&encoded, CALL_BYTES_MAX);
    enum err err = uidset_encode(uids, &encoded);
    if (err == OK) {
        err = page_call(s, buf_slice(&encoded), p);
    }
    buf_fini(&encoded);
    if (err != OK) {
        page_free(p);
        return err;
    }
    s->ahead.page = p;
    return OK;
}

/* What one storage call cannot do now, the next cannot either; anything else is left to RETR's own reading. */
static bool temporary(enum err e)
{
    return e == ERR_UNAVAILABLE || e == ERR_TIMEOUT || e == ERR_OVERLOAD;
}

static enum err page_load(struct pop3_session *s, uint32_t index)
{
    struct uidset uids;
    uint32_t n = 0;
    uidset_init(&uids);
    enum err err = choose(&s->drop, index, &uids, &n);
    if (err == OK && n > 1) {
        err = page_read(s, &uids);
    }
    uidset_fini(&uids);
    return temporary(err) ? err : OK;
}

/* Steps over what is before uid. A row without its content (too large after all) is not found. */
static bool page_take(struct pop3_page *p, uint32_t uid, struct slice *out)
{
    for (; p->row < p->rows->rows; p->row++) {
        uint32_t have = get_le32(p->rows->uid.data + (size_t)p->row * 4);
        uint32_t n = get_le32(p->rows->lens.data + (size_t)p->row * 4);
        if (have > uid || n > p->reply.attach.n - p->at) {
            return false;
        }
        struct slice content = slice_make(p->reply.attach.p + p->at, n);
        p->at += n;
        if (have == uid) {
            bool whole = n == get_le32(p->rows->size.data + (size_t)p->row * 4);
            p->row++;
            *out = content;
            return whole;
        }
    }
    return false;
}

/* --- RETR --- */

/* Whether RETR goes on where the last one was; marked messages between do not matter. */
static bool follows(const struct pop3_session *s, uint32_t index)
{
    uint32_t i = s->ahead.next;
    while (i != 0 && i < index && s->drop.deleted[i] != 0) {
        i++;
    }
    return i != 0 && i == index;
}

enum err pop3_ahead_get(struct pop3_session *s, uint32_t index, bool *out_found, struct slice *out_message)
{
    struct pop3_ahead *a = &s->ahead;
    uint32_t uid = s->drop.uids[index];
    bool goes_on = follows(s, index);
    enum err err = OK;
    a->next = index + 1;
    *out_found = false;
    if (a->page != NULL) {
        loop_timer_cancel(conn_loop(s->conn), &a->page->expiry);
        *out_found = goes_on && page_take(a->page, uid, out_message);
    }
    if (!*out_found) {
        pop3_ahead_drop(s);
        err = goes_on ? page_load(s, index) : OK;
        *out_found = a->page != NULL && page_take(a->page, uid, out_message);
    }
    return err;
}
