#include "frontend/smtp/smtp_dot.h"

/* Output of one feed; room was reserved for the worst case. */
struct writer {
    uint8_t *p;
    size_t n;
};

static void put(struct writer *w, uint8_t c)
{
    w->p[w->n++] = c;
}

static void put_bare_lf(struct smtp_dot *d, struct writer *w)
{
    d->bare = true;
    if (d->policy == SMTP_BARE_NORMALIZE) {
        put(w, '\r');
    }
    put(w, '\n');
    d->state = SMTP_DOT_TEXT; /* never a line start: only CRLF makes one */
}

/* The CR held back turned out to stand alone. */
static void put_bare_cr(struct smtp_dot *d, struct writer *w)
{
    d->bare = true;
    put(w, d->policy == SMTP_BARE_NORMALIZE ? ' ' : '\r');
}

static void text_byte(struct smtp_dot *d, struct writer *w, uint8_t c)
{
    if (c == '\r') {
        d->state = SMTP_DOT_CR;
    } else if (c == '\n') {
        put_bare_lf(d, w);
    } else {
        put(w, c);
        d->state = SMTP_DOT_TEXT;
    }
}

static void after_cr(struct smtp_dot *d, struct writer *w, uint8_t c)
{
    if (c == '\n') {
        put(w, '\r');
        put(w, '\n');
        d->state = SMTP_DOT_LINE_START;
        return;
    }
    put_bare_cr(d, w);
    text_byte(d, w, c);
}

/* Inside a line, up to the next CR or LF. */
static size_t copy_text(struct writer *w, struct slice in)
{
    size_t lf = slice_find(in, '\n');
    size_t n = slice_find(slice_sub(in, 0, lf), '\r');
    memcpy(w->p + w->n, in.p, n);
    w->n += n;
    return n;
}

static void step(struct smtp_dot *d, struct writer *w, uint8_t c)
{
    switch (d->state) {
    case SMTP_DOT_LINE_START:
        if (c == '.') {
            d->state = SMTP_DOT_DOT;
        } else {
            text_byte(d, w, c);
        }
        return;
    case SMTP_DOT_DOT: /* the dot itself is gone, unless it was the whole line */
        if (c == '\r') {
            d->state = SMTP_DOT_DOT_CR;
        } else {
            text_byte(d, w, c);
        }
        return;
    case SMTP_DOT_DOT_CR:
        if (c == '\n') {
            d->state = SMTP_DOT_END;
            return;
        }
        put_bare_cr(d, w);
        text_byte(d, w, c);
        return;
    case SMTP_DOT_TEXT:
        text_byte(d, w, c);
        return;
    case SMTP_DOT_CR:
        after_cr(d, w, c);
        return;
    case SMTP_DOT_END:
        return;
    }
}

enum err smtp_dot_feed(struct smtp_dot *d, struct slice in, struct buf *out, size_t *out_consumed)
{
    struct writer w = {NULL, 0};
    enum err err = buf_reserve(out, SMTP_DOT_OUT_BYTES(in.n), &w.p);
    if (err != OK) {
        return err;
    }
    size_t at = 0;
    while (at < in.n && d->state != SMTP_DOT_END) {
        if (d->state == SMTP_DOT_TEXT) {
            at += copy_text(&w, slice_sub(in, at, in.n));
            if (at == in.n) {
                break;
            }
        }
        step(d, &w, in.p[at++]);
    }
    buf_commit(out, w.n);
    *out_consumed = at;
    return OK;
}
