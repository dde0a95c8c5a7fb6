#include "frontend/imap/imap_metrics.h"
#include "frontend/imap/imap_session.h"
#include "frontend/imap/imap_sync.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

void imap_dispatch_bad(struct imap_session *s, struct slice tag, const char *reason)
{
    struct imap_reply reply = {.status = IMAP_STATUS_BAD, .text = reason};
    imap_write_reply(s, tag, NULL, &reply);
    s->errors++;
    if (s->errors >= s->cfg->limits.errors_max) {
        imap_bye(s, "Too many invalid commands", "errors");
    }
}

static void set_error(struct imap_session *s, struct imap_command *cmd, enum err e)
{
    struct imap_error text = imap_error_of(e, cmd->about);
    (void)imap_no(cmd, text.code, text.text);
    if (strcmp(text.code, "SERVERBUG") == 0) {
        log_error("imap.command", "a command failed", LOG_STR("command", cmd->cmd->name),
                  LOG_STR("user", s->account.name), LOG_U64("conn", conn_id(s->conn)), LOG_ERR(e));
    }
}

static enum err run(struct imap_session *s, struct imap_command *cmd)
{
    if ((cmd->cmd->flags & IMAP_CMD_WRITE) != 0 && s->view != NULL && s->view->read_only) {
        return imap_no(cmd, "READ-ONLY", "Mailbox is open read-only");
    }
    if (cmd->condstore) {
        imap_condstore_enable(s);
    }
    return cmd->cmd->run(s, cmd);
}

static void count(struct imap_session *s, const struct imap_command *cmd)
{
    if (cmd->reply.status != IMAP_STATUS_BAD) {
        s->errors = 0;
        return;
    }
    s->errors++;
    if (s->errors >= s->cfg->limits.errors_max) {
        imap_bye(s, "Too many invalid commands", "errors");
    }
}

void imap_dispatch_parsed(struct imap_session *s, struct imap_command *cmd)
{
    uint64_t start_us = clock_perf_us();
    s->commands++;
    enum err e = run(s, cmd);
    if (e != OK && cmd->reply.status == IMAP_STATUS_OK) {
        set_error(s, cmd, e);
    }
    if (!s->ended && (cmd->cmd->flags & IMAP_CMD_NO_SYNC) == 0) {
        imap_sync_after(s, cmd);
    }
    if (!cmd->reply.silent) {
        imap_write_reply(s, cmd->tag, cmd->cmd, &cmd->reply);
        count(s, cmd);
    }
    imap_metrics_command(cmd->cmd, clock_perf_us() - start_us);
}

void imap_dispatch(struct imap_session *s, struct slice text)
{
    struct imap_command cmd;
    if (imap_command_parse(text, s->state, &s->cfg->limits, &s->arena, &cmd) == IMAP_PARSED_OK) {
        imap_dispatch_parsed(s, &cmd);
    } else {
        imap_dispatch_bad(s, cmd.tag, cmd.reply.text);
    }
    arena_reset(&s->arena);
}
