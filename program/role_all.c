#include "program/cluster_join.h"
#include "program/roles.h"
#include "proto/base/log.h"

int role_all(const struct config *c)
{
    struct buf why;
    struct storage storage = {.node = NULL};
    struct frontend *front = NULL;
    if (cluster_must_wait(c)) {
        log_error("all.start",
                  "cluster.start = wait is for the role storage, or for a data directory that has an identity");
        return 1;
    }
    signals_block();
    buf_init(&why, 4096);
    enum err e = storage_tls(c, &storage, &why);
    if (e == OK) {
        e = storage_start(c, true, &storage, &why);
    }
    if (e == OK) {
        e = frontend_start(c, INPROC_RPC_URL, INPROC_PUB_URL, &front, &why);
    }
    if (e != OK) {
        if (e != ERR_SHUTDOWN) {
            log_error("all.start", "could not start", LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
        }
        storage_stop(&storage);
        buf_fini(&why);
        return e == ERR_SHUTDOWN ? 0 : 1;
    }
    buf_fini(&why);
    log_info("all.ready", "storage and frontends serve", LOG_STR("data_dir", c->data_dir));
    while (signals_wait()) {
        frontend_reload(front);
    }
    log_info("all.stop", "draining");
    frontend_stop(front);
    storage_stop(&storage);
    log_info("all.stopped", "stopped");
    return 0;
}
