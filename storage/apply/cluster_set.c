/* OpClusterSet: the cluster's settings. ERR_INVAL: a level below the cluster's, a number of replicas that is not 1, 3
 * or 5. */
#include "storage/apply/op.h"
#include "storage/directory/cluster.h"

struct plan {
    struct dir_cluster cluster; /* as it will be */
    bool changed;
};

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpClusterSet *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = dir_cluster_get(&ox->store, ox->arena, &p->cluster);
    if (e != OK) {
        return e;
    }
    uint32_t level = req->level != 0 ? req->level : p->cluster.level;
    uint32_t replicas = req->replicas != 0 ? req->replicas : p->cluster.replicas;
    if (level < p->cluster.level || level > UINT8_MAX || !dir_replicas_valid(replicas)) {
        return ERR_INVAL;
    }
    p->changed = level != p->cluster.level || replicas != p->cluster.replicas;
    p->cluster = (struct dir_cluster){.level = level, .replicas = replicas};
    return OK;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const struct plan *p = plan;
    (void)request;
    (void)result;
    ox->changed = p->changed;
    return p->changed ? dir_cluster_put(&ox->store, &p->cluster) : OK;
}

STORAGE_OP(cluster_set) = {
    .method = METHOD_CLUSTER_SET,
    .request = &pb__op_cluster_set__descriptor,
    .prepare = prepare,
    .commit = commit,
};
