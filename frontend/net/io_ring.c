/* io.h on io_uring: multishot accept, multishot recv into a ring of provided buffers, one send at a time a socket.
 *
 * The ring is made disabled, so that any thread may make it, and belongs to the thread that enables it (SINGLE_ISSUER).
 * With DEFER_TASKRUN completions are only produced inside io_wait, so one round receives at most what the provided
 * buffers hold. When a ring goes away the kernel interrupts system calls (EINTR) of the thread that made it.
 * Rings count against RLIMIT_MEMLOCK on new kernels: this one takes about 60 KiB. */
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/net/io_internal.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define BUFFER_GROUP 1
#define FINISH_ROUNDS 200
#define FINISH_ROUND_MS 10

struct io_ring_sizes io_ring_sizes = {.sq_entries = 256, .cq_entries = 2048, .buffers = 128, .buffer_bytes = 8192};

/* io_slot.state: what the kernel holds */
enum armed { ARMED_ACCEPT = 1, ARMED_RECV = 2, ARMED_SEND = 4, CANCEL_ACCEPT = 8, CANCEL_RECV = 16, CANCEL_SEND = 32 };
#define ARMED_ANY (ARMED_ACCEPT | ARMED_RECV | ARMED_SEND)

enum op { OP_ACCEPT = 1, OP_RECV, OP_SEND, OP_CANCEL, OP_WAKE };

struct ring {
    struct io io;
    struct io_uring uring;
    struct io_uring_buf_ring *buf_ring; /* one mapping with the buffers behind it */
    uint8_t *buffers;
    size_t map_bytes;
    struct io_ring_sizes sizes;
    uint64_t wake_value;
    bool wake_armed;
    bool made;
};

static struct ring *ring_of(struct io *io)
{
    return (struct ring *)(void *)io; /* its first member */
}

static uint64_t user_data(uint32_t slot, uint32_t generation, enum op op)
{
    return (uint64_t)slot << 32 | (uint64_t)generation << 8 | (uint64_t)op;
}

/* NULL when the queue is full and the kernel takes nothing now. */
static struct io_uring_sqe *sqe_get(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    if (sqe == NULL) {
        (void)io_uring_submit(&r->uring); /* failing is seen as a queue that is still full */
        sqe = io_uring_get_sqe(&r->uring);
    }
    return sqe;
}

/* --- arming and cancelling --- */

static bool arm_wake(struct ring *r)
{
    struct io_uring_sqe *sqe = sqe_get(r);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_read(sqe, r->io.wake_fd, &r->wake_value, sizeof(r->wake_value), 0);
    io_uring_sqe_set_data64(sqe, user_data(0, 0, OP_WAKE));
    r->wake_armed = true;
    return true;
}

static bool arm(struct ring *r, uint32_t slot, enum op op, uint8_t flag)
{
    struct io_slot *s = &r->io.slots[slot];
    struct io_uring_sqe *sqe = sqe_get(r);
    if (sqe == NULL) {
        return false;
    }
    if (op == OP_ACCEPT) {
        io_uring_prep_multishot_accept(sqe, s->fd, NULL, NULL, SOCK_CLOEXEC);
    } else if (op == OP_RECV) {
        io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = BUFFER_GROUP;
    } else {
        io_uring_prep_send(sqe, s->fd, s->send_p, s->send_n, MSG_NOSIGNAL);
    }
    io_uring_sqe_set_data64(sqe, user_data(slot, s->generation, op));
    s->state |= flag;
    return true;
}

static bool cancel(struct ring *r, uint32_t slot, enum op op, uint8_t flag)
{
    struct io_slot *s = &r->io.slots[slot];
    struct io_uring_sqe *sqe = sqe_get(r);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_cancel64(sqe, user_data(slot, s->generation, op), 0);
    io_uring_sqe_set_data64(sqe, user_data(slot, s->generation, OP_CANCEL));
    s->state |= flag;
    return true;
}

static const struct {
    enum op op;
    uint8_t want;
    uint8_t armed;
    uint8_t cancelling;
} operations[] = {
    {OP_ACCEPT, IO_WANT_ACCEPT, ARMED_ACCEPT, CANCEL_ACCEPT},
    {OP_RECV, IO_WANT_RECV, ARMED_RECV, CANCEL_RECV},
    {OP_SEND, IO_WANT_SEND, ARMED_SEND, CANCEL_SEND},
};

static bool ring_settle(struct io *io, uint32_t slot)
{
    struct ring *r = ring_of(io);
    struct io_slot *s = &io->slots[slot];
    if (s->closing && (s->state & ARMED_ANY) == 0) {
        io_slot_release(io, slot);
        return true;
    }
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        bool wanted = (s->want & operations[i].want) != 0;
        bool armed = (s->state & operations[i].armed) != 0;
        bool cancelling = (s->state & operations[i].cancelling) != 0;
        if (wanted && !armed && !arm(r, slot, operations[i].op, operations[i].armed)) {
            return false;
        }
        if (!wanted && armed && !cancelling && !cancel(r, slot, operations[i].op, operations[i].cancelling)) {
            return false;
        }
    }
    return true;
}

/* --- completions --- */

static void buffer_recycle(struct ring *r, unsigned id)
{
    io_uring_buf_ring_add(r->buf_ring, r->buffers + (size_t)id * r->sizes.buffer_bytes, r->sizes.buffer_bytes,
                          (unsigned short)id, io_uring_buf_ring_mask(r->sizes.buffers), 0);
    io_uring_buf_ring_advance(r->buf_ring, 1);
}

/* Errors after which the operation is simply asked for again, as long as it is wanted. */
static bool transient(int res)
{
    return res == -ENOBUFS || res == -ECANCELED || res == -EINTR || res == -EAGAIN || res == -ENOMEM;
}

static void on_accept(struct ring *r, struct io_slot *s, int res)
{
    (void)r;
    if (s->closing || s->sink == NULL) {
        if (res >= 0) {
            (void)close(res);
        }
    } else if (res >= 0 || !transient(res)) {
        s->sink->accepted(s->user, res);
    }
}

static void on_recv(struct ring *r, struct io_slot *s, int res, uint32_t flags)
{
    unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
    if (!s->closing && (res >= 0 || !transient(res))) {
        const uint8_t *p = NULL;
        if (res > 0) {
            p = r->buffers + (size_t)id * r->sizes.buffer_bytes;
        } else {
            s->want &= (uint8_t)~IO_WANT_RECV;
        }
        s->sink->received(s->user, p, res);
    }
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        buffer_recycle(r, id);
    }
}

static void on_send(struct ring *r, struct io_slot *s, int res)
{
    (void)r;
    if (s->closing || (res < 0 && transient(res))) {
        return;
    }
    s->send_block = NULL; /* the user's again */
    s->want &= (uint8_t)~IO_WANT_SEND;
    s->sink->sent(s->user, res);
}

static void on_completion(struct ring *r, uint64_t data, int res, uint32_t flags)
{
    enum op op = (enum op)(data & 0xff);
    uint32_t slot = (uint32_t)(data >> 32);
    uint32_t generation = (uint32_t)(data >> 8) & IO_GENERATION_MASK;
    if (op == OP_WAKE) {
        r->wake_armed = false;
        return;
    }
    if (op == OP_CANCEL) {
        return; /* the cancelled operation reports for itself */
    }
    struct io_slot *s = io_slot_get(&r->io, slot, generation);
    ASSERT(s != NULL); /* a slot is released after its last operation */
    if ((flags & IORING_CQE_F_MORE) == 0) {
        const uint8_t done[] = {[OP_ACCEPT] = ARMED_ACCEPT | CANCEL_ACCEPT,
                                [OP_RECV] = ARMED_RECV | CANCEL_RECV,
                                [OP_SEND] = ARMED_SEND | CANCEL_SEND};
        s->state &= (uint8_t)~done[op];
    }
    switch (op) {
    case OP_ACCEPT:
        on_accept(r, s, res);
        break;
    case OP_RECV:
        on_recv(r, s, res, flags);
        break;
    case OP_SEND:
        on_send(r, s, res);
        break;
    case OP_CANCEL:
    case OP_WAKE:
        break;
    }
    if ((flags & IORING_CQE_F_MORE) == 0) {
        io_slot_dirty(&r->io, slot); /* armed again if still wanted, released if closing */
    }
}

static void ring_report(struct io *io)
{
    struct ring *r = ring_of(io);
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&r->uring, &cqe) == 0) {
        uint64_t data = cqe->user_data;
        int res = cqe->res;
        uint32_t flags = cqe->flags;
        io_uring_cqe_seen(&r->uring, cqe);
        on_completion(r, data, res, flags);
    }
}

static void ring_wait(struct io *io, uint64_t timeout_ms)
{
    struct ring *r = ring_of(io);
    io_settle_all(io);
    bool behind = io->dirty_head != IO_SLOT_NONE || (!r->wake_armed && !arm_wake(r));
    if (behind || timeout_ms == 0) {
        (void)io_uring_submit_and_get_events(&r->uring); /* failing: what was not submitted is submitted next time */
    } else {
        struct __kernel_timespec ts = {.tv_sec = (long long)(timeout_ms / 1000),
                                       .tv_nsec = (long long)(timeout_ms % 1000) * 1000000};
        struct io_uring_cqe *cqe;
        (void)io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, &ts, NULL);
    }
}

/* --- life --- */

static void ring_start(struct io *io)
{
    struct ring *r = ring_of(io);
    /* liburing 2.3 declares io_uring_enable_rings but does not export it. */
    int rc = io_uring_register((unsigned)r->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    ASSERT(rc == 0);
}

static void ring_finish(struct io *io)
{
    for (unsigned i = 0; i < FINISH_ROUNDS && io->slots_used > 0; i++) {
        ring_wait(io, FINISH_ROUND_MS);
        ring_report(io);
    }
}

static void ring_free(struct io *io)
{
    struct ring *r = ring_of(io);
    if (r->made) {
        io_uring_queue_exit(&r->uring);
    }
    if (r->buf_ring != NULL) {
        (void)munmap(r->buf_ring, r->map_bytes);
    }
    io_fini(io);
    mem_free(r);
}

static const struct io_ops ring_ops = {
    .settle = ring_settle,
    .start = ring_start,
    .finish = ring_finish,
    .wait = ring_wait,
    .report = ring_report,
    .free = ring_free,
};

/* DEFER_TASKRUN came a release after SINGLE_ISSUER (6.1 and 6.0); multishot recv is as old as the latter, so a kernel
 * without both is too old and EINVAL says so. */
static int ring_make(struct ring *r)
{
    const unsigned base = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                          IORING_SETUP_SINGLE_ISSUER;
    struct io_uring_params p = {.flags = base | IORING_SETUP_DEFER_TASKRUN, .cq_entries = r->sizes.cq_entries};
    int rc = io_uring_queue_init_params(r->sizes.sq_entries, &r->uring, &p);
    if (rc == -EINVAL) {
        p = (struct io_uring_params){.flags = base, .cq_entries = r->sizes.cq_entries};
        rc = io_uring_queue_init_params(r->sizes.sq_entries, &r->uring, &p);
    }
    if (rc == 0 && (p.features & IORING_FEAT_EXT_ARG) == 0) {
        io_uring_queue_exit(&r->uring);
        return -EINVAL;
    }
    return rc;
}

static int buffers_make(struct ring *r)
{
    size_t head_bytes = r->sizes.buffers * sizeof(struct io_uring_buf);
    head_bytes = (head_bytes + 4095) & ~(size_t)4095;
    r->map_bytes = head_bytes + (size_t)r->sizes.buffers * r->sizes.buffer_bytes;
    void *map = mmap(NULL, r->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    r->buf_ring = map;
    r->buffers = (uint8_t *)map + head_bytes;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)map, .ring_entries = r->sizes.buffers, .bgid = BUFFER_GROUP};
    int rc = io_uring_register_buf_ring(&r->uring, &reg, 0);
    if (rc != 0) {
        return rc;
    }
    io_uring_buf_ring_init(r->buf_ring);
    for (unsigned i = 0; i < r->sizes.buffers; i++) {
        buffer_recycle(r, i);
    }
    return 0;
}

enum err io_ring_new(struct io **out_io, int *out_errno)
{
    struct ring *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        *out_errno = ENOMEM;
        return ERR_NOMEM;
    }
    r->sizes = io_ring_sizes;
    enum err e = io_init(&r->io, &ring_ops, out_errno);
    if (e == OK) {
        int rc = ring_make(r);
        r->made = rc == 0;
        rc = rc == 0 ? buffers_make(r) : rc;
        if (rc != 0) {
            *out_errno = -rc;
            e = ERR_UNSUPPORTED;
        }
    }
    if (e != OK) {
        ring_free(&r->io);
        return e;
    }
    *out_io = &r->io;
    return OK;
}
