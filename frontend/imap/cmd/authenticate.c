#include "frontend/imap/imap_login.h"
#include "proto/base/b64.h"

#define SASL_BYTES_MAX 4096

struct authenticate_args {
    bool plain; /* else LOGIN */
    bool has_initial;
    struct slice initial; /* base64; RFC 4959: "=" is the empty response */
};

/* authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")] */
static bool authenticate_parse(struct imap_cursor *c, struct imap_command *cmd)
{
    struct authenticate_args *a = arena_zalloc(c->arena, sizeof(*a));
    struct slice mechanism;
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    if (!imap_parse_sp(c) || !imap_parse_atom(c, &mechanism)) {
        return false;
    }
    a->plain = slice_ieq_str(mechanism, "PLAIN");
    if (!a->plain && !slice_ieq_str(mechanism, "LOGIN")) {
        cmd->args = NULL; /* well-formed: NO, not BAD */
    }
    if (imap_take(c, ' ')) {
        a->has_initial = true;
        if (!imap_parse_atom(c, &a->initial)) {
            return false;
        }
    }
    return imap_parse_end(c);
}

static bool authenticate_capable(const struct imap_session *s)
{
    return s->state == IMAP_STATE_NOT_AUTHENTICATED && imap_login_allowed(s);
}

static void bad(struct imap_reply *out, const char *text)
{
    *out = (struct imap_reply){.status = IMAP_STATUS_BAD, .text = text};
}

static void login_plain(struct imap_session *s, struct slice message, struct imap_reply *out)
{
    struct slice user;
    struct slice password;
    enum err e = auth_sasl_plain(message, &user, &password);
    if (e == ERR_PERM) {
        *out = (struct imap_reply){
            .status = IMAP_STATUS_NO, .code = "AUTHORIZATIONFAILED", .text = "Acting for others is not allowed"};
    } else if (e != OK) {
        bad(out, "Invalid PLAIN message");
    } else {
        imap_login(s, user, password, "PLAIN", &s->arena, out);
    }
}

static enum err login_line(struct imap_session *s, struct slice line);

/* One decoded response. True when the exchange goes on: the next prompt was written. */
static bool step(struct imap_session *s, struct slice text, struct imap_reply *out)
{
    struct imap_pending *p = s->pending;
    if (p->sasl == IMAP_SASL_PLAIN) {
        login_plain(s, text, out);
        return false;
    }
    if (p->sasl == IMAP_SASL_LOGIN_PASSWORD) {
        imap_login(s, buf_slice(&p->user), text, "LOGIN", &s->arena, out);
        return false;
    }
    if (buf_append_slice(&p->user, text) != OK) {
        bad(out, "User name is too long");
        return false;
    }
    p->sasl = IMAP_SASL_LOGIN_PASSWORD;
    imap_wait_line(s, "UGFzc3dvcmQ6", login_line); /* "Password:" */
    return true;
}

static void respond(struct imap_session *s, struct slice base64)
{
    struct buf text;
    struct imap_reply reply = {.status = IMAP_STATUS_BAD, .text = "Invalid base64"};
    bool goes_on = false;
    buf_init(&text, SASL_BYTES_MAX);
    if (slice_eq_str(base64, "*")) {
        bad(&reply, "Authentication was cancelled");
    } else if (b64_decode(&text, base64) == OK) {
        goes_on = step(s, buf_slice(&text), &reply);
    }
    if (text.base != NULL) {
        explicit_bzero(text.base, text.cap);
    }
    buf_fini(&text);
    if (!goes_on) {
        imap_line_done(s, &reply);
    }
}

static enum err login_line(struct imap_session *s, struct slice line)
{
    respond(s, line);
    return OK;
}

static enum err authenticate_run(struct imap_session *s, struct imap_command *cmd)
{
    const struct authenticate_args *a = cmd->args;
    if (a == NULL) {
        return imap_no(cmd, "CANNOT", "Unknown mechanism");
    }
    if (!imap_login_allowed(s)) {
        return imap_no(cmd, "PRIVACYREQUIRED", "Passwords are accepted over TLS only");
    }
    enum err e = imap_wait_begin(s, cmd);
    if (e != OK) {
        return e;
    }
    cmd->reply.silent = true;
    s->pending->sasl = a->plain ? IMAP_SASL_PLAIN : IMAP_SASL_LOGIN_USER;
    if (a->has_initial) {
        respond(s, slice_eq_str(a->initial, "=") ? slice_make(NULL, 0) : a->initial);
        return OK;
    }
    imap_wait_line(s, a->plain ? "" : "VXNlcm5hbWU6", login_line); /* "Username:" */
    return OK;
}

IMAP_CMD(authenticate) = {
    .name = "AUTHENTICATE",
    .capability = "SASL-IR AUTH=PLAIN AUTH=LOGIN",
    .capable = authenticate_capable,
    .states = IMAP_STATE_NOT_AUTHENTICATED,
    .flags = IMAP_CMD_NO_SYNC | IMAP_CMD_SECRET,
    .parse = authenticate_parse,
    .run = authenticate_run,
};
