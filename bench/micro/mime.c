#include "bench/micro/mime.h"

#include "bench/micro/micro.h"
#include "proto/base/mem.h"
#include "proto/message/message.h"

#define PIECE_BYTES ((size_t)16 * 1024)
#define MAIL_BYTES_MAX ((size_t)1 << 20)

struct mime {
    struct buf mail;
    struct buf record;
};

void *mime_open(void (*mail)(struct buf *out))
{
    struct mime *m = mem_zalloc(sizeof(*m));
    MICRO_MUST(m != NULL);
    buf_init(&m->mail, MAIL_BYTES_MAX);
    buf_init(&m->record, MAIL_BYTES_MAX);
    mail(&m->mail);
    return m;
}

/* With the parser's making and end: every delivery pays for them. */
void mime_run(void *state)
{
    struct mime *m = state;
    struct slice mail = buf_slice(&m->mail);
    struct msg_parser *p;
    MICRO_OK(msg_parser_new(&msg_limits_default, &p));
    for (size_t at = 0; at < mail.n; at += PIECE_BYTES) {
        MICRO_OK(msg_parser_feed(p, slice_sub(mail, at, at + PIECE_BYTES)));
    }
    buf_reset(&m->record);
    MICRO_OK(msg_parser_finish(p, &m->record));
    msg_parser_free(p);
}

void mime_close(void *state)
{
    struct mime *m = state;
    buf_fini(&m->mail);
    buf_fini(&m->record);
    mem_free(m);
}
