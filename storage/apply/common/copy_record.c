#include "storage/apply/copy_record.h"

#include "storage/apply/rows.h"

#define HEAD_BYTES 24

static void record_key(struct key *k, const struct store *s, struct account_id a, const uint8_t id[16])
{
    key_shard(k, s, SHARD_COPIES);
    key_u64(k, a.v);
    key_bytes(k, id, 16);
}

enum err copy_record_decode(struct slice value, struct copy_record *out)
{
    if (value.n < HEAD_BYTES) {
        return ERR_CORRUPT;
    }
    memcpy(out, value.p, HEAD_BYTES);
    if (out->n > COPY_RUNS_MAX || value.n != HEAD_BYTES + out->n * sizeof(struct copy_run)) {
        return ERR_CORRUPT;
    }
    memcpy(out->runs, value.p + HEAD_BYTES, out->n * sizeof(struct copy_run));
    return OK;
}

enum err copy_record_get(const struct store *s, struct account_id a, const uint8_t id[16], struct copy_record *out)
{
    struct key k;
    struct slice v;
    record_key(&k, s, a, id);
    enum err e = store_get(s, &k, &v);
    return e == OK ? copy_record_decode(v, out) : e;
}

enum err copy_record_put(const struct store *s, struct account_id a, const uint8_t id[16], const struct copy_record *r)
{
    struct key k;
    record_key(&k, s, a, id);
    return store_put_row(s, &k, r, HEAD_BYTES + r->n * sizeof(struct copy_run));
}

enum err copy_record_del(const struct store *s, struct account_id a, const uint8_t id[16])
{
    struct key k;
    record_key(&k, s, a, id);
    return store_del_must(s, &k);
}

enum err copy_record_room(const struct copy_record *r, uint32_t first)
{
    bool joins = r->n > 0 && r->runs[r->n - 1].last + 1 == first;
    return joins || r->n < COPY_RUNS_MAX ? OK : ERR_LIMIT;
}

void copy_record_add(struct copy_record *r, uint32_t first, uint32_t last)
{
    if (r->n > 0 && r->runs[r->n - 1].last + 1 == first) {
        r->runs[r->n - 1].last = last;
        return;
    }
    ASSERT(r->n < COPY_RUNS_MAX);
    r->runs[r->n].first = first;
    r->runs[r->n].last = last;
    r->n++;
}

/* Takes up to OP_UIDS_MAX UIDs off the end of the record. */
static enum err take_last(struct copy_record *r, struct uidset *out)
{
    uint32_t left = OP_UIDS_MAX;
    while (r->n > 0 && left > 0) {
        struct copy_run *run = &r->runs[r->n - 1];
        uint32_t count = run->last - run->first + 1;
        uint32_t take = count < left ? count : left;
        enum err e = uidset_add_range(out, run->last - take + 1, run->last);
        if (e != OK) {
            return e;
        }
        left -= take;
        if (take == count) {
            r->n--;
        } else {
            run->last -= take;
        }
    }
    return OK;
}

static enum err remove_copies(struct op_context *ox, struct op_mailbox *m, const struct uidset *uids,
                              struct uidset *removed)
{
    struct op_rows rows;
    enum err e = op_rows_collect(ox, m, uids, &rows);
    if (e != OK || rows.n == 0) {
        return e;
    }
    for (size_t i = 0; e == OK && i < rows.n; i++) {
        e = uidset_add(removed, rows.list[i].uid);
    }
    return e == OK ? op_rows_expunge(ox, m, &rows, OP_FATE_DROP) : e;
}

enum err copy_undo_step(struct op_context *ox, struct op_account *a, const uint8_t id[16], struct copy_record *r,
                        struct uidset *removed)
{
    struct op_mailbox *m;
    struct uidset *uids = op_set(ox);
    enum err e = op_mailbox(ox, a, r->mailbox, &m);
    if (e == ERR_NOTFOUND) {
        r->n = 0; /* the destination was deleted: so are the copies */
        e = OK;
    } else if (e == OK) {
        e = take_last(r, uids);
        if (e == OK && uids->n > 0) {
            e = remove_copies(ox, m, uids, removed);
        }
    }
    if (e != OK) {
        return e;
    }
    ox->changed = true;
    r->undoing = 1;
    return r->n == 0 ? copy_record_del(&ox->store, a->id, id) : copy_record_put(&ox->store, a->id, id, r);
}
