/* ReadMap: the cluster as this node sees it: who leads each shard, in which term, and what its own replica of the
 * directory says of nodes, settings and pinned shards. */
#include "storage/directory/cluster.h"
#include "storage/directory/nodes.h"
#include "storage/method/method.h"
#include "storage/method/node_info.h"

static enum err fill_shards(struct read_context *rc, Pb__ReadMapResult *answer)
{
    size_t n = (size_t)answer->shards + 1;
    answer->leaders = arena_calloc(rc->arena, n, sizeof(*answer->leaders));
    answer->terms = arena_calloc(rc->arena, n, sizeof(*answer->terms));
    if (answer->leaders == NULL || answer->terms == NULL) {
        return ERR_NOMEM;
    }
    answer->n_leaders = n;
    answer->n_terms = n;
    for (uint32_t i = 0; i < n; i++) {
        struct shard_id shard = {i};
        struct node_shard_info info = {0};
        rc->node->shard(rc->node->ctx, shard, &info);
        answer->terms[i] = info.term;
        answer->leaders[i] = rc->node->leader(rc->node->ctx, shard).v;
    }
    return OK;
}

/* What it points to must stay as long as the answer. */
struct directory_part {
    struct dir_nodes nodes;
    struct dir_pins pins;
    Pb__ClusterRow cluster;
};

static enum err read_directory(struct read_context *rc, const struct store *s, struct directory_part *out)
{
    struct dir_cluster cluster;
    enum err e = dir_nodes_get(s, rc->arena, &out->nodes);
    if (e == OK) {
        e = dir_pins_get(s, rc->arena, &out->pins);
    }
    if (e == OK) {
        e = dir_cluster_get(s, rc->arena, &cluster);
    }
    if (e == OK) {
        pb__cluster_row__init(&out->cluster);
        out->cluster.level = cluster.level;
        out->cluster.replicas = cluster.replicas;
    }
    return e;
}

static enum err fill_directory(struct read_context *rc, struct directory_part *part, Pb__ReadMapResult *answer)
{
    struct node_shard_info info = {0};
    struct store s = method_store(rc);
    rc->node->shard(rc->node->ctx, (struct shard_id){0}, &info);
    if (!info.here) {
        return OK;
    }
    memcpy(s.prefix, info.prefix, sizeof(s.prefix));
    enum err e = read_directory(rc, &s, part);
    if (e == OK) {
        answer->nodes = part->nodes.rows;
        answer->n_nodes = part->nodes.n;
        answer->pins = part->pins.rows;
        answer->n_pins = part->pins.n;
        answer->cluster = &part->cluster;
    }
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    struct node_facts facts;
    struct directory_part directory;
    Pb__ReadMapResult answer = PB__READ_MAP_RESULT__INIT;
    (void)request;
    (void)attach;
    if (rc->node == NULL) {
        return ERR_UNSUPPORTED;
    }
    rc->node->facts(rc->node->ctx, &facts);
    answer.shards = facts.shards;
    answer.node = facts.id.v;
    answer.level = facts.level;
    answer.cluster_id = pb_bytes(slice_make(facts.cluster_id.b, sizeof(facts.cluster_id.b)));
    enum err e = fill_shards(rc, &answer);
    if (e == OK) {
        e = fill_directory(rc, &directory, &answer);
    }
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(map) = {
    .method = METHOD_MAP,
    .local = true,
    .request = &pb__read_map__descriptor,
    .run = run,
};
