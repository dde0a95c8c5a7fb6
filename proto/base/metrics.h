/* Process-wide counters, gauges and histograms, exported as Prometheus text. Static objects registered at first use;
 * updates are relaxed atomics, so they are cheap and thread-safe.
 *
 *     METRIC_COUNTER(smtp_messages, "pillarbox_smtp_messages_total", "Messages accepted by SMTP");
 *     metric_inc(&smtp_messages);
 */
#ifndef PROTO_BASE_METRICS_H
#define PROTO_BASE_METRICS_H

#include <stdint.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM };

#define METRIC_BUCKETS 20 /* powers of two of microseconds, from 32 us */

struct metric {
    enum metric_type type;
    const char *name;
    const char *help;   /* without newline and backslash */
    const char *labels; /* "proto=\"imap\"" or NULL; the series of one name share the help */
    int64_t value;
    uint64_t count;
    uint64_t sum_us;
    uint64_t buckets[METRIC_BUCKETS];
    struct metric *next;
    uint32_t registered;
};

#define METRIC_DEFINE_(var, kind, metric_name, metric_help, metric_labels)                                             \
    static struct metric var = {kind, metric_name, metric_help, metric_labels, 0, 0, 0, {0}, NULL, 0}
#define METRIC_COUNTER(var, name, help) METRIC_DEFINE_(var, METRIC_TYPE_COUNTER, name, help, NULL)
#define METRIC_GAUGE(var, name, help) METRIC_DEFINE_(var, METRIC_TYPE_GAUGE, name, help, NULL)
#define METRIC_HISTOGRAM(var, name, help) METRIC_DEFINE_(var, METRIC_TYPE_HISTOGRAM, name, help, NULL)
#define METRIC_HISTOGRAM_L(var, name, help, labels) METRIC_DEFINE_(var, METRIC_TYPE_HISTOGRAM, name, help, labels)
#define METRIC_COUNTER_L(var, name, help, labels) METRIC_DEFINE_(var, METRIC_TYPE_COUNTER, name, help, labels)
#define METRIC_GAUGE_L(var, name, help, labels) METRIC_DEFINE_(var, METRIC_TYPE_GAUGE, name, help, labels)

void metric_inc(struct metric *m);
void metric_add(struct metric *m, int64_t delta);
void metric_set(struct metric *m, int64_t value);
void metric_observe_us(struct metric *m, uint64_t us);
/* Registers before first use, so that a zero is exported too. */
void metric_register(struct metric *m);
/* Prometheus text format 0.0.4 of everything registered. */
MUST_CHECK enum err metrics_render(struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_METRICS_H */
