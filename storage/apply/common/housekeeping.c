#include "storage/apply/housekeeping.h"

#include "proto/base/hash.h"
#include "storage/apply/common/dedupe.h"
#include "storage/apply/copy_record.h"
#include "storage/apply/handoff.h"
#include "storage/apply/staging.h"
#include "storage/mailbox/kept.h"
#include "storage/mailbox/moving.h"

/* Rows looked at in one call, of each kind. */
#define LOOK_MAX 256

struct due {
    struct store store;
    uint64_t wall_ms;
    uint64_t account;
    uint64_t mailbox;
    bool due;
};

static void set_due(struct due *d, uint64_t account, uint64_t mailbox)
{
    d->account = account;
    d->mailbox = mailbox;
    d->due = true;
}

/* --- handoffs --- */

struct u128 housekeeping_handoff_id(struct shard_id from, uint64_t index, struct shard_id to)
{
    static const uint8_t key[16] = "pillarbox hand";
    uint8_t text[17];
    struct u128 id;
    put_le32(text, from.v);
    put_le64(text + 4, index);
    put_le32(text + 12, to.v);
    for (uint8_t half = 0; half < 2; half++) {
        text[16] = half;
        put_be64(id.b + 8 * half, siphash24(key, text, sizeof(text)));
    }
    return id;
}

static enum err find_handoff(const struct store *s, uint64_t index, struct shard_id to, struct handoff_due *out)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_shard(&prefix, s, SHARD_HANDOFFS);
    handoff_key(&at, s, index, to);
    key_u16(&at, UINT16_MAX); /* behind all its chunks */
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    e = scan_seek(&sc, &at, &rest, &value);
    if (e == OK && rest.n != 14) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        out->index = get_be64(rest.p);
        out->to.v = get_be32(rest.p + 8);
    }
    scan_close(&sc);
    return e;
}

static enum err load_handoff(const struct store *s, struct handoff_due *io, struct buf *op)
{
    struct key k;
    struct buf value;
    struct slice packed;
    struct handoff_head head;
    buf_init(&value, SIZE_MAX / 2);
    handoff_key(&k, s, io->index, io->to);
    enum err e = store_get_long(s, &k, &value);
    if (e == OK) {
        e = handoff_decode(buf_slice(&value), &head, &packed);
    }
    if (e == OK) {
        e = buf_append_slice(op, packed);
    }
    if (e == OK) {
        io->entry_ms = head.entry_ms;
        io->body_index = head.body_index;
        io->body_ordinal = (uint16_t)head.body_ordinal;
        io->body_bytes = head.body_bytes;
        io->recipients = head.recipients;
    }
    buf_fini(&value);
    return e;
}

enum err housekeeping_handoff_next(struct kv_txn *t, const uint8_t prefix[5], uint64_t index, struct shard_id to,
                                   struct handoff_due *out, struct buf *op)
{
    struct store s = {.t = t};
    struct handoff_due found;
    memcpy(s.prefix, prefix, sizeof(s.prefix));
    memset(&found, 0, sizeof(found));
    enum err e = find_handoff(&s, index, to, &found);
    if (e == OK) {
        e = load_handoff(&s, &found, op);
    }
    if (e == OK) {
        *out = found;
    }
    return e;
}

/* --- purge --- */

/* Waiting for its last dedupe records to grow old is no work. */
static enum err removed_account_due(struct due *d, struct account_id a, bool *out)
{
    struct account_row row;
    struct key k;
    struct slice v;
    enum err e = account_get(&d->store, a, &row);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    key_account(&k, &d->store, a, ACCOUNT_SECRET);
    e = store_get(&d->store, &k, &v);
    if (e != OK && e != ERR_NOTFOUND) {
        return e;
    }
    bool away = row.state != ACCOUNT_REMOVED;
    *out = e == OK || away || row.dedupe_to == 0 || dedupe_expiry_due(&row, d->wall_ms, DEDUPE_MS_DEFAULT);
    return OK;
}

static enum err look_at_queue(struct due *d, struct slice rest, struct slice value)
{
    bool due = true;
    (void)value;
    if (rest.n != 12) {
        return ERR_CORRUPT;
    }
    struct account_id a = {get_be64(rest.p)};
    uint32_t mailbox = get_be32(rest.p + 8);
    enum err e = mailbox == 0 ? removed_account_due(d, a, &due) : OK;
    if (e == OK && due) {
        set_due(d, a.v, mailbox);
    }
    return e;
}

static enum err look_at_staged(struct due *d, struct slice rest, struct slice value)
{
    struct stage_row row;
    (void)rest;
    if (value.n != sizeof(row)) {
        return ERR_CORRUPT;
    }
    memcpy(&row, value.p, sizeof(row));
    if (stage_expired(&row, d->wall_ms)) {
        set_due(d, 0, 0);
    }
    return OK;
}

static enum err look_at_copy(struct due *d, struct slice rest, struct slice value)
{
    struct copy_record record;
    struct account_row row;
    enum err e = rest.n == 24 ? copy_record_decode(value, &record) : ERR_CORRUPT;
    if (e != OK || !copy_record_due(&record, d->wall_ms)) {
        return e;
    }
    struct account_id a = {get_be64(rest.p)};
    e = account_get_live(&d->store, a, &row);
    if (e == OK && account_writable(row.state) == OK) {
        set_due(d, 0, 0);
    }
    return e == ERR_NOTFOUND || e == ERR_UNAVAILABLE || e == ERR_MOVED ? OK : e;
}

static enum err look(struct due *d, enum shard_table table,
                     enum err (*at)(struct due *d, struct slice rest, struct slice value))
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    if (d->due) {
        return OK;
    }
    key_shard(&prefix, &d->store, table);
    enum err e = scan_open(&sc, &d->store, &prefix);
    if (e != OK) {
        return e;
    }
    unsigned left = LOOK_MAX;
    for (e = scan_next(&sc, &rest, &value); e == OK && left > 0; e = scan_next(&sc, &rest, &value)) {
        e = at(d, rest, value);
        if (e != OK || d->due) {
            break;
        }
        left--;
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

/* Live accounts whose dedupe records are old because nothing has happened in them since. */
static enum err look_at_account(struct due *d, struct scan *sc, uint64_t *io_next)
{
    struct key at;
    struct slice rest;
    struct slice value;
    struct account_row row;
    key_shard(&at, &d->store, SHARD_ACCOUNTS);
    key_u64(&at, *io_next);
    key_u8(&at, ACCOUNT_ROW);
    enum err e = scan_seek(sc, &at, &rest, &value);
    if (e != OK) {
        return e;
    }
    if (rest.n < 9) {
        return ERR_CORRUPT;
    }
    uint64_t account = get_be64(rest.p);
    *io_next = account + 1;
    if (rest.n > 9 || rest.p[8] != ACCOUNT_ROW) {
        return OK;
    }
    if (value.n != sizeof(row)) {
        return ERR_CORRUPT;
    }
    memcpy(&row, value.p, sizeof(row));
    bool lives = row.state == ACCOUNT_LIVE || row.state == ACCOUNT_SHARD;
    bool away = row.state == ACCOUNT_MOVED || row.state == ACCOUNT_CANCELLED;
    if (((lives || away) && dedupe_expiry_due(&row, d->wall_ms, DEDUPE_MS_DEFAULT)) ||
        (away && moved_over(&row, d->wall_ms))) {
        set_due(d, account, 0);
    }
    return OK;
}

static enum err look_at_accounts(struct due *d, struct housekeeping *h)
{
    struct key prefix;
    struct scan sc;
    if (d->due) {
        return OK;
    }
    key_shard(&prefix, &d->store, SHARD_ACCOUNTS);
    enum err e = scan_open(&sc, &d->store, &prefix);
    if (e != OK) {
        return e;
    }
    for (unsigned i = 0; e == OK && !d->due && i < LOOK_MAX; i++) {
        e = look_at_account(d, &sc, &h->next_account);
    }
    scan_close(&sc);
    if (e == ERR_NOTFOUND) {
        h->next_account = 0;
        e = OK;
    }
    return e;
}

enum err housekeeping_purge_due(struct kv_txn *t, const uint8_t prefix[5], uint64_t wall_ms, struct housekeeping *h,
                                uint64_t *out_account, uint64_t *out_mailbox, bool *out_due)
{
    struct due d = {.store = {.t = t}, .wall_ms = wall_ms};
    memcpy(d.store.prefix, prefix, sizeof(d.store.prefix));
    enum err e = look(&d, SHARD_PURGE, look_at_queue);
    if (e == OK) {
        e = look(&d, SHARD_STAGED, look_at_staged);
    }
    if (e == OK) {
        e = look(&d, SHARD_COPIES, look_at_copy);
    }
    if (e == OK) {
        e = look_at_accounts(&d, h);
    }
    if (e == OK) {
        *out_account = d.account;
        *out_mailbox = d.mailbox;
        *out_due = d.due;
    }
    return e;
}

/* --- kept messages --- */

enum err housekeeping_kept_get(struct kv_txn *t, const uint8_t prefix[5], struct housekeeping_kept *out)
{
    struct store s = {.t = t};
    struct kept_totals totals;
    struct account_id a;
    uint64_t oldest_ms = UINT64_MAX;
    memcpy(s.prefix, prefix, sizeof(s.prefix));
    enum err e = kept_totals_of_shard(&s, &totals);
    if (e == OK && totals.messages > 0) {
        e = kept_time_first(&s, &oldest_ms, &a);
        e = e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (e == OK) {
        out->messages = totals.messages;
        out->bytes = totals.bytes;
        out->oldest_ms = oldest_ms;
    }
    return e;
}
