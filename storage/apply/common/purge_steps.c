#include "storage/apply/common/dedupe.h"
#include "storage/apply/copy_record.h"
#include "storage/apply/folder_op.h"
#include "storage/apply/keeping.h"
#include "storage/apply/purge.h"
#include "storage/apply/staging.h"
#include "storage/mailbox/moving.h"

/* --- a mailbox --- */

/* One message; NULL: it is dropped. */
static enum err remove_message(struct mailbox_work *w, uint32_t uid, const struct message_row *row, struct keeping *k)
{
    struct flagset flags;
    enum err e = OK;
    if (k != NULL) {
        e = flagset_get(w->store, w->account, w->mailbox, uid, row->flags, &flags);
        if (e == OK) {
            e = keeping_add(k, uid, row, &flags);
        }
    }
    return e == OK ? message_remove(w, uid, row, k != NULL) : e;
}

static enum err remove_messages(struct mailbox_work *w, struct keeping *k, uint32_t *io_left)
{
    struct message_walk walk;
    struct {
        uint32_t uid;
        struct message_row row;
    } found;
    enum err e = OK;
    while (*io_left > 0) {
        /* The walk ends before the write: rows come one at a time, from the front. */
        e = message_walk_open(&walk, w->store, w->account, w->mailbox, NULL, 1);
        if (e != OK) {
            return e;
        }
        e = message_walk_next(&walk, &found.uid, &found.row);
        message_walk_close(&walk);
        if (e == OK) {
            e = remove_message(w, found.uid, &found.row, k);
        }
        if (e != OK) {
            break;
        }
        (*io_left)--;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

/* What its deletion said of its messages counts, unless the leader keeps nothing any more. */
static enum err keep_or_remove(struct op_context *ox, const struct op_account *a, struct mailbox_work *w,
                               uint32_t *io_left)
{
    struct purge_queued q = {.entry_ms = 0};
    struct keeping k;
    enum err e = OK;
    if (ox->head.keep && a->row.state == ACCOUNT_LIVE && w->row->messages > 0) {
        e = purge_queue_get(&ox->store, a->id, w->mailbox, &q);
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (q.keep_as.n == 0) {
        return remove_messages(w, NULL, io_left);
    }
    struct slice name = slice_make(arena_dup(ox->arena, q.keep_as.p, q.keep_as.n), q.keep_as.n);
    e = name.p == NULL ? ERR_NOMEM : keeping_begin(&k, ox, a->id, w->mailbox, w->row->keywords, name, q.entry_ms);
    if (e == OK) {
        e = remove_messages(w, &k, io_left);
    }
    return e == OK ? keeping_end(&k) : e;
}

static enum err remove_tables(struct op_context *ox, struct account_id a, uint32_t mailbox, bool *out_done)
{
    static const enum account_table tables[] = {ACCOUNT_CHANGES, ACCOUNT_EXPUNGED, ACCOUNT_KEYWORDS, ACCOUNT_OVERFLOW};
    uint32_t budget = PURGE_ROWS_MAX;
    *out_done = true;
    for (size_t i = 0; *out_done && i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct key k;
        key_mailbox(&k, &ox->store, a, tables[i], mailbox);
        enum err e = store_del_range(&ox->store, &k, &budget, out_done);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* Its row and its place in the queue (which it has not when the whole account goes). */
static enum err forget_mailbox(struct op_context *ox, struct account_id a, uint32_t mailbox)
{
    struct key k;
    struct purge_queued q;
    key_mailbox(&k, &ox->store, a, ACCOUNT_MAILBOXES, mailbox);
    enum err e = store_del_must(&ox->store, &k);
    if (e == OK) {
        e = purge_queue_get(&ox->store, a, mailbox, &q);
    }
    if (e == OK) {
        return purge_queue_del(&ox->store, a, mailbox);
    }
    return e == ERR_NOTFOUND ? OK : e;
}

enum err purge_mailbox(struct op_context *ox, struct op_account *a, uint32_t mailbox, bool *out_done)
{
    struct mailbox_row row;
    uint32_t left = OP_UIDS_MAX;
    *out_done = false;
    enum err e = mailbox_get(&ox->store, a->id, mailbox, &row);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    row.state = MAILBOX_DELETED;
    struct mailbox_work w = {
        .store = &ox->store,
        .account = a->id,
        .mailbox = mailbox,
        .acct = &a->row,
        .row = &row,
        .modseq = row.modseq,
        .entry_ms = ox->head.entry_ms,
    };
    e = keep_or_remove(ox, a, &w, &left);
    if (e == OK && left > 0) {
        e = remove_tables(ox, a->id, mailbox, out_done);
    }
    if (e != OK) {
        return e;
    }
    return *out_done ? forget_mailbox(ox, a->id, mailbox) : mailbox_put(&ox->store, a->id, mailbox, &row);
}

/* --- reservations --- */

struct stage_found {
    uint64_t index;
    struct stage_row row;
};

/* Those to be killed: of one account, or (0) those that expired. */
static enum err find_staged(struct op_context *ox, uint64_t account, struct stage_found *found, size_t *out_n)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    *out_n = 0;
    key_shard(&prefix, &ox->store, SHARD_STAGED);
    enum err e = scan_open(&sc, &ox->store, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK && *out_n < PURGE_STAGED_MAX; e = scan_next(&sc, &rest, &value)) {
        struct stage_found *f = &found[*out_n];
        if (rest.n != 8 || value.n != sizeof(f->row)) {
            e = ERR_CORRUPT;
            break;
        }
        f->index = get_be64(rest.p);
        memcpy(&f->row, value.p, sizeof(f->row));
        if (account != 0 ? f->row.account == account : stage_expired(&f->row, ox->head.entry_ms)) {
            (*out_n)++;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err kill_staged(struct op_context *ox, uint64_t account, size_t *out_n)
{
    struct stage_found *found = arena_calloc(ox->arena, PURGE_STAGED_MAX, sizeof(*found));
    if (found == NULL) {
        return ERR_NOMEM;
    }
    enum err e = find_staged(ox, account, found, out_n);
    for (size_t i = 0; e == OK && i < *out_n; i++) {
        e = stage_kill(ox, found[i].index, &found[i].row);
    }
    return e;
}

/* --- an account --- */

static enum err first_mailbox(struct op_context *ox, struct account_id a, uint32_t *out)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_account(&prefix, &ox->store, a, ACCOUNT_MAILBOXES);
    enum err e = scan_open(&sc, &ox->store, &prefix);
    if (e != OK) {
        return e;
    }
    e = scan_next(&sc, &rest, &value);
    if (e == OK && rest.n != 4) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        *out = get_be32(rest.p);
    }
    scan_close(&sc);
    return e;
}

static enum err remove_rest(struct op_context *ox, struct account_id a, bool *out_done)
{
    static const enum account_table tables[] = {ACCOUNT_NODES, ACCOUNT_SUBSCRIBED, ACCOUNT_TREE, ACCOUNT_SECRET};
    uint32_t budget = PURGE_ROWS_MAX;
    struct key k;
    key_shard(&k, &ox->store, SHARD_COPIES);
    key_u64(&k, a.v);
    enum err e = store_del_range(&ox->store, &k, &budget, out_done);
    for (size_t i = 0; e == OK && *out_done && i < sizeof(tables) / sizeof(tables[0]); i++) {
        key_account(&k, &ox->store, a, tables[i]);
        e = store_del_range(&ox->store, &k, &budget, out_done);
    }
    return e;
}

/* Its records of requests outlive it as long as a retry may come: even the removal itself is one. */
static enum err remove_row(struct op_context *ox, struct op_account *a)
{
    struct key k;
    enum err e = dedupe_expire(&ox->store, a->id, &a->row, ox->head.entry_ms, DEDUPE_MS_DEFAULT, PURGE_DEDUPE_MAX);
    if (e != OK) {
        return e;
    }
    a->dirty = a->row.dedupe_to != 0;
    if (a->dirty) {
        return OK;
    }
    key_account(&k, &ox->store, a->id, ACCOUNT_ROW);
    e = store_del_must(&ox->store, &k);
    return e == OK ? purge_queue_del(&ox->store, a->id, 0) : e;
}

/* An account that lives elsewhere, with no rows left but its own, which tells so for a day, and what it was asked. It
 * leaves the queue, where thousands of them would hide what is to be done: the walk over accounts finds it again. */
static enum err remove_away(struct op_context *ox, struct op_account *a)
{
    struct key k;
    struct purge_queued q;
    enum err e = purge_queue_get(&ox->store, a->id, 0, &q);
    if (e == OK) {
        a->row.created_ms = ox->head.entry_ms;
        return purge_queue_del(&ox->store, a->id, 0);
    }
    if (e == ERR_NOTFOUND) {
        e = dedupe_expire(&ox->store, a->id, &a->row, ox->head.entry_ms, DEDUPE_MS_DEFAULT, PURGE_DEDUPE_MAX);
    }
    if (e != OK || !moved_over(&a->row, ox->head.entry_ms)) {
        return e;
    }
    a->dirty = false;
    key_account(&k, &ox->store, a->id, ACCOUNT_ROW);
    return store_del_must(&ox->store, &k);
}

enum err purge_account(struct op_context *ox, struct op_account *a)
{
    bool bare = false;
    if (a->row.state == ACCOUNT_MOVED) {
        enum err e = moving_account_bare(&ox->store, a->id, &bare);
        if (e != OK || bare) {
            a->dirty = e == OK;
            return e == OK ? remove_away(ox, a) : e;
        }
    }
    uint32_t mailbox;
    bool done = false;
    size_t killed = 0;
    a->dirty = true;
    bool goes = a->row.state == ACCOUNT_REMOVED;
    enum err e = goes && a->row.uploads > 0 ? kill_staged(ox, a->id.v, &killed) : OK;
    if (e != OK || killed > 0) {
        return e;
    }
    e = first_mailbox(ox, a->id, &mailbox);
    if (e == OK) {
        return purge_mailbox(ox, a, mailbox, &done);
    }
    if (e == ERR_NOTFOUND) {
        e = keeping_drop_account(ox, a->id, KEPT_DROP_MAX, &done);
    }
    if (e == OK && done) {
        e = remove_rest(ox, a->id, &done);
    }
    return e == OK && done && goes ? remove_row(ox, a) : e;
}

/* The first emails of a copy, a few at a time. */
static enum err drop_emails(struct op_context *ox, struct account_id a, bool *out_done)
{
    for (uint32_t i = 0; i < OP_UIDS_MAX; i++) {
        struct key prefix;
        struct scan sc;
        struct slice rest;
        struct slice value;
        uint64_t email = 0;
        key_account(&prefix, &ox->store, a, ACCOUNT_EMAILS);
        enum err e = scan_open(&sc, &ox->store, &prefix);
        if (e != OK) {
            return e;
        }
        e = scan_next(&sc, &rest, &value);
        if (e == OK) {
            email = rest.n == 8 ? get_be64(rest.p) : 0;
        }
        scan_close(&sc);
        if (e != OK) {
            *out_done = e == ERR_NOTFOUND;
            return e == ERR_NOTFOUND ? OK : e;
        }
        e = email_drop_row(&ox->store, a, email, ox->head.entry_ms);
        if (e != OK) {
            return e;
        }
    }
    *out_done = false;
    return OK;
}

enum err purge_cancelled(struct op_context *ox, struct op_account *a)
{
    static const enum account_table tables[] = {
        ACCOUNT_MAILBOXES, ACCOUNT_NODES,      ACCOUNT_SUBSCRIBED, ACCOUNT_TREE,    ACCOUNT_KEYWORDS, ACCOUNT_MESSAGES,
        ACCOUNT_OVERFLOW,  ACCOUNT_EMAIL_REFS, ACCOUNT_THREADS,    ACCOUNT_CHANGES, ACCOUNT_EXPUNGED};
    uint32_t budget = PURGE_ROWS_MAX;
    bool done = false;
    a->dirty = true;
    enum err e = drop_emails(ox, a->id, &done);
    if (e == OK && done) {
        e = keeping_forget_account(ox, a->id, KEPT_DROP_MAX, &done);
    }
    for (size_t i = 0; e == OK && done && i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct key k;
        key_account(&k, &ox->store, a->id, tables[i]);
        e = store_del_range(&ox->store, &k, &budget, &done);
    }
    if (e == OK && done) {
        e = remove_rest(ox, a->id, &done);
    }
    return e == OK && done ? remove_away(ox, a) : e;
}

/* --- the shard --- */

struct copy_found {
    uint64_t account;
    uint8_t id[16];
    struct copy_record record;
};

/* Is this the one to undo? Copies of a removed account go with it. */
static enum err take_copy(struct op_context *ox, struct slice rest, struct slice value, struct copy_found *out)
{
    struct account_row row;
    struct account_id a = {rest.n == 24 ? get_be64(rest.p) : 0};
    enum err e = rest.n == 24 ? copy_record_decode(value, &out->record) : ERR_CORRUPT;
    if (e != OK || !copy_record_due(&out->record, ox->head.entry_ms)) {
        return e;
    }
    e = account_get_live(&ox->store, a, &row);
    if (e == OK && account_writable(row.state) == OK) {
        out->account = a.v;
        memcpy(out->id, rest.p + 8, sizeof(out->id));
    }
    return e == ERR_NOTFOUND || e == ERR_UNAVAILABLE || e == ERR_MOVED ? OK : e;
}

/* The first copy that has to be undone; account 0 when there is none. */
static enum err find_copy(struct op_context *ox, struct copy_found *out)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_shard(&prefix, &ox->store, SHARD_COPIES);
    enum err e = scan_open(&sc, &ox->store, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        e = take_copy(ox, rest, value, out);
        if (e != OK || out->account != 0) {
            break;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err undo_copy(struct op_context *ox)
{
    struct op_account *a;
    struct copy_found *found = arena_zalloc(ox->arena, sizeof(*found));
    if (found == NULL) {
        return ERR_NOMEM;
    }
    enum err e = find_copy(ox, found);
    if (e != OK || found->account == 0) {
        return e;
    }
    e = op_account(ox, found->account, &a);
    return e == OK ? copy_undo_step(ox, a, found->id, &found->record, op_set(ox)) : e;
}

enum err purge_shard(struct op_context *ox)
{
    struct op_account *shard;
    size_t killed;
    enum err e = op_account_any(ox, 0, &shard);
    if (e == OK) {
        e = kill_staged(ox, 0, &killed);
    }
    if (e == OK) {
        e = undo_copy(ox);
    }
    if (e != OK) {
        return e;
    }
    shard->dirty = shard->dirty || dedupe_expiry_due(&shard->row, ox->head.entry_ms, DEDUPE_MS_DEFAULT);
    return dedupe_expire(&ox->store, shard->id, &shard->row, ox->head.entry_ms, DEDUPE_MS_DEFAULT, PURGE_DEDUPE_MAX);
}
