#include <stdio.h>
#include <string.h>

#include "frontend/admin/admin.h"
#include "frontend/net/server.h"
#include "program/cluster_join.h"
#include "program/cluster_tls.h"
#include "program/roles.h"
#include "proto/base/log.h"
#include "storage/node/node.h"

#define URLS_MAX 8
#define FULL_POLL_MS 1000
#define ADMIN_CONNECTIONS_MAX 64
#define ADMIN_FIBERS_MAX 64
#define ADMIN_TIMEOUT_MS 10000
#define ADMIN_OUT_BYTES_HIGH (1024 * 1024)

/* Splits a comma-separated list in place in the arena; the pieces are NUL-terminated. */
static size_t split(const char *list, char *copy, size_t copy_n, const char **out, size_t max)
{
    size_t n = 0;
    snprintf(copy, copy_n, "%s", list);
    char *save = NULL;
    for (char *p = strtok_r(copy, ", ", &save); p != NULL && n < max; p = strtok_r(NULL, ", ", &save)) {
        out[n++] = p;
    }
    return n;
}

/* A watermark that is nearly the map would refuse all mail from the first day on. */
static enum err room_check(const struct config *c, struct buf *why)
{
    if (c->storage_reserve_bytes <= c->storage_map_bytes / 2) {
        return OK;
    }
    enum err e =
        buf_append_str(why, "storage.reserve is more than half of storage.map_size: hardly any mail would fit");
    (void)e; /* the error says enough */
    return ERR_INVAL;
}

enum err storage_tls(const struct config *c, struct storage *s, struct buf *why)
{
    enum err e = cluster_tls_open(c, CLUSTER_SIDE_RPC, &s->rpc_tls, why);
    return e == OK ? cluster_tls_open(c, CLUSTER_SIDE_PEER, &s->peer_tls, why) : e;
}

/* A full disk may have no room for what the store's log has to carry out after a crash: as in service, that is waited
 * for. ERR_SHUTDOWN: told to stop meanwhile. */
static enum err node_start_when_space(const struct node_config *cfg, struct node **out, struct buf *why)
{
    bool said = false;
    enum err e;
    while ((e = node_start(cfg, out, why)) == ERR_FULL) {
        if (!said) {
            log_warn("storage.full", "no space to open the store; it is tried again until there is some",
                     LOG_SLICE("why", buf_slice(why)));
            said = true;
        }
        buf_reset(why);
        if (signals_poll(FULL_POLL_MS) == SIGNAL_STOP) {
            return ERR_SHUTDOWN;
        }
    }
    return e;
}

enum err storage_start(const struct config *c, bool in_process, struct storage *s, struct buf *why)
{
    char rpc_copy[1024];
    char pub_copy[1024];
    const char *rpc[URLS_MAX + 1];
    const char *pub[URLS_MAX + 1];
    size_t n_rpc = split(c->storage_listen, rpc_copy, sizeof(rpc_copy), rpc, URLS_MAX);
    size_t n_pub = split(c->storage_publish, pub_copy, sizeof(pub_copy), pub, URLS_MAX);
    if (in_process) {
        rpc[n_rpc++] = INPROC_RPC_URL;
        pub[n_pub++] = INPROC_PUB_URL;
    }
    struct cluster_addresses self;
    enum err e = cluster_addresses(c, &self);
    if (e != OK) {
        return e;
    }
    struct node_config cfg = {
        .data_dir = c->data_dir,
        .shards = (uint32_t)c->storage_shards,
        .rpc_urls = rpc,
        .n_rpc_urls = n_rpc,
        .pub_urls = pub,
        .n_pub_urls = n_pub,
        .readers = (uint32_t)c->storage_readers,
        .map_bytes = c->storage_map_bytes,
        .reserve_bytes = c->storage_reserve_bytes,
        .undelete_retention_ms = c->storage_undelete_ms,
        .copy_bytes_per_s = c->storage_copy_bytes_per_s,
        .sole_log_bytes = c->storage_sole_log_bytes,
        .flush_delay_ms = (uint32_t)c->storage_flush_delay_ms,
        .dedupe_ms = c->storage_dedupe_ms,
        .lease_drift_percent = (uint32_t)c->read_lease_drift_percent,
        .peer_address = self.peer,
        .rpc_address = self.rpc,
        .events_address = self.events,
        .replace_after_ms = c->cluster_replace_after_ms,
        .level_max = (uint8_t)c->cluster_level_max,
        .peer_listen = c->cluster_peer_listen,
        .rpc_tls = s->rpc_tls,
        .peer_tls = s->peer_tls,
    };
    struct node *n;
    e = room_check(c, why);
    if (e == OK) {
        e = node_start_when_space(&cfg, &n, why);
    }
    if (e == OK) {
        __atomic_store_n(&s->node, n, __ATOMIC_RELEASE);
    }
    return e;
}

void storage_stop(struct storage *s)
{
    if (s->node != NULL) {
        node_stop(s->node);
    }
    rpc_tls_close(s->rpc_tls);
    rpc_tls_close(s->peer_tls);
}

/* --- /metrics and the probes of a node without frontends --- */

struct storage_role {
    struct storage storage;
    struct server *server;
    struct admin_config admin;
};

static bool ready(void *user)
{
    const struct storage_role *r = user;
    const struct node *n = __atomic_load_n(&r->storage.node, __ATOMIC_ACQUIRE);
    return n != NULL && node_ready(n);
}

static enum err admin_start(const struct config *c, struct storage_role *r, struct buf *why)
{
    enum io_backend io;
    if (c->storage_admin[0] == '\0') {
        return OK;
    }
    enum err e = loop_backend_decide(IO_BACKEND_EPOLL, &io, why);
    if (e != OK) {
        return e;
    }
    r->admin = (struct admin_config){.ready = ready, .user = r};
    struct listener_config listener = {.address = c->storage_admin, .proto = &admin_proto, .user = &r->admin};
    struct server_config cfg = {.backend = io,
                                .threads = 1,
                                .connections_max = ADMIN_CONNECTIONS_MAX,
                                .connections_per_ip_max = ADMIN_CONNECTIONS_MAX,
                                .fibers_max = ADMIN_FIBERS_MAX,
                                .handshake_ms = ADMIN_TIMEOUT_MS,
                                .write_stall_ms = ADMIN_TIMEOUT_MS,
                                .out_bytes_high = ADMIN_OUT_BYTES_HIGH};
    return server_start(&cfg, &listener, 1, &r->server, why);
}

static void role_stop(struct storage_role *r)
{
    if (r->server != NULL) {
        server_drain(r->server, 0);
        server_stop(r->server);
    }
    storage_stop(&r->storage);
}

/* ERR_SHUTDOWN: told to stop before there was anything to serve. */
static enum err role_start(const struct config *c, struct storage_role *r, struct buf *why)
{
    enum err e = admin_start(c, r, why);
    if (e == OK) {
        e = storage_tls(c, &r->storage, why);
    }
    if (e == OK && cluster_must_wait(c)) {
        e = cluster_wait(c, r->storage.rpc_tls, why);
    }
    return e == OK ? storage_start(c, false, &r->storage, why) : e;
}

static enum err role_run(const struct config *c)
{
    struct buf why;
    struct storage_role r = {0};
    buf_init(&why, 4096);
    enum err e = role_start(c, &r, &why);
    if (e == OK) {
        log_info("storage.ready", "storage node serves", LOG_STR("data_dir", c->data_dir),
                 LOG_STR("listen", c->storage_listen));
        while (signals_wait()) {
            log_info("storage.reload", "nothing to reload in a storage node");
        }
    } else if (e != ERR_SHUTDOWN) {
        log_error("storage.start", "the storage node could not start", LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
    }
    if (e == OK || e == ERR_SHUTDOWN) {
        log_info("storage.stop", "stopping");
    }
    role_stop(&r);
    buf_fini(&why);
    return e;
}

int role_storage(const struct config *c)
{
    if (c->storage_listen[0] == '\0' || c->storage_publish[0] == '\0') {
        log_error(
            "storage.config", "storage.listen or storage.publish is empty: no frontend could use this node",
            LOG_STR("remedy", "--set storage.listen=tcp://127.0.0.1:2100 --set storage.publish=tcp://127.0.0.1:2101"));
        return 1;
    }
    signals_block();
    enum err e = role_run(c);
    if (e != OK && e != ERR_SHUTDOWN) {
        return 1;
    }
    log_info("storage.stopped", "stopped");
    return 0;
}
