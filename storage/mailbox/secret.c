#include "storage/mailbox/secret.h"

#define HEAD_BYTES 10

enum err secret_get(const struct store *s, struct account_id a, struct secret *out)
{
    struct key k;
    struct slice v;
    key_account(&k, s, a, ACCOUNT_SECRET);
    enum err e = store_get(s, &k, &v);
    if (e != OK) {
        return e;
    }
    if (v.n < HEAD_BYTES || v.n - HEAD_BYTES < get_le16(v.p + 8)) {
        return ERR_CORRUPT;
    }
    size_t name_n = get_le16(v.p + 8);
    if (name_n > SECRET_NAME_BYTES_MAX || v.n - HEAD_BYTES - name_n > SECRET_BYTES_MAX) {
        return ERR_CORRUPT;
    }
    out->version = get_le64(v.p);
    out->name = slice_sub(v, HEAD_BYTES, HEAD_BYTES + name_n);
    out->credentials = slice_sub(v, HEAD_BYTES + name_n, v.n);
    return OK;
}

enum err secret_put(const struct store *s, struct account_id a, const struct secret *v)
{
    struct key k;
    uint8_t *p;
    ASSERT(v->name.n <= SECRET_NAME_BYTES_MAX && v->credentials.n <= SECRET_BYTES_MAX);
    key_account(&k, s, a, ACCOUNT_SECRET);
    enum err e = kv_reserve(s->t, key_slice(&k), HEAD_BYTES + v->name.n + v->credentials.n, &p);
    if (e != OK) {
        return e;
    }
    put_le64(p, v->version);
    put_le16(p + 8, (uint16_t)v->name.n);
    memcpy(p + HEAD_BYTES, v->name.p, v->name.n);
    if (v->credentials.n > 0) {
        memcpy(p + HEAD_BYTES + v->name.n, v->credentials.p, v->credentials.n);
    }
    return OK;
}
