#include "frontend/imap/imap_date.h"
#include "frontend/imap/imap_session.h"
#include "proto/message/message.h"
#include "proto/rpc/flags.h"

#define TAIL_BYTES_MAX 1024
#define RECORD_BYTES_MAX ((size_t)64 * 1024)

struct append_args {
    char *mailbox;
    struct imap_flags flags;
    int64_t internal_s;
    bool has_internal_s; /* else now */
    uint64_t bytes;
    bool sync;
};

/* append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal: up to the literal's header; its bytes are
 * streamed. */
static bool append_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct append_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    if (!imap_parse_sp(c) || !imap_parse_mailbox(c, &a->mailbox) || !imap_parse_sp(c)) {
        return false;
    }
    if (imap_peek(c) == '(' && (!imap_parse_flag_list(c, &a->flags) || !imap_parse_sp(c))) {
        return false;
    }
    a->has_internal_s = imap_peek(c) == '"';
    if (a->has_internal_s && (!imap_parse_date_time(c, &a->internal_s) || !imap_parse_sp(c))) {
        return false;
    }
    return imap_parse_literal_header(c, &a->bytes, &a->sync);
}

/* What a running APPEND holds: at most one chunk of the message is in memory. */
struct append {
    struct imap_session *s;
    struct msg_parser *parser;
    struct backend_upload *upload;
    enum err failed; /* storage or memory refused: the rest is read and dropped */
};

/* At least one more byte, or the session is over. */
static bool wait_bytes(struct imap_session *s, struct slice *out)
{
    *out = conn_peek(s->conn);
    if (out->n > 0) {
        return true;
    }
    enum err e = conn_read(s->conn, s->cfg->literal_ms);
    if (e == ERR_TIMEOUT) {
        imap_bye(s, "Autologout; the message did not arrive", "timeout");
        return false;
    }
    if (e != OK) {
        s->out.err = e;
        return false;
    }
    *out = conn_peek(s->conn);
    return out->n > 0;
}

static void take(struct append *ap, struct slice bytes)
{
    if (ap->failed == OK) {
        ap->failed = msg_parser_feed(ap->parser, bytes);
    }
    if (ap->failed == OK) {
        ap->failed = backend_upload_write(ap->upload, bytes);
    }
}

static void consume(struct imap_session *s, size_t n)
{
    conn_consume(s->conn, n);
    s->bytes_in += n;
}

static bool read_literal(struct append *ap, uint64_t left)
{
    struct slice in;
    while (left > 0) {
        if (!wait_bytes(ap->s, &in)) {
            return false;
        }
        size_t n = in.n < left ? in.n : (size_t)left;
        take(ap, slice_sub(in, 0, n));
        consume(ap->s, n);
        left -= n;
    }
    return true;
}

/* The command's line end. Anything else (a second message, which MULTIAPPEND would allow) cannot be told apart safely.
 */
static bool read_line_end(struct imap_session *s)
{
    struct slice in;
    for (size_t total = 0; total < TAIL_BYTES_MAX;) {
        if (!wait_bytes(s, &in)) {
            return false;
        }
        if (in.p[0] == '\n') {
            consume(s, 1);
            return true;
        }
        if (in.p[0] != '\r') {
            break;
        }
        consume(s, 1);
        total++;
    }
    imap_bye(s, "Unexpected text after the message", "protocol");
    return false;
}

/* A staged body is where it was staged; an attached one goes where the account is. */
static enum err append_call(struct append *ap, const Pb__OpAppend *req, struct slice attach, struct arena *arena,
                            struct backend_reply *reply)
{
    struct imap_session *s = ap->s;
    struct backend_request call = {
        .account = s->account.id, .method = METHOD_APPEND, .message = &req->base, .attach = attach, .stays = true};
    if (!backend_upload_staged(ap->upload, &call.shard)) {
        return backend_account_call(s->cfg->backend, &s->account, METHOD_APPEND, &req->base, attach, arena, reply);
    }
    return backend_call(s->cfg->backend, &call, arena, reply);
}

static enum err send_append(struct append *ap, struct imap_command *cmd)
{
    const struct append_args *a = cmd->args;
    struct imap_session *s = ap->s;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    Pb__OpAppend req = PB__OP_APPEND__INIT;
    struct slice attach;
    struct buf record;
    struct backend_reply reply = {.message = NULL};
    buf_init(&record, RECORD_BYTES_MAX);
    enum err e = msg_parser_finish(ap->parser, &record);
    if (e == OK) {
        e = backend_upload_finish(ap->upload, &source, &attach);
    }
    if (e == OK) {
        req.account = s->account.id.v;
        req.mailbox = a->mailbox;
        req.body = &source;
        req.record.data = (uint8_t *)(uintptr_t)buf_slice(&record).p;
        req.record.len = record.len;
        req.flags = a->flags.system;
        req.keywords = a->flags.keywords;
        req.n_keywords = a->flags.n_keywords;
        req.internal_s = a->internal_s;
        req.has_internal_s = a->has_internal_s;
        e = append_call(ap, &req, attach, cmd->arena, &reply);
    }
    if (e == OK) {
        const Pb__OpAppendResult *r = (const Pb__OpAppendResult *)reply.message;
        backend_upload_used(ap->upload);
        (void)imap_ok(cmd, arena_printf(cmd->arena, "APPENDUID %u %u", r->uidvalidity, r->uid), NULL);
        s->dirty = true;
    }
    backend_reply_fini(&reply);
    buf_fini(&record);
    return e;
}

static enum err begin(struct append *ap, const struct append_args *a)
{
    enum err e = msg_parser_new(&msg_limits_default, &ap->parser);
    if (e == OK) {
        e = backend_upload_begin(ap->s->cfg->backend, ap->s->account.shard, ap->s->account.id, a->bytes, &ap->upload);
    }
    return e;
}

/* NO before the message is sent, if the client waits; otherwise it is on its way and has to be read. */
static enum err append_stream(struct append *ap, struct imap_command *cmd)
{
    const struct append_args *a = cmd->args;
    uint64_t bytes_max = ap->s->cfg->limits.message_bytes_max;
    bool fits = a->bytes > 0 && a->bytes <= bytes_max;
    if (!a->sync && a->bytes > 2 * bytes_max) { /* too much to be read only for the sake of an answer */
        imap_bye(ap->s, "Literal is too large", "limit");
        cmd->reply.silent = true;
        return OK;
    }
    ap->failed = fits ? begin(ap, a) : ERR_LIMIT;
    if (a->sync) {
        if (ap->failed != OK) {
            return ap->failed;
        }
        imap_out_str(&ap->s->out, "+ OK\r\n");
        imap_out_flush(&ap->s->out);
    }
    if (!read_literal(ap, a->bytes) || !read_line_end(ap->s)) {
        cmd->reply.silent = true;
        return OK;
    }
    return ap->failed == OK ? send_append(ap, cmd) : ap->failed;
}

static enum err append_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct append_args *a = cmd->args;
    struct append ap = {.s = s};
    cmd->about = IMAP_ABOUT_TARGET;
    enum err e = append_stream(&ap, cmd);
    if (ap.upload != NULL) {
        backend_upload_free(ap.upload);
    }
    if (ap.parser != NULL) {
        msg_parser_free(ap.parser);
    }
    if (e == ERR_LIMIT && a->bytes > s->cfg->limits.message_bytes_max) {
        return imap_no(cmd, "TOOBIG", "Message is too large");
    }
    if (e == ERR_LIMIT && a->bytes == 0) {
        return imap_no(cmd, "CANNOT", "An empty message cannot be stored");
    }
    return e;
}

IMAP_CMD(append) = {
    .name = "APPEND",
    .capability = "APPENDLIMIT=", /* RFC 7889; the number is put there */
    .states = IMAP_STATES_LOGGED_IN,
    .flags = IMAP_CMD_STREAM,
    .parse = append_parse,
    .run = append_run,
};
