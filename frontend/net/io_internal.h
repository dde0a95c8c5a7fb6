/* What the two implementations of io.h share: the table of sockets and the list of those with something to do. */
#ifndef FRONTEND_NET_IO_INTERNAL_H
#define FRONTEND_NET_IO_INTERNAL_H

#include "frontend/net/io.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IO_SLOT_NONE UINT32_MAX
#define IO_GENERATION_MASK 0xffffffU /* fits user_data beside a slot and an operation */

/* What the user wants; the implementation brings the kernel's state in line with it (settle). */
enum io_want { IO_WANT_ACCEPT = 1, IO_WANT_RECV = 2, IO_WANT_SEND = 4 };

struct io_slot {
    const struct io_sink *sink;
    void *user;
    void *send_block;
    const uint8_t *send_p;
    size_t send_n;
    int fd; /* closed with the release */
    uint32_t generation;
    uint32_t next; /* in the free list or the dirty list */
    uint8_t want;  /* enum io_want */
    uint8_t state; /* the implementation's */
    bool dirty;
    bool closing; /* io_close was called; freed when the kernel holds no operation of it */
    bool used;
};

struct io_ops {
    /* Brings the slot in line with its wants; false = could not now, call again. May call the sink. */
    bool (*settle)(struct io *io, uint32_t slot);
    bool (*attach)(struct io *io, uint32_t slot); /* may be NULL */
    void (*start)(struct io *io);
    void (*finish)(struct io *io);
    void (*wait)(struct io *io, uint64_t timeout_ms);
    void (*report)(struct io *io);
    void (*free)(struct io *io);
};

struct io {
    const struct io_ops *ops;
    struct io_slot *slots;
    uint32_t slots_cap;
    uint32_t slots_used; /* not free, closing ones included */
    uint32_t free_head;
    uint32_t dirty_head; /* a queue, in order */
    uint32_t dirty_tail;
    int wake_fd;
};

/* Read when a ring is made. Tests make it tiny, so that every queue and the buffers overflow; nobody else changes it.
 */
struct io_ring_sizes {
    unsigned sq_entries;
    unsigned cq_entries;
    unsigned buffers; /* a power of two */
    unsigned buffer_bytes;
};
extern struct io_ring_sizes io_ring_sizes;

MUST_CHECK enum err io_ring_new(struct io **out_io, int *out_errno);
MUST_CHECK enum err io_epoll_new(struct io **out_io, int *out_errno);

MUST_CHECK enum err io_init(struct io *io, const struct io_ops *ops, int *out_errno);
void io_fini(struct io *io);
void io_slot_dirty(struct io *io, uint32_t slot);
/* Settles all that were dirty at the call. */
void io_settle_all(struct io *io);
/* The kernel holds nothing of the closing slot any more: closes the descriptor, frees the slot. */
void io_slot_release(struct io *io, uint32_t slot);
/* The slot of this generation, NULL when it has gone. */
struct io_slot *io_slot_get(struct io *io, uint32_t slot, uint32_t generation);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_IO_INTERNAL_H */
