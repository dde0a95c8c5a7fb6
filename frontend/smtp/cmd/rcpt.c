#include <inttypes.h>
#include <string.h>

#include "frontend/smtp/smtp_path.h"
#include "frontend/smtp/smtp_session.h"
#include "proto/base/log.h"

static const struct smtp_status good = {250, "2.1.5", "recipient ok"};
static const struct smtp_status no_user = {550, "5.1.1", "no such mailbox here"};
static const struct smtp_status no_relay = {550, "5.7.1", "relaying is not configured"};
static const struct smtp_status too_many = {452, "4.5.3", "too many recipients for one transaction"};

/* Over quota now, or with the size that MAIL declared. Only where one reply stands for all recipients: there a later
 * refusal could not name its recipient. Apply decides in any case. */
static enum err check_quota(struct smtp_session *s, const Pb__ResolvedTarget *t, struct arena *arena)
{
    struct backend_reply reply = {0};
    Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
    req.account = t->account;
    struct backend_request call = {
        .shard = {t->shard}, .account = {t->account}, .method = METHOD_ACCOUNT, .message = &req.base};
    enum err err = backend_call(s->cfg->backend, &call, arena, &reply);
    const Pb__ReadAccountResult *a = (const Pb__ReadAccountResult *)reply.message;
    if (err == OK && a != NULL) {
        bool bytes = a->quota_bytes > 0 && a->used_bytes + s->envelope.size >= a->quota_bytes;
        bool messages = a->quota_messages > 0 && a->used_messages >= a->quota_messages;
        err = bytes || messages ? ERR_QUOTA : OK;
    }
    backend_reply_fini(&reply);
    return err;
}

static struct smtp_status check_targets(struct smtp_session *s, const Pb__ReadResolveResult *r, struct arena *arena)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        const Pb__ResolvedTarget *t = r->targets[i];
        if (t->remote_address != NULL && t->remote_address[0] != '\0') {
            return no_relay; /* an alias that leads out of here */
        }
        enum err err = s->envelope.per_rcpt ? OK : check_quota(s, t, arena);
        if (err != OK) {
            return smtp_status_of(err, s->cfg->quota_permanent);
        }
    }
    return good;
}

static struct smtp_status add(struct smtp_session *s, const struct smtp_path *to, const char *lookup,
                              struct arena *arena)
{
    const Pb__ReadResolveResult *r = NULL;
    enum err err = backend_resolve(s->cfg->backend, slice_str(lookup), arena, &r);
    if (err != OK) {
        return smtp_status_of(err, s->cfg->quota_permanent);
    }
    if (r->kind != PB__READ_RESOLVE_RESULT__KIND__LOCAL || r->n_targets == 0) {
        return r->kind == PB__READ_RESOLVE_RESULT__KIND__NOT_LOCAL ? no_relay : no_user;
    }
    struct smtp_status st = check_targets(s, r, arena);
    if (st.code != 250) {
        return st;
    }
    err = smtp_envelope_add(&s->envelope, to->mailbox, r, s->cfg->detail_folders);
    if (err != OK) { /* also out of arena: the transaction is as large as it may be */
        return too_many;
    }
    return good;
}

/* RFC 5321, 4.5.1: <postmaster> without a domain always means somebody. */
static const char *lookup_address(const struct smtp_session *s, const struct smtp_path *to, struct arena *arena)
{
    if (!to->bare) {
        return to->lookup;
    }
    return s->cfg->postmaster != NULL ? s->cfg->postmaster : arena_printf(arena, "postmaster@%s", s->cfg->hostname);
}

static struct smtp_status rcpt_params(struct slice rest)
{
    struct slice keyword;
    struct slice value;
    enum err err = smtp_param_next(&rest, &keyword, &value);
    if (err == ERR_NOTFOUND) {
        return good;
    }
    return err == OK ? (struct smtp_status){555, "5.5.4", "parameter not recognized"}
                     : (struct smtp_status){501, "5.5.4", "bad parameter"};
}

static struct smtp_status rcpt_add(struct smtp_session *s, const struct smtp_path *to)
{
    struct arena arena;
    if (to->utf8 && !s->envelope.utf8) {
        return (struct smtp_status){553, "5.6.7", "this address needs SMTPUTF8"};
    }
    if (to->literal) { /* none of our domains is an address */
        return no_relay;
    }
    if (s->envelope.n_rcpts >= s->cfg->recipients_max) {
        return too_many;
    }
    arena_init(&arena, 256 * 1024);
    const char *lookup = lookup_address(s, to, &arena);
    struct smtp_status st = lookup != NULL ? add(s, to, lookup, &arena) : smtp_status_of(ERR_NOMEM, false);
    arena_fini(&arena);
    return st;
}

static void log_refused(const struct smtp_session *s, struct slice args, const struct smtp_status *st)
{
    smtp_metric_add(s->role, SMTP_METRIC_RECIPIENTS_REFUSED, 1);
    log_info("smtp.rcpt_refused", "recipient refused", LOG_STR("role", smtp_role_name(s->role)),
             LOG_STR("from", s->envelope.reverse_path), LOG_SLICE("to", args), LOG_U64("code", (uint64_t)st->code),
             LOG_STR("status", st->enhanced), LOG_STR("result", st->text), LOG_STR("ip", conn_peer_ip(s->conn)),
             LOG_STR("helo", s->helo), LOG_STR("user", s->account.name));
}

static enum err rcpt_run(struct smtp_session *s, struct slice args)
{
    struct smtp_path to;
    struct slice rest;
    struct smtp_status st = {501, "5.1.3", "syntax: RCPT TO:<address>"};
    if (slice_istarts_with(args, "TO:") && smtp_path_parse(slice_sub(args, 3, args.n), false, &to, &rest) == OK) {
        st = rcpt_params(rest);
        if (st.code == 250) {
            st = rcpt_add(s, &to);
        }
    }
    if (st.code == 250) {
        smtp_session_enter(s, SMTP_STATE_RCPT);
    } else {
        log_refused(s, args, &st);
    }
    return smtp_reply_status(s, st);
}

/* RFC 5321, 4.1.1.3 */
SMTP_CMD(rcpt) = {
    .name = "RCPT",
    .roles = SMTP_ROLES_ALL,
    .states = SMTP_STATE_MAIL | SMTP_STATE_RCPT,
    .args = SMTP_ARGS_REQUIRED,
    .usage = "RCPT TO:<address>",
    .order = "MAIL first",
    .run = rcpt_run,
};
