/* OpNodeSet: a row of the node table is made, replaced, changed or removed; row 1, the founder's, makes itself.
 * ERR_INVAL, ERR_LIMIT (address too long, too many nodes), ERR_NOTFOUND (no live row to change, remove or replace),
 * ERR_EXISTS (another live row has the peer address), ERR_PERM (the last live row is not removed, nor drained:
 * nobody could take over what it holds). */
#include "storage/apply/op.h"
#include "storage/directory/nodes.h"

#define FOUNDER 1

struct plan {
    struct dir_nodes table;
    Pb__NodeRow *row; /* as it will be */
    Pb__NodeRow *replaced;
    bool changed;
};

static enum err check_addresses(const Pb__OpNodeSet *req)
{
    enum err e = dir_node_address_check(req->peer);
    if (e == OK) {
        e = dir_node_address_check(req->rpc);
    }
    if (e == OK) {
        e = dir_node_address_check(req->events);
    }
    return e == OK ? dir_node_address_check(req->zone) : e; /* printable without spaces, too */
}

/* A new row, live. */
static enum err make(struct op_context *ox, const Pb__OpNodeSet *req, uint64_t id, struct plan *p)
{
    if (req->peer[0] == '\0') {
        return ERR_INVAL;
    }
    if (dir_nodes_live(&p->table) - (p->replaced != NULL) >= DIR_NODES_LIVE_MAX) {
        return ERR_LIMIT;
    }
    p->row = arena_zalloc(ox->arena, sizeof(*p->row));
    if (p->row == NULL) {
        return ERR_NOMEM;
    }
    pb__node_row__init(p->row);
    p->row->node = id;
    p->row->peer = req->peer;
    p->row->rpc = req->rpc;
    p->row->events = req->events;
    p->row->zone = req->zone;
    p->changed = true;
    return OK;
}

static enum err plan_new(struct op_context *ox, const Pb__OpNodeSet *req, struct plan *p)
{
    Pb__NodeRow *taken = dir_nodes_find_peer(&p->table, req->peer);
    if (req->remove) {
        return ERR_INVAL;
    }
    if (req->replace != (taken != NULL)) {
        return req->replace ? ERR_NOTFOUND : ERR_EXISTS;
    }
    p->replaced = taken;
    return make(ox, req, dir_nodes_next_id(&p->table).v, p);
}

static enum err plan_founder(struct op_context *ox, const Pb__OpNodeSet *req, struct plan *p)
{
    if (req->remove || req->replace) {
        return ERR_NOTFOUND;
    }
    if (dir_nodes_find_peer(&p->table, req->peer) != NULL) {
        return ERR_EXISTS;
    }
    enum err e = make(ox, req, FOUNDER, p);
    if (e == OK) {
        p->row->claim = pb_bytes(slice_str(DIR_NODE_CLAIM_FOUNDER));
    }
    return e;
}

static void mark(Pb__NodeMark how, protobuf_c_boolean *field, struct plan *p)
{
    bool on = how == PB__NODE_MARK__MARK_KEEP ? *field : how == PB__NODE_MARK__MARK_ON;
    p->changed |= on != *field;
    *field = on;
}

static enum err drain_set(const Pb__OpNodeSet *req, struct plan *p)
{
    bool was = p->row->draining;
    if (req->drain == PB__NODE_MARK__MARK_ON && !was && !dir_nodes_has_other(&p->table, p->row)) {
        return ERR_PERM;
    }
    mark(req->drain, &p->row->draining, p);
    return OK;
}

static enum err plan_change(const Pb__OpNodeSet *req, struct plan *p)
{
    const Pb__NodeRow *other = dir_nodes_find_peer(&p->table, req->peer);
    if (p->row->removed) {
        return ERR_NOTFOUND;
    }
    if (req->replace) {
        return ERR_INVAL;
    }
    if (req->remove) {
        p->changed = true;
        return p->row->claim.len > 0 && !dir_nodes_has_other(&p->table, p->row) ? ERR_PERM : OK;
    }
    if (other != NULL && other != p->row) {
        return ERR_EXISTS;
    }
    p->changed |= dir_node_address_set(&p->row->peer, req->peer);
    p->changed |= dir_node_address_set(&p->row->rpc, req->rpc);
    p->changed |= dir_node_address_set(&p->row->events, req->events);
    p->changed |= dir_node_address_set(&p->row->zone, req->zone);
    mark(req->away, &p->row->away, p);
    return drain_set(req, p);
}

static enum err plan(struct op_context *ox, const Pb__OpNodeSet *req, struct plan *p)
{
    enum err e = check_addresses(req);
    if (e == OK) {
        e = dir_nodes_get(&ox->store, ox->arena, &p->table);
    }
    if (e != OK) {
        return e;
    }
    if (req->node == 0) {
        return plan_new(ox, req, p);
    }
    p->row = dir_nodes_find(&p->table, (struct node_id){req->node});
    if (p->row == NULL) {
        return req->node == FOUNDER ? plan_founder(ox, req, p) : ERR_NOTFOUND;
    }
    return plan_change(req, p);
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    *out_plan = p;
    return p == NULL ? ERR_NOMEM : plan(ox, request, p);
}

/* A removed row keeps its id and says who it was. */
static enum err remove_row(struct op_context *ox, Pb__NodeRow *row)
{
    static char none[] = "";
    row->removed = true;
    row->rpc = none;
    row->events = none;
    row->claim = pb_bytes(slice_make(NULL, 0));
    row->zone = none;
    row->draining = false;
    row->away = false;
    return dir_node_put(&ox->store, row);
}

static enum err put_new(struct op_context *ox, struct plan *p)
{
    const Pb__NodeRow *surplus = dir_nodes_surplus(&p->table);
    enum err e = OK;
    if (surplus != NULL) {
        e = dir_node_del(&ox->store, (struct node_id){surplus->node});
    }
    if (e == OK && p->replaced != NULL) {
        e = remove_row(ox, p->replaced);
    }
    return e == OK ? dir_node_put(&ox->store, p->row) : e;
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpNodeSet *req = request;
    struct plan *p = plan;
    Pb__OpNodeSetResult answer = PB__OP_NODE_SET_RESULT__INIT;
    enum err e = OK;
    ox->changed = p->changed;
    if (p->changed && req->remove) {
        e = remove_row(ox, p->row);
    } else if (p->changed) {
        e = put_new(ox, p);
    }
    answer.node = p->row->node;
    return e == OK ? pb_pack(&answer.base, result) : e;
}

STORAGE_OP(node_set) = {
    .method = METHOD_NODE_SET,
    .request = &pb__op_node_set__descriptor,
    .prepare = prepare,
    .commit = commit,
};
