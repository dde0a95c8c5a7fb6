/* Frames over one tcp or ipc connection.
 *
 * nng carries inproc only. Over tcp and ipc nng 1.5.2 (Debian 12) loses a receive when its pipe is closed between a
 * message's header and its body (#1636, fixed in 1.6): its reaper thread then waits for ever, and no pipe of the
 * process is closed or dialed again. Cutting a busy link hit it once in about forty times. Its streams, the layer
 * below, lose an operation that is started after a hang-up. So the bytes between processes are ours.
 *
 * On the wire each side first sends the 8 bytes "PBXRPC1\n", then frames: u32 length of the frame, u32 zero, u64 tag,
 * then the frame (frame.h). The tag is the caller's and comes back with the reply. A length over RPC_RECV_BYTES_MAX
 * ends the connection.
 *
 * With TLS (rpc_stream_secure) all of this travels inside it, after the handshake: a peer that fails in that sees no
 * greeting.
 *
 * Threads: one I/O thread runs the stream; sending, pausing and shutting from any. */
#ifndef PROTO_RPC_STREAM_H
#define PROTO_RPC_STREAM_H

#include "proto/rpc/nng_common.h"
#include "proto/rpc/socket.h"
#include "proto/rpc/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_stream;

/* All on the I/O thread, from rpc_stream_run; on_sent also from rpc_stream_send. */
struct rpc_stream_ops {
    /* The peer's greeting came: frames may follow. May be NULL. */
    void (*on_open)(void *user);
    /* The message is the callee's. */
    void (*on_frame)(void *user, uint64_t tag, nng_msg *m);
    /* n frames were handed to the kernel. May be NULL. */
    void (*on_sent)(void *user, uint32_t n);
};

/* Takes fd when OK. The poller's events for the stream carry `source`. ERR_NOMEM. */
MUST_CHECK enum err rpc_stream_open(int fd, struct rpc_poller *poller, void *source, const struct rpc_stream_ops *ops,
                                    void *user, struct rpc_stream **out);
/* Before the first run and before any other thread knows the stream. accepted: the peer dialed us. The failure's text
 * is good until rpc_stream_free; NULL: TLS did not fail. ERR_NOMEM. */
MUST_CHECK enum err rpc_stream_secure(struct rpc_stream *s, const struct rpc_tls *tls, bool accepted);
const char *rpc_stream_tls_failure(struct rpc_stream *s);
/* Before the first send: ERR_OVERLOAD when frames of more than this would wait. */
void rpc_stream_limit(struct rpc_stream *s, size_t queued_bytes_max);
/* Closes. Nobody uses the stream any more. */
void rpc_stream_free(struct rpc_stream *s);
/* Reads, delivers and writes what is possible now. False: the connection has ended. */
bool rpc_stream_run(struct rpc_stream *s, bool hangup);

/* Takes m when OK. ERR_CLOSED; ERR_OVERLOAD when queued_max frames wait already (0: no bound), or as rpc_stream_limit
 * says; ERR_NOMEM. */
MUST_CHECK enum err rpc_stream_send(struct rpc_stream *s, uint64_t tag, nng_msg *m, uint32_t queued_max);
/* No further on_frame after the one that runs, until resumed: the peer's writes push back. */
void rpc_stream_pause(struct rpc_stream *s);
void rpc_stream_resume(struct rpc_stream *s);
/* True while frames wait to be written. */
bool rpc_stream_sending(struct rpc_stream *s);
/* Ends the connection: rpc_stream_run will say so. */
void rpc_stream_shut(struct rpc_stream *s);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_STREAM_H */
