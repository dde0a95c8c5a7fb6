#include "frontend/imap/imap_session.h"
#include "frontend/imap/imap_sync.h"

/* "DONE" ends it; anything else is an error that ends it too. */
static enum err idle_line(struct imap_session *s, struct slice line)
{
    struct imap_reply reply = {.status = IMAP_STATUS_OK, .text = "IDLE completed"};
    s->idling = false;
    if (!slice_ieq_str(line, "DONE")) {
        reply = (struct imap_reply){.status = IMAP_STATUS_BAD, .text = "Expected DONE"};
    }
    imap_line_done(s, &reply);
    return OK;
}

/* RFC 2177. No fiber is held meanwhile: a change wakes the session by event, DONE by input. */
static enum err idle_run(struct imap_session *s, struct imap_command *cmd)
{
    if (s->view != NULL && s->watch == NULL) {
        return ERR_UNAVAILABLE; /* it would never learn of a change */
    }
    /* What happened until now; what happens from now on is a hint that waits for this fiber to end. */
    enum err e = s->view == NULL ? OK : imap_sync(s, true);
    if (e != OK || s->ended) {
        return e;
    }
    e = imap_wait_begin(s, cmd);
    if (e != OK) {
        return e;
    }
    imap_wait_line(s, "idling", idle_line);
    cmd->reply.silent = true;
    s->idling = true;
    return OK;
}

IMAP_CMD(idle) = {
    .name = "IDLE",
    .capability = "IDLE",
    .states = IMAP_STATES_LOGGED_IN,
    .flags = IMAP_CMD_NO_SYNC,
    .parse = imap_parse_no_args,
    .run = idle_run,
};
