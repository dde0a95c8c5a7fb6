#include <string.h>

#include "frontend/pop3/pop3_session.h"
#include "proto/base/b64.h"

#define AUTH_LINE_BYTES_MAX 2048

/* The response to "+ ": ERR_INVAL when it is no base64, ERR_PROTOCOL when the client gave up. *out_gone: the
 * connection's own error. */
static enum err read_response(struct pop3_session *s, struct buf *out, bool *out_gone)
{
    /* For the whole line: a byte now and then does not keep it open. */
    uint64_t until_ms = pop3_session_now_ms(s) + s->cfg->login_ms;
    enum err err = conn_write_str(s->conn, "+ \r\n");
    conn_flush(s->conn);
    while (err == OK) {
        struct slice line;
        size_t used = 0;
        enum pop3_line_result r = pop3_line_next(&s->line, conn_peek(s->conn), AUTH_LINE_BYTES_MAX, &line, &used);
        if (r == POP3_LINE_OK) {
            err = slice_eq_str(line, "*") ? ERR_PROTOCOL : b64_decode(out, line);
            conn_consume(s->conn, used);
            return err;
        }
        conn_consume(s->conn, used);
        if (r == POP3_LINE_LONG) {
            return ERR_INVAL;
        }
        uint64_t now_ms = pop3_session_now_ms(s);
        err = now_ms < until_ms ? conn_read(s->conn, until_ms - now_ms) : ERR_TIMEOUT;
    }
    *out_gone = true;
    return err;
}

static enum err plain(struct pop3_session *s, struct slice initial, struct buf *message)
{
    bool gone = false;
    struct slice user;
    struct slice password;
    enum err err = initial.n == 0 ? read_response(s, message, &gone) : b64_decode(message, initial);
    if (gone) {
        return err;
    }
    if (err == OK) {
        err = auth_sasl_plain(buf_slice(message), &user, &password);
    }
    if (err == ERR_PROTOCOL) {
        return pop3_reply_bad(s, "cancelled");
    }
    if (err == ERR_PERM) {
        return pop3_reply_err(s, ERR_AUTH);
    }
    if (err != OK) {
        return pop3_reply_bad(s, "cannot decode the credentials");
    }
    return pop3_session_login(s, user, password);
}

/* RFC 5034 */
static enum err auth_run(struct pop3_session *s, struct slice args)
{
    struct slice words = slice_trim(args);
    struct slice mechanism = slice_sub(words, 0, slice_find(words, ' '));
    struct buf message;
    if (!pop3_session_auth_allowed(s)) {
        return pop3_reply_bad(s, "encryption required: STLS first");
    }
    if (words.n == 0) { /* older clients ask for the list so */
        return conn_write_str(s->conn, "+OK\r\nPLAIN\r\n.\r\n");
    }
    if (!slice_ieq_str(mechanism, "PLAIN")) {
        return pop3_reply_bad(s, "unknown mechanism");
    }
    buf_init(&message, AUTH_LINE_BYTES_MAX);
    enum err err = plain(s, slice_trim(slice_sub(words, mechanism.n, words.n)), &message);
    if (message.base != NULL) {
        explicit_bzero(message.base, message.cap);
    }
    buf_fini(&message);
    return err;
}

POP3_CMD(auth) = {
    .name = "AUTH",
    .states = POP3_STATE_AUTHORIZATION,
    .args = POP3_ARGS_OPTIONAL,
    .usage = "syntax: AUTH PLAIN",
    .capability = "SASL PLAIN",
    .offered = pop3_session_auth_allowed,
    .run = auth_run,
};
