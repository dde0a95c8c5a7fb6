#include "proto/message/message.h"

#include "proto/base/mem.h"
#include "proto/message/charset.h"
#include "proto/message/transfer.h"

#define STEP_BYTES 4096

struct msg_decoder {
    enum msg_encoding encoding;
    bool has_charset;
    struct msg_charset charset;
    struct msg_base64 base64;
    struct msg_qp qp;
    uint8_t step[STEP_BYTES + MSG_TRANSFER_SLACK];
};

enum err msg_decoder_new(enum msg_encoding enc, const char *charset, struct msg_decoder **out)
{
    struct msg_decoder *d = mem_zalloc(sizeof(*d));
    if (d == NULL) {
        return ERR_NOMEM;
    }
    d->encoding = enc;
    d->has_charset = charset != NULL;
    msg_charset_open_utf8(&d->charset);
    enum err e = charset == NULL ? OK : msg_charset_open(&d->charset, slice_str(charset));
    if (e != OK && e != ERR_CHARSET) {
        mem_free(d);
        return e;
    }
    *out = d;
    return OK;
}

void msg_decoder_free(struct msg_decoder *d)
{
    if (d != NULL) {
        msg_charset_close(&d->charset);
        mem_free(d);
    }
}

static enum err put_decoded(struct msg_decoder *d, struct slice s, struct buf *out)
{
    return d->has_charset ? msg_charset_feed(&d->charset, s, out) : buf_append_slice(out, s);
}

static size_t undo(struct msg_decoder *d, struct slice in)
{
    return d->encoding == MSG_ENC_BASE64 ? msg_base64_feed(&d->base64, in, d->step) : msg_qp_feed(&d->qp, in, d->step);
}

enum err msg_decoder_feed(struct msg_decoder *d, struct slice in, struct buf *out_utf8)
{
    if (d->encoding != MSG_ENC_BASE64 && d->encoding != MSG_ENC_QP) {
        return put_decoded(d, in, out_utf8);
    }
    while (in.n > 0) {
        size_t n = undo(d, slice_sub(in, 0, STEP_BYTES));
        enum err e = put_decoded(d, slice_make(d->step, n), out_utf8);
        if (e != OK) {
            return e;
        }
        in = slice_sub(in, STEP_BYTES, in.n);
    }
    return OK;
}

enum err msg_decoder_finish(struct msg_decoder *d, struct buf *out_utf8)
{
    size_t n = 0;
    if (d->encoding == MSG_ENC_BASE64) {
        n = msg_base64_finish(&d->base64, d->step);
    } else if (d->encoding == MSG_ENC_QP) {
        n = msg_qp_finish(&d->qp, d->step);
    }
    enum err e = put_decoded(d, slice_make(d->step, n), out_utf8);
    return e == OK && d->has_charset ? msg_charset_finish(&d->charset, out_utf8) : e;
}
