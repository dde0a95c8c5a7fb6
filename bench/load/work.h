/* What a load does: steps that every connection runs, one file of work/ each, found by the build.
 *
 * A step is a text to send and the answer to wait for. In the text stand
 *   $u  the connection's user, $p the password, $m the mailbox
 *   $r  the recipient of this operation: they take turns
 *   $s  a sequence number at random, $w and $e the first and last of 50 at random
 *   $i  the repetition of a repeated step (from 1)
 *   $q  the sequence number of this connection's STORE, $f what it does: sets the flag, then clears it again
 *   $l  bytes of the message, $d a date, $k a number below 100
 *   $$  a dollar
 * and the message follows it when `message` says how it ends. */
#ifndef BENCH_LOAD_WORK_H
#define BENCH_LOAD_WORK_H

#include <stdbool.h>

#include "bench/load/reply.h"

#ifdef __cplusplus
extern "C" {
#endif

enum step_message {
    MESSAGE_NO,
    MESSAGE_DOT,     /* the message and ".": SMTP, LMTP */
    MESSAGE_LITERAL, /* the message and a line end: IMAP */
};

struct step {
    const char *text; /* "": nothing is sent, the server talks first */
    enum reply_kind reply;
    unsigned replies;  /* of REPLY_SMTP; 0 = 1 */
    bool each_message; /* run as often as --messages says */
    enum step_message message;
};

struct work {
    const char *name;
    const char *doc;
    const struct step *setup; /* before the clock runs; NULL: none */
    const struct step *op;    /* one operation; begins with the server's greeting when `reconnects` */
    bool reconnects;          /* each operation has a connection of its own */
};

/* work/x.c defines WORK(x) = {...}; ends with NULL. */
extern const struct work *const bench_work_table[];
#define WORK(id) const struct work bench_work_##id

/* Beginnings that works share (steps.c): connect, log in, select the mailbox. */
extern const struct step steps_lmtp[];
extern const struct step steps_smtp[];
extern const struct step steps_imap_login[];
extern const struct step steps_imap_select[];
extern const struct step steps_imap_inbox[];
extern const struct step steps_imap_idle[];

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_WORK_H */
