/* OpNodeClaim: a data directory takes the live row of its peer address by its token. Again with the same token is fine
 * and brings the addresses up to date. ERR_INVAL, ERR_LIMIT, ERR_NOTFOUND (no such row), ERR_EXISTS (another directory
 * has it), ERR_UNSUPPORTED (its program is older than what the cluster writes). */
#include "storage/apply/op.h"
#include "storage/directory/cluster.h"
#include "storage/directory/nodes.h"

struct plan {
    Pb__NodeRow *row; /* as it will be */
    bool changed;
};

static enum err check(const Pb__OpNodeClaim *req)
{
    if (req->token.len != DIR_NODE_TOKEN_BYTES || req->peer[0] == '\0') {
        return ERR_INVAL;
    }
    enum err e = dir_node_address_check(req->rpc);
    return e == OK ? dir_node_address_check(req->events) : e;
}

static enum err check_level(struct op_context *ox, const Pb__OpNodeClaim *req)
{
    struct dir_cluster cluster;
    enum err e = dir_cluster_get(&ox->store, ox->arena, &cluster);
    uint32_t knows = req->level != 0 ? req->level : LEVEL_FIRST;
    return e == OK && knows < cluster.level ? ERR_UNSUPPORTED : e;
}

static enum err take(const Pb__OpNodeClaim *req, struct plan *p)
{
    Pb__NodeRow *row = p->row;
    if (row->claim.len == 0) {
        row->claim = req->token;
        p->changed = true;
    } else if (!slice_eq(pb_slice(row->claim), pb_slice(req->token))) {
        return ERR_EXISTS;
    }
    p->changed |= dir_node_address_set(&row->rpc, req->rpc);
    p->changed |= dir_node_address_set(&row->events, req->events);
    return OK;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpNodeClaim *req = request;
    struct dir_nodes table;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = check(req);
    if (e == OK) {
        e = check_level(ox, req);
    }
    if (e == OK) {
        e = dir_nodes_get(&ox->store, ox->arena, &table);
    }
    if (e != OK) {
        return e;
    }
    p->row = dir_nodes_find_peer(&table, req->peer);
    return p->row == NULL ? ERR_NOTFOUND : take(req, p);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    Pb__OpNodeClaimResult answer = PB__OP_NODE_CLAIM_RESULT__INIT;
    (void)request;
    ox->changed = p->changed;
    enum err e = p->changed ? dir_node_put(&ox->store, p->row) : OK;
    answer.node = p->row->node;
    return e == OK ? pb_pack(&answer.base, result) : e;
}

STORAGE_OP(node_claim) = {
    .method = METHOD_NODE_CLAIM,
    .request = &pb__op_node_claim__descriptor,
    .prepare = prepare,
    .commit = commit,
};
