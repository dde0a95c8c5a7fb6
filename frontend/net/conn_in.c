/* Input: what the kernel delivers goes through raw into in, in clear or through TLS; the session reads from in. */
#include "frontend/net/conn_internal.h"
#include "frontend/net/fiber.h"
#include "frontend/net/net_metrics.h"
#include "proto/base/assert.h"

#define RECORD_BYTES_MAX 16384

/* --- receiving --- */

/* Reading goes on while everything that came found its place. */
void conn_in_pace(struct conn *c)
{
    bool room = c->raw.len == 0 && c->in.len < c->in.limit_bytes;
    bool want = !c->dead && !c->eof && (room || c->state >= CONN_CLOSING);
    if (want == c->reading) {
        return;
    }
    c->reading = want;
    if (want) {
        io_recv_start(c->loop->io, c->sock);
    } else {
        io_recv_stop(c->loop->io, c->sock);
    }
}

static void at_end(struct conn *c, int n)
{
    c->reading = false; /* the backend has stopped by itself */
    if (n == 0) {
        c->eof = true;
        conn_wake(c, CONN_WAIT_ANY);
        conn_turn_soon(c);
    } else {
        conn_abort(c);
    }
}

/* A running command may hold a view of `in` while it waits for something else (storage, the peer's window): then `in`
 * must not move, and what comes stays in raw. */
static bool in_still(const struct conn *c)
{
    return c->fiber != NULL && (c->waiting & CONN_WAIT_INPUT) == 0;
}

void conn_in_received(struct conn *c, const uint8_t *p, int n)
{
    if (n <= 0) {
        at_end(c, n);
        return;
    }
    metric_add(&net_metric_bytes_in, n);
    if (c->state >= CONN_CLOSING) { /* nobody reads it, but reading it lets our last reply arrive */
        c->lingered_bytes += (size_t)n;
        conn_turn_soon(c);
        return;
    }
    c->active_ms = c->loop->now_ms;
    if (buf_append(&c->raw, p, (size_t)n) != OK) {
        conn_abort(c);
        return;
    }
    if (c->tls != NULL && !c->tls_up) {
        conn_tls_step(c);
    }
    if (c->waiting == 0) {
        conn_turn_soon(c);
    }
    if (in_still(c)) {
        conn_in_pace(c);
        return;
    }
    conn_in_refill(c);
    conn_wake(c, CONN_WAIT_INPUT);
}

/* --- from raw to in --- */

static void refill_plain(struct conn *c)
{
    size_t room = c->in.limit_bytes - c->in.len;
    size_t n = c->raw.len < room ? c->raw.len : room;
    if (n == 0) {
        return;
    }
    if (n == c->raw.len && c->in.base == NULL) { /* the usual case: nothing is copied */
        size_t limit = c->in.limit_bytes;
        size_t raw_limit = c->raw.limit_bytes;
        c->in = c->raw;
        c->in.limit_bytes = limit;
        buf_init(&c->raw, raw_limit);
    } else if (buf_append(&c->in, buf_slice(&c->raw).p, n) == OK) {
        buf_consume(&c->raw, n);
    } else {
        conn_abort(c);
        return;
    }
    c->fresh = true;
}

/* The end of the TCP stream ends nothing here: what arrived before it is still to be decrypted. */
static void refill_tls(struct conn *c)
{
    static _Thread_local uint8_t record[RECORD_BYTES_MAX]; /* not on a fiber's small stack */
    while (c->in.len < c->in.limit_bytes && !c->tls_failed) {
        size_t room = c->in.limit_bytes - c->in.len;
        size_t n = 0;
        enum err e = tls_session_read(c->tls, record, room < sizeof(record) ? room : sizeof(record), &n);
        if (e == OK && n == 0) {
            return;
        }
        if (e == OK) {
            e = buf_append(&c->in, record, n);
        }
        if (e == ERR_CLOSED) {
            c->eof = true;
            return;
        }
        if (e != OK) {
            metric_inc(&net_metric_tls_failures);
            c->tls_failed = true;
            c->close_wanted = true;
            c->eof = true;
            return;
        }
        c->fresh = true;
    }
}

void conn_in_refill(struct conn *c)
{
    if (c->dead || c->state >= CONN_CLOSING) {
        return;
    }
    if (c->tls_up) {
        refill_tls(c);
    } else if (c->tls == NULL && !c->securing) {
        refill_plain(c);
    }
    conn_in_pace(c);
}

/* --- the session's side --- */

struct slice conn_peek(struct conn *c)
{
    conn_in_refill(c); /* what came while the command waited for something else */
    return buf_slice(&c->in);
}

void conn_consume(struct conn *c, size_t n)
{
    buf_consume(&c->in, n);
}

struct read_wait {
    struct loop_timer timer;
    struct conn *conn;
    bool timed_out;
};

static void read_timed_out(struct loop *l, struct loop_timer *t)
{
    (void)l;
    struct read_wait *w = LIST_ENTRY(t, struct read_wait, timer);
    w->timed_out = true;
    conn_wake(w->conn, CONN_WAIT_INPUT);
}

/* Why a read that found nothing cannot go on; OK when waiting makes sense. */
static enum err read_obstacle(const struct conn *c, const struct read_wait *w)
{
    if (c->forced) {
        return ERR_SHUTDOWN;
    }
    if (c->dead || c->eof) {
        return ERR_CLOSED;
    }
    return w->timed_out ? ERR_TIMEOUT : OK;
}

enum err conn_read(struct conn *c, uint64_t timeout_ms)
{
    ASSERT(c->fiber == fiber_self());
    size_t had = c->in.len;
    if (had >= c->in.limit_bytes) {
        return ERR_LIMIT;
    }
    struct read_wait w = {.conn = c, .timed_out = false};
    loop_timer_init(&w.timer, read_timed_out);
    loop_timer_arm(c->loop, &w.timer, timeout_ms);
    enum err e = OK;
    for (;;) {
        conn_in_refill(c);
        if (c->in.len > had) {
            break;
        }
        e = read_obstacle(c, &w);
        if (e != OK) {
            break;
        }
        conn_turn_soon(c); /* sends what was written so far */
        conn_park(c, CONN_WAIT_INPUT);
    }
    loop_timer_cancel(c->loop, &w.timer);
    if (c->in_input) {
        c->fresh = false; /* it has seen everything; after open and event, input is still called for what they left */
    }
    return e;
}
