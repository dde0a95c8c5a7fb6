#include "storage/mailbox/message.h"

/* 4,080 bytes hold this many runs of two varints of up to 5 bytes, and the count. */
#define RUNS_PER_ROW 400

static void history_key(struct key *k, const struct store *s, struct account_id a, uint32_t mailbox, uint64_t modseq)
{
    key_mailbox(k, s, a, ACCOUNT_EXPUNGED, mailbox);
    key_u64(k, modseq);
}

static enum err put_runs(struct mailbox_work *w, const struct uidset *uids, size_t from, uint8_t chunk)
{
    struct uidset part;
    struct buf value;
    struct key k;
    enum err e = OK;
    uidset_init(&part);
    buf_init(&value, KV_CHUNK_BYTES);
    for (size_t i = from; e == OK && i < uids->n && i < from + RUNS_PER_ROW; i++) {
        e = uidset_add_range(&part, uids->runs[i].first, uids->runs[i].last);
    }
    if (e == OK) {
        e = uidset_encode(&part, &value);
    }
    if (e == OK) {
        history_key(&k, w->store, w->account, w->mailbox, w->modseq);
        key_u8(&k, chunk);
        e = store_put(w->store, &k, buf_slice(&value));
    }
    buf_fini(&value);
    uidset_fini(&part);
    return e;
}

/* Drops the oldest rows above the bound. A modseq may have several rows: the floor covers all of them, so that none is
 * half there. */
static enum err prune(struct mailbox_work *w)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_mailbox(&prefix, w->store, w->account, ACCOUNT_EXPUNGED, w->mailbox);
    enum err e = scan_open(&sc, w->store, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        if (rest.n != 9) {
            e = ERR_CORRUPT;
            break;
        }
        uint64_t modseq = get_be64(rest.p);
        if (w->row->history_rows <= HISTORY_ROWS_MAX && modseq > w->row->expunge_floor) {
            break;
        }
        e = scan_del(&sc);
        if (e != OK) {
            break;
        }
        w->row->history_rows--;
        w->row->expunge_floor = modseq;
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

enum err history_add(struct mailbox_work *w, const struct uidset *uids)
{
    uint8_t chunk = 0;
    for (size_t i = 0; i < uids->n; i += RUNS_PER_ROW) {
        enum err e = put_runs(w, uids, i, chunk++);
        if (e != OK) {
            return e;
        }
        w->row->history_rows++;
    }
    return w->row->history_rows > HISTORY_ROWS_MAX ? prune(w) : OK;
}

static enum err read_row(struct slice rest, struct slice value, uint64_t *out_modseq, struct uidset *part)
{
    if (rest.n != 9) {
        return ERR_CORRUPT;
    }
    *out_modseq = get_be64(rest.p);
    enum err e = uidset_decode(part, value, RUNS_PER_ROW);
    return e == ERR_LIMIT ? ERR_CORRUPT : e;
}

enum err history_read(const struct store *s, struct account_id a, uint32_t mailbox, uint64_t since, uint64_t upto,
                      struct uidset *out)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    struct uidset part;
    if (since >= upto) {
        return OK;
    }
    key_mailbox(&prefix, s, a, ACCOUNT_EXPUNGED, mailbox);
    history_key(&at, s, a, mailbox, since + 1);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    uidset_init(&part);
    for (e = scan_seek(&sc, &at, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        uint64_t modseq = 0;
        e = read_row(rest, value, &modseq, &part);
        if (e != OK || modseq > upto) {
            break;
        }
        e = uidset_union(out, &part);
        if (e != OK) {
            break;
        }
    }
    uidset_fini(&part);
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}
