/* RETR and TOP: a message streams from storage to the client in pieces; the client's socket gives the back-pressure.
 * RETR takes it from what was read ahead, if it is there. */
#include "frontend/pop3/pop3_session.h"
#include "frontend/pop3/pop3_stuff.h"
#include "proto/base/metrics.h"

#define READ_BYTES (128 * 1024)
#define READ_BYTES_TOP (16 * 1024)
#define WRITE_BYTES (16 * 1024)
#define CALL_BYTES_MAX 4096

METRIC_COUNTER(metric_octets, "pillarbox_pop3_octets_total", "Octets of messages sent by RETR and TOP");

struct sender {
    struct pop3_session *s;
    struct pop3_stuff stuff;
    struct buf out;
    uint32_t uid;
    uint32_t offset;
    uint32_t size;
    bool started; /* +OK is out: from here on an error can only cut the connection */
};

static enum err send_piece(struct sender *t, struct slice piece)
{
    enum err err = OK;
    for (size_t at = 0; at < piece.n && err == OK && !t->stuff.done; at += WRITE_BYTES) {
        buf_reset(&t->out);
        err = pop3_stuff_feed(&t->stuff, slice_sub(piece, at, at + WRITE_BYTES), &t->out);
        if (err == OK) {
            metric_add(&metric_octets, (int64_t)t->out.len);
            err = conn_write_slice(t->s->conn, buf_slice(&t->out));
        }
    }
    return err;
}

static enum err send_start(struct sender *t)
{
    enum err err = conn_printf(t->s->conn, "+OK %u octets\r\n", (unsigned)t->size);
    t->started = err == OK;
    return err;
}

static enum err send_end(struct sender *t)
{
    buf_reset(&t->out);
    enum err err = pop3_stuff_finish(&t->stuff, &t->out);
    return err == OK ? conn_write_slice(t->s->conn, buf_slice(&t->out)) : err;
}

static enum err use_reply(struct sender *t, const struct backend_reply *reply)
{
    const Pb__ReadBodyResult *r = (const Pb__ReadBodyResult *)reply->message;
    bool more = r != NULL && t->offset < r->size;
    if (r == NULL || (more && reply->attach.n == 0)) {
        return ERR_CORRUPT;
    }
    t->size = r->size;
    enum err err = t->started ? OK : send_start(t);
    if (err != OK) {
        return err;
    }
    t->offset += (uint32_t)reply->attach.n;
    return send_piece(t, reply->attach);
}

static enum err send_next(struct sender *t, uint32_t bytes)
{
    struct pop3_session *s = t->s;
    struct arena arena;
    struct backend_reply reply = {0};
    Pb__ReadBody req = PB__READ_BODY__INIT;
    req.account = s->account.id.v;
    req.mailbox = s->drop.mailbox;
    req.uid = t->uid;
    req.offset = t->offset;
    req.length = bytes;
    arena_init(&arena, CALL_BYTES_MAX);
    enum err err =
        backend_account_call(s->cfg->backend, &s->account, METHOD_BODY, &req.base, slice_make(NULL, 0), &arena, &reply);
    if (err == OK) {
        err = use_reply(t, &reply);
    }
    backend_reply_fini(&reply);
    arena_fini(&arena);
    return err;
}

static enum err send_all(struct sender *t, uint32_t bytes)
{
    enum err err = OK;
    do {
        err = pop3_session_keep_lock(t->s);
        if (err == OK) {
            err = send_next(t, bytes);
        }
    } while (err == OK && t->offset < t->size && !t->stuff.done);
    return err == OK ? send_end(t) : err;
}

static enum err send_whole(struct sender *t, struct slice message)
{
    t->size = (uint32_t)message.n;
    enum err err = send_start(t);
    if (err == OK) {
        err = send_piece(t, message);
    }
    return err == OK ? send_end(t) : err;
}

static enum err send_retr(struct sender *t, uint32_t index)
{
    bool found = false;
    struct slice message;
    enum err err = pop3_ahead_get(t->s, index, &found, &message);
    if (err == OK) {
        err = found ? send_whole(t, message) : send_all(t, READ_BYTES);
    }
    pop3_ahead_pause(t->s);
    return err;
}

enum err pop3_body_send(struct pop3_session *s, uint32_t index, uint64_t body_lines)
{
    struct sender t = {.s = s, .uid = s->drop.uids[index]};
    pop3_stuff_init(&t.stuff, body_lines);
    buf_init(&t.out, POP3_STUFF_OUT_BYTES(WRITE_BYTES));
    enum err err = body_lines == POP3_LINES_ALL ? send_retr(&t, index) : send_all(&t, READ_BYTES_TOP);
    buf_fini(&t.out);
    if (err == OK || t.started) {
        return err;
    }
    return err == ERR_LOCKED ? pop3_reply_close(s, err) : pop3_reply_err(s, err);
}
