#include "frontend/pop3/pop3_drop.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/uidset.h"
#include "proto/rpc/flags.h"

#define CALL_BYTES_MAX (2 * 1024 * 1024)
#define PAGE_BYTES_MAX (96 * 1024)
/* A lease that was lost to a leader change is taken again; more often than this in one QUIT nobody wins. */
#define LEASE_TRIES_MAX 5

void pop3_drop_fini(struct pop3_drop *d)
{
    mem_free(d->uids);
    mem_free(d->sizes);
    mem_free(d->deleted);
    *d = (struct pop3_drop){0};
}

static enum err reserve(struct pop3_drop *d, uint32_t n)
{
    d->uids = mem_calloc(n, sizeof(*d->uids));
    d->sizes = mem_calloc(n, sizeof(*d->sizes));
    d->deleted = mem_calloc(n, sizeof(*d->deleted));
    d->cap = n;
    return d->uids == NULL || d->sizes == NULL || d->deleted == NULL ? ERR_NOMEM : OK;
}

static enum err select_inbox(struct pop3_drop *d, struct backend *b, struct account_ref *a, uint32_t messages_max,
                             uint32_t *out_uidnext)
{
    struct arena arena;
    struct backend_reply reply = {0};
    Pb__ReadSelect req = PB__READ_SELECT__INIT;
    req.account = a->id.v;
    req.name = (char *)"INBOX";
    arena_init(&arena, CALL_BYTES_MAX);
    enum err err = backend_account_call(b, a, METHOD_SELECT, &req.base, slice_make(NULL, 0), &arena, &reply);
    const Pb__ReadSelectResult *r = (const Pb__ReadSelectResult *)reply.message;
    if (err == OK && (r == NULL || r->info == NULL)) {
        err = ERR_CORRUPT;
    }
    if (err == OK) {
        d->mailbox = r->info->mailbox;
        d->uidvalidity = r->info->uidvalidity;
        *out_uidnext = r->info->uidnext;
        err = reserve(d, r->info->messages < messages_max ? r->info->messages : messages_max);
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return err;
}

/* Rows of one page. A message that came after SELECT has no room here and is not of this session. */
static enum err take_page(struct pop3_drop *d, const Pb__ReadFetchResult *r)
{
    if (r == NULL || r->uid.len != (size_t)r->rows * 4 || r->size.len != (size_t)r->rows * 4) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < r->rows && d->n < d->cap; i++) {
        d->uids[d->n] = get_le32(r->uid.data + (size_t)i * 4);
        d->sizes[d->n] = get_le32(r->size.data + (size_t)i * 4);
        d->octets += d->sizes[d->n];
        d->n++;
    }
    return OK;
}

static enum err fetch_page(struct pop3_drop *d, struct backend *b, struct account_ref *a, struct slice uids,
                           uint32_t *io_from)
{
    struct arena arena;
    struct backend_reply reply = {0};
    Pb__ReadFetch req = PB__READ_FETCH__INIT;
    req.account = a->id.v;
    req.mailbox = d->mailbox;
    req.uids.data = (uint8_t *)uids.p;
    req.uids.len = uids.n;
    req.from_uid = *io_from;
    req.columns = FETCH_COL_SIZE;
    req.max_bytes = PAGE_BYTES_MAX;
    arena_init(&arena, CALL_BYTES_MAX);
    enum err err = backend_account_call(b, a, METHOD_FETCH, &req.base, slice_make(NULL, 0), &arena, &reply);
    const Pb__ReadFetchResult *r = (const Pb__ReadFetchResult *)reply.message;
    if (err == OK) {
        err = take_page(d, r);
    }
    if (err == OK) {
        bool forward = r->next_uid == 0 || r->next_uid > *io_from;
        *io_from = r->next_uid;
        err = forward ? OK : ERR_CORRUPT;
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return err;
}

/* 1:last in the wire form of uidset.h */
static enum err encode_range(uint32_t last, struct buf *out)
{
    struct uidset set;
    uidset_init(&set);
    enum err err = uidset_add_range(&set, 1, last);
    if (err == OK) {
        err = uidset_encode(&set, out);
    }
    uidset_fini(&set);
    return err;
}

enum err pop3_drop_open(struct pop3_drop *d, struct backend *b, struct account_ref *a, uint32_t messages_max)
{
    uint32_t uidnext = 0;
    uint32_t from = 1;
    struct buf range;
    buf_init(&range, 64);
    enum err err = select_inbox(d, b, a, messages_max, &uidnext);
    if (err == OK && d->cap > 0 && uidnext > 1) {
        err = encode_range(uidnext - 1, &range);
        while (err == OK && from != 0 && d->n < d->cap) {
            err = fetch_page(d, b, a, buf_slice(&range), &from);
        }
    }
    buf_fini(&range);
    if (err != OK) {
        pop3_drop_fini(d);
    }
    return err;
}

void pop3_drop_mark(struct pop3_drop *d, uint32_t index)
{
    d->deleted[index] = 1;
    d->n_deleted++;
    d->octets -= d->sizes[index];
}

static void unmark(struct pop3_drop *d, uint32_t index)
{
    d->deleted[index] = 0;
    d->n_deleted--;
    d->octets += d->sizes[index];
}

void pop3_drop_unmark_all(struct pop3_drop *d)
{
    for (uint32_t i = 0; i < d->n && d->n_deleted > 0; i++) {
        if (d->deleted[i] != 0) {
            unmark(d, i);
        }
    }
}

static enum err expunge_call(const struct pop3_drop *d, struct backend *b, struct account_ref *a,
                             const struct uidset *uids, const struct pop3_lock *lock)
{
    struct arena arena;
    struct buf encoded;
    struct backend_reply reply = {0};
    Pb__OpExpunge req = PB__OP_EXPUNGE__INIT;
    arena_init(&arena, CALL_BYTES_MAX);
    buf_init(&encoded, 64 * 1024);
    enum err err = uidset_encode(uids, &encoded);
    if (err == OK) {
        struct slice e = buf_slice(&encoded);
        req.account = a->id.v;
        req.mailbox = d->mailbox;
        req.uids.data = (uint8_t *)e.p;
        req.uids.len = e.n;
        req.pop3_term = lock->term;
        req.pop3_shard = lock->shard.v;
        err = backend_account_call(b, a, METHOD_EXPUNGE, &req.base, slice_make(NULL, 0), &arena, &reply);
        backend_reply_fini(&reply);
    }
    buf_fini(&encoded);
    arena_fini(&arena);
    return err;
}

/* Up to OP_UIDS_MAX marked messages from *io_index on. */
static enum err collect(const struct pop3_drop *d, uint32_t *io_index, struct uidset *out)
{
    enum err err = OK;
    uint32_t i = *io_index;
    for (uint32_t n = 0; i < d->n && n < OP_UIDS_MAX && err == OK; i++) {
        if (d->deleted[i] != 0) {
            err = uidset_add(out, d->uids[i]);
            n++;
        }
    }
    *io_index = i;
    return err;
}

/* The term that apply refuses is another leader's: its lease is asked for again. */
static bool lease_is_stale(enum err e)
{
    return e == ERR_STALE || e == ERR_LOCKED || e == ERR_PERM;
}

static enum err expunge(const struct pop3_drop *d, struct backend *b, struct account_ref *a, const struct uidset *uids,
                        struct pop3_lock *lock, uint64_t now_ms)
{
    enum err err = OK;
    for (int i = 0; i < LEASE_TRIES_MAX; i++) {
        err = pop3_lock_keep(lock, b, a, now_ms, 0);
        if (err != OK) {
            return err;
        }
        err = expunge_call(d, b, a, uids, lock);
        if (!lease_is_stale(err)) {
            return err;
        }
    }
    return err;
}

enum err pop3_drop_commit(struct pop3_drop *d, struct backend *b, struct account_ref *a, struct pop3_lock *lock,
                          uint64_t (*now_ms)(void *user), void *user)
{
    enum err err = OK;
    uint32_t next = 0;
    while (err == OK && d->n_deleted > 0 && next < d->n) {
        struct uidset uids;
        uint32_t first = next;
        uidset_init(&uids);
        err = collect(d, &next, &uids);
        if (err == OK && uids.n > 0) {
            err = expunge(d, b, a, &uids, lock, now_ms(user));
        }
        uidset_fini(&uids);
        for (uint32_t i = first; err == OK && i < next; i++) {
            if (d->deleted[i] != 0) {
                unmark(d, i);
            }
        }
    }
    return err;
}

void pop3_drop_uidl(const struct pop3_drop *d, uint32_t index, char out[17])
{
    (void)snprintf(out, 17, "%08" PRIx32 "%08" PRIx32, d->uidvalidity, d->uids[index]);
}
