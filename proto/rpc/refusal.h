/* Log lines about peers that we turn away, at most one a second for each place that does: whoever knocks must not fill
 * the disk. Not thread-safe. */
#ifndef PROTO_RPC_REFUSAL_H
#define PROTO_RPC_REFUSAL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_refusal {
    uint64_t next_ms;  /* monotonic */
    uint64_t unlogged; /* since the last line */
};

/* event: the stable id; url: where we listen, or what we dial. */
void rpc_refusal_log(struct rpc_refusal *r, const char *event, const char *url, const char *why);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_REFUSAL_H */
