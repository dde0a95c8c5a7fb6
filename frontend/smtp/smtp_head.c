#include "frontend/smtp/smtp_head.h"

static struct slice name_slice(const struct smtp_head *h)
{
    return slice_make(h->name, h->name_bytes);
}

static enum err flush_name(struct smtp_head *h, struct buf *out)
{
    enum err err = buf_append_slice(out, name_slice(h));
    h->name_bytes = 0;
    return err;
}

static void note_field(struct smtp_head *h)
{
    struct slice name = slice_trim(name_slice(h));
    if (slice_ieq_str(name, "Received")) {
        h->received++;
    } else if (slice_ieq_str(name, "Date")) {
        h->has_date = true;
    } else if (slice_ieq_str(name, "Message-ID")) {
        h->has_message_id = true;
    }
}

/* blank: the header did not end in its empty line, so that what follows needs one before it. */
static enum err end_header(struct smtp_head *h, bool blank, struct buf *out)
{
    h->state = SMTP_HEAD_BODY;
    enum err err = OK;
    if (!h->has_date) {
        err = buf_append_slice(out, h->add_date);
    }
    if (err == OK && !h->has_message_id) {
        err = buf_append_slice(out, h->add_message_id);
    }
    if (err == OK && blank && h->add_date.n > 0) {
        err = buf_append_str(out, "\r\n");
    }
    return err;
}

/* The first byte of a line. */
static enum err line_start(struct smtp_head *h, uint8_t c, struct buf *out)
{
    if (c == '\r' || c == '\n') {
        return end_header(h, false, out);
    }
    h->name_bytes = 0;
    h->state = c == ' ' || c == '\t' ? SMTP_HEAD_LINE : SMTP_HEAD_NAME;
    return OK;
}

/* ftext, or the obsolete white space between the name and its colon (RFC 5322, 4.5). */
static bool name_goes_on(const struct smtp_head *h, uint8_t c)
{
    bool space = c == ' ' || c == '\t';
    bool after_space = h->name_bytes > 0 && h->name[h->name_bytes - 1] <= ' ';
    return space ? h->name_bytes > 0 : c > ' ' && c < 0x7f && !after_space;
}

/* The byte is taken into the name if the state stays NAME; otherwise it is still to be looked at. */
static enum err name_byte(struct smtp_head *h, uint8_t c, struct buf *out)
{
    if (c == ':' || h->name_bytes == SMTP_HEAD_NAME_BYTES) { /* a name that long is not looked for */
        if (c == ':') {
            note_field(h);
        }
        h->state = SMTP_HEAD_LINE;
        return flush_name(h, out);
    }
    if (!name_goes_on(h, c)) { /* no field: the line is the body's first */
        enum err err = end_header(h, true, out);
        return err == OK ? flush_name(h, out) : err;
    }
    h->name[h->name_bytes++] = c;
    return OK;
}

/* The rest of a line as far as it is there; returns its bytes. */
static size_t line_rest(struct smtp_head *h, struct slice rest)
{
    size_t lf = slice_find(rest, '\n');
    h->state = lf < rest.n ? SMTP_HEAD_LINE_START : SMTP_HEAD_LINE;
    return lf < rest.n ? lf + 1 : rest.n;
}

enum err smtp_head_feed(struct smtp_head *h, struct slice in, struct buf *out)
{
    size_t at = 0;
    enum err err = OK;
    while (err == OK && at < in.n && h->state != SMTP_HEAD_BODY) {
        size_t n = 0;
        switch (h->state) {
        case SMTP_HEAD_LINE_START:
            err = line_start(h, in.p[at], out);
            break;
        case SMTP_HEAD_NAME:
            err = name_byte(h, in.p[at], out);
            at += h->state == SMTP_HEAD_NAME ? 1 : 0;
            break;
        case SMTP_HEAD_LINE:
            n = line_rest(h, slice_sub(in, at, in.n));
            err = buf_append(out, in.p + at, n);
            at += n;
            break;
        case SMTP_HEAD_BODY:
            break;
        }
    }
    return err == OK ? buf_append_slice(out, slice_sub(in, at, in.n)) : err;
}

enum err smtp_head_finish(struct smtp_head *h, struct buf *out)
{
    if (h->state == SMTP_HEAD_BODY) {
        return OK;
    }
    enum err err = flush_name(h, out);
    return err == OK ? end_header(h, false, out) : err;
}
