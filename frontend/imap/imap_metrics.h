/* Latency of commands by name, as histograms of the process. */
#ifndef FRONTEND_IMAP_IMAP_METRICS_H
#define FRONTEND_IMAP_IMAP_METRICS_H

#include "frontend/imap/imap_cmd.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Once before the first session; thread-safe, later calls do nothing. */
void imap_metrics_init(void);
void imap_metrics_command(const struct imap_cmd *cmd, uint64_t us);
void imap_metrics_session(int delta);
void imap_metrics_login(bool success);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_METRICS_H */
