/* The mutual TLS of a cluster's connections (deploy/docs/CLUSTER.md, "Links") from the keys cluster.certificate, key,
 * node_ca and frontend_ca. */
#ifndef PROGRAM_CLUSTER_TLS_H
#define PROGRAM_CLUSTER_TLS_H

#include "program/config.h"
#include "proto/base/buf.h"
#include "proto/rpc/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cluster_side {
    CLUSTER_SIDE_RPC,      /* a storage node to whoever calls: nodes and frontends */
    CLUSTER_SIDE_PEER,     /* storage nodes among themselves */
    CLUSTER_SIDE_FRONTEND, /* a frontend, or ctl, to storage nodes */
};

/* NULL when no certificate is configured: plain tcp. The caller's, by rpc_tls_close. ERR_INVAL: some of the keys are
 * set, and others that belong to them are not; and the errors of rpc_tls_open. */
MUST_CHECK enum err cluster_tls_open(const struct config *c, enum cluster_side side, struct rpc_tls **out,
                                     struct buf *why);

#ifdef __cplusplus
}
#endif

#endif /* PROGRAM_CLUSTER_TLS_H */
