#include "storage/check/check_run.h"
#include "storage/mailbox/kept.h"

struct kept_check {
    struct check_account *a;
    struct kept_totals have;
    bool parts; /* of an account that has not arrived whole */
};

/* The shard must know of its time, or nobody would ever drop it. */
static enum err check_time(struct check_account *a, const struct key *prefix, struct slice rest)
{
    struct key k;
    struct slice v;
    key_shard(&k, &a->run->store, SHARD_KEPT);
    key_bytes(&k, rest.p, 8);
    key_u64(&k, a->id.v);
    enum err e = store_get(&a->run->store, &k, &v);
    if (e == ERR_NOTFOUND) {
        check_report_row(a->run, prefix, rest, "a kept message of a time that the shard does not know");
        return OK;
    }
    return e;
}

static enum err take_email(struct kept_check *c, const struct kept_row *row, const struct key *prefix,
                           struct slice rest)
{
    struct counted *email = counts_get(&c->a->emails, row->email, 0);
    if (email == NULL) {
        return ERR_NOMEM;
    }
    email->refs++;
    if (email->refs > 1 && email->value != row->size) {
        check_report_row(c->a->run, prefix, rest, "a kept message of another size than its copies");
    }
    email->value = row->size;
    c->have.messages++;
    c->have.bytes += row->size;
    return OK;
}

static enum err take_part(struct kept_check *c, const struct key *prefix, struct slice rest)
{
    struct key k = *prefix;
    struct kept_row row;
    struct slice v;
    key_bytes(&k, rest.p, rest.n);
    enum err e = store_get(&c->a->run->store, &k, &v);
    if (e == OK && v.n >= sizeof(row)) {
        memcpy(&row, v.p, sizeof(row));
        c->have.messages++;
        c->have.bytes += row.size;
    }
    return e == OK ? check_time(c->a, prefix, rest) : e;
}

static enum err check_message(struct kept_check *c, const struct key *prefix, struct slice rest)
{
    struct buf value;
    struct kept kept = {.row = {0}};
    struct kept_key at = {get_be64(rest.p), get_be32(rest.p + 8), get_be32(rest.p + 12)};
    buf_init(&value, SIZE_MAX / 2);
    enum err e = kept_get(&c->a->run->store, c->a->id, &at, &value, &kept);
    struct kept_row row = kept.row;
    buf_fini(&value);
    if (c->parts && (e == ERR_CORRUPT || e == ERR_NOTFOUND)) { /* cut in the middle: its first piece says its size */
        return take_part(c, prefix, rest);
    }
    if (e == ERR_CORRUPT) {
        check_report_row(c->a->run, prefix, rest, "a kept message that cannot be read");
        return OK;
    }
    if (e != OK) {
        return e;
    }
    if (at.uid == 0 || at.mailbox == 0 || (!c->parts && at.mailbox >= c->a->row.next_mailbox)) {
        check_report_row(c->a->run, prefix, rest, "a kept message of a mailbox or UID that never was");
    }
    e = take_email(c, &row, prefix, rest);
    return e == OK ? check_time(c->a, prefix, rest) : e;
}

/* A further piece follows a full one. */
static enum err check_piece(struct kept_check *c, const struct key *prefix, struct slice rest)
{
    struct key before = *prefix;
    struct slice v;
    key_bytes(&before, rest.p, 16);
    key_u16(&before, (uint16_t)(get_be16(rest.p + 16) - 1));
    enum err e = store_get(&c->a->run->store, &before, &v);
    if (e == ERR_NOTFOUND || (e == OK && v.n != KV_CHUNK_BYTES)) {
        check_report_row(c->a->run, prefix, rest, "a piece of a kept message that does not continue it");
        return OK;
    }
    return e;
}

static enum err kept_message_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct kept_check *c = ctx;
    (void)value;
    if (rest.n != 18) {
        check_report_row(c->a->run, prefix, rest, "a kept message with a bad key");
        return OK;
    }
    return get_be16(rest.p + 16) == 0 ? check_message(c, prefix, rest) : check_piece(c, prefix, rest);
}

static void check_totals_row(struct check_run *r, const struct key *k, enum err e, const struct kept_totals *said,
                             const struct kept_totals *have)
{
    if (e != OK || said->messages != have->messages || said->bytes != have->bytes) {
        check_report(r, k, "kept messages are counted wrong");
    }
}

enum err check_kept(struct check_account *a)
{
    struct kept_check c = {.a = a, .parts = a->row.state == ACCOUNT_ARRIVING || a->row.state == ACCOUNT_CANCELLED};
    struct kept_totals said = {0};
    struct key k;
    key_account(&k, &a->run->store, a->id, ACCOUNT_KEPT);
    enum err e = check_walk(a->run, &k, &c, kept_message_row);
    if (e != OK) {
        return e;
    }
    key_account(&k, &a->run->store, a->id, ACCOUNT_KEPT_TOTAL);
    e = kept_totals_get(&a->run->store, a->id, &said);
    if (e != OK && e != ERR_CORRUPT) {
        return e;
    }
    check_totals_row(a->run, &k, e, &said, &c.have);
    a->run->kept_messages += c.have.messages;
    a->run->kept_bytes += c.have.bytes;
    return OK;
}

/* --- of the shard --- */

static enum err time_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    struct key k;
    bool empty = true;
    enum err e = OK;
    if (rest.n == 16 && value.n == 0) {
        struct account_id a = {get_be64(rest.p + 8)};
        key_account(&k, &r->store, a, ACCOUNT_KEPT);
        key_bytes(&k, rest.p, 8);
        e = store_range_empty(&r->store, &k, &empty);
    }
    if (e == OK && empty) {
        check_report_row(r, prefix, rest, "a time of kept messages without any");
    }
    return e;
}

enum err check_kept_shard(struct check_run *r)
{
    struct kept_totals said = {0};
    struct kept_totals have = {.messages = r->kept_messages, .bytes = r->kept_bytes};
    struct key k;
    key_shard(&k, &r->store, SHARD_KEPT);
    enum err e = check_walk(r, &k, r, time_row);
    if (e != OK) {
        return e;
    }
    key_shard(&k, &r->store, SHARD_KEPT_TOTAL);
    e = kept_totals_of_shard(&r->store, &said);
    if (e != OK && e != ERR_CORRUPT) {
        return e;
    }
    check_totals_row(r, &k, e, &said, &have);
    return OK;
}
