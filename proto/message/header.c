#include "proto/message/field.h"
#include "proto/message/lex.h"
#include "proto/message/message.h"

/* End of the field that starts at p: after the line end that no white space follows. */
static const uint8_t *field_end(const uint8_t *p, const uint8_t *end)
{
    for (;;) {
        const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
        if (lf == NULL) {
            return end;
        }
        p = lf + 1;
        if (p == end || (*p != ' ' && *p != '\t')) {
            return p;
        }
    }
}

/* field-name = 1*ftext ; ftext = %d33-57 / %d59-126, and the white space before ":" of RFC 5322, 4.5. Gives the
 * position of the colon, or 0 when the line is no field. */
static size_t find_colon(struct slice line, size_t *out_name_bytes)
{
    size_t i = 0;
    while (i < line.n && line.p[i] > ' ' && line.p[i] != ':' && line.p[i] != 127) {
        i++;
    }
    *out_name_bytes = i;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t')) {
        i++;
    }
    return *out_name_bytes > 0 && i < line.n && line.p[i] == ':' ? i : 0;
}

static size_t line_end_bytes(struct slice line)
{
    if (line.n == 0 || line.p[line.n - 1] != '\n') {
        return 0;
    }
    return line.n > 1 && line.p[line.n - 2] == '\r' ? 2 : 1;
}

static bool at_empty_line(struct slice s)
{
    return s.n == 0 || s.p[0] == '\n' || (s.p[0] == '\r' && s.n > 1 && s.p[1] == '\n');
}

bool msg_header_next(struct slice *io_rest, struct slice *out_name, struct slice *out_value, struct slice *out_line)
{
    if (at_empty_line(*io_rest)) {
        return false;
    }
    const uint8_t *end = io_rest->p + io_rest->n;
    const uint8_t *next = field_end(io_rest->p, end);
    struct slice line = slice_make(io_rest->p, (size_t)(next - io_rest->p));
    size_t name_bytes;
    size_t colon = find_colon(line, &name_bytes);
    size_t eol = line_end_bytes(line);
    *out_line = line;
    if (colon == 0) {
        *out_name = slice_make(line.p, 0);
        *out_value = slice_sub(line, 0, line.n - eol);
    } else {
        *out_name = slice_sub(line, 0, name_bytes);
        *out_value = slice_sub(line, colon + 1, line.n - eol);
    }
    *io_rest = slice_make(next, (size_t)(end - next));
    return true;
}

static bool is_listed(struct slice name, const struct slice *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_ieq(name, names[i])) {
            return true;
        }
    }
    return false;
}

static enum err select_fields(struct slice block, const struct slice *names, size_t n, bool not_listed, struct buf *out)
{
    struct slice name;
    struct slice value;
    struct slice line;
    while (msg_header_next(&block, &name, &value, &line)) {
        if ((name.n > 0 && is_listed(name, names, n)) == not_listed) {
            continue;
        }
        enum err e = buf_append_slice(out, line);
        /* The last line of a cut or header-only message may lack its end, and the next one must not join it. */
        if (e == OK && line_end_bytes(line) == 0) {
            e = buf_append_str(out, "\r\n");
        }
        if (e != OK) {
            return e;
        }
    }
    return buf_append_str(out, "\r\n");
}

enum err msg_headers_select(struct slice header_block, const struct slice *names, size_t n, bool not_listed,
                            struct buf *out)
{
    size_t before = out->len;
    enum err e = select_fields(header_block, names, n, not_listed, out);
    if (e != OK) {
        buf_truncate(out, before);
    }
    return e;
}

bool msg_headers_kept(const struct slice *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (msg_field_find(names[i]) == MSG_FIELD_OTHER) {
            return false;
        }
    }
    return true;
}

bool msg_headers_cached(const struct msg_record *r, const struct slice *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum msg_field f = msg_field_find(names[i]);
        if (f == MSG_FIELD_OTHER || (r->headers_cut >> f & 1) != 0) {
            return false;
        }
    }
    return true;
}
