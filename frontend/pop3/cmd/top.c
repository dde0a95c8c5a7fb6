#include "frontend/pop3/pop3_session.h"
#include "frontend/pop3/pop3_stuff.h"

static enum err top_run(struct pop3_session *s, struct slice args)
{
    struct slice words = slice_trim(args);
    size_t space = slice_find(words, ' ');
    uint64_t lines = 0;
    uint32_t i = 0;
    bool found = false;
    if (slice_u64(slice_trim(slice_sub(words, space, words.n)), &lines) != OK || lines == POP3_LINES_ALL) {
        return pop3_reply_bad(s, "syntax: TOP message lines");
    }
    enum err err = pop3_session_message(s, slice_sub(words, 0, space), &i, &found);
    return found ? pop3_body_send(s, i, lines) : err;
}

/* RFC 1939, 7 */
POP3_CMD(top) = {
    .name = "TOP",
    .states = POP3_STATE_TRANSACTION,
    .args = POP3_ARGS_REQUIRED,
    .usage = "syntax: TOP message lines",
    .capability = "TOP",
    .run = top_run,
};
