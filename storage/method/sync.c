/* ReadSync: what happened in a mailbox after a MODSEQ. A page ends at the end of an entry's changes, so that `modseq`
 * says up to where it is complete. full: the history does not reach back that far (or UIDVALIDITY is another): `uids`
 * is the whole set. deleted: the mailbox is gone. */
#include <stdlib.h>

#include "storage/mailbox/changes.h"
#include "storage/mailbox/read_cache.h"
#include "storage/method/method.h"

/* Changed rows of a page; an entry changes at most OP_UIDS_MAX. */
#define SYNC_ROWS_MAX 4000

struct sync {
    const struct store *store;
    struct account_id account;
    uint32_t mailbox;
    const Pb__ReadSync *req;
    const struct mailbox_row *row;
    uint64_t upto; /* the page holds changes up to this MODSEQ */
    struct uidset uids;
    struct uidset sorted; /* changed rows that existed at `since` */
    struct changed {
        uint32_t uid;
        uint64_t flags;
        uint64_t modseq;
    } * changed;
    size_t n;
};

static int by_uid(const void *a, const void *b)
{
    const struct changed *x = a;
    const struct changed *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Ends the page before the entry whose changes do not all fit. */
static void cut(struct sync *y, uint64_t modseq)
{
    while (y->n > 0 && y->changed[y->n - 1].modseq == modseq) {
        y->n--;
    }
    y->upto = modseq - 1;
}

static enum err collect(struct sync *y, struct changes_walk *w)
{
    for (;;) {
        uint32_t uid;
        struct message_row row;
        enum err e = changes_walk_next(w, &uid, &row);
        if (e != OK) {
            return e == ERR_NOTFOUND ? OK : e;
        }
        if (row.created_modseq > y->req->since) {
            continue; /* it is new: its flags are read with it */
        }
        if (y->n == SYNC_ROWS_MAX) {
            cut(y, row.modseq);
            return OK;
        }
        y->changed[y->n++] = (struct changed){.uid = uid, .flags = row.flags, .modseq = row.modseq};
    }
}

static enum err read_changed(struct read_context *rc, struct sync *y)
{
    struct changes_walk w;
    y->changed = arena_calloc(rc->arena, SYNC_ROWS_MAX, sizeof(*y->changed));
    if (y->changed == NULL) {
        return ERR_NOMEM;
    }
    enum err e = changes_walk_open(&w, y->store, y->account, y->mailbox, y->req->since);
    if (e != OK) {
        return e;
    }
    e = collect(y, &w);
    changes_walk_close(&w);
    qsort(y->changed, y->n, sizeof(*y->changed), by_uid);
    return e;
}

static enum err pack_changed(struct read_context *rc, struct sync *y, Pb__ReadSyncResult *answer)
{
    struct column flags = {.p = arena_alloc(rc->arena, y->n * 8)};
    struct column modseqs = {.p = arena_alloc(rc->arena, y->n * 8)};
    struct column over = {.p = arena_alloc(rc->arena, y->n * OVERFLOW_BYTES)};
    enum err e = OK;
    if (flags.p == NULL || modseqs.p == NULL || over.p == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; e == OK && i < y->n; i++) {
        struct flagset set;
        const struct changed *c = &y->changed[i];
        column_le64(&flags, c->flags);
        column_le64(&modseqs, c->modseq);
        e = uidset_add(&y->sorted, c->uid);
        if (e == OK && (c->flags & FLAG_OVERFLOW) != 0) {
            e = flagset_get(y->store, y->account, y->mailbox, c->uid, c->flags, &set);
            column_bytes(&over, set.over, sizeof(set.over));
        }
    }
    answer->changed_flags = column_data(&flags);
    answer->changed_modseqs = column_data(&modseqs);
    answer->changed_overflow = column_data(&over);
    return e == OK ? method_pack_uids(rc->arena, &y->sorted, &answer->changed_uids) : e;
}

static enum err read_delta(struct read_context *rc, struct sync *y, Pb__ReadSyncResult *answer)
{
    enum err e = read_changed(rc, y);
    if (e == OK) {
        e = pack_changed(rc, y, answer);
    }
    if (e == OK) {
        e = changes_new(y->store, y->account, y->mailbox, y->req->since, y->upto, &y->uids, NULL);
    }
    if (e == OK) {
        e = method_pack_uids(rc->arena, &y->uids, &answer->new_uids);
    }
    uidset_clear(&y->uids);
    if (e == OK) {
        e = history_read(y->store, y->account, y->mailbox, y->req->since, y->upto, &y->uids);
    }
    if (e == OK) {
        e = method_pack_uids(rc->arena, &y->uids, &answer->vanished);
    }
    answer->more = y->upto < y->row->modseq;
    return e;
}

static enum err read_full(struct read_context *rc, struct sync *y, Pb__ReadSyncResult *answer)
{
    struct mailbox_uids sets;
    mailbox_uids_init(&sets);
    enum err e = mailbox_uids_load(y->store, rc->cache, rc->shard, y->account, y->mailbox, y->row, &sets);
    if (e == OK) {
        e = method_pack_uids(rc->arena, &sets.uids, &answer->uids);
    }
    mailbox_uids_fini(&sets);
    answer->full = true;
    return e;
}

static enum err fill(struct read_context *rc, struct sync *y, Pb__ReadSyncResult *answer)
{
    struct keyword_table table;
    bool other = y->req->uidvalidity != 0 && y->req->uidvalidity != y->row->uidvalidity;
    y->upto = y->row->modseq;
    enum err e = keyword_table_get(y->store, y->account, y->mailbox, y->row->keywords, rc->arena, &table);
    if (e == OK) {
        e = info_fill(y->store, y->account, y->mailbox, y->row, rc->arena, answer->info);
    }
    if (e != OK) {
        return e;
    }
    answer->keywords = table.names;
    answer->n_keywords = table.n;
    answer->uidnext = y->row->uidnext;
    if (other || y->req->since < y->row->expunge_floor) {
        e = read_full(rc, y, answer);
    } else if (y->req->since < y->row->modseq) {
        e = read_delta(rc, y, answer);
    }
    answer->modseq = y->upto;
    return e;
}

static enum err answer_deleted(struct buf *meta)
{
    Pb__ReadSyncResult answer = PB__READ_SYNC_RESULT__INIT;
    answer.deleted = true;
    return pb_pack(&answer.base, meta);
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadSync *req = (const Pb__ReadSync *)request;
    struct store s = method_store(rc);
    struct account_row acct;
    struct mailbox_row row;
    struct sync y = {
        .store = &s, .account = {req->account}, .mailbox = (uint32_t)req->mailbox, .req = req, .row = &row};
    Pb__ReadSyncResult answer = PB__READ_SYNC_RESULT__INIT;
    Pb__MailboxInfo info = PB__MAILBOX_INFO__INIT;
    (void)attach;
    answer.info = &info;
    enum err e = method_mailbox(&s, req->account, req->mailbox, &acct, &row);
    if (e != OK) {
        return e == ERR_NOTFOUND ? answer_deleted(meta) : e;
    }
    uidset_init(&y.uids);
    uidset_init(&y.sorted);
    e = fill(rc, &y, &answer);
    uidset_fini(&y.uids);
    uidset_fini(&y.sorted);
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(sync) = {
    .method = METHOD_SYNC,
    .request = &pb__read_sync__descriptor,
    .run = run,
};
