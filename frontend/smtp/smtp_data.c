/* DATA after its 354: reads until CRLF.CRLF, whatever goes wrong meanwhile, so that the client's content is never taken
 * for commands; then delivers and replies. */
#include "frontend/smtp/smtp_body.h"
#include "frontend/smtp/smtp_dot.h"
#include "frontend/smtp/smtp_head.h"
#include "frontend/smtp/smtp_trace.h"
#include "proto/base/log.h"

#define CHUNK_BYTES (16 * 1024)
#define FIELDS_BYTES_MAX 2048

struct data {
    struct smtp_session *s;
    struct smtp_dot dot;
    struct smtp_head head;
    struct smtp_body body;
    char id[SMTP_ID_BYTES];
    struct buf unstuffed; /* of one chunk */
    struct buf headed;    /* the same after the header filter */
    struct buf date;      /* the fields that may be added */
    struct buf message_id;
    enum err failed; /* of the whole message */
    bool too_big;
    uint64_t content_bytes;
    uint64_t begin_ms;
    uint64_t end_us;
};

static void data_init(struct data *d, struct smtp_session *s)
{
    d->s = s;
    d->dot.policy = smtp_session_bare(s);
    d->begin_ms = smtp_session_mono_ms(s);
    smtp_session_id(s, d->id);
    buf_init(&d->unstuffed, SMTP_DOT_OUT_BYTES(CHUNK_BYTES));
    buf_init(&d->headed, SMTP_DOT_OUT_BYTES(CHUNK_BYTES) + FIELDS_BYTES_MAX);
    buf_init(&d->date, FIELDS_BYTES_MAX / 4);
    buf_init(&d->message_id, FIELDS_BYTES_MAX / 4);
}

static void data_fini(struct data *d)
{
    smtp_body_fini(&d->body);
    buf_fini(&d->unstuffed);
    buf_fini(&d->headed);
    buf_fini(&d->date);
    buf_fini(&d->message_id);
}

static enum err prepare_fields(struct data *d)
{
    if (d->s->role != SMTP_ROLE_SUBMISSION) {
        return OK;
    }
    enum err err = smtp_trace_date(smtp_session_now_s(d->s), &d->date);
    if (err == OK) {
        err = smtp_trace_message_id(d->id, d->s->cfg->hostname, &d->message_id);
    }
    d->head.add_date = buf_slice(&d->date);
    d->head.add_message_id = buf_slice(&d->message_id);
    return err;
}

static enum err write_trace(struct data *d)
{
    struct smtp_session *s = d->s;
    struct smtp_trace t = {
        .hostname = s->cfg->hostname,
        .id = d->id,
        .helo = s->helo,
        .ip = s->role == SMTP_ROLE_SUBMISSION ? NULL : conn_peer_ip(s->conn),
        .tls = conn_is_tls(s->conn) ? conn_tls_description(s->conn) : "",
        .mailbox = s->envelope.n_rcpts == 1 ? s->envelope.rcpts[0].address : NULL,
        .reverse_path = s->envelope.reverse_path,
        .now_s = smtp_session_now_s(s),
        .lmtp = s->role == SMTP_ROLE_LMTP,
        .extended = s->extended,
        .authenticated = s->authenticated,
        .utf8 = s->envelope.utf8,
    };
    struct buf b;
    buf_init(&b, 4096);
    enum err err = smtp_trace_format(&t, &b);
    if (err == OK) {
        err = smtp_body_write(&d->body, buf_slice(&b));
    }
    buf_fini(&b);
    return err;
}

/* A chunk of content behind the dot machine. Once the message is lost, content is only counted. */
static void take_content(struct data *d, struct slice content)
{
    d->content_bytes += content.n;
    if (d->content_bytes > d->s->cfg->message_bytes_max) {
        d->too_big = true;
    }
    if (d->too_big || d->failed != OK || smtp_body_lost(&d->body) ||
        (d->dot.bare && d->dot.policy == SMTP_BARE_REJECT)) {
        return;
    }
    if (d->head.state == SMTP_HEAD_BODY) {
        d->failed = smtp_body_write(&d->body, content);
        return;
    }
    buf_reset(&d->headed);
    d->failed = smtp_head_feed(&d->head, content, &d->headed);
    if (d->failed == OK) {
        d->failed = smtp_body_write(&d->body, buf_slice(&d->headed));
    }
}

/* How long the client may stay silent now. ERR_TIMEOUT when it is too slow on the whole. */
static enum err patience(const struct data *d, uint64_t *out_ms)
{
    const struct smtp_server_config *cfg = d->s->cfg;
    uint64_t spent = smtp_session_mono_ms(d->s) - d->begin_ms;
    bool slow = spent > cfg->data_grace_ms && d->content_bytes < spent / 1000 * cfg->data_rate_min;
    if (slow || spent >= cfg->data_deadline_ms) {
        return ERR_TIMEOUT;
    }
    uint64_t left = cfg->data_deadline_ms - spent;
    *out_ms = left < cfg->data_read_ms ? left : cfg->data_read_ms;
    return OK;
}

static enum err read_chunk(struct data *d)
{
    struct conn *c = d->s->conn;
    struct slice in = slice_sub(conn_peek(c), 0, CHUNK_BYTES);
    size_t used = 0;
    if (in.n == 0) {
        uint64_t ms = 0;
        enum err late = patience(d, &ms);
        return late == OK ? conn_read(c, ms) : late;
    }
    buf_reset(&d->unstuffed);
    enum err err = smtp_dot_feed(&d->dot, in, &d->unstuffed, &used);
    if (err != OK) {
        return err;
    }
    conn_consume(c, used);
    take_content(d, buf_slice(&d->unstuffed));
    /* A refused message is read to its end so that the client hears the reply, but not for ever. */
    bool endless = d->content_bytes > 2 * d->s->cfg->message_bytes_max + CHUNK_BYTES;
    return endless && !smtp_dot_ended(&d->dot) ? ERR_LIMIT : OK;
}

static enum err read_all(struct data *d)
{
    enum err err = OK;
    while (err == OK && !smtp_dot_ended(&d->dot)) {
        err = read_chunk(d);
    }
    return err;
}

static enum err finish_head(struct data *d)
{
    buf_reset(&d->headed);
    enum err err = smtp_head_finish(&d->head, &d->headed);
    return err == OK ? smtp_body_write(&d->body, buf_slice(&d->headed)) : err;
}

/* Reasons of the whole message, before anything is delivered. OK (250): go on. */
static struct smtp_status judge(struct data *d)
{
    struct smtp_status st = {250, "2.0.0", "ok"};
    if (d->too_big) {
        return smtp_status_of(ERR_LIMIT, false);
    }
    if (d->dot.bare && d->dot.policy == SMTP_BARE_REJECT) {
        st = (struct smtp_status){550, "5.6.0", "bare CR or LF in the message: lines end in CR LF"};
    } else if (d->head.received > d->s->cfg->received_max) {
        st = (struct smtp_status){554, "5.4.6", "too many hops, this message is in a loop"};
    } else if (d->failed == OK) {
        d->failed = finish_head(d);
    }
    return d->failed == OK ? st : smtp_status_of(d->failed, false);
}

static void log_outcome(const struct data *d, const char *to, const struct smtp_status *st)
{
    const struct smtp_session *s = d->s;
    uint64_t ms = smtp_session_mono_ms(s) - d->begin_ms;
    enum smtp_metric m = st->code < 400              ? SMTP_METRIC_ACCEPTED
                         : smtp_status_temporary(st) ? SMTP_METRIC_DEFERRED
                                                     : SMTP_METRIC_REFUSED;
    smtp_metric_add(s->role, m, 1);
    log_info("smtp.message", st->code < 400 ? "message stored" : "message refused",
             LOG_STR("role", smtp_role_name(s->role)), LOG_STR("id", d->id), LOG_STR("from", s->envelope.reverse_path),
             LOG_STR("to", to), LOG_U64("rcpts", s->envelope.n_rcpts), LOG_U64("size", d->content_bytes),
             LOG_U64("code", (uint64_t)st->code), LOG_STR("status", st->enhanced), LOG_STR("result", st->text),
             LOG_U64("ms", ms), LOG_STR("ip", conn_peer_ip(s->conn)), LOG_STR("user", s->account.name));
}

static enum err reply_one(struct data *d, const char *to, struct smtp_status st)
{
    char text[64];
    log_outcome(d, to, &st);
    if (st.code == 250) {
        struct slice head = slice_str("stored, id ");
        memcpy(text, head.p, head.n);
        memcpy(text + head.n, d->id, sizeof(d->id));
        st.text = text;
    }
    return smtp_reply_status(d->s, st);
}

/* LMTP: one reply a recipient in the order of RCPT (RFC 2033, 4.2), SMTP: one. whole: a refusal of the whole message,
 * or 250. */
static enum err reply_all(struct data *d, struct smtp_status whole)
{
    struct smtp_envelope *e = &d->s->envelope;
    bool permanent = d->s->cfg->quota_permanent;
    if (!e->per_rcpt) {
        struct smtp_status st = whole.code == 250 ? smtp_status_of(smtp_envelope_status(e), permanent) : whole;
        return reply_one(d, e->rcpts[0].address, st);
    }
    enum err err = OK;
    for (uint32_t i = 0; i < e->n_rcpts && err == OK; i++) {
        struct smtp_status st =
            whole.code == 250 ? smtp_status_of(smtp_envelope_rcpt_status(e, &e->rcpts[i]), permanent) : whole;
        err = reply_one(d, e->rcpts[i].address, st);
    }
    return err;
}

static enum err deliver(struct data *d)
{
    uint64_t begin_us = clock_perf_us();
    struct smtp_status st = judge(d);
    if (st.code == 250) {
        smtp_body_deliver(&d->body);
        smtp_metric_deliver_us(d->s->role, clock_perf_us() - begin_us);
    }
    return reply_all(d, st);
}

/* The content never ended: the message is not ours and there is nobody to tell, or nobody who would listen. */
static enum err abandon(struct data *d, enum err why)
{
    struct smtp_status st = {421, "4.4.2", "timeout while receiving the message"};
    if (why == ERR_LIMIT) {
        st = smtp_status_of(ERR_LIMIT, false);
    } else if (why == ERR_SHUTDOWN) {
        st = smtp_status_of(ERR_SHUTDOWN, false);
    } else if (why == ERR_CLOSED) {
        st = (struct smtp_status){421, "4.4.2", "connection lost while receiving the message"};
    } else if (why != ERR_TIMEOUT) {
        st = smtp_status_of(why, false);
    }
    log_outcome(d, d->s->envelope.rcpts[0].address, &st);
    return why == ERR_CLOSED ? why : smtp_reply_close(d->s, st.code, st.enhanced, st.text);
}

static enum err receive(struct data *d)
{
    enum err err = conn_write_str(d->s->conn, "354 end data with <CR><LF>.<CR><LF>\r\n");
    if (err != OK) {
        return err;
    }
    d->failed = write_trace(d);
    err = read_all(d);
    smtp_metric_add(d->s->role, SMTP_METRIC_BYTES, d->content_bytes);
    return err == OK ? deliver(d) : abandon(d, err);
}

enum err smtp_data_run(struct smtp_session *s)
{
    struct data d = {0};
    data_init(&d, s);
    enum err err = smtp_body_begin(&d.body, s);
    if (err == OK) {
        err = prepare_fields(&d);
    }
    err = err == OK ? receive(&d)
                    : reply_one(&d, s->envelope.rcpts[0].address, smtp_status_of(err, s->cfg->quota_permanent));
    data_fini(&d);
    smtp_session_reset(s);
    return err;
}
