/* io.h on epoll: edge-triggered, one registration a socket for its life. Readiness is remembered in the slot, and
 * sockets that are both ready and wanted stand in the dirty list: each round gives each of them one operation. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/net/io_internal.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define RECV_BYTES 16384
#define EVENTS_MAX 256
#define ACCEPTS_A_ROUND 64
#define WAKE_DATA UINT64_MAX

/* io_slot.state */
enum ready { READY_READ = 1, READY_WRITE = 2, READY_HUP = 4 };

struct epoll {
    struct io io;
    int fd;
    int n_events; /* told by the last wait and not yet looked at */
    uint8_t *recv_buf;
    struct epoll_event events[EVENTS_MAX];
};

static struct epoll *epoll_of(struct io *io)
{
    return (struct epoll *)(void *)io; /* its first member */
}

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* --- one operation; each returns true when the socket may be able to do more of it now --- */

static bool do_accept(struct io *io, uint32_t slot, uint32_t generation)
{
    for (unsigned i = 0; i < ACCEPTS_A_ROUND; i++) {
        struct io_slot *s = io_slot_get(io, slot, generation);
        if (s == NULL || (s->want & IO_WANT_ACCEPT) == 0) {
            return false;
        }
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && would_block(errno)) {
            s->state &= (uint8_t)~READY_READ;
            return false;
        }
        if (fd >= 0 || (errno != EINTR && errno != ECONNABORTED)) {
            s->sink->accepted(s->user, fd >= 0 ? fd : -errno);
        }
    }
    return true;
}

static bool do_recv(struct epoll *ep, struct io_slot *s)
{
    ssize_t n = recv(s->fd, ep->recv_buf, RECV_BYTES, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n < 0 && would_block(errno)) {
        s->state &= (uint8_t)~READY_READ;
        return false;
    }
    bool more = n > 0;
    if (n > 0 && n < RECV_BYTES && (s->state & READY_HUP) == 0) {
        s->state &= (uint8_t)~READY_READ; /* drained: the next byte or FIN is a new edge */
        more = false;
    }
    if (n <= 0) {
        s->want &= (uint8_t)~IO_WANT_RECV;
    }
    s->sink->received(s->user, ep->recv_buf, n >= 0 ? (int)n : -errno);
    return more;
}

static bool do_send(struct io_slot *s)
{
    size_t len = s->send_n < INT_MAX ? s->send_n : INT_MAX;
    ssize_t n = send(s->fd, s->send_p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n < 0 && would_block(errno)) {
        s->state &= (uint8_t)~READY_WRITE;
        return false;
    }
    s->send_block = NULL; /* the user's again */
    s->want &= (uint8_t)~IO_WANT_SEND;
    s->sink->sent(s->user, n >= 0 ? (int)n : -errno);
    return false; /* a further io_send marks the slot dirty itself */
}

static bool epoll_settle(struct io *io, uint32_t slot)
{
    struct io_slot *s = &io->slots[slot];
    uint32_t generation = s->generation;
    if (s->closing) {
        io_slot_release(io, slot);
        return true;
    }
    bool again = false;
    if ((s->want & IO_WANT_SEND) != 0 && (s->state & READY_WRITE) != 0) {
        again = do_send(s);
        s = &io->slots[slot]; /* the callback may have grown the table */
    }
    if ((s->want & IO_WANT_ACCEPT) != 0 && (s->state & READY_READ) != 0) {
        again = do_accept(io, slot, generation) || again;
        s = &io->slots[slot];
    }
    if ((s->want & IO_WANT_RECV) != 0 && (s->state & READY_READ) != 0) {
        again = do_recv(epoll_of(io), s) || again;
    }
    return !again; /* false: in the dirty list again */
}

static bool epoll_attach(struct io *io, uint32_t slot)
{
    struct io_slot *s = &io->slots[slot];
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                             .data.u64 = (uint64_t)s->generation << 32 | slot};
    int flags = fcntl(s->fd, F_GETFL);
    if (flags < 0 || ((flags & O_NONBLOCK) == 0 && fcntl(s->fd, F_SETFL, flags | O_NONBLOCK) != 0)) {
        return false;
    }
    s->state = READY_WRITE | READY_READ; /* the first try finds out */
    return epoll_ctl(epoll_of(io)->fd, EPOLL_CTL_ADD, s->fd, &ev) == 0;
}

static void on_event(struct io *io, const struct epoll_event *ev)
{
    if (ev->data.u64 == WAKE_DATA) {
        uint64_t value;
        ssize_t n = read(io->wake_fd, &value, sizeof(value));
        (void)n; /* level-triggered: a failed read is told again */
        return;
    }
    uint32_t slot = (uint32_t)ev->data.u64;
    struct io_slot *s = io_slot_get(io, slot, (uint32_t)(ev->data.u64 >> 32));
    if (s == NULL || s->closing) {
        return;
    }
    if ((ev->events & EPOLLOUT) != 0) {
        s->state |= READY_WRITE;
    }
    if ((ev->events & EPOLLIN) != 0) {
        s->state |= READY_READ;
    }
    if ((ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        s->state |= READY_READ | READY_WRITE | READY_HUP;
    }
    if (s->want != 0) {
        io_slot_dirty(io, slot);
    }
}

/* What was asked for in this round is tried in the report, so that sinks are only called there. */
static void epoll_wait_events(struct io *io, uint64_t timeout_ms)
{
    struct epoll *ep = epoll_of(io);
    int ms = io->dirty_head != IO_SLOT_NONE ? 0 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    ep->n_events = epoll_wait(ep->fd, ep->events, EVENTS_MAX, ms);
}

static void epoll_report(struct io *io)
{
    struct epoll *ep = epoll_of(io);
    for (int i = 0; i < ep->n_events; i++) {
        on_event(io, &ep->events[i]);
    }
    ep->n_events = 0;
    io_settle_all(io);
}

/* --- life --- */

static void epoll_start(struct io *io)
{
    (void)io;
}

static void epoll_finish(struct io *io)
{
    io_settle_all(io); /* the kernel holds no memory of ours: all closed sockets go at once */
}

static void epoll_free(struct io *io)
{
    struct epoll *ep = epoll_of(io);
    if (ep->fd >= 0) {
        (void)close(ep->fd);
    }
    mem_free(ep->recv_buf);
    io_fini(io);
    mem_free(ep);
}

static const struct io_ops epoll_ops = {
    .settle = epoll_settle,
    .attach = epoll_attach,
    .start = epoll_start,
    .finish = epoll_finish,
    .wait = epoll_wait_events,
    .report = epoll_report,
    .free = epoll_free,
};

static enum err epoll_make(struct epoll *ep, int *out_errno)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = WAKE_DATA};
    ep->fd = epoll_create1(EPOLL_CLOEXEC);
    ep->recv_buf = mem_alloc(RECV_BYTES);
    if (ep->recv_buf == NULL) {
        *out_errno = ENOMEM;
        return ERR_NOMEM;
    }
    if (ep->fd < 0 || epoll_ctl(ep->fd, EPOLL_CTL_ADD, ep->io.wake_fd, &ev) != 0) {
        *out_errno = errno;
        return ERR_IO;
    }
    return OK;
}

enum err io_epoll_new(struct io **out_io, int *out_errno)
{
    struct epoll *ep = mem_zalloc(sizeof(*ep));
    if (ep == NULL) {
        *out_errno = ENOMEM;
        return ERR_NOMEM;
    }
    ep->fd = -1;
    enum err e = io_init(&ep->io, &epoll_ops, out_errno);
    if (e == OK) {
        e = epoll_make(ep, out_errno);
    }
    if (e != OK) {
        epoll_free(&ep->io);
        return e;
    }
    *out_io = &ep->io;
    return OK;
}
