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

enum err stage_check_complete(const struct store *s, uint64_t index, uint32_t size)
{
    uint64_t have;
    enum err e = repl_body_bytes(s->t, s->prefix, index, 0, &have);
    if (e != OK) {
        return e;
    }
    return have == size ? OK : ERR_INVAL;
}

/* All chunks but the last are whole rows of body chunks, so that a later one never has to rewrite the one before it. */
enum err stage_check_chunk(const struct store *s, uint64_t account, uint64_t index, uint32_t offset,
                           uint32_t chunk_bytes)
{
    struct stage_row row;
    uint64_t have;
    enum err e = stage_get(s, index, &row);
    if (e != OK) {
        return e;
    }
    if (row.account != account) {
        return ERR_NOTFOUND;
    }
    e = repl_body_bytes(s->t, s->prefix, index, 0, &have);
    if (e != OK) {
        return e;
    }
    uint64_t end = (uint64_t)offset + chunk_bytes;
    /* A chunk that is no multiple of the rows' size is the last: none can follow it, since that would begin in a row.
     */
    if (chunk_bytes == 0 || chunk_bytes > REPL_ENTRY_BYTES_MAX || end > row.size ||
        offset % REPL_BODY_CHUNK_DATA != 0) {
        return ERR_INVAL;
    }
    /* A chunk sent again (its reply was lost) is stored over itself. */
    return offset <= have ? OK : ERR_INVAL;
}

static enum err give_back(struct op_context *ox, uint64_t account, uint32_t size)
{
    struct op_account *a;
    enum err e = op_account_any(ox, account, &a);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (a->row.staged_bytes < size) {
        return ERR_CORRUPT;
    }
    a->row.staged_bytes -= size;
    a->dirty = true;
    return OK;
}

enum err stage_release(struct op_context *ox, uint64_t index, uint64_t account, uint32_t size)
{
    struct key k;
    stage_key(&k, &ox->store, index);
    enum err e = store_del_must(&ox->store, &k);
    if (e == OK) {
        e = give_back(ox, account, size);
    }
    if (e == OK) {
        e = give_back(ox, 0, size);
    }
    ox->changed = true;
    return e;
}

enum err stage_kill(struct op_context *ox, uint64_t index, const struct stage_row *row)
{
    enum err e = stage_release(ox, index, row->account, row->size);
    if (e != OK) {
        return e;
    }
    return repl_body_kill(ox->store.t, ox->store.prefix, index, 0, ox->head.entry_ms);
}
