#include "frontend/pop3/pop3_stuff.h"

void pop3_stuff_init(struct pop3_stuff *s, uint64_t body_lines)
{
    *s = (struct pop3_stuff){.body_lines = body_lines};
}

/* A line is complete. */
static void line_end(struct pop3_stuff *s, bool empty)
{
    if (s->body && s->body_lines != POP3_LINES_ALL) {
        s->body_lines--;
    }
    s->body = s->body || empty;
    s->in_line = false;
    s->done = s->body && s->body_lines == 0;
}

/* In a line: up to the next LF, CR included. */
static size_t copy_run(struct pop3_stuff *s, struct slice in, uint8_t *out, size_t *io_n)
{
    size_t n = slice_find(in, '\n');
    memcpy(out + *io_n, in.p, n);
    *io_n += n;
    if (n > 0) {
        s->cr = in.p[n - 1] == '\r';
    }
    return n;
}

static void put_lf(struct pop3_stuff *s, bool empty, uint8_t *out, size_t *io_n)
{
    if (!s->cr) {
        out[(*io_n)++] = '\r';
    }
    out[(*io_n)++] = '\n';
    s->cr = false;
    line_end(s, empty);
}

enum err pop3_stuff_feed(struct pop3_stuff *s, struct slice in, struct buf *out)
{
    uint8_t *p = NULL;
    size_t n = 0;
    enum err err = buf_reserve(out, POP3_STUFF_OUT_BYTES(in.n), &p);
    if (err != OK) {
        return err;
    }
    for (size_t at = 0; at < in.n && !s->done;) {
        bool start = !s->in_line && !s->cr;
        if (in.p[at] == '\n') {
            put_lf(s, !s->in_line, p, &n);
            at++;
        } else if (start && in.p[at] == '\r') { /* perhaps the empty line: not in a line yet */
            p[n++] = '\r';
            s->cr = true;
            at++;
        } else {
            if (start && in.p[at] == '.') {
                p[n++] = '.';
            }
            s->in_line = true;
            at += copy_run(s, slice_sub(in, at, in.n), p, &n);
        }
    }
    buf_commit(out, n);
    return OK;
}

enum err pop3_stuff_finish(struct pop3_stuff *s, struct buf *out)
{
    bool open = s->in_line || s->cr;
    enum err err = open ? buf_append_str(out, s->cr ? "\n" : "\r\n") : OK;
    return err == OK ? buf_append_str(out, ".\r\n") : err;
}
