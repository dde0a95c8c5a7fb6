#include "storage/mailbox/email.h"

#include "replication/volume.h"

#define FIRST_CHUNK_RECORD (KV_CHUNK_BYTES - sizeof(struct email_row))

/* --- counted rows: le32, only there from two references on --- */

static enum err count_get(const struct store *s, const struct key *k, uint32_t *out)
{
    uint32_t n;
    enum err e = store_get_row(s, k, &n, sizeof(n));
    if (e == ERR_NOTFOUND) {
        *out = 1;
        return OK;
    }
    if (e != OK) {
        return e;
    }
    if (n < 2) {
        return ERR_CORRUPT;
    }
    *out = n;
    return OK;
}

static enum err count_take(const struct store *s, const struct key *k)
{
    uint32_t n;
    enum err e = count_get(s, k, &n);
    if (e != OK) {
        return e;
    }
    if (n == UINT32_MAX) {
        return ERR_CORRUPT;
    }
    n++;
    return store_put_row(s, k, &n, sizeof(n));
}

/* out_last: there was one only, nothing was written. */
static enum err count_drop(const struct store *s, const struct key *k, bool *out_last)
{
    uint32_t n;
    enum err e = count_get(s, k, &n);
    if (e != OK) {
        return e;
    }
    *out_last = n == 1;
    if (n == 1) {
        return OK;
    }
    if (n == 2) {
        return store_del_must(s, k);
    }
    n--;
    return store_put_row(s, k, &n, sizeof(n));
}

/* --- bodies --- */

static void body_key(struct key *k, const struct store *s, uint64_t index, uint16_t ordinal)
{
    key_shard(k, s, SHARD_BODY_REFS);
    key_u64(k, index);
    key_u16(k, ordinal);
}

enum err body_ref_take(const struct store *s, uint64_t index, uint16_t ordinal)
{
    struct key k;
    body_key(&k, s, index, ordinal);
    return count_take(s, &k);
}

enum err body_ref_drop(const struct store *s, uint64_t index, uint16_t ordinal, uint64_t entry_ms)
{
    struct key k;
    bool last;
    body_key(&k, s, index, ordinal);
    enum err e = count_drop(s, &k, &last);
    if (e != OK || !last) {
        return e;
    }
    return repl_body_kill(s->t, s->prefix, index, ordinal, entry_ms);
}

enum err body_ref_count(const struct store *s, uint64_t index, uint16_t ordinal, uint32_t *out)
{
    struct key k;
    body_key(&k, s, index, ordinal);
    return count_get(s, &k, out);
}

/* --- emails --- */

static void email_key(struct key *k, const struct store *s, struct account_id a, uint64_t email)
{
    key_account(k, s, a, ACCOUNT_EMAILS);
    key_u64(k, email);
}

static enum err put_further_chunks(const struct store *s, const struct key *k, struct slice record)
{
    uint8_t chunk = 1;
    for (size_t off = FIRST_CHUNK_RECORD; off < record.n; off += KV_CHUNK_BYTES) {
        struct key piece = *k;
        key_u8(&piece, chunk++);
        enum err e = store_put(s, &piece, slice_sub(record, off, off + KV_CHUNK_BYTES));
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err email_put(const struct store *s, struct account_id a, uint64_t email, const struct email_row *row,
                   struct slice record)
{
    struct key k;
    uint8_t *p;
    struct slice first = slice_sub(record, 0, FIRST_CHUNK_RECORD);
    ASSERT(record.n <= (size_t)EMAIL_CHUNKS_MAX * KV_CHUNK_BYTES - sizeof(*row));
    email_key(&k, s, a, email);
    enum err e = kv_reserve(s->t, key_slice(&k), sizeof(*row) + first.n, &p);
    if (e != OK) {
        return e;
    }
    struct email_row full = *row;
    full.version = ROW_VERSION;
    full.record_bytes = (uint32_t)record.n;
    memcpy(p, &full, sizeof(full));
    memcpy(p + sizeof(full), first.p, first.n);
    return put_further_chunks(s, &k, record);
}

static void email_refs_key(struct key *k, const struct store *s, struct account_id a, uint64_t email)
{
    key_account(k, s, a, ACCOUNT_EMAIL_REFS);
    key_u64(k, email);
}

enum err email_ref_take(const struct store *s, struct account_id a, uint64_t email)
{
    struct key k;
    email_refs_key(&k, s, a, email);
    return count_take(s, &k);
}

static enum err email_decode(struct slice value, struct email_row *out)
{
    struct email_row row;
    if (value.n < sizeof(row)) {
        return ERR_CORRUPT;
    }
    memcpy(&row, value.p, sizeof(row));
    size_t first = row.record_bytes < FIRST_CHUNK_RECORD ? row.record_bytes : FIRST_CHUNK_RECORD;
    if (row.version != ROW_VERSION || value.n != sizeof(row) + first || row.body_ordinal > UINT16_MAX ||
        row.record_bytes > (size_t)EMAIL_CHUNKS_MAX * KV_CHUNK_BYTES) {
        return ERR_CORRUPT;
    }
    *out = row;
    return OK;
}

enum err email_get(const struct store *s, struct account_id a, uint64_t email, struct email_row *out)
{
    struct key k;
    struct slice v;
    email_key(&k, s, a, email);
    enum err e = store_get(s, &k, &v);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    return email_decode(v, out);
}

enum err email_drop_row(const struct store *s, struct account_id a, uint64_t email, uint64_t entry_ms)
{
    struct email_row row;
    struct key k;
    enum err e = email_get(s, a, email, &row);
    if (e != OK) {
        return e;
    }
    email_key(&k, s, a, email);
    e = store_del_must(s, &k);
    uint8_t chunk = 1;
    for (size_t off = FIRST_CHUNK_RECORD; e == OK && off < row.record_bytes; off += KV_CHUNK_BYTES) {
        struct key piece = k;
        key_u8(&piece, chunk++);
        e = store_del_must(s, &piece);
    }
    if (e != OK) {
        return e;
    }
    return body_ref_drop(s, row.body_index, (uint16_t)row.body_ordinal, entry_ms);
}

static enum err email_delete(const struct store *s, struct account_id a, uint64_t email, uint64_t entry_ms)
{
    struct email_row row;
    enum err e = email_get(s, a, email, &row);
    if (e == OK) {
        e = thread_drop(s, a, &row);
    }
    return e == OK ? email_drop_row(s, a, email, entry_ms) : e;
}

enum err email_ref_drop(const struct store *s, struct account_id a, uint64_t email, uint64_t entry_ms)
{
    struct key k;
    bool last;
    email_refs_key(&k, s, a, email);
    enum err e = count_drop(s, &k, &last);
    if (e != OK || !last) {
        return e;
    }
    return email_delete(s, a, email, entry_ms);
}

/* --- reading many --- */

enum err email_reader_open(struct email_reader *r, const struct store *s, struct account_id a)
{
    struct key prefix;
    r->store = s;
    r->account = a;
    r->at = 0;
    buf_init(&r->long_record, (size_t)EMAIL_CHUNKS_MAX * KV_CHUNK_BYTES);
    key_account(&prefix, s, a, ACCOUNT_EMAILS);
    return scan_open(&r->scan, s, &prefix);
}

void email_reader_close(struct email_reader *r)
{
    scan_close(&r->scan);
    buf_fini(&r->long_record);
}

/* Puts the cursor at the email's first chunk: a step when it is the next row, else a seek. */
static enum err reader_position(struct email_reader *r, uint64_t email, struct slice *out_value)
{
    struct slice rest;
    struct key k;
    if (r->at != 0 && email > r->at && email - r->at <= 2) {
        enum err e = scan_next(&r->scan, &rest, out_value);
        if (e == OK && rest.n == sizeof(uint64_t) && get_be64(rest.p) == email) {
            return OK;
        }
        if (e != OK && e != ERR_NOTFOUND) {
            return e;
        }
    }
    email_key(&k, r->store, r->account, email);
    enum err e = scan_seek(&r->scan, &k, &rest, out_value);
    if (e == ERR_NOTFOUND || (e == OK && (rest.n != sizeof(uint64_t) || get_be64(rest.p) != email))) {
        return ERR_CORRUPT;
    }
    return e;
}

/* The chunks after the first lie behind it. */
static enum err reader_assemble(struct email_reader *r, uint64_t email, struct slice first, size_t total,
                                struct slice *out)
{
    buf_reset(&r->long_record);
    enum err e = buf_append_slice(&r->long_record, first);
    uint8_t chunk = 1;
    while (e == OK && r->long_record.len < total) {
        struct slice rest;
        struct slice value;
        e = scan_next(&r->scan, &rest, &value);
        if (e == ERR_NOTFOUND ||
            (e == OK && (rest.n != sizeof(uint64_t) + 1 || get_be64(rest.p) != email || rest.p[8] != chunk))) {
            return ERR_CORRUPT;
        }
        if (e == OK) {
            e = buf_append_slice(&r->long_record, value);
        }
        chunk++;
    }
    if (e != OK) {
        return e == ERR_LIMIT ? ERR_CORRUPT : e;
    }
    if (r->long_record.len != total) {
        return ERR_CORRUPT;
    }
    *out = buf_slice(&r->long_record);
    return OK;
}

enum err email_reader_get(struct email_reader *r, uint64_t email, struct email_row *out, struct slice *out_record)
{
    struct slice value;
    enum err e = reader_position(r, email, &value);
    r->at = 0;
    if (e != OK) {
        return e;
    }
    e = email_decode(value, out);
    if (e != OK) {
        return e;
    }
    struct slice first = slice_sub(value, sizeof(*out), value.n);
    if (out->record_bytes > first.n) {
        e = reader_assemble(r, email, first, out->record_bytes, out_record);
    } else {
        *out_record = first;
    }
    if (e == OK) {
        r->at = email;
    }
    return e;
}
