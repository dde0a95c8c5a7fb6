#include "frontend/smtp/smtp_path.h"
#include "frontend/smtp/smtp_sender.h"
#include "frontend/smtp/smtp_session.h"

/* What a parameter says; a code other than 250 refuses the command. */
static struct smtp_status mail_param(struct smtp_session *s, struct slice keyword, struct slice value)
{
    static const struct smtp_status good = {250, "2.1.0", ""};
    static const struct smtp_status bad = {501, "5.5.4", "bad parameter"};
    static const struct smtp_status unknown = {555, "5.5.4", "parameter not recognized"};
    if (!s->extended) {
        return unknown;
    }
    if (slice_ieq_str(keyword, "SIZE")) { /* RFC 1870 */
        return value.n <= 20 && slice_u64(value, &s->envelope.size) == OK ? good : bad;
    }
    if (slice_ieq_str(keyword, "BODY")) { /* RFC 6152 */
        return slice_ieq_str(value, "7BIT") || slice_ieq_str(value, "8BITMIME") ? good : bad;
    }
    if (slice_ieq_str(keyword, "SMTPUTF8")) { /* RFC 6531 */
        s->envelope.utf8 = true;
        return value.p == NULL ? good : bad;
    }
    if (slice_ieq_str(keyword, "AUTH") &&
        s->role == SMTP_ROLE_SUBMISSION) { /* RFC 4954, 5: who submitted it to the client; not passed on */
        return value.n > 0 ? good : bad;
    }
    return unknown;
}

static struct smtp_status mail_params(struct smtp_session *s, struct slice rest)
{
    struct smtp_status st = {250, "2.1.0", ""};
    for (;;) {
        struct slice keyword;
        struct slice value;
        enum err err = smtp_param_next(&rest, &keyword, &value);
        if (err == ERR_NOTFOUND) {
            return st;
        }
        st = err == OK ? mail_param(s, keyword, value) : (struct smtp_status){501, "5.5.4", "bad parameter"};
        if (st.code != 250) {
            return st;
        }
    }
}

static struct smtp_status mail_check(struct smtp_session *s, const struct smtp_path *from)
{
    if (s->envelope.size > s->cfg->message_bytes_max) {
        return smtp_status_of(ERR_LIMIT, false);
    }
    if (from->utf8 && !s->envelope.utf8) {
        return (struct smtp_status){553, "5.6.7", "this address needs SMTPUTF8"};
    }
    return s->role == SMTP_ROLE_SUBMISSION ? smtp_sender_check(s, from) : (struct smtp_status){250, "2.1.0", ""};
}

static struct smtp_status mail_begin(struct smtp_session *s, struct slice args)
{
    struct smtp_path from;
    struct slice rest;
    if (!slice_istarts_with(args, "FROM:") || smtp_path_parse(slice_sub(args, 5, args.n), true, &from, &rest) != OK) {
        return (struct smtp_status){501, "5.1.7", "syntax: MAIL FROM:<address>"};
    }
    struct smtp_status st = mail_params(s, rest);
    if (st.code == 250) {
        st = mail_check(s, &from);
    }
    if (st.code != 250) {
        return st;
    }
    s->envelope.reverse_path = arena_strdup(&s->arena, from.mailbox);
    if (s->envelope.reverse_path == NULL) {
        return smtp_status_of(ERR_NOMEM, false);
    }
    return (struct smtp_status){250, "2.1.0", "sender ok"};
}

static enum err mail_run(struct smtp_session *s, struct slice args)
{
    if (s->role == SMTP_ROLE_SUBMISSION && !s->authenticated) {
        return smtp_reply(s, 530, "5.7.0", "authentication required");
    }
    struct smtp_status st = mail_begin(s, args);
    if (st.code == 250) {
        smtp_session_enter(s, SMTP_STATE_MAIL);
    } else {
        smtp_session_reset(s);
    }
    return smtp_reply_status(s, st);
}

/* RFC 5321, 4.1.1.2 */
SMTP_CMD(mail) = {
    .name = "MAIL",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATE_READY,
    .args = SMTP_ARGS_REQUIRED,
    .usage = "MAIL FROM:<address>",
    .order = "EHLO first, and one MAIL a transaction",
    .run = mail_run,
};
