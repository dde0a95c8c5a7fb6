#include "proto/message/message.h"

#include <utf8proc.h>

/* The longest full decomposition in Unicode has 18 code points. */
#define DECOMPOSED_MAX 32
#define UTF8_BYTES_MAX 4
/* Output is written in steps, so that a reserve is made for each of them and not for each character. */
#define STEP_BYTES 256

/* RFC 5051, 2: simple titlecase mapping, then the full decomposition with the tags ignored. */
static size_t map_char(utf8proc_int32_t c, uint8_t *to)
{
    utf8proc_int32_t parts[DECOMPOSED_MAX];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(utf8proc_totitle(c), parts, DECOMPOSED_MAX,
                                                 UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
    size_t bytes = 0;
    for (utf8proc_ssize_t i = 0; i < n && i < DECOMPOSED_MAX; i++) {
        bytes += (size_t)utf8proc_encode_char(parts[i], to + bytes);
    }
    return bytes;
}

/* One character of the input, mapped; *io_i moves behind it. A byte that is no UTF-8 is U+FFFD. */
static size_t map_next(struct slice s, size_t *io_i, uint8_t *to)
{
    uint8_t b = s.p[*io_i];
    if (b < 0x80) {
        (*io_i)++;
        *to = ascii_upper(b);
        return 1;
    }
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate(s.p + *io_i, (utf8proc_ssize_t)(s.n - *io_i), &c);
    *io_i += n <= 0 ? 1 : (size_t)n;
    return map_char(n <= 0 ? 0xfffd : c, to);
}

static enum err casemap(struct slice utf8, struct buf *out)
{
    size_t i = 0;
    while (i < utf8.n) {
        uint8_t step[STEP_BYTES + DECOMPOSED_MAX * UTF8_BYTES_MAX];
        size_t n = 0;
        while (i < utf8.n && n < STEP_BYTES) {
            n += map_next(utf8, &i, step + n);
        }
        enum err e = buf_append(out, step, n);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

enum err msg_casemap(struct slice utf8, struct buf *out)
{
    size_t before = out->len;
    enum err e = casemap(utf8, out);
    if (e != OK) {
        buf_truncate(out, before);
    }
    return e;
}
