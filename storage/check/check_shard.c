#include "replication/volume.h"
#include "storage/apply/copy_record.h"
#include "storage/apply/handoff.h"
#include "storage/apply/staging.h"
#include "storage/check/check_run.h"
#include "storage/directory/cluster.h"
#include "storage/directory/directory.h"
#include "storage/directory/nodes.h"
#include "storage/mailbox/moving.h"

#define BODY_READ_BYTES (64 * 1024)

/* --- handoffs: pieces of one value come one after another --- */

static bool handoff_readable(const struct handoff_head *head, struct slice op)
{
    struct arena arena;
    ProtobufCMessage *m;
    arena_init(&arena, SIZE_MAX / 2);
    bool ok = pb_unpack(&pb__op_deliver__descriptor, op, &arena, &m) == OK &&
              ((const Pb__OpDeliver *)m)->n_recipients == head->recipients;
    arena_fini(&arena);
    return ok;
}

static enum err check_handoff(struct check_run *r, const struct key *prefix, struct slice rest)
{
    struct key k = *prefix;
    struct buf value;
    struct handoff_head head;
    struct slice op;
    key_bytes(&k, rest.p, 12);
    buf_init(&value, SIZE_MAX / 2);
    enum err e = store_get_long(&r->store, &k, &value);
    if (e == OK && (handoff_decode(buf_slice(&value), &head, &op) != OK || !handoff_readable(&head, op))) {
        check_report(r, &k, "a handoff that cannot be read");
    } else if (e == OK) {
        struct counted *body = counts_get(&r->bodies, head.body_index, head.body_ordinal);
        e = body == NULL ? ERR_NOMEM : OK;
        if (e == OK) {
            body->refs++;
            body->value = head.body_bytes;
        }
    }
    buf_fini(&value);
    return e;
}

/* A further piece follows a full one. */
static enum err check_handoff_piece(struct check_run *r, const struct key *prefix, struct slice rest)
{
    struct key before = *prefix;
    struct slice v;
    key_bytes(&before, rest.p, 12);
    key_u16(&before, (uint16_t)(get_be16(rest.p + 12) - 1));
    enum err e = store_get(&r->store, &before, &v);
    if (e == ERR_NOTFOUND || (e == OK && v.n != KV_CHUNK_BYTES)) {
        check_report_row(r, prefix, rest, "a piece of a handoff that does not continue it");
        return OK;
    }
    return e;
}

static enum err handoff_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    (void)value;
    if (rest.n != 14) {
        check_report_row(r, prefix, rest, "a handoff with a bad key");
        return OK;
    }
    return get_be16(rest.p + 12) == 0 ? check_handoff(r, prefix, rest) : check_handoff_piece(r, prefix, rest);
}

static enum err staged_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    struct stage_row row;
    if (rest.n != 8 || value.n != sizeof(row)) {
        check_report_row(r, prefix, rest, "a reservation of a bad size");
        return OK;
    }
    memcpy(&row, value.p, sizeof(row));
    struct counted *mine = counts_get(&r->staged, row.account, 0);
    struct counted *all = counts_get(&r->staged, 0, 0);
    struct counted *upload = counts_get(&r->uploads, get_be64(rest.p), 0);
    if (mine == NULL || all == NULL || upload == NULL) {
        return ERR_NOMEM;
    }
    mine->value += row.staged;
    mine->refs++;
    all->value += row.staged;
    all->refs++;
    upload->value = row.staged;
    if (row.staged > row.size) {
        check_report_row(r, prefix, rest, "more is staged than was reserved");
    }
    return OK;
}

static enum err copy_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    struct copy_record record;
    if (rest.n != 24 || copy_record_decode(value, &record) != OK) {
        check_report_row(r, prefix, rest, "a copy record that cannot be read");
        return OK;
    }
    struct account_row account;
    struct account_id a = {get_be64(rest.p)};
    enum err e = account_get(&r->store, a, &account);
    if (e == ERR_NOTFOUND) {
        check_report_row(r, prefix, rest, "a copy record of an account that is not there");
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    uint32_t last = 0;
    for (uint32_t i = 0; i < record.n; i++) {
        if (record.runs[i].first <= last || record.runs[i].last < record.runs[i].first) {
            check_report_row(r, prefix, rest, "a copy record whose UIDs do not ascend");
            return OK;
        }
        last = record.runs[i].last;
    }
    return OK;
}

static enum err purge_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    struct account_row account;
    struct mailbox_row mailbox;
    if (rest.n != 12 || value.n < 8) {
        check_report_row(r, prefix, rest, "a place in the purge queue that cannot be read");
        return OK;
    }
    struct account_id a = {get_be64(rest.p)};
    uint32_t id = get_be32(rest.p + 8);
    enum err e = account_get(&r->store, a, &account);
    if (e == OK && id != 0) {
        e = mailbox_get(&r->store, a, id, &mailbox);
    }
    bool going = e == OK && (account.state == ACCOUNT_REMOVED || account.state == ACCOUNT_MOVED ||
                             account.state == ACCOUNT_CANCELLED);
    bool wrong = e == OK && (id == 0 ? !going : mailbox.state != MAILBOX_DELETED);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT || wrong) {
        check_report_row(r, prefix, rest, "the purge queue names what is not deleted");
        return OK;
    }
    return e;
}

static enum err move_row_check(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    struct move_row row;
    struct account_row account;
    if (rest.n != 8 || move_decode(value, &row) != OK) {
        check_report_row(r, prefix, rest, "a move that cannot be read");
        return OK;
    }
    enum err e = account_get(&r->store, (struct account_id){get_be64(rest.p)}, &account);
    bool fenced = e == OK && account.state == ACCOUNT_FENCED;
    bool moved = e == OK && account.state == ACCOUNT_MOVED && account.inbox == row.to;
    if (fenced != (row.state == MOVE_FENCED) || (row.state == MOVE_SEALED && !moved)) {
        check_report_row(r, prefix, rest, "a move whose account is in another state");
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err arrival_row_check(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    struct arrival_row row;
    struct account_row account;
    enum err e = rest.n == 8 ? account_get(&r->store, (struct account_id){get_be64(rest.p)}, &account) : ERR_NOTFOUND;
    if (e == ERR_NOTFOUND || arrival_decode(value, &row) != OK) {
        check_report_row(r, prefix, rest, "an arrival that cannot be read, or of no account");
        return OK;
    }
    return e;
}

/* --- the directory --- */

#define NODES_ARENA_BYTES (4 * 1024 * 1024)

struct directory_walk {
    struct check_run *run;
    struct dir_config config;
    uint32_t counts[DIR_SHARDS_MAX + 1];
};

static enum err name_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct directory_walk *d = ctx;
    struct dir_name name;
    struct dir_account account;
    uint8_t seq;
    bool exists = false;
    if (dir_key_split(DIRECTORY_NAMES, rest, &name, &seq) != OK || dir_account_decode(value, &account) != OK ||
        account.shard.v == 0 || account.shard.v > DIR_SHARDS_MAX) {
        check_report_row(d->run, prefix, rest, "a directory name that cannot be read");
        return OK;
    }
    d->counts[account.shard.v]++;
    if (account.account.v >= d->config.next_account) {
        check_report_row(d->run, prefix, rest, "an account id above the counter");
    }
    enum err e = dir_domain_exists(&d->run->store, name.domain, &exists);
    if (e == OK && !exists) {
        check_report_row(d->run, prefix, rest, "a name in a domain that is not there");
    }
    return e;
}

static enum err alias_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct directory_walk *d = ctx;
    struct dir_name name;
    uint8_t seq;
    bool exists = false;
    if (dir_key_split(DIRECTORY_ALIASES, rest, &name, &seq) != OK || value.n == 0) {
        check_report_row(d->run, prefix, rest, "an alias that cannot be read");
        return OK;
    }
    enum err e = dir_domain_exists(&d->run->store, name.domain, &exists);
    if (e == OK && !exists) {
        check_report_row(d->run, prefix, rest, "an alias in a domain that is not there");
    }
    return e;
}

static enum err check_nodes(struct check_run *r)
{
    struct key k;
    struct arena arena;
    struct dir_nodes nodes;
    arena_init(&arena, NODES_ARENA_BYTES);
    enum err e = dir_nodes_get(&r->store, &arena, &nodes);
    dir_key(&k, &r->store, DIRECTORY_NODES);
    if (e == ERR_CORRUPT) {
        check_report(r, &k, "a row of the node table cannot be read");
        nodes.n = 0;
        e = OK;
    } else if (e == OK && dir_nodes_live(&nodes) > DIR_NODES_LIVE_MAX) {
        check_report(r, &k, "too many nodes");
    }
    for (size_t i = 0; e == OK && i < nodes.n; i++) {
        if (!nodes.rows[i]->removed && dir_nodes_find_peer(&nodes, nodes.rows[i]->peer) != nodes.rows[i]) {
            check_report(r, &k, "two nodes with one peer address");
        }
    }
    arena_fini(&arena);
    return e;
}

static enum err check_cluster(struct check_run *r)
{
    struct key k;
    struct arena arena;
    struct dir_cluster cluster;
    struct dir_pins pins;
    arena_init(&arena, NODES_ARENA_BYTES);
    enum err e = dir_cluster_get(&r->store, &arena, &cluster);
    if (e == OK) {
        e = dir_pins_get(&r->store, &arena, &pins);
    }
    if (e == ERR_CORRUPT) {
        dir_key(&k, &r->store, DIRECTORY_CLUSTER);
        check_report(r, &k, "the cluster's settings or a pinned shard cannot be read");
        e = OK;
    }
    arena_fini(&arena);
    return e;
}

static enum err check_directory(struct check_run *r)
{
    struct key k;
    struct directory_walk d = {.run = r};
    enum err e = dir_config_get(&r->store, &d.config);
    dir_key(&k, &r->store, DIRECTORY_CONFIG);
    if (e == ERR_CORRUPT) {
        check_report(r, &k, "the directory's counters cannot be read");
        return OK;
    }
    dir_key(&k, &r->store, DIRECTORY_NAMES);
    if (e == OK) {
        e = check_walk(r, &k, &d, name_row);
    }
    dir_key(&k, &r->store, DIRECTORY_ALIASES);
    if (e == OK) {
        e = check_walk(r, &k, &d, alias_row);
    }
    if (e == OK && memcmp(d.counts, d.config.counts, sizeof(d.counts)) != 0) {
        dir_key(&k, &r->store, DIRECTORY_CONFIG);
        check_report(r, &k, "the counts of accounts by shard are wrong");
    }
    if (e == OK) {
        e = check_cluster(r);
    }
    return e == OK ? check_nodes(r) : e;
}

enum err check_shard_rows(struct check_run *r)
{
    static const struct {
        enum shard_table table;
        enum err (*row)(void *ctx, const struct key *prefix, struct slice rest, struct slice value);
    } walks[] = {
        {SHARD_HANDOFFS, handoff_row},       {SHARD_STAGED, staged_row},    {SHARD_COPIES, copy_row},
        {SHARD_ARRIVALS, arrival_row_check}, {SHARD_MOVES, move_row_check}, {SHARD_PURGE, purge_row},
    };
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(walks) / sizeof(walks[0]); i++) {
        struct key prefix;
        key_shard(&prefix, &r->store, walks[i].table);
        e = check_walk(r, &prefix, r, walks[i].row);
    }
    return e == OK ? check_directory(r) : e;
}

/* --- bodies --- */

static enum err ref_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    struct counted *body = rest.n == 10 ? counts_find(&r->bodies, get_be64(rest.p), get_be16(rest.p + 8)) : NULL;
    if (body == NULL || value.n != 4) {
        check_report_row(r, prefix, rest, "a body count that nothing refers to");
        return OK;
    }
    body->seen = true;
    if (get_le32(value.p) != body->refs || body->refs < 2) {
        check_report_row(r, prefix, rest, "a body count is wrong");
    }
    return OK;
}

static void body_key(const struct check_run *r, struct key *k, uint8_t table, uint64_t index, uint16_t ordinal)
{
    k->n = 0;
    key_bytes(k, r->store.prefix, 4); /* the replica's number, without the state's 'S' */
    key_u8(k, table);
    key_u64(k, index);
    key_u16(k, ordinal);
}

static enum err read_body(struct check_run *r, const struct counted *b, const struct key *k)
{
    struct buf bytes;
    enum err e = OK;
    buf_init(&bytes, BODY_READ_BYTES);
    for (uint64_t off = 0; e == OK && off < b->value; off += BODY_READ_BYTES) {
        uint64_t left = b->value - off;
        buf_reset(&bytes);
        e = repl_body_read(r->store.t, r->store.prefix, b->a, (uint16_t)b->b, off,
                           left < BODY_READ_BYTES ? (size_t)left : BODY_READ_BYTES, &bytes);
    }
    buf_fini(&bytes);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT) {
        check_report(r, k,
                     e == ERR_CORRUPT ? "a body's checksum is wrong" : "a body that is referred to is not all there");
        return OK;
    }
    return e;
}

static enum err check_body(struct check_run *r, const struct counted *b)
{
    struct key k;
    struct slice v;
    uint64_t bytes;
    body_key(r, &k, 'Q', b->a, (uint16_t)b->b);
    enum err e = store_get(&r->store, &k, &v);
    if (e == OK) {
        check_report(r, &k, "a body that is referred to is marked dead");
    } else if (e != ERR_NOTFOUND) {
        return e;
    }
    body_key(r, &k, 'B', b->a, (uint16_t)b->b);
    if (b->refs >= 2 && !b->seen) {
        check_report(r, &k, "a body with several references has no count");
    }
    e = repl_body_bytes(r->store.t, r->store.prefix, b->a, (uint16_t)b->b, &bytes);
    if (e == ERR_CORRUPT || (e == OK && bytes != b->value)) {
        check_report(r, &k, "a body has another size than what refers to it says");
        return OK;
    }
    return e == OK && !r->cfg->skip_bodies ? read_body(r, b, &k) : e;
}

/* A body that nothing refers to is reserved for an upload, dead, or waits in the log. */
static enum err stored_body(struct check_run *r, uint64_t index, uint16_t ordinal)
{
    struct key k;
    struct slice v;
    bool waits = r->cfg->applied_index != 0 && index > r->cfg->applied_index;
    r->totals.bodies++;
    if (waits || counts_find(&r->bodies, index, ordinal) != NULL || counts_find(&r->uploads, index, 0) != NULL) {
        return OK;
    }
    body_key(r, &k, 'Q', index, ordinal);
    enum err e = store_get(&r->store, &k, &v);
    if (e == ERR_NOTFOUND) {
        body_key(r, &k, 'B', index, ordinal);
        check_report(r, &k, "a body that nothing refers to");
        return OK;
    }
    return e;
}

static enum err chunk_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_run *r = ctx;
    if (rest.n != 14) {
        check_report_row(r, prefix, rest, "a body chunk with a bad key");
        return OK;
    }
    r->totals.body_bytes += value.n;
    if (get_be16(rest.p + 8) == REPL_ORDINAL_PIECE) {
        return OK; /* replication's check finds who names it */
    }
    return get_be32(rest.p + 10) == 0 ? stored_body(r, get_be64(rest.p), get_be16(rest.p + 8)) : OK;
}

static enum err check_each(struct check_run *r, const struct counts *bodies)
{
    enum err e = OK;
    struct hmap_iter it = hmap_iter_make(&bodies->map);
    for (struct hmap_node *n = hmap_iter_next(&it); e == OK && n != NULL; n = hmap_iter_next(&it)) {
        e = check_body(r, HMAP_ENTRY(n, struct counted, node));
    }
    return e;
}

enum err check_bodies(struct check_run *r)
{
    struct key k;
    key_shard(&k, &r->store, SHARD_BODY_REFS);
    enum err e = check_walk(r, &k, r, ref_row);
    if (e == OK) {
        e = check_each(r, &r->bodies);
    }
    if (e == OK) {
        e = check_each(r, &r->uploads);
    }
    body_key(r, &k, 'B', 0, 0);
    k.n = 5;
    return e == OK ? check_walk(r, &k, r, chunk_row) : e;
}
