/* ReadShard: a shard's group as its leader sees it: servers, how far each one is, whether it is as the node table wants
 * it. ERR_NOT_LEADER elsewhere; ERR_UNAVAILABLE when the leader is so new that it has not looked yet. */
#include "storage/method/method.h"
#include "storage/method/node_info.h"

static enum err fill_servers(struct read_context *rc, const struct node_group_info *g, Pb__ReadShardResult *answer)
{
    Pb__ShardServer *rows = arena_calloc(rc->arena, g->n, sizeof(*rows));
    answer->servers = arena_calloc(rc->arena, g->n, sizeof(*answer->servers));
    if (rows == NULL || answer->servers == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < g->n; i++) {
        pb__shard_server__init(&rows[i]);
        rows[i].node = g->servers[i].node.v;
        rows[i].voter = g->servers[i].voter;
        rows[i].behind = g->servers[i].behind;
        answer->servers[i] = &rows[i];
    }
    answer->n_servers = g->n;
    return OK;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadShard *req = (const Pb__ReadShard *)(const void *)request;
    Pb__ReadShardResult answer = PB__READ_SHARD_RESULT__INIT;
    struct node_group_info g;
    (void)attach;
    if (rc->node == NULL) {
        return ERR_UNSUPPORTED;
    }
    if (!rc->node->group(rc->node->ctx, (struct shard_id){req->shard}, &g)) {
        return ERR_UNAVAILABLE;
    }
    answer.shard = req->shard;
    answer.leader = g.leader.v;
    answer.term = g.term;
    answer.log_first = g.log_first;
    answer.log_last = g.log_last;
    answer.settled = g.settled;
    enum err e = fill_servers(rc, &g, &answer);
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(shard) = {
    .method = METHOD_SHARD,
    .request = &pb__read_shard__descriptor,
    .run = run,
};
