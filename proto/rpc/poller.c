#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/rpc/socket.h"

#define EVENTS_MAX 64
#define EVENTS_SOURCE (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

int rpc_poller_open(struct rpc_poller *p)
{
    struct epoll_event ev;
    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->epoll < 0 || p->event < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->event, &ev) != 0) {
        int error = errno;
        rpc_poller_close(p);
        return error;
    }
    return 0;
}

void rpc_poller_close(struct rpc_poller *p)
{
    if (p->epoll >= 0) {
        (void)close(p->epoll);
    }
    if (p->event >= 0) {
        (void)close(p->event);
    }
}

int rpc_poller_add(struct rpc_poller *p, int fd, void *source)
{
    struct epoll_event ev;
    memset(&ev, 0, sizeof(ev));
    ev.events = EVENTS_SOURCE;
    ev.data.ptr = source;
    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : errno;
}

void rpc_poller_rearm(struct rpc_poller *p, int fd, void *source)
{
    struct epoll_event ev;
    memset(&ev, 0, sizeof(ev));
    ev.events = EVENTS_SOURCE;
    ev.data.ptr = source;
    (void)epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &ev);
}

void rpc_poller_remove(struct rpc_poller *p, int fd)
{
    struct epoll_event ev;
    memset(&ev, 0, sizeof(ev));
    (void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, &ev);
}

void rpc_poller_wake(struct rpc_poller *p)
{
    uint64_t one = 1;
    ssize_t n = write(p->event, &one, sizeof(one)); /* EAGAIN: it is awake already */
    (void)n;
}

int rpc_poller_wait(struct rpc_poller *p, struct rpc_poll_event *out, int max, int timeout_ms)
{
    struct epoll_event ev[EVENTS_MAX];
    int n = epoll_wait(p->epoll, ev, max < EVENTS_MAX ? max : EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        out[i].source = ev[i].data.ptr;
        out[i].hangup = (ev[i].events & (EPOLLHUP | EPOLLERR)) != 0;
        if (out[i].source == NULL) {
            uint64_t count;
            ssize_t got = read(p->event, &count, sizeof(count));
            (void)got;
        }
    }
    return n < 0 ? 0 : n;
}
