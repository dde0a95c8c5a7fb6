/* ReadStatus: the node, its shards and its store. Accounts are counted by their rows, so at most COUNT_MAX of a shard.
 */
#include "storage/method/method.h"
#include "storage/method/node_info.h"

#define COUNT_MAX 20000

/* Hops from one account's row to the next. */
static enum err count(const struct store *s, Pb__ShardStatus *out)
{
    struct key prefix;
    struct scan sc;
    struct slice rest;
    struct slice value;
    uint64_t next = 1;
    key_shard(&prefix, s, SHARD_ACCOUNTS);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    for (unsigned i = 0; i < COUNT_MAX; i++) {
        struct key at = prefix;
        struct account_row row;
        key_u64(&at, next);
        e = scan_seek(&sc, &at, &rest, &value);
        if (e == OK && rest.n < 9) {
            e = ERR_CORRUPT;
        }
        if (e != OK) {
            break;
        }
        next = get_be64(rest.p) + 1;
        if (rest.n == 9 && rest.p[8] == ACCOUNT_ROW && value.n == sizeof(row)) {
            memcpy(&row, value.p, sizeof(row));
            bool here = account_readable(row.state) == OK;
            out->accounts += here;
            out->messages += here ? row.used_messages : 0;
        }
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err shard_status(struct read_context *rc, uint32_t shard, Pb__ShardStatus *out)
{
    struct node_shard_info info;
    struct shard_id id = {shard};
    struct store s = method_store(rc);
    memset(&info, 0, sizeof(info));
    rc->node->shard(rc->node->ctx, id, &info);
    pb__shard_status__init(out);
    out->shard = shard;
    out->leads = info.leads;
    out->term = info.term;
    out->applied = info.applied;
    out->last_index = info.last_index;
    if (!info.here) {
        return OK;
    }
    memcpy(s.prefix, info.prefix, sizeof(s.prefix));
    return count(&s, out);
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    struct node_facts facts;
    struct kv_stat stat;
    char version[] = PB_VERSION;
    Pb__ReadStatusResult answer = PB__READ_STATUS_RESULT__INIT;
    (void)request;
    (void)attach;
    if (rc->node == NULL) {
        return ERR_UNSUPPORTED;
    }
    rc->node->facts(rc->node->ctx, &facts);
    kv_stat(rc->txn->kv, &stat);
    answer.n_shards = (size_t)facts.shards + 1;
    answer.shards = arena_calloc(rc->arena, answer.n_shards, sizeof(*answer.shards));
    Pb__ShardStatus *shards = arena_calloc(rc->arena, answer.n_shards, sizeof(*shards));
    if (answer.shards == NULL || shards == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i <= facts.shards; i++) {
        enum err e = shard_status(rc, i, &shards[i]);
        if (e != OK) {
            return e;
        }
        answer.shards[i] = &shards[i];
    }
    answer.version = version;
    answer.node = facts.id.v;
    answer.cluster_id = pb_bytes(slice_make(facts.cluster_id.b, sizeof(facts.cluster_id.b)));
    answer.uptime_ms = facts.uptime_ms;
    answer.read_only = facts.read_only;
    answer.map_bytes = stat.map_bytes;
    answer.used_bytes = stat.used_bytes;
    answer.file_bytes = stat.file_bytes;
    return pb_pack(&answer.base, meta);
}

STORAGE_METHOD(status) = {
    .method = METHOD_STATUS,
    .local = true,
    .request = &pb__read_status__descriptor,
    .run = run,
};
