/* Finds the end of a server's answer with as little work as can be: nothing is parsed and nothing kept but the last
 * bytes. One answer is outstanding at a time (or, of SMTP, a counted few), so the last line tells. */
#ifndef BENCH_LOAD_REPLY_H
#define BENCH_LOAD_REPLY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every IMAP command of a load has this tag, which no message holds at the start of a line. */
#define REPLY_TAG "zq "

enum reply_kind {
    REPLY_NONE,   /* the end of a list of steps */
    REPLY_SMTP,   /* `want` replies, each of one line or more; 2xx and 3xx are good */
    REPLY_TAGGED, /* IMAP: everything up to the tagged line; OK is good */
    REPLY_LINE,   /* IMAP greeting or POP3 single-line reply; "*" and "+OK" are good */
    REPLY_PLUS,   /* IMAP continuation */
    REPLY_DOT,    /* POP3 multi-line reply */
};

enum reply_state { REPLY_MORE, REPLY_GOOD, REPLY_BAD };

enum { REPLY_TAIL_BYTES = 1024 };

struct reply {
    enum reply_kind kind;
    unsigned want;
    uint64_t bytes;
    unsigned done;   /* SMTP: complete replies */
    unsigned column; /* SMTP: bytes of the current line */
    char first[4];   /* SMTP: its first bytes; others: the answer's first byte */
    int refused;     /* SMTP: one was 4xx or 5xx */
    size_t tail_n;
    char tail[REPLY_TAIL_BYTES]; /* the answer's last bytes */
};

void reply_begin(struct reply *r, enum reply_kind kind, unsigned want);
enum reply_state reply_feed(struct reply *r, const char *p, size_t n);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_REPLY_H */
