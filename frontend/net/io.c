#include "frontend/net/io.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "frontend/net/io_internal.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define SLOTS_MIN 64
#define SLOTS_MAX (1U << 24)

enum err io_new(enum io_backend backend, struct io **out_io, int *out_errno)
{
    switch (backend) {
    case IO_BACKEND_IO_URING:
        return io_ring_new(out_io, out_errno);
    case IO_BACKEND_EPOLL:
        return io_epoll_new(out_io, out_errno);
    case IO_BACKEND_AUTO:
        break;
    }
    return ERR_INVAL;
}

enum err io_init(struct io *io, const struct io_ops *ops, int *out_errno)
{
    io->ops = ops;
    io->free_head = IO_SLOT_NONE;
    io->dirty_head = IO_SLOT_NONE;
    io->dirty_tail = IO_SLOT_NONE;
    io->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (io->wake_fd < 0) {
        *out_errno = errno;
        return ERR_IO;
    }
    return OK;
}

void io_fini(struct io *io)
{
    for (uint32_t i = 0; i < io->slots_cap; i++) {
        if (io->slots[i].used) {
            mem_free(io->slots[i].send_block);
            if (io->slots[i].fd >= 0) {
                (void)close(io->slots[i].fd);
            }
        }
    }
    mem_free(io->slots);
    if (io->wake_fd >= 0) {
        (void)close(io->wake_fd);
    }
}

void io_start(struct io *io)
{
    io->ops->start(io);
}

void io_finish(struct io *io)
{
    for (uint32_t i = 0; i < io->slots_cap; i++) {
        struct io_slot *s = &io->slots[i];
        if (s->used && !s->closing) {
            io_close(io, (struct io_sock){.slot = i, .generation = s->generation});
        }
    }
    io->ops->finish(io);
}

void io_free(struct io *io)
{
    if (io != NULL) {
        io->ops->free(io);
    }
}

void io_wait(struct io *io, uint64_t timeout_ms)
{
    io->ops->wait(io, timeout_ms);
}

void io_report(struct io *io)
{
    io->ops->report(io);
}

void io_wake(struct io *io)
{
    uint64_t one = 1;
    ssize_t n = write(io->wake_fd, &one, sizeof(one));
    (void)n; /* it only fails when the counter is full: then a wake is pending anyway */
}

/* --- slots --- */

struct io_slot *io_slot_get(struct io *io, uint32_t slot, uint32_t generation)
{
    if (slot >= io->slots_cap) {
        return NULL;
    }
    struct io_slot *s = &io->slots[slot];
    return s->used && s->generation == generation ? s : NULL;
}

static struct io_slot *live(struct io *io, struct io_sock sock)
{
    struct io_slot *s = io_slot_get(io, sock.slot, sock.generation);
    ASSERT(s != NULL && !s->closing);
    return s;
}

static bool slots_grow(struct io *io)
{
    uint32_t cap = io->slots_cap == 0 ? SLOTS_MIN : io->slots_cap * 2;
    if (cap > SLOTS_MAX) {
        return false;
    }
    struct io_slot *slots = mem_realloc(io->slots, cap * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = cap; i-- > io->slots_cap;) {
        slots[i] = (struct io_slot){.fd = -1, .next = io->free_head};
        io->free_head = i;
    }
    io->slots = slots;
    io->slots_cap = cap;
    return true;
}

enum err io_attach(struct io *io, int fd, const struct io_sink *sink, void *user, struct io_sock *out_sock)
{
    if (io->free_head == IO_SLOT_NONE && !slots_grow(io)) {
        return ERR_NOMEM;
    }
    uint32_t i = io->free_head;
    struct io_slot *s = &io->slots[i];
    uint32_t next_free = s->next;
    uint32_t generation = (s->generation + 1) & IO_GENERATION_MASK;
    *s = (struct io_slot){.sink = sink,
                          .user = user,
                          .fd = fd,
                          .generation = generation == 0 ? 1 : generation,
                          .next = IO_SLOT_NONE,
                          .used = true};
    io->free_head = next_free;
    io->slots_used++;
    if (io->ops->attach != NULL && !io->ops->attach(io, i)) {
        s->fd = -1;
        io_slot_release(io, i);
        return ERR_IO;
    }
    *out_sock = (struct io_sock){.slot = i, .generation = s->generation};
    return OK;
}

void io_slot_release(struct io *io, uint32_t slot)
{
    struct io_slot *s = &io->slots[slot];
    ASSERT(s->used && !s->dirty);
    mem_free(s->send_block);
    s->send_block = NULL;
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
    s->used = false;
    s->next = io->free_head;
    io->free_head = slot;
    io->slots_used--;
}

void io_slot_dirty(struct io *io, uint32_t slot)
{
    struct io_slot *s = &io->slots[slot];
    if (s->dirty) {
        return;
    }
    s->dirty = true;
    s->next = IO_SLOT_NONE;
    if (io->dirty_head == IO_SLOT_NONE) {
        io->dirty_head = slot;
    } else {
        io->slots[io->dirty_tail].next = slot;
    }
    io->dirty_tail = slot;
}

void io_settle_all(struct io *io)
{
    uint32_t last = io->dirty_tail;
    for (bool more = io->dirty_head != IO_SLOT_NONE; more;) {
        uint32_t i = io->dirty_head;
        more = i != last;
        io->dirty_head = io->slots[i].next;
        if (io->dirty_head == IO_SLOT_NONE) {
            io->dirty_tail = IO_SLOT_NONE;
        }
        io->slots[i].dirty = false;
        if (!io->ops->settle(io, i)) {
            io_slot_dirty(io, i);
        }
    }
}

/* --- wants --- */

static void want(struct io *io, struct io_sock sock, uint8_t what, bool on)
{
    struct io_slot *s = live(io, sock);
    uint8_t now = on ? (uint8_t)(s->want | what) : (uint8_t)(s->want & ~what);
    if (now != s->want) {
        s->want = now;
        io_slot_dirty(io, sock.slot);
    }
}

void io_accept_start(struct io *io, struct io_sock sock)
{
    want(io, sock, IO_WANT_ACCEPT, true);
}

void io_accept_stop(struct io *io, struct io_sock sock)
{
    want(io, sock, IO_WANT_ACCEPT, false);
}

void io_recv_start(struct io *io, struct io_sock sock)
{
    want(io, sock, IO_WANT_RECV, true);
}

void io_recv_stop(struct io *io, struct io_sock sock)
{
    want(io, sock, IO_WANT_RECV, false);
}

void io_send(struct io *io, struct io_sock sock, void *block, const uint8_t *p, size_t n)
{
    struct io_slot *s = live(io, sock);
    ASSERT(s->send_block == NULL && n > 0);
    s->send_block = block;
    s->send_p = p;
    s->send_n = n;
    want(io, sock, IO_WANT_SEND, true);
}

/* The descriptor is closed when the slot is released, not before: a prepared operation that names it must never meet
 * another file under the same number. */
void io_close(struct io *io, struct io_sock sock)
{
    struct io_slot *s = live(io, sock);
    s->closing = true;
    s->want = 0;
    s->user = NULL;
    s->sink = NULL;
    io_slot_dirty(io, sock.slot);
}
