/* Output: the session's bytes gather in out and leave when its fiber blocks or returns; wire is what the kernel has. */
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "frontend/net/conn_internal.h"
#include "frontend/net/fiber.h"
#include "frontend/net/net_metrics.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

#define ENCRYPT_BYTES_MAX (128 * 1024) /* a send: bounds the ciphertext beside the plaintext */
#define PRINTF_BYTES_MAX 1024
#define STALL_LOOKS 4 /* in the time after which a client that takes nothing is evicted */

static size_t pending_ciphertext(const struct conn *c)
{
    return c->tls == NULL ? 0 : tls_session_out(c->tls)->len;
}

size_t conn_unsent(const struct conn *c)
{
    return c->out.len + c->wire.len + pending_ciphertext(c);
}

/* --- sending --- */

static void send_wire(struct conn *c)
{
    struct slice s = buf_slice(&c->wire);
    c->sending = true;
    io_send(c->loop->io, c->sock, c->wire.base, s.p, s.n);
}

/* Encrypts some of the output; false when the connection broke. */
static bool encrypt(struct conn *c)
{
    struct slice s = slice_sub(buf_slice(&c->out), 0, ENCRYPT_BYTES_MAX);
    if (s.n == 0) {
        return true;
    }
    if (tls_session_write(c->tls, s) != OK) {
        conn_abort(c);
        return false;
    }
    buf_consume(&c->out, s.n);
    return true;
}

/* The buffer that goes out next. */
static struct buf *next_source(struct conn *c)
{
    if (c->tls == NULL) {
        return &c->out;
    }
    if (c->tls_failed) { /* only the alert; plaintext never leaves after a failed handshake */
        buf_reset(&c->out);
    } else if (c->tls_up && !encrypt(c)) {
        return NULL;
    }
    return tls_session_out(c->tls);
}

void conn_out_push(struct conn *c)
{
    if (c->sending || c->dead) {
        return;
    }
    struct buf *from = next_source(c);
    if (from == NULL || from->len == 0) {
        return;
    }
    struct buf spare = c->wire; /* swapped, not copied: an emptied block serves again */
    c->wire = *from;
    *from = spare;
    from->limit_bytes = SIZE_MAX;
    c->progress_ms = c->loop->now_ms;
    if (!c->stall.armed) {
        loop_timer_arm(c->loop, &c->stall, c->env->write_stall_ms / STALL_LOOKS + 1);
    }
    send_wire(c);
}

/* A send completes in steps of what the kernel can buffer, up to megabytes: for a slow line that is no measure. So the
 * bytes that the peer has yet to acknowledge are looked at as well. */
static bool acknowledged_some(struct conn *c)
{
    int queued = 0;
    if (ioctl(c->fd, SIOCOUTQ, &queued) != 0) {
        return false;
    }
    bool some = queued < c->kernel_queue;
    c->kernel_queue = queued;
    return some;
}

static void evict(struct conn *c)
{
    /* Reset, so that the kernel does not keep what the client never takes. */
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    metric_inc(&net_metric_evicted);
    conn_abort(c);
}

void conn_out_stalled(struct loop *l, struct loop_timer *t)
{
    struct conn *c = LIST_ENTRY(t, struct conn, stall);
    if (!c->sending) {
        return;
    }
    if (acknowledged_some(c)) {
        c->progress_ms = l->now_ms;
    }
    if (l->now_ms - c->progress_ms >= c->env->write_stall_ms) {
        evict(c);
    } else {
        loop_timer_arm(l, t, c->env->write_stall_ms / STALL_LOOKS + 1);
    }
}

void conn_out_sent(struct conn *c, int n)
{
    c->sending = false;
    if (n < 0) {
        conn_abort(c);
        return;
    }
    metric_add(&net_metric_bytes_out, n);
    c->progress_ms = c->loop->now_ms;
    buf_consume(&c->wire, (size_t)n);
    if (c->wire.len > 0) {
        send_wire(c);
    } else {
        if (c->fiber == NULL) {
            buf_shrink(&c->wire);
        }
        conn_turn_soon(c);
    }
    if (conn_unsent(c) <= c->env->out_bytes_high / 2) {
        conn_wake(c, CONN_WAIT_OUTPUT);
    }
}

/* --- the session's side --- */

void conn_flush(struct conn *c)
{
    conn_out_push(c);
}

/* Until no more than limit bytes are unsent. */
static enum err wait_unsent(struct conn *c, size_t limit)
{
    for (;;) {
        conn_out_push(c);
        if (c->dead || c->forced) {
            return ERR_CLOSED;
        }
        if (conn_unsent(c) <= limit) {
            return OK;
        }
        conn_park(c, CONN_WAIT_OUTPUT);
    }
}

enum err conn_write(struct conn *c, const void *p, size_t n)
{
    const uint8_t *from = p;
    size_t high = c->env->out_bytes_high;
    while (n > 0) {
        if (c->dead || c->tls_failed) {
            return ERR_CLOSED;
        }
        size_t unsent = conn_unsent(c);
        if (unsent >= high) {
            enum err e = wait_unsent(c, high / 2);
            if (e != OK) {
                return e;
            }
            continue;
        }
        size_t some = n < high - unsent ? n : high - unsent;
        enum err e = buf_append(&c->out, from, some);
        if (e != OK) {
            return e;
        }
        from += some;
        n -= some;
        conn_turn_soon(c);
    }
    return OK;
}

enum err conn_write_slice(struct conn *c, struct slice s)
{
    return conn_write(c, s.p, s.n);
}

enum err conn_write_str(struct conn *c, const char *z)
{
    return conn_write(c, z, strlen(z));
}

enum err conn_printf(struct conn *c, const char *fmt, ...)
{
    char text[PRINTF_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0) {
        return ERR_INVAL;
    }
    if ((size_t)n < sizeof(text)) {
        return conn_write(c, text, (size_t)n);
    }
    char *longer = mem_alloc((size_t)n + 1);
    if (longer == NULL) {
        return ERR_NOMEM;
    }
    va_start(args, fmt);
    (void)vsnprintf(longer, (size_t)n + 1, fmt, args); /* measured above */
    va_end(args);
    enum err e = conn_write(c, longer, (size_t)n);
    mem_free(longer);
    return e;
}
