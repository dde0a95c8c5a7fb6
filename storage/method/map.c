/* ReadMap: which node leads each shard. */
#include "storage/method/method.h"
#include "storage/method/node_info.h"

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    struct node_facts facts;
    Pb__ReadMapResult answer = PB__READ_MAP_RESULT__INIT;
    (void)request;
    (void)attach;
    if (rc->node == NULL) {
        return ERR_UNSUPPORTED;
    }
    rc->node->facts(rc->node->ctx, &facts);
    answer.shards = facts.shards;
    answer.n_leaders = (size_t)facts.shards + 1;
    answer.leaders = arena_calloc(rc->arena, answer.n_leaders, sizeof(*answer.leaders));
    if (answer.leaders == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i <= facts.shards; i++) {
        struct shard_id shard = {i};
        answer.leaders[i] = rc->node->leader(rc->node->ctx, shard).v;
    }
    answer.cluster_id = pb_bytes(slice_make(facts.cluster_id.b, sizeof(facts.cluster_id.b)));
    return pb_pack(&answer.base, meta);
}

STORAGE_METHOD(map) = {
    .method = METHOD_MAP,
    .request = &pb__read_map__descriptor,
    .run = run,
};
