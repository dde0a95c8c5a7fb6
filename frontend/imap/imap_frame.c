#include "frontend/imap/imap_frame.h"

void imap_frame_init(struct imap_frame *f, size_t text_bytes_max)
{
    memset(f, 0, sizeof(*f));
    buf_init(&f->text, 0);
    imap_frame_limit(f, text_bytes_max);
}

void imap_frame_limit(struct imap_frame *f, size_t text_bytes_max)
{
    /* Room for a line end beyond it, so that a command of exactly the limit passes. */
    f->text.limit_bytes = text_bytes_max + 2;
}

void imap_frame_fini(struct imap_frame *f)
{
    buf_fini(&f->text);
}

bool imap_literal_header(struct slice line, uint64_t *out_bytes, bool *out_sync)
{
    if (line.n < 3 || line.p[line.n - 1] != '}') {
        return false;
    }
    size_t end = line.n - 1;
    bool sync = line.p[end - 1] != '+';
    end -= sync ? 0 : 1;
    size_t first = end;
    while (first > 0 && line.p[first - 1] >= '0' && line.p[first - 1] <= '9') {
        first--;
    }
    uint64_t bytes;
    if (first == end || first == 0 || line.p[first - 1] != '{' ||
        slice_u64(slice_sub(line, first, end), &bytes) != OK) {
        return false;
    }
    *out_bytes = bytes;
    *out_sync = sync;
    return true;
}

/* The last bytes of a line are all that is needed to know what follows it. */
static void tail_put(struct imap_frame *f, const uint8_t *p, size_t n)
{
    if (n >= IMAP_FRAME_TAIL_BYTES) {
        memcpy(f->tail, p + n - IMAP_FRAME_TAIL_BYTES, IMAP_FRAME_TAIL_BYTES);
        f->tail_n = IMAP_FRAME_TAIL_BYTES;
        return;
    }
    size_t keep = f->tail_n + n > IMAP_FRAME_TAIL_BYTES ? IMAP_FRAME_TAIL_BYTES - n : f->tail_n;
    memmove(f->tail, f->tail + f->tail_n - keep, keep);
    memcpy(f->tail + keep, p, n);
    f->tail_n = keep + n;
}

static enum err keep(struct imap_frame *f, const uint8_t *p, size_t n)
{
    if (f->cut || f->silent) {
        return OK;
    }
    size_t room = f->text.limit_bytes - f->text.len;
    f->cut = n > room; /* the beginning stays: the tag is in it */
    return buf_append(&f->text, p, n < room ? n : room);
}

static enum err feed_literal(struct imap_frame *f, struct slice in, size_t *out_n)
{
    size_t n = in.n < f->left ? in.n : (size_t)f->left;
    enum err e = keep(f, in.p, n);
    if (e == OK) {
        f->left -= n;
        *out_n = n;
    }
    return e;
}

/* A line ended: a literal follows, or the command is complete. */
static enum imap_frame_status line_end(struct imap_frame *f)
{
    struct slice tail = slice_make(f->tail, f->tail_n);
    while (tail.n > 0 && (tail.p[tail.n - 1] == '\n' || tail.p[tail.n - 1] == '\r')) {
        tail.n--;
    }
    f->tail_n = 0;
    if (imap_literal_header(tail, &f->literal_bytes, &f->literal_sync)) {
        f->literals++;
        if (!f->cut && !f->silent) {
            return IMAP_FRAME_LITERAL;
        }
        if (!f->literal_sync) {
            f->left = f->literal_bytes;
            return IMAP_FRAME_MORE;
        }
    }
    if (f->silent) {
        imap_frame_next(f);
        return IMAP_FRAME_MORE;
    }
    if (f->cut) {
        return IMAP_FRAME_TOO_LONG;
    }
    size_t n = f->text.len;
    struct slice text = buf_slice(&f->text);
    n -= n > 0 && text.p[n - 1] == '\n' ? 1 : 0;
    n -= n > 0 && text.p[n - 1] == '\r' ? 1 : 0;
    buf_truncate(&f->text, n);
    return IMAP_FRAME_DONE;
}

enum err imap_frame_feed(struct imap_frame *f, struct slice in, size_t *out_consumed,
                         enum imap_frame_status *out_status)
{
    size_t at = 0;
    enum imap_frame_status status = IMAP_FRAME_MORE;
    while (at < in.n && status == IMAP_FRAME_MORE) {
        struct slice rest = slice_sub(in, at, in.n);
        size_t n;
        enum err e;
        if (f->left > 0) {
            e = feed_literal(f, rest, &n);
        } else {
            size_t lf = slice_find(rest, '\n');
            n = lf < rest.n ? lf + 1 : rest.n;
            e = keep(f, rest.p, n);
            tail_put(f, rest.p, n);
            if (e == OK && lf < rest.n) {
                status = line_end(f);
            }
        }
        if (e != OK) {
            return e;
        }
        at += n;
    }
    *out_consumed = at;
    *out_status = status;
    return OK;
}

void imap_frame_accept(struct imap_frame *f)
{
    f->left = f->literal_bytes;
}

void imap_frame_refuse(struct imap_frame *f)
{
    if (f->literal_sync) {
        imap_frame_next(f); /* a client that was told NO sends neither the literal nor the rest */
        return;
    }
    f->left = f->literal_bytes;
    f->silent = true;
    buf_fini(&f->text);
}

void imap_frame_detach(struct imap_frame *f)
{
    imap_frame_next(f);
}

void imap_frame_next(struct imap_frame *f)
{
    buf_fini(&f->text);
    f->literals = 0;
    f->left = 0;
    f->cut = false;
    f->silent = false;
    f->tail_n = 0;
}

bool imap_frame_idle(const struct imap_frame *f)
{
    return f->text.len == 0 && f->left == 0 && !f->cut && !f->silent;
}
