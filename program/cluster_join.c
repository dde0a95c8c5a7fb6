#include "program/cluster_join.h"

#include <stdio.h>
#include <string.h>

#include "program/roles.h"
#include "proto/base/arena.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/rng.h"
#include "proto/rpc/client.h"
#include "proto/rpc/level.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/pb.h"
#include "storage/node/node_dir.h"

#define POLL_MS 500
#define MAP_MS 500
#define CLAIM_MS 1000
#define HOPS_MAX 3
#define ARENA_BYTES ((size_t)16 << 20)
#define SHARDS_MAX UINT16_MAX

struct join {
    const struct config *cfg;
    const struct rpc_tls *tls;
    struct cluster_addresses self;
    struct u128 token;
    struct arena arena; /* of one attempt */
    enum err said;      /* the last refusal that was logged */
};

/* --- addresses --- */

/* The first of a list. */
static bool first(char out[CLUSTER_ADDRESS_BYTES_MAX], const char *given, const char *fallback)
{
    const char *from = given[0] != '\0' ? given : fallback;
    from += strspn(from, ", ");
    int n = (int)strcspn(from, ", ");
    return snprintf(out, CLUSTER_ADDRESS_BYTES_MAX, "%.*s", n, from) < CLUSTER_ADDRESS_BYTES_MAX;
}

enum err cluster_addresses(const struct config *c, struct cluster_addresses *out)
{
    bool fits = first(out->peer, c->cluster_peer_address, c->cluster_peer_listen) &&
                first(out->rpc, c->cluster_rpc_address, c->storage_listen) &&
                first(out->events, c->cluster_events_address, c->storage_publish);
    return fits ? OK : ERR_LIMIT;
}

/* --- questions to the cluster --- */

struct question {
    const char *url;
    enum method method;
    const ProtobufCMessage *request;
    uint32_t timeout_ms;
};

static enum err reply_take(struct join *j, const struct question *q, struct rpc_call *call, uint64_t *out_hint,
                           ProtobufCMessage **out)
{
    enum err e = call->reply.head.status;
    *out_hint = call->reply.head.hint;
    if (e == OK) {
        e = pb_unpack(method_info(q->method)->reply, call->reply.meta, &j->arena, out);
        e = e == ERR_INVAL ? ERR_CORRUPT : e;
    }
    rpc_reply_fini(&call->reply);
    return e;
}

static enum err ask_linked(struct join *j, const struct question *q, struct rpc_client *client, uint64_t *out_hint,
                           ProtobufCMessage **out)
{
    struct buf meta;
    buf_init(&meta, 64 * 1024);
    enum err e = pb_pack(q->request, &meta);
    struct rpc_call call = {.head = {.method = (uint16_t)q->method,
                                     .request_id = rng_u128(rng_system()),
                                     .issue_ms = clock_wall_ms(clock_system()),
                                     .budget_ms = q->timeout_ms},
                            .meta = buf_slice(&meta),
                            .timeout_ms = q->timeout_ms};
    if (e == OK) {
        e = rpc_client_call(client, &call);
    }
    if (e == OK) {
        e = call.status;
    }
    if (e == OK) {
        e = reply_take(j, q, &call, out_hint, out);
    }
    buf_fini(&meta);
    return e;
}

static enum err ask(struct join *j, const struct question *q, uint64_t *out_hint, ProtobufCMessage **out)
{
    struct buf why;
    struct rpc_client *client;
    struct rpc_client_config cfg = {.url = q->url, .inflight_max = 1, .tls = j->tls};
    *out_hint = 0;
    buf_init(&why, 1024);
    enum err e = rpc_client_open(&cfg, &client, &why);
    if (e != OK) {
        log_warn("cluster.seed", "an address of the cluster cannot be used", LOG_STR("url", q->url),
                 LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
    } else {
        e = ask_linked(j, q, client, out_hint, out);
        rpc_client_close(client);
    }
    buf_fini(&why);
    return e;
}

/* --- the claim --- */

/* Where a node takes requests: the seed itself, or what its table says. NULL: not known. */
static const char *node_url(const Pb__ReadMapResult *map, uint64_t node, const char *seed)
{
    if (node != 0 && node == map->node) {
        return seed;
    }
    for (size_t i = 0; i < map->n_nodes; i++) {
        const Pb__NodeRow *r = map->nodes[i];
        if (r->node == node && !r->removed && r->rpc[0] != '\0') {
            return r->rpc;
        }
    }
    return NULL;
}

static enum err claim(struct join *j, const Pb__ReadMapResult *map, const char *seed, uint64_t *out_node)
{
    Pb__OpNodeClaim op = PB__OP_NODE_CLAIM__INIT;
    uint64_t leader = map->n_leaders > 0 ? map->leaders[0] : 0;
    enum err e = ERR_NOT_LEADER;
    op.peer = j->self.peer;
    op.rpc = j->self.rpc;
    op.events = j->self.events;
    op.level = LEVEL_NOW;
    op.token = pb_bytes(slice_make(j->token.b, sizeof(j->token.b)));
    for (unsigned hop = 0; hop < HOPS_MAX && e == ERR_NOT_LEADER; hop++) {
        ProtobufCMessage *reply;
        struct question q = {node_url(map, leader, seed), METHOD_NODE_CLAIM, &op.base, CLAIM_MS};
        if (q.url == NULL) {
            return ERR_UNAVAILABLE;
        }
        e = ask(j, &q, &leader, &reply);
        if (e == OK) {
            *out_node = ((const Pb__OpNodeClaimResult *)(const void *)reply)->node;
        }
    }
    return e;
}

static enum err try_seed(struct join *j, const char *seed, struct node_identity *out)
{
    Pb__ReadMap req = PB__READ_MAP__INIT;
    ProtobufCMessage *reply;
    uint64_t hint;
    uint64_t node;
    struct question q = {seed, METHOD_MAP, &req.base, MAP_MS};
    enum err e = ask(j, &q, &hint, &reply);
    if (e != OK) {
        return e;
    }
    const Pb__ReadMapResult *map = (const Pb__ReadMapResult *)(const void *)reply;
    if (map->cluster_id.len != sizeof(out->cluster.b) || map->shards == 0 || map->shards > SHARDS_MAX) {
        return ERR_CORRUPT;
    }
    e = claim(j, map, seed, &node);
    if (e == OK && node == 0) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        memcpy(out->cluster.b, map->cluster_id.data, sizeof(out->cluster.b));
        out->node.v = node;
        out->shards = map->shards;
        out->made = false;
        out->level = LEVEL_FIRST; /* noted once it is seen */
    }
    return e;
}

static void say_refusal(struct join *j, const char *seed, enum err e)
{
    if (e == j->said) {
        return;
    }
    j->said = e;
    if (e == ERR_NOTFOUND) {
        log_info("cluster.wait", "the cluster does not know this peer address yet: pillarbox ctl node add",
                 LOG_STR("peer", j->self.peer), LOG_STR("seed", seed));
    } else if (e == ERR_UNSUPPORTED) {
        log_warn("cluster.wait", "the cluster uses what this program does not know yet: run its version",
                 LOG_U64("knows", LEVEL_NOW), LOG_STR("seed", seed));
    } else if (e == ERR_EXISTS) {
        log_warn("cluster.wait",
                 "another data directory has this peer address; if that is lost: pillarbox ctl node add --replace",
                 LOG_STR("peer", j->self.peer), LOG_STR("seed", seed));
    } else {
        log_info("cluster.wait", "a seed did not take this node; it will be asked again", LOG_STR("seed", seed),
                 LOG_ERR(e));
    }
}

static enum err adopt(const struct join *j, const struct node_identity *id, struct buf *why)
{
    char hex[33];
    enum err e = node_dir_adopt(j->cfg->data_dir, id, why);
    if (e == OK) {
        u128_hex(&id->cluster, hex);
        log_info("cluster.joined", "this data directory is a node of the cluster", LOG_STR("cluster", hex),
                 LOG_U64("node", id->node.v), LOG_STR("peer", j->self.peer));
    }
    return e;
}

/* Asks each seed. What only time can mend is OK: the directory has no identity then. */
static enum err try_seeds(struct join *j, struct buf *why)
{
    char list[1024];
    char *save = NULL;
    snprintf(list, sizeof(list), "%s", j->cfg->cluster_seeds);
    for (const char *seed = strtok_r(list, ", ", &save); seed != NULL; seed = strtok_r(NULL, ", ", &save)) {
        struct node_identity id;
        arena_reset(&j->arena);
        enum err e = try_seed(j, seed, &id);
        if (e == OK) {
            return adopt(j, &id, why);
        }
        say_refusal(j, seed, e);
        if (signals_poll(0) == SIGNAL_STOP) {
            return ERR_SHUTDOWN;
        }
    }
    return OK;
}

/* --- waiting --- */

static bool has_identity(const char *data_dir)
{
    struct node_identity id;
    struct buf quiet;
    buf_init(&quiet, 1024);
    enum err e = node_dir_read(data_dir, &id, &quiet);
    buf_fini(&quiet);
    return e != ERR_NOTFOUND; /* one that cannot be read is for node_start to refuse */
}

bool cluster_must_wait(const struct config *c)
{
    return strcmp(c->cluster_start, "wait") == 0 && !has_identity(c->data_dir);
}

static enum err explain(struct buf *why, enum err e, const char *what)
{
    enum err ignored = buf_append_str(why, what);
    (void)ignored; /* the error says enough */
    return e;
}

static enum err join_init(struct join *j, const struct config *c, struct buf *why)
{
    enum err e = cluster_addresses(c, &j->self);
    if (e != OK) {
        return explain(why, e, "an address of this node is too long");
    }
    if (c->cluster_seeds[0] != '\0' && j->self.peer[0] == '\0') {
        return explain(why, ERR_INVAL, "cluster.seeds needs cluster.peer_listen: its address is this node's name");
    }
    return c->cluster_seeds[0] == '\0' ? OK : node_dir_claim_token(c->data_dir, &j->token, why);
}

enum err cluster_wait(const struct config *c, const struct rpc_tls *tls, struct buf *why)
{
    struct join j = {.cfg = c, .tls = tls, .said = OK};
    bool seeds = c->cluster_seeds[0] != '\0';
    enum err e = join_init(&j, c, why);
    if (e != OK) {
        return e;
    }
    log_info("cluster.wait",
             seeds ? "waits for `pillarbox ctl node add` on the cluster, or `pillarbox ctl cluster init` here"
                   : "waits for `pillarbox ctl cluster init` here",
             LOG_STR("data_dir", c->data_dir), LOG_STR("peer", j.self.peer), LOG_STR("seeds", c->cluster_seeds));
    arena_init(&j.arena, ARENA_BYTES);
    while (e == OK && !has_identity(c->data_dir)) {
        e = seeds ? try_seeds(&j, why) : OK;
        if (e == OK && !has_identity(c->data_dir) && signals_poll(POLL_MS) == SIGNAL_STOP) {
            e = ERR_SHUTDOWN;
        }
    }
    arena_fini(&j.arena);
    return e;
}
