#include "program/cluster_join.h"
#include "program/roles.h"
#include "proto/base/log.h"
#include "storage/node/node.h"

int role_all(const struct config *c)
{
    struct buf why;
    struct node *node = NULL;
    struct frontend *front = NULL;
    if (cluster_must_wait(c)) {
        log_error("all.start",
                  "cluster.start = wait is for the role storage, or for a data directory that has an identity");
        return 1;
    }
    signals_block();
    buf_init(&why, 4096);
    enum err e = storage_start(c, true, &node, &why);
    if (e == OK) {
        e = frontend_start(c, INPROC_RPC_URL, INPROC_PUB_URL, &front, &why);
    }
    if (e != OK) {
        log_error("all.start", "could not start", LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
        if (node != NULL) {
            node_stop(node);
        }
        buf_fini(&why);
        return 1;
    }
    buf_fini(&why);
    log_info("all.ready", "storage and frontends serve", LOG_STR("data_dir", c->data_dir));
    while (signals_wait()) {
        frontend_reload(front);
    }
    log_info("all.stop", "draining");
    frontend_stop(front);
    node_stop(node);
    log_info("all.stopped", "stopped");
    return 0;
}
