#include "storage/apply/common/dedupe.h"

static uint32_t bucket_of(uint64_t ms)
{
    uint64_t b = ms / DEDUPE_BUCKET_MS + 1; /* 0 means none */
    return b > UINT32_MAX ? UINT32_MAX : (uint32_t)b;
}

/* The first bucket that is not too old: all of what a bucket before it holds is older than dedupe_ms. */
static uint32_t oldest_bucket(uint64_t entry_ms, uint64_t dedupe_ms)
{
    return entry_ms > dedupe_ms ? bucket_of(entry_ms - dedupe_ms) : 1;
}

static void record_key(struct key *k, const struct store *s, struct account_id a, uint32_t bucket,
                       const struct u128 *request_id)
{
    key_account(k, s, a, ACCOUNT_DEDUPE);
    key_u32(k, bucket);
    key_bytes(k, request_id->b, sizeof(request_id->b));
}

enum err dedupe_find(const struct store *s, struct account_id a, const struct account_row *row, uint64_t entry_ms,
                     uint64_t dedupe_ms, const struct u128 *request_id, struct buf *result, bool *out_found)
{
    uint32_t first = oldest_bucket(entry_ms, dedupe_ms);
    uint32_t now = bucket_of(entry_ms);
    uint32_t last = now > UINT32_MAX - DEDUPE_BUCKETS_AHEAD ? UINT32_MAX : now + DEDUPE_BUCKETS_AHEAD;
    *out_found = false;
    first = first < row->dedupe_from ? row->dedupe_from : first;
    last = last > row->dedupe_to ? row->dedupe_to : last;
    for (uint32_t bucket = last; bucket >= first && bucket > 0; bucket--) {
        struct key k;
        record_key(&k, s, a, bucket, request_id);
        enum err e = store_get_long(s, &k, result);
        if (e != ERR_NOTFOUND) {
            *out_found = e == OK;
            return e;
        }
    }
    return OK;
}

enum err dedupe_put(const struct store *s, struct account_id a, struct account_row *row, uint64_t entry_ms,
                    const struct u128 *request_id, struct slice value)
{
    struct key k;
    uint32_t bucket = bucket_of(entry_ms);
    record_key(&k, s, a, bucket, request_id);
    enum err e = store_put_long(s, &k, value);
    if (e != OK) {
        return e;
    }
    if (row->dedupe_to == 0 || bucket < row->dedupe_from) {
        row->dedupe_from = bucket;
    }
    if (bucket > row->dedupe_to) {
        row->dedupe_to = bucket;
    }
    return OK;
}

bool dedupe_expiry_due(const struct account_row *row, uint64_t entry_ms, uint64_t dedupe_ms)
{
    return row->dedupe_to != 0 && row->dedupe_from < oldest_bucket(entry_ms, dedupe_ms);
}

/* Where the records begin now. */
static enum err settle(const struct store *s, const struct key *table, struct account_row *row)
{
    struct scan sc;
    struct slice rest;
    struct slice value;
    enum err e = scan_open(&sc, s, table);
    if (e != OK) {
        return e;
    }
    e = scan_next(&sc, &rest, &value);
    if (e == OK && rest.n < 4) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        row->dedupe_from = get_be32(rest.p);
    }
    if (e == ERR_NOTFOUND) {
        row->dedupe_from = 0;
        row->dedupe_to = 0;
        e = OK;
    }
    scan_close(&sc);
    return e;
}

enum err dedupe_expire(const struct store *s, struct account_id a, struct account_row *row, uint64_t entry_ms,
                       uint64_t dedupe_ms, uint32_t max)
{
    struct key table;
    struct scan sc;
    struct slice rest;
    struct slice value;
    uint32_t oldest = oldest_bucket(entry_ms, dedupe_ms);
    if (!dedupe_expiry_due(row, entry_ms, dedupe_ms)) {
        return OK;
    }
    key_account(&table, s, a, ACCOUNT_DEDUPE);
    enum err e = scan_open(&sc, s, &table);
    if (e != OK) {
        return e;
    }
    for (e = scan_next(&sc, &rest, &value); e == OK && max > 0; e = scan_next(&sc, &rest, &value)) {
        if (rest.n < 4) {
            e = ERR_CORRUPT;
        } else if (get_be32(rest.p) >= oldest) {
            break;
        } else {
            e = scan_del(&sc);
            max--;
        }
        if (e != OK) {
            break;
        }
    }
    scan_close(&sc);
    return e == OK || e == ERR_NOTFOUND ? settle(s, &table, row) : e;
}
