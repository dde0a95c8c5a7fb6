#include "storage/mailbox/subscription.h"

#include "proto/base/hash.h"

static void name_key(struct key *k, const struct store *s, struct account_id a, struct slice name, uint8_t sequence)
{
    key_account(k, s, a, ACCOUNT_SUBSCRIBED);
    key_u64(k, hash_stable(name.p, name.n));
    key_u8(k, sequence);
}

/* The name's sequence number, or the first free one with ERR_NOTFOUND, or ERR_LIMIT. */
static enum err find(const struct store *s, struct account_id a, struct slice name, uint8_t *out_sequence)
{
    uint8_t room = SUBSCRIPTION_COLLISIONS_MAX;
    for (uint8_t i = 0; i < SUBSCRIPTION_COLLISIONS_MAX; i++) {
        struct key k;
        struct slice v;
        name_key(&k, s, a, name, i);
        enum err e = store_get(s, &k, &v);
        if (e == OK && slice_eq(v, name)) {
            *out_sequence = i;
            return OK;
        }
        if (e != OK && e != ERR_NOTFOUND) {
            return e;
        }
        if (e == ERR_NOTFOUND && room == SUBSCRIPTION_COLLISIONS_MAX) {
            room = i;
        }
    }
    *out_sequence = room;
    return room == SUBSCRIPTION_COLLISIONS_MAX ? ERR_LIMIT : ERR_NOTFOUND;
}

enum err subscription_has(const struct store *s, struct account_id a, struct slice name, bool *out)
{
    uint8_t sequence;
    enum err e = find(s, a, name, &sequence);
    if (e != OK && e != ERR_NOTFOUND && e != ERR_LIMIT) {
        return e;
    }
    *out = e == OK;
    return OK;
}

enum err subscription_check(const struct store *s, struct account_id a, const struct account_row *acct,
                            struct slice name)
{
    uint8_t sequence;
    enum err e = find(s, a, name, &sequence);
    if (e == ERR_NOTFOUND) {
        return acct->subscriptions < SUBSCRIPTIONS_MAX ? OK : ERR_LIMIT;
    }
    return e;
}

enum err subscription_add(const struct store *s, struct account_id a, struct account_row *acct, struct slice name)
{
    uint8_t sequence;
    struct key k;
    enum err e = find(s, a, name, &sequence);
    if (e != ERR_NOTFOUND) {
        return e == ERR_LIMIT ? ERR_CORRUPT : e;
    }
    name_key(&k, s, a, name, sequence);
    e = store_put(s, &k, name);
    if (e == OK) {
        acct->subscriptions++;
    }
    return e;
}

enum err subscription_remove(const struct store *s, struct account_id a, struct account_row *acct, struct slice name)
{
    uint8_t sequence;
    struct key k;
    enum err e = find(s, a, name, &sequence);
    if (e == ERR_NOTFOUND || e == ERR_LIMIT) {
        return OK;
    }
    if (e != OK) {
        return e;
    }
    name_key(&k, s, a, name, sequence);
    e = store_del_must(s, &k);
    if (e == OK) {
        acct->subscriptions--;
    }
    return e;
}
