#include <stdio.h>
#include <string.h>

#include "program/roles.h"
#include "proto/base/log.h"
#include "storage/node/node.h"

#define URLS_MAX 8

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

enum err storage_start(const struct config *c, bool in_process, struct node **out, struct buf *why)
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
        .dead_retention_ms = c->storage_retention_ms,
        .flush_delay_ms = (uint32_t)c->storage_flush_delay_ms,
        .dedupe_ms = c->storage_dedupe_ms,
    };
    return node_start(&cfg, out, why);
}

int role_storage(const struct config *c)
{
    struct buf why;
    struct node *node = NULL;
    if (c->storage_listen[0] == '\0') {
        log_error(
            "storage.config", "storage.listen is empty: no frontend could reach this node",
            LOG_STR("remedy", "--set storage.listen=tcp://127.0.0.1:2100 --set storage.publish=tcp://127.0.0.1:2101"));
        return 1;
    }
    signals_block();
    buf_init(&why, 4096);
    enum err e = storage_start(c, false, &node, &why);
    if (e != OK) {
        log_error("storage.start", "the storage node could not start", LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
        buf_fini(&why);
        return 1;
    }
    buf_fini(&why);
    log_info("storage.ready", "storage node serves", LOG_STR("data_dir", c->data_dir),
             LOG_STR("listen", c->storage_listen));
    while (signals_wait()) {
        log_info("storage.reload", "nothing to reload in a storage node");
    }
    log_info("storage.stop", "stopping");
    node_stop(node);
    return 0;
}
