#include "storage/method/method.h"
#include "storage/method/node_info.h"

static enum err run(struct read_context *rc, const ProtobufCMessage *req, struct buf *meta, struct buf *attach)
{
    struct node_facts facts;
    (void)req;
    (void)attach;
    if (rc->node == NULL) {
        return ERR_UNSUPPORTED;
    }
    rc->node->facts(rc->node->ctx, &facts);
    uint64_t *leaders = arena_calloc(rc->arena, facts.shards + 1, sizeof(*leaders));
    if (leaders == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i <= facts.shards; i++) {
        struct node_shard_facts shard;
        bool here = rc->node->shard(rc->node->ctx, (struct shard_id){i}, &shard);
        leaders[i] = here && shard.leads ? facts.node.v : 0;
    }
    Pb__ReadMapResult res = PB__READ_MAP_RESULT__INIT;
    res.shards = facts.shards;
    res.leaders = leaders;
    res.n_leaders = facts.shards + 1;
    res.cluster_id = pb_bytes(slice_make(facts.cluster.b, sizeof(facts.cluster.b)));
    return pb_pack(&res.base, meta);
}

STORAGE_METHOD(map) = {.method = METHOD_MAP, .run = run};
