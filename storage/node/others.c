#include "storage/node/others.h"

#include <stdio.h>

#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "storage/node/leaders.h"
#include "storage/node/node_table.h"

#define RETIRED_MAX 64

struct other {
    struct node_id id;
    char rpc[DIR_NODE_ADDRESS_BYTES_MAX + 1];
    struct rpc_client *client;
};

struct others {
    struct node *node;
    const struct rpc_tls *tls;
    char from[DIR_NODE_ADDRESS_BYTES_MAX + 1];
    pthread_rwlock_t lock;
    struct other at[DIR_NODES_ROWS_MAX];
    size_t n;
    struct rpc_client *retired[RETIRED_MAX]; /* of addresses that changed: calls may still be on their way */
    size_t n_retired;
};

enum err others_open(struct node *n, const struct node_config *cfg, struct others **out)
{
    struct others *o = mem_zalloc(sizeof(*o));
    if (o == NULL) {
        return ERR_NOMEM;
    }
    o->node = n;
    o->tls = cfg->rpc_tls;
    if (cfg->peer_listen != NULL) {
        snprintf(o->from, sizeof(o->from), "%s", cfg->peer_listen);
    }
    pthread_rwlock_init(&o->lock, NULL);
    *out = o;
    return OK;
}

void others_close(struct others *o)
{
    if (o == NULL) {
        return;
    }
    for (size_t i = 0; i < o->n; i++) {
        rpc_client_close(o->at[i].client);
    }
    for (size_t i = 0; i < o->n_retired; i++) {
        rpc_client_close(o->retired[i]);
    }
    pthread_rwlock_destroy(&o->lock);
    mem_free(o);
}

static struct other *other_find(struct others *o, struct node_id id)
{
    for (size_t i = 0; i < o->n; i++) {
        if (o->at[i].id.v == id.v) {
            return &o->at[i];
        }
    }
    return NULL;
}

/* --- the table --- */

static void other_set(struct others *o, const struct node_table_row *row, struct rpc_client *client)
{
    pthread_rwlock_wrlock(&o->lock);
    struct other *x = other_find(o, row->id);
    if (x == NULL) {
        x = &o->at[o->n++];
    } else {
        o->retired[o->n_retired++] = x->client;
    }
    x->id = row->id;
    memcpy(x->rpc, row->rpc, sizeof(x->rpc));
    x->client = client;
    pthread_rwlock_unlock(&o->lock);
}

static void other_follow(struct others *o, const struct node_table_row *row)
{
    const struct other *x = other_find(o, row->id); /* only this thread changes the list */
    struct buf why;
    struct rpc_client *client;
    if (row->removed || row->rpc[0] == '\0' || (x != NULL && strcmp(x->rpc, row->rpc) == 0) ||
        (x == NULL ? o->n == DIR_NODES_ROWS_MAX : o->n_retired == RETIRED_MAX)) {
        return;
    }
    struct rpc_client_config cc = {
        .url = row->rpc, .from = o->from[0] == '\0' ? NULL : o->from, .inflight_max = 1024, .tls = o->tls};
    buf_init(&why, 1024);
    enum err e = rpc_client_open(&cc, &client, &why);
    if (e == OK) {
        other_set(o, row, client);
    } else {
        log_warn("others.dial", "a node's RPC address cannot be used", LOG_U64("node", row->id.v),
                 LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
    }
    buf_fini(&why);
}

void others_follow_table(struct others *o)
{
    struct node_table_row rows[DIR_NODES_ROWS_MAX];
    size_t n = node_table_list(o->node, rows, DIR_NODES_ROWS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].id.v != o->node->identity.node.v) {
            other_follow(o, &rows[i]);
        }
    }
}

/* --- calls --- */

enum err others_send_to(struct others *o, struct node_id to, struct rpc_call *call)
{
    pthread_rwlock_rdlock(&o->lock);
    struct other *x = other_find(o, to);
    struct rpc_client *client = x == NULL ? NULL : x->client; /* open until others_close */
    pthread_rwlock_unlock(&o->lock);
    return client == NULL ? ERR_UNAVAILABLE : rpc_client_send(client, call);
}

enum err others_send(struct others *o, struct shard_id shard, struct rpc_call *call)
{
    struct node_id leader = leaders_get(o->node->leaders, shard, NULL);
    if (leader.v == 0 || leader.v == o->node->identity.node.v) {
        return ERR_NOT_LEADER;
    }
    return others_send_to(o, leader, call);
}

struct forwarded {
    struct rpc_call call;
    struct rpc_request *request;
};

static void forward_done(struct rpc_call *call)
{
    struct forwarded *f = call->user;
    enum err e = call->status != OK ? call->status : call->reply.head.status;
    rpc_request_reply(f->request, e, call->reply.head.hint, call->reply.meta, call->reply.attach);
    rpc_reply_fini(&call->reply);
    mem_free(f);
}

bool others_forward(struct others *o, struct rpc_request *r)
{
    uint64_t now = clock_mono_ms(o->node->clock);
    struct forwarded *f = r->head.forward && now < r->deadline_ms ? mem_zalloc(sizeof(*f)) : NULL;
    if (f == NULL) {
        return false;
    }
    f->request = r;
    f->call.head = r->head;
    f->call.head.forward = false;
    f->call.head.budget_ms = (uint32_t)(r->deadline_ms - now);
    f->call.timeout_ms = f->call.head.budget_ms;
    f->call.meta = r->meta;
    f->call.attach = r->attach;
    f->call.done = forward_done;
    f->call.user = f;
    if (others_send(o, r->head.shard, &f->call) != OK) {
        mem_free(f);
        return false;
    }
    return true;
}
