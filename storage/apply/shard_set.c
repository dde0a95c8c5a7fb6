/* OpShardSet: where a shard belongs and who leads it, whatever its number draws. ERR_INVAL (no such shard, an even
 * number of nodes, too many, one twice), ERR_NOTFOUND (no live and claimed node of that id). */
#include "storage/apply/op.h"
#include "storage/directory/cluster.h"
#include "storage/directory/nodes.h"

struct plan {
    Pb__ShardRow *row; /* as it will be; NULL: there is none any more */
};

static enum err check_node(const struct dir_nodes *t, uint64_t id)
{
    const Pb__NodeRow *row = dir_nodes_find(t, (struct node_id){id});
    return row == NULL || row->removed || row->claim.len == 0 ? ERR_NOTFOUND : OK;
}

static enum err check_nodes(const struct dir_nodes *t, const Pb__OpShardSet *req)
{
    enum err e = req->n_nodes == 0 || dir_replicas_valid(req->n_nodes) ? OK : ERR_INVAL;
    for (size_t i = 0; e == OK && i < req->n_nodes; i++) {
        e = check_node(t, req->nodes[i]);
        for (size_t j = 0; e == OK && j < i; j++) {
            e = req->nodes[j] == req->nodes[i] ? ERR_INVAL : OK;
        }
    }
    return e == OK && req->leader != 0 ? check_node(t, req->leader) : e;
}

static enum err row_before(struct op_context *ox, const Pb__OpShardSet *req, Pb__ShardRow **out)
{
    enum err e = req->unpin ? ERR_NOTFOUND : dir_pin_get(&ox->store, ox->arena, (struct shard_id){req->shard}, out);
    if (e != ERR_NOTFOUND) {
        return e;
    }
    *out = arena_zalloc(ox->arena, sizeof(**out));
    if (*out == NULL) {
        return ERR_NOMEM;
    }
    pb__shard_row__init(*out);
    (*out)->shard = req->shard;
    return OK;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpShardSet *req = request;
    struct dir_nodes table;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = req->shard > DIR_SHARDS_MAX ? ERR_INVAL : dir_nodes_get(&ox->store, ox->arena, &table);
    if (e == OK) {
        e = check_nodes(&table, req);
    }
    if (e == OK) {
        e = row_before(ox, req, &p->row);
    }
    if (e != OK) {
        return e;
    }
    if (req->n_nodes > 0) {
        p->row->n_nodes = req->n_nodes;
        p->row->nodes = req->nodes;
    }
    p->row->leader = req->leader != 0 ? req->leader : p->row->leader;
    if (p->row->n_nodes == 0 && p->row->leader == 0) {
        p->row = NULL;
    }
    return OK;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpShardSet *req = request;
    const struct plan *p = plan;
    (void)result;
    ox->changed = true;
    return p->row != NULL ? dir_pin_put(&ox->store, p->row) : dir_pin_del(&ox->store, (struct shard_id){req->shard});
}

STORAGE_OP(shard_set) = {
    .method = METHOD_SHARD_SET,
    .request = &pb__op_shard_set__descriptor,
    .prepare = prepare,
    .commit = commit,
};
