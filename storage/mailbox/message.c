#include "storage/mailbox/message.h"

#include "proto/base/plant.h"

static void change_key(struct key *k, const struct mailbox_work *w, uint64_t modseq, uint32_t uid)
{
    key_mailbox(k, w->store, w->account, ACCOUNT_CHANGES, w->mailbox);
    key_u64(k, modseq);
    key_u32(k, uid);
}

/* The counters of one message with these flags come (sign 1) or go (-1, as two's complement). */
static void count_flags(struct mailbox_row *row, uint64_t flags, uint32_t sign)
{
    if ((flags & FLAG_SEEN) == 0) {
        row->unseen += sign;
    }
    if ((flags & FLAG_DELETED) != 0) {
        row->deleted += sign;
    }
}

/* What a store (a node of the simulator) gave last in a mailbox, committed or not. */
static uint32_t plant_uid(const struct mailbox_work *w)
{
    static struct counter {
        const struct kv *kv;
        uint64_t account;
        uint32_t mailbox, next;
    } counters[1024];
    struct counter *c = &counters[((uintptr_t)w->store->t->kv / 64 + w->account.v * 31 + w->mailbox) % 1024];
    if (c->kv != w->store->t->kv || c->account != w->account.v || c->mailbox != w->mailbox ||
        c->next < w->row->uidnext || c->next > w->row->uidnext + 16) {
        *c = (struct counter){w->store->t->kv, w->account.v, w->mailbox, w->row->uidnext};
    }
    return c->next++;
}

enum err message_add(struct mailbox_work *w, const struct message_row *row, const struct flagset *flags,
                     uint32_t *out_uid)
{
    uint32_t uid = planted(PLANT_UID_UNROLLED) ? plant_uid(w) : w->row->uidnext;
    struct message_row full = *row;
    ASSERT(uid != 0 && uid < UINT32_MAX);
    full.flags = flags->bits;
    full.modseq = w->modseq;
    full.created_modseq = w->modseq;
    full.zero = 0;
    enum err e = message_put(w->store, w->account, w->mailbox, uid, &full);
    if (e == OK) {
        e = flagset_put(w->store, w->account, w->mailbox, uid, 0, flags);
    }
    if (e != OK) {
        return e;
    }
    w->row->uidnext = uid + 1;
    w->row->messages++;
    w->row->recent++;
    w->row->size_bytes += full.size;
    w->row->modseq = w->modseq;
    count_flags(w->row, full.flags, 1);
    w->acct->used_messages++;
    w->acct->used_bytes += full.size;
    *out_uid = uid;
    return OK;
}

/* A row is in the change index under its modseq once it changed after it was made. */
static enum err change_forget(struct mailbox_work *w, uint32_t uid, const struct message_row *row)
{
    struct key k;
    if (row->modseq == row->created_modseq) {
        return OK;
    }
    change_key(&k, w, row->modseq, uid);
    return store_del_must(w->store, &k);
}

static enum err change_record(struct mailbox_work *w, uint32_t uid, const struct message_row *row)
{
    struct key k;
    if (row->modseq == row->created_modseq) {
        return OK;
    }
    change_key(&k, w, row->modseq, uid);
    return store_put(w->store, &k, slice_make(NULL, 0));
}

enum err message_set_flags(struct mailbox_work *w, uint32_t uid, struct message_row *row, const struct flagset *flags)
{
    uint64_t had = row->flags;
    enum err e = change_forget(w, uid, row);
    if (e != OK) {
        return e;
    }
    row->flags = flags->bits;
    row->modseq = w->modseq;
    e = change_record(w, uid, row);
    if (e == OK) {
        e = message_put(w->store, w->account, w->mailbox, uid, row);
    }
    if (e == OK) {
        e = flagset_put(w->store, w->account, w->mailbox, uid, had, flags);
    }
    if (e != OK) {
        return e;
    }
    count_flags(w->row, had, UINT32_MAX);
    count_flags(w->row, row->flags, 1);
    w->row->modseq = w->modseq;
    return OK;
}

enum err message_remove(struct mailbox_work *w, uint32_t uid, const struct message_row *row, bool keep_email)
{
    struct key k;
    static const struct flagset none;
    key_message(&k, w->store, w->account, w->mailbox, uid);
    enum err e = store_del_must(w->store, &k);
    if (e == OK) {
        e = change_forget(w, uid, row);
    }
    if (e == OK) {
        e = flagset_put(w->store, w->account, w->mailbox, uid, row->flags, &none);
    }
    if (e == OK && !keep_email) {
        e = email_ref_drop(w->store, w->account, row->email, w->entry_ms);
    }
    if (e != OK) {
        return e;
    }
    count_flags(w->row, row->flags, UINT32_MAX);
    w->row->messages--;
    w->row->size_bytes -= row->size;
    if (uid >= w->row->recent_uid) {
        w->row->recent--;
    }
    if (w->row->state == MAILBOX_LIVE) {
        w->acct->used_messages--;
        w->acct->used_bytes -= row->size;
    }
    w->row->modseq = w->modseq;
    return OK;
}

enum err message_uids(const struct store *s, struct account_id a, uint32_t mailbox, struct uidset *out,
                      struct uidset *out_unseen)
{
    struct message_walk w;
    struct message_row row;
    uint32_t uid;
    enum err e = message_walk_open(&w, s, a, mailbox, NULL, 1);
    if (e != OK) {
        return e;
    }
    for (e = message_walk_next(&w, &uid, &row); e == OK; e = message_walk_next(&w, &uid, &row)) {
        e = uidset_add(out, uid);
        if (e == OK && out_unseen != NULL && (row.flags & FLAG_SEEN) == 0) {
            e = uidset_add(out_unseen, uid);
        }
        if (e != OK) {
            break;
        }
    }
    message_walk_close(&w);
    return e == ERR_NOTFOUND ? OK : e;
}

/* --- walking --- */

static void walk_aim(struct message_walk *w, uint32_t next)
{
    w->next = next;
    w->run_last = w->uids == NULL ? UINT32_MAX : uidset_run_last(w->uids, next);
}

/* `uid` was met. Within a run the set need not be asked: most walks are along one run. */
static void walk_past(struct message_walk *w, uint32_t uid)
{
    if (uid >= w->next && uid < w->run_last) {
        w->next = uid + 1;
    } else {
        walk_aim(w, w->uids == NULL ? 0 : uidset_next(w->uids, uid));
    }
}

enum err message_walk_open(struct message_walk *w, const struct store *s, struct account_id a, uint32_t mailbox,
                           const struct uidset *uids, uint32_t from_uid)
{
    struct key prefix;
    key_mailbox(&prefix, s, a, ACCOUNT_MESSAGES, mailbox);
    w->at = prefix;
    w->uids = uids;
    w->stepped = false;
    uint32_t from = from_uid == 0 ? 1 : from_uid;
    walk_aim(w, uids == NULL ? from : uidset_next(uids, from - 1));
    return scan_open(&w->scan, s, &prefix);
}

void message_walk_close(struct message_walk *w)
{
    scan_close(&w->scan);
}

static enum err walk_seek(struct message_walk *w, struct slice *rest, struct slice *value)
{
    struct key k = w->at;
    key_u32(&k, w->next);
    w->stepped = true;
    return scan_seek(&w->scan, &k, rest, value);
}

enum err message_walk_next(struct message_walk *w, uint32_t *out_uid, struct message_row *out)
{
    struct slice rest;
    struct slice value;
    if (w->next == 0) {
        return ERR_NOTFOUND;
    }
    enum err e = w->stepped ? scan_next(&w->scan, &rest, &value) : walk_seek(w, &rest, &value);
    for (;;) {
        uint32_t uid;
        if (e == OK) {
            e = message_decode(rest, value, &uid, out);
        }
        if (e != OK) {
            return e;
        }
        if (uid >= w->next && (uid <= w->run_last || uidset_has(w->uids, uid))) {
            *out_uid = uid;
            walk_past(w, uid);
            w->stepped = w->next != 0 && w->next - uid <= 8;
            return OK;
        }
        if (uid >= w->next) {
            walk_past(w, uid);
        }
        if (w->next == 0) {
            return ERR_NOTFOUND;
        }
        e = w->next - uid <= 8 ? scan_next(&w->scan, &rest, &value) : walk_seek(w, &rest, &value);
    }
}
