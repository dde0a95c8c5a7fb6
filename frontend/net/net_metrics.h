/* The counters of frontend/net, process-wide. */
#ifndef FRONTEND_NET_NET_METRICS_H
#define FRONTEND_NET_NET_METRICS_H

#include "proto/base/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

extern struct metric net_metric_connections;
extern struct metric net_metric_accepted;
extern struct metric net_metric_refused;
extern struct metric net_metric_evicted;
extern struct metric net_metric_tls_handshakes;
extern struct metric net_metric_tls_failures;
extern struct metric net_metric_bytes_in;
extern struct metric net_metric_bytes_out;
extern struct metric net_metric_fibers;
extern struct metric net_metric_backend_io_uring;
extern struct metric net_metric_backend_epoll;

/* Exports zeros from the start. */
void net_metrics_register(void);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_NET_METRICS_H */
