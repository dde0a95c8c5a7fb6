/* The admin HTTP listener: GET /metrics (Prometheus text), /healthz (the process lives: no quorum in it) and /readyz
 * (storage answers and the process is not draining). HTTP/1.1 with Connection: close; one small request a connection.
 * RFC 9112, as much as probes and scrapers need. */
#ifndef FRONTEND_ADMIN_ADMIN_H
#define FRONTEND_ADMIN_ADMIN_H

#include "frontend/net/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct conn_proto admin_proto;

/* The listener's user pointer. */
struct admin_config {
    bool (*ready)(void *user);
    void *user;
};

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_ADMIN_ADMIN_H */
