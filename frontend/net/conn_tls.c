/* TLS of a connection: the handshake runs on the loop, without a fiber; STARTTLS parks the session's fiber meanwhile.
 */
#include "frontend/net/conn_internal.h"
#include "frontend/net/fiber.h"
#include "frontend/net/net_metrics.h"
#include "proto/base/assert.h"

void conn_tls_step(struct conn *c)
{
    if (c->tls_failed) {
        buf_reset(&c->raw);
        return;
    }
    switch (tls_session_handshake(c->tls)) {
    case TLS_PROGRESS_MORE:
        break;
    case TLS_PROGRESS_DONE:
        metric_inc(&net_metric_tls_handshakes);
        c->tls_up = true;
        conn_wake(c, CONN_WAIT_ANY);
        break;
    case TLS_PROGRESS_FAILED:
        metric_inc(&net_metric_tls_failures);
        c->tls_failed = true;
        buf_reset(&c->raw);
        conn_wake(c, CONN_WAIT_ANY);
        break;
    }
    conn_turn_soon(c); /* sends the flight or the alert */
}

bool conn_is_tls(const struct conn *c)
{
    return c->tls_up;
}

bool conn_can_starttls(const struct conn *c)
{
    return c->env->tls != NULL && c->tls == NULL && !c->securing;
}

/* Until the plaintext output has left; what arrives meanwhile stays in raw. */
static enum err leave_plaintext(struct conn *c)
{
    for (;;) {
        conn_out_push(c);
        if (c->dead || c->forced || c->eof) {
            return ERR_TLS;
        }
        if (conn_unsent(c) == 0) {
            return OK;
        }
        conn_park(c, CONN_WAIT_OUTPUT);
    }
}

static enum err shake_hands(struct conn *c)
{
    enum err e = tls_session_new(c->env->tls, c->env->proto->alpn, &c->raw, &c->tls);
    if (e != OK) {
        return ERR_TLS;
    }
    conn_tls_step(c);
    while (!c->tls_up && !c->tls_failed && !c->dead && !c->eof && !c->forced) {
        conn_in_pace(c);
        conn_park(c, CONN_WAIT_INPUT);
    }
    return c->tls_up ? OK : ERR_TLS;
}

enum err conn_starttls(struct conn *c)
{
    ASSERT(c->fiber == fiber_self() && conn_can_starttls(c));
    if (c->in.len > 0 || c->raw.len > 0) {
        buf_reset(&c->in);
        buf_reset(&c->raw);
        return ERR_PROTOCOL;
    }
    /* From here on every byte that arrives is ciphertext. Plaintext that was pipelined but is still in the kernel meets
     * the TLS parser and fails there: it is never taken for a command. */
    c->securing = true;
    loop_timer_arm(c->loop, &c->timer, c->env->handshake_ms);
    enum err e = leave_plaintext(c);
    if (e == OK) {
        e = shake_hands(c);
    }
    c->securing = false;
    loop_timer_cancel(c->loop, &c->timer);
    if (e != OK) {
        c->tls_failed = true;
        c->close_wanted = true;
        return ERR_TLS;
    }
    c->fresh = false;
    return OK;
}

const char *conn_tls_description(const struct conn *c)
{
    return c->tls_up ? tls_session_description(c->tls) : "";
}

enum err conn_tls_export(struct conn *c, const char *label, uint8_t *out, size_t n)
{
    return c->tls_up ? tls_session_export(c->tls, label, out, n) : ERR_TLS;
}
