#include "frontend/net/net_metrics.h"

#include <stddef.h>

#define DEFINE(var, kind, metric_name, metric_help, metric_labels)                                                     \
    struct metric var = {kind, metric_name, metric_help, metric_labels, 0, 0, 0, {0}, NULL, 0}

DEFINE(net_metric_connections, METRIC_TYPE_GAUGE, "pillarbox_connections", "Client connections open now", NULL);
DEFINE(net_metric_accepted, METRIC_TYPE_COUNTER, "pillarbox_connections_accepted_total", "Client connections accepted",
       NULL);
DEFINE(net_metric_refused, METRIC_TYPE_COUNTER, "pillarbox_connections_refused_total",
       "Client connections refused over a limit", NULL);
DEFINE(net_metric_evicted, METRIC_TYPE_COUNTER, "pillarbox_connections_evicted_total",
       "Client connections cut because the client took no data", NULL);
DEFINE(net_metric_tls_handshakes, METRIC_TYPE_COUNTER, "pillarbox_tls_handshakes_total", "TLS handshakes completed",
       NULL);
DEFINE(net_metric_tls_failures, METRIC_TYPE_COUNTER, "pillarbox_tls_failures_total",
       "TLS handshakes and sessions that failed", NULL);
DEFINE(net_metric_bytes_in, METRIC_TYPE_COUNTER, "pillarbox_bytes_in_total", "Bytes received from clients", NULL);
DEFINE(net_metric_bytes_out, METRIC_TYPE_COUNTER, "pillarbox_bytes_out_total", "Bytes sent to clients", NULL);
DEFINE(net_metric_fibers, METRIC_TYPE_GAUGE, "pillarbox_fibers", "Fibers running or parked now", NULL);
DEFINE(net_metric_backend_io_uring, METRIC_TYPE_GAUGE, "pillarbox_io_backend", "The I/O backend in use",
       "backend=\"io_uring\"");
DEFINE(net_metric_backend_epoll, METRIC_TYPE_GAUGE, "pillarbox_io_backend", "The I/O backend in use",
       "backend=\"epoll\"");

void net_metrics_register(void)
{
    struct metric *const all[] = {
        &net_metric_connections,    &net_metric_accepted,         &net_metric_refused,       &net_metric_evicted,
        &net_metric_tls_handshakes, &net_metric_tls_failures,     &net_metric_bytes_in,      &net_metric_bytes_out,
        &net_metric_fibers,         &net_metric_backend_io_uring, &net_metric_backend_epoll,
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        metric_register(all[i]);
    }
}
