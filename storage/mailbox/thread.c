#include "storage/mailbox/email.h"

struct thread_row {
    uint8_t threadid[16];
    uint32_t refs;
};

static void thread_key(struct key *k, const struct store *s, struct account_id a, uint64_t id, uint64_t subject)
{
    key_account(k, s, a, ACCOUNT_THREADS);
    key_u64(k, id);
    key_u64(k, subject);
}

static enum err thread_get(const struct store *s, const struct key *k, struct thread_row *out)
{
    uint8_t b[THREAD_ROW_BYTES];
    enum err e = store_get_row(s, k, b, sizeof(b));
    if (e != OK) {
        return e;
    }
    memcpy(out->threadid, b, sizeof(out->threadid));
    out->refs = get_le32(b + 16);
    return out->refs == 0 ? ERR_CORRUPT : OK;
}

static enum err thread_put(const struct store *s, const struct key *k, const struct thread_row *row)
{
    uint8_t b[THREAD_ROW_BYTES];
    memcpy(b, row->threadid, sizeof(row->threadid));
    put_le32(b + 16, row->refs);
    return store_put_row(s, k, b, sizeof(b));
}

static uint64_t reference_at(const struct msg_record *m, size_t i)
{
    return get_le64(m->references.p + i * sizeof(uint64_t));
}

enum err thread_find(const struct store *s, struct account_id a, const struct msg_record *m, const struct u128 *fresh,
                     uint8_t out_threadid[16], uint64_t *out_parent)
{
    size_t n = m->references.n / sizeof(uint64_t);
    struct thread_row row;
    struct key k;
    enum err e = ERR_NOTFOUND;
    *out_parent = n > 0 ? reference_at(m, 0) : 0;
    if (*out_parent == m->message_id) {
        *out_parent = 0;
    }
    memcpy(out_threadid, fresh->b, sizeof(fresh->b));
    if (m->message_id != 0) {
        thread_key(&k, s, a, m->message_id, m->base_subject);
        e = thread_get(s, &k, &row);
    }
    for (size_t i = 0; e == ERR_NOTFOUND && i < n; i++) {
        thread_key(&k, s, a, reference_at(m, i), m->base_subject);
        e = thread_get(s, &k, &row);
    }
    if (e == ERR_NOTFOUND) {
        return OK;
    }
    if (e == OK) {
        memcpy(out_threadid, row.threadid, sizeof(row.threadid));
    }
    return e;
}

static enum err take_one(const struct store *s, struct account_id a, uint64_t id, uint64_t subject,
                         const uint8_t threadid[16])
{
    struct thread_row row;
    struct key k;
    if (id == 0) {
        return OK;
    }
    thread_key(&k, s, a, id, subject);
    enum err e = thread_get(s, &k, &row);
    if (e == ERR_NOTFOUND) {
        memcpy(row.threadid, threadid, sizeof(row.threadid));
        row.refs = 0;
        e = OK;
    }
    if (e != OK) {
        return e;
    }
    row.refs++;
    return thread_put(s, &k, &row);
}

enum err thread_take(const struct store *s, struct account_id a, const struct email_row *row)
{
    enum err e = take_one(s, a, row->thread_own, row->thread_subject, row->threadid);
    if (e != OK) {
        return e;
    }
    return take_one(s, a, row->thread_parent, row->thread_subject, row->threadid);
}

static enum err drop_one(const struct store *s, struct account_id a, uint64_t id, uint64_t subject)
{
    struct thread_row row;
    struct key k;
    if (id == 0) {
        return OK;
    }
    thread_key(&k, s, a, id, subject);
    enum err e = thread_get(s, &k, &row);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (row.refs == 1) {
        return store_del_must(s, &k);
    }
    row.refs--;
    return thread_put(s, &k, &row);
}

enum err thread_drop(const struct store *s, struct account_id a, const struct email_row *row)
{
    enum err e = drop_one(s, a, row->thread_own, row->thread_subject);
    if (e != OK) {
        return e;
    }
    return drop_one(s, a, row->thread_parent, row->thread_subject);
}
