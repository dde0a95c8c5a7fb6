/* What happened in a mailbox after a MODSEQ: new UIDs, expunged UIDs, changed flags. New ones are the end of the
 * mailbox (UIDs ascend with creation); changed ones come from the change index, expunged ones from the history, or,
 * when that no longer reaches back, as the whole set. A reply holds at most CHANGES_MAX changes, cut between two
 * MODSEQs; `more` asks to go on from its modseq. */
#include "storage/method/method.h"

#define CHANGES_MAX 6000
#define CHANGES_ROOM (CHANGES_MAX + OP_UIDS_MAX) /* one entry's changes are never cut apart */

struct syncing {
    const struct read_context *rc;
    struct store store;
    struct account_id account;
    uint32_t mailbox;
    uint64_t since;
    uint64_t upto; /* what the reply covers */
    struct mailbox_row row;
    struct uidset fresh;
    struct uidset vanished;
    struct uidset changed;
    uint32_t *uids; /* changed ones in the order found, with their columns */
    uint64_t *flags;
    uint64_t *modseqs;
    size_t n;
    bool more;
};

/* UIDs that came to be after `since`: walks back from the end. */
static enum err fresh_find(struct syncing *y)
{
    struct scan sc;
    struct key prefix;
    struct slice rest;
    struct slice value;
    uint32_t first = 0;
    uint32_t last = 0;
    key_mailbox(&prefix, &y->store, y->account, ACCOUNT_MESSAGES, y->mailbox);
    enum err e = scan_open(&sc, &y->store, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_prev(&sc, &rest, &value); e == OK; e = scan_prev(&sc, &rest, &value)) {
        struct message_row m;
        uint32_t uid;
        e = message_decode(rest, value, &uid, &m);
        if (e != OK || m.created_modseq <= y->since) {
            break;
        }
        if (uid + 1 != first) { /* a run ends here, walking down */
            e = first == 0 ? OK : uidset_add_range(&y->fresh, first, last);
            last = uid;
        }
        first = uid;
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    if (e == ERR_NOTFOUND) {
        e = OK;
    }
    return e == OK && first != 0 ? uidset_add_range(&y->fresh, first, last) : e;
}

static enum err change_add(struct syncing *y, uint32_t uid, uint64_t modseq)
{
    struct message_row m;
    enum err e = message_get(&y->store, y->account, y->mailbox, uid, &m);
    if (e != OK || m.modseq != modseq) {
        return e == OK || e == ERR_NOTFOUND ? ERR_CORRUPT
                                            : e; /* the index names rows that are there, at their MODSEQ */
    }
    if (m.created_modseq > y->since) {
        return OK;
    }
    y->uids[y->n] = uid;
    y->flags[y->n] = m.flags;
    y->modseqs[y->n] = m.modseq;
    y->n++;
    return uidset_add(&y->changed, uid);
}

static enum err changes_walk(struct syncing *y, struct scan *sc, const struct key *at)
{
    struct slice rest;
    struct slice value;
    uint64_t covered = y->since;
    enum err e = scan_seek(sc, at, &rest, &value);
    for (; e == OK; e = scan_next(sc, &rest, &value)) {
        if (rest.n != 12) {
            return ERR_CORRUPT;
        }
        uint64_t modseq = get_be64(rest.p);
        if (y->n >= CHANGES_MAX && modseq != covered) {
            y->more = true;
            y->upto = covered;
            return OK;
        }
        if (y->n == CHANGES_ROOM) {
            return ERR_CORRUPT; /* an entry never changes so many */
        }
        covered = modseq;
        e = change_add(y, get_be32(rest.p + 8), modseq);
        if (e != OK) {
            return e;
        }
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err changes_find(struct syncing *y)
{
    struct scan sc;
    struct key prefix;
    key_mailbox(&prefix, &y->store, y->account, ACCOUNT_CHANGES, y->mailbox);
    struct key at = prefix;
    key_u64(&at, y->since + 1);
    y->uids = arena_alloc(y->rc->arena, CHANGES_ROOM * sizeof(*y->uids));
    y->flags = arena_alloc(y->rc->arena, CHANGES_ROOM * sizeof(*y->flags));
    y->modseqs = arena_alloc(y->rc->arena, CHANGES_ROOM * sizeof(*y->modseqs));
    if (y->uids == NULL || y->flags == NULL || y->modseqs == NULL) {
        return ERR_NOMEM;
    }
    enum err e = scan_open(&sc, &y->store, &prefix);
    if (e == OK) {
        e = changes_walk(y, &sc, &at);
        scan_close(&sc);
    }
    return e;
}

/* The columns in UID order, as the set that goes with them. */
static enum err columns_pack(struct syncing *y, Pb__ReadSyncResult *res)
{
    uint8_t *flags = arena_alloc(y->rc->arena, y->n * 8 + 1);
    uint8_t *modseqs = arena_alloc(y->rc->arena, y->n * 8 + 1);
    if (flags == NULL || modseqs == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < y->n; i++) {
        size_t at = 8 * (size_t)uidset_rank(&y->changed, y->uids[i]);
        put_le64(flags + at, y->flags[i]);
        put_le64(modseqs + at, y->modseqs[i]);
    }
    res->changed_flags = pb_bytes(slice_make(flags, y->n * 8));
    res->changed_modseqs = pb_bytes(slice_make(modseqs, y->n * 8));
    return method_pack_uids(y->rc->arena, &y->changed, &res->changed_uids);
}

static enum err vanished_pack(struct syncing *y, Pb__ReadSyncResult *res)
{
    struct uidset all;
    if (y->since >= y->row.expunge_floor || y->since == 0) {
        enum err e =
            y->since == 0 ? OK : history_read(&y->store, y->account, y->mailbox, y->since, y->upto, &y->vanished);
        return e == OK ? method_pack_uids(y->rc->arena, &y->vanished, &res->vanished) : e;
    }
    uidset_init(&all);
    res->full = 1;
    enum err e = message_uids(&y->store, y->account, y->mailbox, &all, NULL);
    if (e == OK) {
        e = method_pack_uids(y->rc->arena, &all, &res->uids);
    }
    uidset_fini(&all);
    return e;
}

static enum err sync_fill(struct syncing *y, Pb__ReadSyncResult *res, Pb__MailboxInfo *info)
{
    static char no_name[] = "";
    enum err e = fresh_find(y);
    if (e == OK) {
        e = changes_find(y);
    }
    if (e == OK) {
        e = vanished_pack(y, res);
    }
    if (e == OK) {
        e = columns_pack(y, res);
    }
    if (e == OK) {
        e = method_pack_uids(y->rc->arena, &y->fresh, &res->new_uids);
    }
    if (e == OK) {
        e = method_keywords(y->rc, &y->store, y->account, y->mailbox, &y->row, &res->keywords, &res->n_keywords);
    }
    method_mailbox_info(info, y->mailbox, no_name, &y->row);
    res->info = info;
    res->modseq = y->upto;
    res->uidnext = y->row.uidnext;
    res->more = y->more;
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadSync *req = (const Pb__ReadSync *)(const void *)req_base;
    struct syncing y = {.rc = rc,
                        .store = method_store(rc),
                        .account = {req->account},
                        .mailbox = (uint32_t)req->mailbox,
                        .since = req->since};
    Pb__ReadSyncResult res = PB__READ_SYNC_RESULT__INIT;
    Pb__MailboxInfo info;
    (void)attach;
    enum err e = method_mailbox(&y.store, y.account, req->mailbox, &y.row);
    if (e != OK) {
        return e;
    }
    if (req->uidvalidity != 0 && req->uidvalidity != y.row.uidvalidity) {
        return ERR_STALE;
    }
    y.upto = y.row.modseq > y.since ? y.row.modseq : y.since;
    uidset_init(&y.fresh);
    uidset_init(&y.vanished);
    uidset_init(&y.changed);
    e = sync_fill(&y, &res, &info);
    if (e == OK) {
        e = pb_pack(&res.base, meta);
    }
    uidset_fini(&y.fresh);
    uidset_fini(&y.vanished);
    uidset_fini(&y.changed);
    return e;
}

STORAGE_METHOD(sync) = {.method = METHOD_SYNC, .run = run};
