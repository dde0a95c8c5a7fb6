#include "storage/mailbox/row.h"

#include "proto/base/plant.h"

enum err account_get(const struct store *s, struct account_id a, struct account_row *out)
{
    struct key k;
    struct account_row row;
    key_account(&k, s, a, ACCOUNT_ROW);
    enum err e = store_get_row(s, &k, &row, sizeof(row));
    if (e != OK) {
        return e;
    }
    if (row.version != ROW_VERSION) {
        return ERR_CORRUPT;
    }
    *out = row;
    return OK;
}

enum err account_readable(uint32_t state)
{
    switch (state) {
    case ACCOUNT_LIVE:
    case ACCOUNT_FENCED:
        return OK;
    case ACCOUNT_ARRIVED:
        return ERR_UNAVAILABLE;
    case ACCOUNT_ARRIVING:
    case ACCOUNT_CANCELLED:
    case ACCOUNT_MOVED:
        return ERR_MOVED;
    default:
        return ERR_NOTFOUND;
    }
}

enum err account_writable(uint32_t state)
{
    return state == ACCOUNT_FENCED && !planted(PLANT_MOVE_FENCE) ? ERR_UNAVAILABLE : account_readable(state);
}

enum err account_moved_to(const struct store *s, struct account_id a, uint32_t *out_shard)
{
    struct account_row row;
    enum err e = account_get(s, a, &row);
    if (e == OK || e == ERR_NOTFOUND) {
        *out_shard = e == OK && account_is_away(row.state) ? row.inbox : 0;
        e = OK;
    }
    return e;
}

enum err account_get_live(const struct store *s, struct account_id a, struct account_row *out)
{
    struct account_row row;
    enum err e = account_get(s, a, &row);
    if (e == OK) {
        e = account_readable(row.state);
    }
    if (e != OK) {
        return e;
    }
    *out = row;
    return OK;
}

enum err account_put(const struct store *s, struct account_id a, const struct account_row *row)
{
    struct key k;
    key_account(&k, s, a, ACCOUNT_ROW);
    return store_put_row(s, &k, row, sizeof(*row));
}

enum err mailbox_get(const struct store *s, struct account_id a, uint32_t mailbox, struct mailbox_row *out)
{
    struct key k;
    struct mailbox_row row;
    key_mailbox(&k, s, a, ACCOUNT_MAILBOXES, mailbox);
    enum err e = store_get_row(s, &k, &row, sizeof(row));
    if (e != OK) {
        return e;
    }
    if (row.version != ROW_VERSION) {
        return ERR_CORRUPT;
    }
    *out = row;
    return OK;
}

enum err mailbox_get_live(const struct store *s, struct account_id a, uint64_t mailbox, struct mailbox_row *out)
{
    struct mailbox_row row;
    if (mailbox == 0 || mailbox > UINT32_MAX) {
        return ERR_NOTFOUND;
    }
    enum err e = mailbox_get(s, a, (uint32_t)mailbox, &row);
    if (e != OK) {
        return e;
    }
    if (row.state != MAILBOX_LIVE) {
        return ERR_NOTFOUND;
    }
    *out = row;
    return OK;
}

enum err mailbox_put(const struct store *s, struct account_id a, uint32_t mailbox, const struct mailbox_row *row)
{
    struct key k;
    key_mailbox(&k, s, a, ACCOUNT_MAILBOXES, mailbox);
    return store_put_row(s, &k, row, sizeof(*row));
}

enum err message_get(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid,
                     struct message_row *out)
{
    struct key k;
    key_message(&k, s, a, mailbox, uid);
    return store_get_row(s, &k, out, sizeof(*out));
}

enum err message_put(const struct store *s, struct account_id a, uint32_t mailbox, uint32_t uid,
                     const struct message_row *row)
{
    struct key k;
    key_message(&k, s, a, mailbox, uid);
    return store_put_row(s, &k, row, sizeof(*row));
}

enum err message_decode(struct slice rest, struct slice value, uint32_t *out_uid, struct message_row *out)
{
    if (rest.n != sizeof(uint32_t) || value.n != sizeof(*out)) {
        return ERR_CORRUPT;
    }
    *out_uid = get_be32(rest.p);
    memcpy(out, value.p, sizeof(*out));
    return OK;
}
