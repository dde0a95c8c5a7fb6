#include "bench/load/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/load/die.h"
#include "bench/load/run.h"
#include "proto/base/assert.h"
#include "proto/base/clock.h"

enum {
    BIG_REPLY_BYTES = 32 * 1024, /* from here on the answer's middle is dropped in the kernel */
    WINDOW_MESSAGES = 50,
    SOURCE_PORTS = 400, /* connections from one source address before the next one is taken */
};

void conn_init(struct conn *c, struct run *run, uint64_t index, uint16_t port, const struct step *setup)
{
    memset(c, 0, sizeof(*c));
    c->run = run;
    c->index = index;
    c->port = port;
    c->setup = setup;
    c->fd = -1;
    c->user = run->o->user_first + index % run->o->users;
}

void conn_fini(struct conn *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    mail_fini(&c->mail);
}

__attribute__((noreturn, cold)) static void refused(const struct conn *c, const char *what)
{
    const struct reply *r = &c->reply;
    size_t n = r->tail_n < 300 ? r->tail_n : 300;
    die("%s: connection %llu: %s; sent: %.*s; the answer ends: %.*s", c->run->o->work->name,
        (unsigned long long)c->index, what, (int)(c->head_n < 200 ? c->head_n : 200), c->head, (int)n,
        r->tail + r->tail_n - n);
}

/* --- sockets --- */

/* Several source addresses: no port of the client's is missing and no limit an address is met. */
static void bind_source(int fd, uint64_t n)
{
    int one = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl((uint32_t)(INADDR_LOOPBACK + ((n / SOURCE_PORTS) << 8)));
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)) != 0) {
        die("bind: %s", strerror(errno));
    }
}

static void conn_connect(struct conn *c)
{
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket: %s", strerror(errno));
    }
    bind_source(c->fd, c->index + (c->run->o->work->reconnects ? c->ops % 16 * SOURCE_PORTS : 0));
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) {
        die("connect to port %u: %s", c->port, strerror(errno));
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(c->run->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    c->wants_out = false;
}

static void want_out(struct conn *c, bool on)
{
    struct epoll_event ev = {.events = EPOLLIN | (on ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
    if (c->wants_out != on && epoll_ctl(c->run->epoll, EPOLL_CTL_MOD, c->fd, &ev) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    c->wants_out = on;
}

/* --- what a step sends --- */

static size_t put(struct conn *c, size_t at, const char *text)
{
    size_t n = strlen(text);
    if (at + n > CONN_HEAD_BYTES) {
        die("a command of %s is too long", c->run->o->work->name);
    }
    memcpy(c->head + at, text, n);
    return at + n;
}

static uint64_t window_length(const struct conn *c)
{
    uint64_t all = c->run->o->messages;
    return all < WINDOW_MESSAGES ? all : WINDOW_MESSAGES;
}

static uint64_t window_start(const struct conn *c)
{
    return 1 + (c->sequence - 1) % (c->run->o->messages - window_length(c) + 1);
}

static const char *value_of(const struct conn *c, char which, char *room, size_t cap)
{
    const struct options *o = c->run->o;
    unsigned long long number = 0;
    switch (which) {
    case 'p':
        return o->password;
    case 'm':
        return o->mailbox;
    case 'f':
        return c->ops % 2 == 0 ? "+FLAGS" : "-FLAGS";
    case 'u':
    case 'r':
        number = which == 'u' ? c->user : c->recipient;
        (void)snprintf(room, cap, "u%04llu@%s", number, o->domain);
        return room;
    case 'd':
        (void)snprintf(room, cap, "%02llu-%s-2024 10:00:00 +0000", (unsigned long long)(c->number % 28 + 1),
                       c->number / 28 % 10 == 0 ? "Mar" : "Feb");
        return room;
    case 's':
        number = c->sequence;
        break;
    case 'w':
        number = window_start(c);
        break;
    case 'e':
        number = window_start(c) + window_length(c) - 1;
        break;
    case 'i':
        number = c->repetition;
        break;
    case 'q':
        number = c->ops / 2 % o->messages + 1;
        break;
    case 'l':
        number = c->mail.size_bytes;
        break;
    case 'k':
        number = c->number % 100;
        break;
    case '$':
        return "$";
    default:
        die("unknown placeholder $%c", which);
    }
    (void)snprintf(room, cap, "%llu", number);
    return room;
}

static void fill_head(struct conn *c)
{
    char room[300];
    size_t at = 0;
    for (const char *p = c->step->text; *p != '\0';) {
        size_t plain = strcspn(p, "$");
        if (at + plain > CONN_HEAD_BYTES) {
            die("a command of %s is too long", c->run->o->work->name);
        }
        memcpy(c->head + at, p, plain);
        at += plain;
        p += plain;
        if (*p == '$') {
            at = put(c, at, value_of(c, p[1], room, sizeof(room)));
            p += 2;
        }
    }
    c->head_n = at;
}

static size_t mail_bytes(const struct conn *c)
{
    return c->step->message == MESSAGE_NO ? 0 : c->mail.size_bytes + (c->step->message == MESSAGE_DOT ? 3 : 0);
}

/* head, message and (after a literal) a line end, from the first unsent byte on. */
static int fill_iov(const struct conn *c, struct iovec iov[3])
{
    struct iovec all[3] = {
        {.iov_base = (void *)(uintptr_t)c->head, .iov_len = c->head_n},
        {.iov_base = c->mail.bytes, .iov_len = mail_bytes(c)},
        {.iov_base = (void *)(uintptr_t) "\r\n", .iov_len = c->step->message == MESSAGE_LITERAL ? 2 : 0},
    };
    size_t skip = c->sent;
    int n = 0;
    for (int i = 0; i < 3; i++) {
        size_t s = skip < all[i].iov_len ? skip : all[i].iov_len;
        skip -= s;
        if (all[i].iov_len > s) {
            iov[n++] = (struct iovec){.iov_base = (char *)all[i].iov_base + s, .iov_len = all[i].iov_len - s};
        }
    }
    return n;
}

static void conn_send(struct conn *c)
{
    struct iovec iov[3];
    for (int n = fill_iov(c, iov); n > 0; n = fill_iov(c, iov)) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
        ssize_t done = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            want_out(c, true);
            return;
        }
        if (done < 0 && errno != EINTR) {
            refused(c, strerror(errno));
        }
        c->sent += done > 0 ? (size_t)done : 0;
    }
    want_out(c, false);
}

static void step_begin(struct conn *c)
{
    reply_begin(&c->reply, c->step->reply, c->step->replies);
    fill_head(c);
    c->sent = 0;
    if (c->step->message != MESSAGE_NO) {
        mail_vary(&c->mail, c->number);
        run_sent(c->run, c, clock_perf_us());
    }
    conn_send(c);
}

/* --- states --- */

void conn_enter_setup(struct conn *c)
{
    ASSERT(c->state == CONN_NEW);
    c->state = CONN_SETUP;
    c->step = c->setup;
    if (c->setup == NULL) {
        run_setup_done(c->run, c, clock_perf_us());
        return;
    }
    conn_connect(c);
    step_begin(c);
}

void conn_enter_busy(struct conn *c, uint64_t now_us)
{
    const struct options *o = c->run->o;
    ASSERT(c->state == CONN_READY);
    c->state = CONN_BUSY;
    c->step = o->work->op;
    c->number = o->seed * 1000000 + c->run->started++;
    c->recipient = o->user_first + c->number % o->users;
    c->sequence = 1 + rng_below(&c->run->rng, o->messages);
    c->repetition = 1;
    c->op_start_us = now_us;
    c->op_bytes = 0;
    if (o->work->reconnects) {
        conn_connect(c);
    }
    step_begin(c);
}

static void steps_end(struct conn *c, uint64_t now_us)
{
    if (c->state == CONN_SETUP) {
        run_setup_done(c->run, c, now_us);
        return;
    }
    if (c->run->o->work->reconnects) {
        close(c->fd);
        c->fd = -1;
    }
    c->ops++;
    run_op_done(c->run, c, now_us);
}

static void step_end(struct conn *c, uint64_t now_us)
{
    c->reply_bytes_last = c->reply.bytes;
    c->op_bytes += c->reply.bytes;
    if (c->step->each_message && c->repetition < c->run->o->messages) {
        c->repetition++;
    } else {
        c->repetition = 1;
        c->step++;
    }
    if (c->step->reply == REPLY_NONE) {
        steps_end(c, now_us);
        return;
    }
    step_begin(c);
}

/* --- events --- */

/* TCP takes MSG_TRUNC as "throw away": the client's CPU belongs to the server. */
static void drop_middle(struct conn *c)
{
    int waiting = 0;
    if (c->reply.bytes == 0 || ioctl(c->fd, FIONREAD, &waiting) != 0 || waiting <= 2 * REPLY_TAIL_BYTES) {
        return;
    }
    ssize_t n = recv(c->fd, NULL, (size_t)waiting - REPLY_TAIL_BYTES, MSG_TRUNC);
    c->reply.bytes += n > 0 ? (uint64_t)n : 0;
}

static ssize_t conn_recv(struct conn *c)
{
    if (c->reply_bytes_last > BIG_REPLY_BYTES && c->state == CONN_BUSY) {
        drop_middle(c);
    }
    ssize_t n = recv(c->fd, c->run->input, RUN_INPUT_BYTES, 0);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        refused(c, strerror(errno));
    }
    if (n == 0) {
        refused(c, "the server closed the connection");
    }
    return n;
}

static bool has_exists(const char *p, size_t n)
{
    return memmem(p, n, " EXISTS\r\n", 9) != NULL;
}

static void on_input(struct conn *c, uint64_t now_us)
{
    ssize_t n = conn_recv(c);
    if (n < 0) {
        return;
    }
    if (c->state == CONN_WATCH) {
        if (has_exists(c->run->input, (size_t)n)) {
            run_noticed(c->run, c, now_us);
        }
        return;
    }
    if (c->state == CONN_READY) {
        return; /* untagged news between operations */
    }
    switch (reply_feed(&c->reply, c->run->input, (size_t)n)) {
    case REPLY_MORE:
        return;
    case REPLY_BAD:
        refused(c, "refused");
    case REPLY_GOOD:
        step_end(c, now_us);
    }
}

void conn_on_event(struct conn *c, uint32_t events, uint64_t now_us)
{
    if (c->fd < 0) {
        return;
    }
    if (events & EPOLLOUT) {
        conn_send(c);
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        on_input(c, now_us);
    }
}
