#include "storage/mailbox/changes.h"

#include "storage/mailbox/read_cache.h"

/* The first UID made after `since`, 0 when there is none: UIDs and their MODSEQs ascend together. */
static enum err first_new(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since, uint32_t *out)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    *out = 0;
    key_mailbox(&prefix, s, a, ACCOUNT_MESSAGES, mailbox);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_prev(&sc, &rest, &value); e == OK; e = scan_prev(&sc, &rest, &value)) {
        struct message_row row;
        uint32_t uid;
        e = message_decode(rest, value, &uid, &row);
        if (e != OK || row.created_modseq <= since) {
            break;
        }
        *out = uid;
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

enum err changes_new(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since, uint64_t upto,
                     struct uidset *out, struct uidset *out_unseen)
{
    struct message_walk w;
    struct message_row row;
    uint32_t uid;
    uint32_t first;
    enum err e = first_new(s, a, mailbox, since, &first);
    if (e != OK || first == 0) {
        return e;
    }
    e = message_walk_open(&w, s, a, mailbox, NULL, first);
    if (e != OK) {
        return e;
    }
    for (e = message_walk_next(&w, &uid, &row); e == OK; e = message_walk_next(&w, &uid, &row)) {
        if (row.created_modseq > upto) {
            break;
        }
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

/* --- changed rows --- */

enum err changes_walk_open(struct changes_walk *w, const struct store *s, struct account_id a, uint32_t mailbox,
                           uint64_t since)
{
    struct key prefix;
    key_mailbox(&prefix, s, a, ACCOUNT_CHANGES, mailbox);
    w->at = prefix;
    key_u64(&w->at, since == UINT64_MAX ? since : since + 1);
    w->store = s;
    w->account = a;
    w->mailbox = mailbox;
    return scan_open(&w->scan, s, &prefix);
}

void changes_walk_close(struct changes_walk *w)
{
    scan_close(&w->scan);
}

enum err changes_walk_next(struct changes_walk *w, uint32_t *out_uid, struct message_row *out)
{
    struct slice rest;
    struct slice value;
    enum err e = w->scan.positioned ? scan_next(&w->scan, &rest, &value) : scan_seek(&w->scan, &w->at, &rest, &value);
    if (e != OK) {
        return e;
    }
    if (rest.n != 12) {
        return ERR_CORRUPT;
    }
    uint64_t modseq = get_be64(rest.p);
    uint32_t uid = get_be32(rest.p + 8);
    e = message_get(w->store, w->account, w->mailbox, uid, out);
    if (e == ERR_NOTFOUND || (e == OK && out->modseq != modseq)) {
        return ERR_CORRUPT;
    }
    if (e == OK) {
        *out_uid = uid;
    }
    return e;
}

enum err changes_uids(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since, uint64_t upto,
                      struct uidset *out)
{
    struct changes_walk w;
    uint32_t uid;
    struct message_row row;
    unsigned left = CHANGES_ONE_BY_ONE_MAX;
    enum err e = changes_walk_open(&w, s, a, mailbox, since);
    if (e != OK) {
        return e;
    }
    for (e = changes_walk_next(&w, &uid, &row); e == OK; e = changes_walk_next(&w, &uid, &row)) {
        e = left-- == 0 ? ERR_LIMIT : uidset_add(out, uid);
        if (e != OK) {
            break;
        }
    }
    changes_walk_close(&w);
    return e == ERR_NOTFOUND ? changes_new(s, a, mailbox, since, upto, out, NULL) : e;
}

/* --- the cache's sets brought up to date --- */

static enum err apply_changed(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since,
                              struct mailbox_uids *io)
{
    struct changes_walk w;
    uint32_t uid;
    struct message_row row;
    unsigned left = CHANGES_ONE_BY_ONE_MAX;
    enum err e = changes_walk_open(&w, s, a, mailbox, since);
    if (e != OK) {
        return e;
    }
    for (e = changes_walk_next(&w, &uid, &row); e == OK; e = changes_walk_next(&w, &uid, &row)) {
        if (left-- == 0) {
            e = ERR_LIMIT;
            break;
        }
        e = (row.flags & FLAG_SEEN) == 0 ? uidset_add(&io->unseen, uid) : uidset_remove_range(&io->unseen, uid, uid);
        if (e != OK) {
            break;
        }
    }
    changes_walk_close(&w);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err catch_up(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since, uint64_t upto,
                         struct mailbox_uids *io)
{
    struct uidset gone;
    uidset_init(&gone);
    enum err e = history_read(s, a, mailbox, since, upto, &gone);
    if (e == OK) {
        e = uidset_subtract(&io->uids, &gone);
    }
    if (e == OK) {
        e = uidset_subtract(&io->unseen, &gone);
    }
    uidset_fini(&gone);
    if (e == OK) {
        e = changes_new(s, a, mailbox, since, upto, &io->uids, &io->unseen);
    }
    return e == OK ? apply_changed(s, a, mailbox, since, io) : e;
}

static enum err load_fresh(const struct store *s, struct account_id a, uint32_t mailbox, struct mailbox_uids *out)
{
    uidset_clear(&out->uids);
    uidset_clear(&out->unseen);
    return message_uids(s, a, mailbox, &out->uids, &out->unseen);
}

enum err mailbox_uids_load(const struct store *s, struct read_cache *c, struct shard_id shard, struct account_id a,
                           uint32_t mailbox, const struct mailbox_row *row, struct mailbox_uids *out)
{
    uint64_t since = 0;
    enum err e = c == NULL ? ERR_NOTFOUND : read_cache_get(c, shard, a, mailbox, row->modseq, out, &since);
    if (e == OK && since == row->modseq) {
        return OK;
    }
    if (e == OK) {
        e = since >= row->expunge_floor ? catch_up(s, a, mailbox, since, row->modseq, out) : ERR_LIMIT;
    }
    if (e == ERR_NOTFOUND || e == ERR_LIMIT) {
        e = load_fresh(s, a, mailbox, out);
    }
    if (e == OK && c != NULL) {
        read_cache_put(c, shard, a, mailbox, row->modseq, out);
    }
    return e;
}
