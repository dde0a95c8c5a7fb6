#include "replication/volume_owner.h"

#include "proto/base/hash.h"
#include "replication/key.h"

#define OWNER_VERSION 1
#define OWNER_ROW_BYTES 32

enum err volume_owner_decode(struct slice row, struct volume_owner *out)
{
    if (row.n != OWNER_ROW_BYTES || get_le32(row.p + 28) != crc32c(0, row.p, 28) || get_le32(row.p) != OWNER_VERSION ||
        get_le64(row.p + 20) == 0) {
        return ERR_CORRUPT;
    }
    memcpy(out->cluster.b, row.p + 4, sizeof(out->cluster.b));
    out->node.v = get_le64(row.p + 20);
    return OK;
}

enum err volume_owner_get(struct kv_txn *t, struct volume_owner *out)
{
    struct repl_key k = key_head(0, 'I');
    struct slice row;
    enum err e = kv_get(t, key_slice(&k), &row);
    return e == OK ? volume_owner_decode(row, out) : e;
}

enum err volume_owner_put(struct kv_txn *t, const struct volume_owner *o)
{
    struct repl_key k = key_head(0, 'I');
    uint8_t row[OWNER_ROW_BYTES];
    put_le32(row, OWNER_VERSION);
    memcpy(row + 4, o->cluster.b, sizeof(o->cluster.b));
    put_le64(row + 20, o->node.v);
    put_le32(row + 28, crc32c(0, row, 28));
    return kv_put(t, key_slice(&k), slice_make(row, sizeof(row)));
}

enum err volume_replicas_stored(struct kv_txn *t, uint32_t *out)
{
    struct repl_key from = key_head(0, 'R');
    struct kv_cursor *c;
    struct slice key;
    struct slice row;
    uint32_t n = 0;
    enum err e = kv_cursor_open(t, &c);
    if (e != OK) {
        return e;
    }
    for (e = kv_cursor_seek(c, key_slice(&from), &key, &row); e == OK && key_under(key, 0, 'R');
         e = kv_cursor_next(c, &key, &row)) {
        n++;
    }
    kv_cursor_close(c);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    *out = n;
    return OK;
}
