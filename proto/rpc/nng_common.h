/* What client, subscriber and server share about nng: the only folder that includes nng's headers. Works with nng 1.5
 * (Debian 12) to 1.11. */
#ifndef PROTO_RPC_NNG_COMMON_H
#define PROTO_RPC_NNG_COMMON_H

#include <nng/nng.h>

#include "proto/base/buf.h"
#include "proto/rpc/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Before the first socket. nng starts threads by the number of CPUs of the host, whatever the container may use;
 * from 1.7 on that can be capped. */
void rpc_nng_init(void);

/* nng's error as ours; `what` and nng's text go to why (may be NULL). */
enum err rpc_nng_error(int rv, const char *what, const char *url, struct buf *why);

/* RECVMAXSZ: unlimited unless set. Oversize messages close their pipe. */
MUST_CHECK int rpc_nng_socket_limits(nng_socket s);
/* A dialer (inproc) that never blocks and reconnects for ever (20 ms to 1 s). */
MUST_CHECK int rpc_nng_dial(nng_socket s, const char *url);

/* A message of head, meta and attach. NULL when memory is out. */
nng_msg *rpc_nng_msg(const struct rpc_head *h, struct slice meta, struct slice attach);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_NNG_COMMON_H */
