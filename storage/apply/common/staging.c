#include "storage/apply/staging.h"

#include "replication/volume.h"
#include "storage/apply/op.h"

static void stage_key(struct key *k, const struct store *s, uint64_t index)
{
    key_shard(k, s, SHARD_STAGED);
    key_u64(k, index);
}

enum err stage_get(const struct store *s, uint64_t index, struct stage_row *out)
{
    struct key k;
    stage_key(&k, s, index);
    return store_get_row(s, &k, out, sizeof(*out));
}

enum err stage_put(const struct store *s, uint64_t index, const struct stage_row *row)
{
    struct key k;
    stage_key(&k, s, index);
    return store_put_row(s, &k, row, sizeof(*row));
}

/* Who is charged for a reservation. */
static enum err payers(struct op_context *ox, uint64_t account, struct op_account *out[2])
{
    enum err e = op_account_any(ox, account, &out[0]);
    if (e == OK) {
        e = op_account_any(ox, 0, &out[1]);
    }
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

static enum err has_room(const struct stage_row *row, struct op_account *const payer[2], uint32_t bytes)
{
    bool fits = (uint64_t)row->staged + bytes <= row->size &&
                payer[0]->row.staged_bytes + bytes <= STAGE_ACCOUNT_BYTES_MAX &&
                payer[1]->row.staged_bytes + bytes <= STAGE_SHARD_BYTES_MAX;
    return fits ? OK : ERR_LIMIT;
}

/* All chunks but the last are whole rows of body chunks, so that a later one never has to rewrite the one before it. */
enum err stage_check_chunk(struct op_context *ox, uint64_t account, uint64_t index, uint32_t offset,
                           uint32_t chunk_bytes)
{
    struct stage_row row;
    struct op_account *payer[2];
    enum err e = stage_get(&ox->store, index, &row);
    if (e != OK) {
        return e;
    }
    if (row.account != account) {
        return ERR_NOTFOUND;
    }
    /* A chunk that is no multiple of the rows' size is the last: none can follow it, since that would begin in a row.
     */
    if (chunk_bytes == 0 || chunk_bytes > REPL_ENTRY_BYTES_MAX || offset % REPL_BODY_CHUNK_DATA != 0 ||
        offset > row.staged) {
        return ERR_INVAL;
    }
    if (offset < row.staged) {
        return OK; /* sent again (its reply was lost): whether it is the same is seen when it is applied */
    }
    e = payers(ox, row.account, payer);
    return e == OK ? has_room(&row, payer, chunk_bytes) : e;
}

enum err stage_charge(struct op_context *ox, uint64_t index, uint32_t bytes)
{
    struct stage_row row;
    struct op_account *payer[2];
    enum err e = stage_get(&ox->store, index, &row);
    if (e != OK || bytes == 0) {
        return e;
    }
    e = payers(ox, row.account, payer);
    if (e == OK) {
        e = has_room(&row, payer, bytes);
    }
    if (e != OK) {
        return e;
    }
    row.staged += bytes;
    for (size_t i = 0; i < 2; i++) {
        payer[i]->row.staged_bytes += bytes;
        payer[i]->dirty = true;
    }
    return stage_put(&ox->store, index, &row);
}

enum err stage_release(struct op_context *ox, uint64_t index, const struct stage_row *row)
{
    struct key k;
    struct op_account *payer[2];
    enum err e = payers(ox, row->account, payer);
    for (size_t i = 0; e == OK && i < 2; i++) {
        e = payer[i]->row.staged_bytes < row->staged || payer[i]->row.uploads == 0 ? ERR_CORRUPT : OK;
    }
    stage_key(&k, &ox->store, index);
    if (e == OK) {
        e = store_del_must(&ox->store, &k);
    }
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < 2; i++) {
        payer[i]->row.staged_bytes -= row->staged;
        payer[i]->row.uploads--;
        payer[i]->dirty = true;
    }
    ox->changed = true;
    return OK;
}

enum err stage_kill(struct op_context *ox, uint64_t index, const struct stage_row *row)
{
    enum err e = stage_release(ox, index, row);
    if (e != OK) {
        return e;
    }
    return repl_body_kill(ox->store.t, ox->store.prefix, index, 0, ox->head.entry_ms);
}
