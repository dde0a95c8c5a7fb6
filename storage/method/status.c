#include "storage/method/method.h"
#include "storage/method/node_info.h"

/* Seeks from account row to account row. */
static enum err accounts_count(const struct read_context *rc, const uint8_t prefix[5], uint64_t *out_accounts,
                               uint64_t *out_messages)
{
    struct store s = {.t = rc->txn};
    struct scan sc;
    struct key k;
    struct slice rest;
    struct slice value;
    memcpy(s.prefix, prefix, sizeof(s.prefix));
    key_shard(&k, &s, SHARD_ACCOUNTS);
    struct key at = k;
    enum err e = scan_open(&sc, &s, &k);
    if (e != OK) {
        return e;
    }
    for (e = scan_seek(&sc, &at, &rest, &value); e == OK; e = scan_seek(&sc, &at, &rest, &value)) {
        if (rest.n < 9) {
            e = ERR_CORRUPT;
            break;
        }
        struct account_id a = {get_be64(rest.p)};
        struct account_row row;
        if (account_get_live(&s, a, &row) == OK) {
            *out_accounts += 1;
            *out_messages += row.used_messages;
        }
        at = k;
        key_u64(&at, a.v + 1);
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err shard_add(struct read_context *rc, uint32_t number, Pb__ReadStatusResult *res)
{
    struct node_shard_facts facts;
    Pb__ShardStatus *s = arena_alloc(rc->arena, sizeof(*s));
    if (s == NULL) {
        return ERR_NOMEM;
    }
    pb__shard_status__init(s);
    s->shard = number;
    enum err e = OK;
    uint64_t accounts = 0;
    uint64_t messages = 0;
    if (rc->node->shard(rc->node->ctx, (struct shard_id){number}, &facts)) {
        s->leads = facts.leads;
        s->term = facts.term;
        e = number == 0 ? OK : accounts_count(rc, facts.prefix, &accounts, &messages);
    }
    s->accounts = accounts;
    s->messages = messages;
    res->shards[res->n_shards++] = s;
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req, struct buf *meta, struct buf *attach)
{
    struct node_facts facts;
    (void)req;
    (void)attach;
    if (rc->node == NULL) {
        return ERR_UNSUPPORTED;
    }
    rc->node->facts(rc->node->ctx, &facts);
    Pb__ReadStatusResult res = PB__READ_STATUS_RESULT__INIT;
    res.version = arena_strdup(rc->arena, facts.version);
    res.shards = arena_calloc(rc->arena, facts.shards + 1, sizeof(*res.shards));
    enum err e = res.version == NULL || res.shards == NULL ? ERR_NOMEM : OK;
    for (uint32_t i = 0; e == OK && i <= facts.shards; i++) {
        e = shard_add(rc, i, &res);
    }
    res.node = facts.node.v;
    res.cluster_id = pb_bytes(slice_make(facts.cluster.b, sizeof(facts.cluster.b)));
    res.uptime_ms = facts.uptime_ms;
    res.map_bytes = facts.map_bytes;
    res.used_bytes = facts.used_bytes;
    res.file_bytes = facts.file_bytes;
    res.read_only = facts.read_only;
    return e == OK ? pb_pack(&res.base, meta) : e;
}

STORAGE_METHOD(status) = {.method = METHOD_STATUS, .run = run};
