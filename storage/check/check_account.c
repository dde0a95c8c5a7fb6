#include "proto/base/hash.h"
#include "storage/check/check_run.h"
#include "storage/mailbox/moving.h"
#include "storage/mailbox/secret.h"
#include "storage/mailbox/subscription.h"
#include "storage/mailbox/tree.h"

struct subscriptions {
    struct check_account *a;
    uint32_t n;
};

static enum err subscription_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct subscriptions *s = ctx;
    s->n++;
    if (rest.n != 9 || get_be64(rest.p) != hash_stable(value.p, value.n)) {
        check_report_row(s->a->run, prefix, rest, "a subscription under another name's hash");
    }
    return OK;
}

static enum err check_subscriptions(struct check_account *a, const struct key *row_key)
{
    struct key prefix;
    struct subscriptions s = {.a = a};
    key_account(&prefix, &a->run->store, a->id, ACCOUNT_SUBSCRIBED);
    enum err e = check_walk(a->run, &prefix, &s, subscription_row);
    if (e == OK && s.n != a->row.subscriptions) {
        check_report(a->run, row_key, "the number of subscriptions is wrong");
    }
    return e;
}

static enum err dedupe_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_account *a = ctx;
    uint32_t bucket = rest.n == 22 ? get_be32(rest.p) : 0;
    if (rest.n != 22 || (get_be16(rest.p + 20) == 0 && value.n < 4)) {
        check_report_row(a->run, prefix, rest, "a dedupe record that cannot be read");
    } else if (bucket < a->row.dedupe_from || bucket > a->row.dedupe_to) {
        check_report_row(a->run, prefix, rest, "a dedupe record outside of the account's bounds");
    }
    return OK;
}

static enum err check_dedupe(struct check_account *a)
{
    struct key prefix;
    key_account(&prefix, &a->run->store, a->id, ACCOUNT_DEDUPE);
    return check_walk(a->run, &prefix, a, dedupe_row);
}

static enum err check_secret(struct check_account *a, const struct key *row_key)
{
    struct secret secret;
    enum err e = secret_get(&a->run->store, a->id, &secret);
    bool wrong = e == OK && secret.version != a->row.secret_version;
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT || wrong) {
        check_report(a->run, row_key, "the account's credentials are missing or of another version");
        return OK;
    }
    return e;
}

static void check_totals_of(struct check_account *a, const struct key *row_key)
{
    const struct counted *staged = counts_find(&a->run->staged, a->id.v, 0);
    if (a->row.staged_bytes != (staged == NULL ? 0 : staged->value) ||
        a->row.uploads != (staged == NULL ? 0 : staged->refs)) {
        check_report(a->run, row_key, "the account's uploads are counted wrong");
    }
    if (!check_is_whole(a)) {
        return;
    }
    if (a->row.used_messages != a->live_messages || a->row.used_bytes != a->live_bytes) {
        check_report(a->run, row_key, "the account's use is counted wrong");
    }
}

static enum err check_rows(struct check_account *a, const struct key *row_key)
{
    bool parts = a->row.state == ACCOUNT_ARRIVING || a->row.state == ACCOUNT_CANCELLED;
    bool mail = a->row.state != ACCOUNT_SHARD && !parts;
    enum err e = parts ? check_bodies_of(a) : check_dedupe(a);
    if (e == OK && mail) {
        e = check_mailboxes(a);
    }
    if (e == OK) {
        e = check_kept(a);
    }
    if (e == OK && mail) {
        e = check_emails(a);
    }
    if (e == OK && check_is_whole(a)) {
        e = check_tree(a);
        if (e == OK) {
            e = check_subscriptions(a, row_key);
        }
        if (e == OK) {
            e = check_secret(a, row_key);
        }
    }
    check_totals_of(a, row_key);
    return e;
}

/* A row of an arrival and an account that arrives: one is not there without the other. */
static enum err check_arrival(struct check_run *r, struct account_id id, const struct account_row *row,
                              const struct key *row_key)
{
    struct arrival_row arrival;
    bool arrives = row->state == ACCOUNT_ARRIVING || row->state == ACCOUNT_ARRIVED;
    enum err e = arrival_get(&r->store, id, &arrival);
    if (e != OK && e != ERR_NOTFOUND && e != ERR_CORRUPT) {
        return e;
    }
    if (e == ERR_CORRUPT || (e == OK) != arrives ||
        (arrives && (arrival.ready != 0) != (row->state == ACCOUNT_ARRIVED))) {
        check_report(r, row_key, "an account that arrives without the row of its move, or the other way round");
    }
    return OK;
}

static enum err check_fence(struct check_run *r, struct account_id id, const struct account_row *row,
                            const struct key *row_key)
{
    struct move_row move;
    if (row->state != ACCOUNT_FENCED) {
        return OK;
    }
    enum err e = move_get(&r->store, id, &move);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT || (e == OK && move.state != MOVE_FENCED)) {
        check_report(r, row_key, "an account that is fenced for no move");
        return OK;
    }
    return e;
}

enum err check_account(struct check_run *r, struct account_id id)
{
    struct key k;
    struct check_account a = {.run = r, .id = id};
    key_account(&k, &r->store, id, ACCOUNT_ROW);
    enum err e = account_get(&r->store, id, &a.row);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT) {
        check_report(r, &k, "an account's rows without its own, or that cannot be read");
        return OK;
    }
    if (e != OK) {
        return e;
    }
    bool is_shard = a.row.state == ACCOUNT_SHARD;
    if (is_shard != (id.v == 0) || a.row.state < ACCOUNT_LIVE || a.row.state > ACCOUNT_ARRIVED) {
        check_report(r, &k, "an account in no known state");
        return OK;
    }
    r->totals.accounts += id.v != 0;
    e = check_arrival(r, id, &a.row, &k);
    if (e == OK) {
        e = check_fence(r, id, &a.row, &k);
    }
    if (e != OK) {
        return e;
    }
    counts_init(&a.emails);
    counts_init(&a.threads);
    counts_init(&a.mailboxes);
    e = check_rows(&a, &k);
    counts_fini(&a.emails);
    counts_fini(&a.threads);
    counts_fini(&a.mailboxes);
    return e;
}

/* --- the folder tree --- */

struct tree_walk {
    struct check_account *a;
    uint32_t nodes;     /* rows of ACCOUNT_TREE */
    uint32_t node_rows; /* rows of ACCOUNT_NODES */
};

static enum err tree_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct tree_walk *w = ctx;
    struct check_account *a = w->a;
    struct key k;
    struct slice up;
    w->nodes++;
    if (rest.n <= 4 || value.n != 8) {
        check_report_row(a->run, prefix, rest, "a row of the folder tree that cannot be read");
        return OK;
    }
    uint32_t node = get_le32(value.p);
    uint32_t mailbox = get_le32(value.p + 4);
    struct counted *m = counts_find(&a->mailboxes, mailbox, 0);
    if (mailbox != 0 && (m == NULL || m->value != node || m->seen)) {
        check_report_row(a->run, prefix, rest, "the folder tree names a mailbox that does not hang there");
    } else if (m != NULL) {
        m->seen = true;
    }
    key_mailbox(&k, &a->run->store, a->id, ACCOUNT_NODES, node);
    enum err e = store_get(&a->run->store, &k, &up);
    bool same = e == OK && up.n == rest.n && get_le32(up.p) == get_be32(rest.p) &&
                slice_eq(slice_sub(up, 4, up.n), slice_sub(rest, 4, rest.n));
    if (e == ERR_NOTFOUND || (e == OK && !same)) {
        check_report_row(a->run, prefix, rest, "a folder whose way up does not lead back");
        return OK;
    }
    return e;
}

static enum err node_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct tree_walk *w = ctx;
    struct tree_entry entry = {0, 0};
    w->node_rows++;
    if (rest.n != 4 || value.n <= 4 || value.n > 4 + NAME_COMPONENT_BYTES_MAX) {
        check_report_row(w->a->run, prefix, rest, "a node that cannot be read");
        return OK;
    }
    enum err e = tree_child(&w->a->run->store, w->a->id, get_le32(value.p), slice_sub(value, 4, value.n), &entry);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT || (e == OK && entry.node != get_be32(rest.p))) {
        check_report_row(w->a->run, prefix, rest, "a node that the folder tree does not know");
        return OK;
    }
    return e;
}

/* Live mailboxes that the tree did not name, and INBOX. */
static enum err check_reached(struct check_account *a)
{
    struct tree_entry inbox = {0, 0};
    struct key k;
    struct hmap_iter it = hmap_iter_make(&a->mailboxes.map);
    for (struct hmap_node *n = hmap_iter_next(&it); n != NULL; n = hmap_iter_next(&it)) {
        const struct counted *m = HMAP_ENTRY(n, struct counted, node);
        if (!m->seen) {
            key_mailbox(&k, &a->run->store, a->id, ACCOUNT_MAILBOXES, (uint32_t)m->a);
            check_report(a->run, &k, "a mailbox that the folder tree does not reach");
        }
    }
    enum err e = tree_child(&a->run->store, a->id, 0, slice_str("INBOX"), &inbox);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT || (e == OK && (inbox.mailbox == 0 || inbox.mailbox != a->row.inbox))) {
        key_account(&k, &a->run->store, a->id, ACCOUNT_ROW);
        check_report(a->run, &k, "INBOX is not where the account says");
        return OK;
    }
    return e;
}

enum err check_tree(struct check_account *a)
{
    struct key k;
    struct tree_walk w = {.a = a};
    key_account(&k, &a->run->store, a->id, ACCOUNT_TREE);
    enum err e = check_walk(a->run, &k, &w, tree_row);
    key_account(&k, &a->run->store, a->id, ACCOUNT_NODES);
    if (e == OK) {
        e = check_walk(a->run, &k, &w, node_row);
    }
    if (e == OK && (w.nodes != a->row.nodes || w.nodes != w.node_rows)) {
        key_account(&k, &a->run->store, a->id, ACCOUNT_ROW);
        check_report(a->run, &k, "the number of folders is wrong");
    }
    return e == OK ? check_reached(a) : e;
}
