/* Sockets by completions: what is asked for is done by the kernel and reported later, from io_report, on the loop's
 * thread. Two implementations: io_ring.c (io_uring) and io_epoll.c. One struct io a loop, one thread, but io_wake.
 *
 * A socket is a slot with a generation: a completion that comes after io_close finds another generation and is dropped,
 * it never reaches a socket that reuses the slot. Memory handed to io_send belongs to the operation until sent() is
 * called, or for ever when the socket is closed before: then io frees it once the kernel is done with it. */
#ifndef FRONTEND_NET_IO_H
#define FRONTEND_NET_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend/net/loop.h"
#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct io;

struct io_sock {
    uint32_t slot;
    uint32_t generation; /* 0 = none */
};

/* Who is told. Called from io_report only; inside it every io_* call is allowed but io_wait, io_report, io_finish and
 * io_free. A user sets only the functions for what it asks for. */
struct io_sink {
    /* A connection (the receiver's from now on), or -errno: accepting goes on unless io_accept_stop is called. Some may
     * still arrive after that. */
    void (*accepted)(void *user, int fd);
    /* n > 0 bytes, valid during the call; 0 = end of file, -errno = failure: then nothing more comes. Some may still
     * arrive after io_recv_stop. */
    void (*received)(void *user, const uint8_t *p, int n);
    /* Bytes sent (maybe fewer than asked), or -errno. The memory is the caller's again. */
    void (*sent)(void *user, int n);
};

MUST_CHECK enum err io_new(enum io_backend backend, struct io **out_io, int *out_errno);
/* Binds it to the calling thread, before the first io_wait. */
void io_start(struct io *io);
/* Closes all sockets and waits for the kernel to let go of all memory. In the thread of io_start. */
void io_finish(struct io *io);
/* Any thread; after io_finish, or when io_start was never called. */
void io_free(struct io *io);

/* Takes over fd (blocking or not) on success only. user is passed to the sink. */
MUST_CHECK enum err io_attach(struct io *io, int fd, const struct io_sink *sink, void *user, struct io_sock *out_sock);
/* No callback comes after it. */
void io_close(struct io *io, struct io_sock sock);
void io_accept_start(struct io *io, struct io_sock sock);
void io_accept_stop(struct io *io, struct io_sock sock);
void io_recv_start(struct io *io, struct io_sock sock);
void io_recv_stop(struct io *io, struct io_sock sock);
/* One at a time a socket. block is from mem_alloc and holds p[0..n), n > 0. */
void io_send(struct io *io, struct io_sock sock, void *block, const uint8_t *p, size_t n);

/* Submits what was asked for and waits up to timeout_ms for something to report. */
void io_wait(struct io *io, uint64_t timeout_ms);
/* Calls the sinks. */
void io_report(struct io *io);
/* Makes the current or the next io_wait return soon. Any thread. */
void io_wake(struct io *io);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_IO_H */
