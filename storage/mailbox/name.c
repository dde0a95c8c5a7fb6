#include "storage/mailbox/name.h"

#include <utf8proc.h>

#include "proto/message/utf8.h"

static const char inbox[] = "INBOX";

static bool name_is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static bool name_utf8_valid(struct slice s)
{
    enum utf8_stop stop;
    return utf8_valid_bytes(s, &stop) == s.n;
}

static bool has_controls(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool c1 = s.p[i] == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0;
        if (s.p[i] < 0x20 || s.p[i] == 0x7f || c1) {
            return true;
        }
    }
    return false;
}

static enum err add_part(struct name_path *path, struct slice part)
{
    if (part.n == 0) {
        return ERR_INVAL;
    }
    if (part.n > NAME_COMPONENT_BYTES_MAX || path->n == NAME_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    if (path->n == 0 && slice_ieq_str(part, inbox)) {
        part = slice_str(inbox);
    }
    path->part[path->n++] = part;
    return OK;
}

enum err name_split(struct slice full, struct name_path *out)
{
    struct name_path path;
    path.n = 0;
    if (full.n > NAME_BYTES_MAX) {
        return ERR_LIMIT;
    }
    if (!name_utf8_valid(full) || has_controls(full)) {
        return ERR_INVAL;
    }
    struct slice rest = full;
    for (;;) {
        size_t slash = slice_find(rest, '/');
        enum err e = add_part(&path, slice_sub(rest, 0, slash));
        if (e != OK) {
            return e;
        }
        if (slash == rest.n) {
            *out = path;
            return OK;
        }
        rest = slice_sub(rest, slash + 1, rest.n);
    }
}

bool name_is_inbox(const struct name_path *p)
{
    return p->n == 1 && slice_eq_str(p->part[0], inbox);
}

enum err name_canonical(struct arena *a, struct slice full, struct slice *out)
{
    struct name_path path;
    enum err e = name_split(full, &path);
    if (e != OK) {
        return e;
    }
    uint8_t *copy = arena_dup(a, full.p, full.n);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    memcpy(copy, path.part[0].p, path.part[0].n); /* INBOX has one length in all spellings */
    *out = slice_make(copy, full.n);
    return OK;
}

/* utf8proc's own allocating calls use malloc; these two work in our memory. */
static enum err normalize(struct arena *a, struct slice in, utf8proc_option_t options, struct slice *out)
{
    utf8proc_ssize_t n = utf8proc_decompose(in.p, (utf8proc_ssize_t)in.n, NULL, 0, options);
    if (n < 0) {
        return ERR_INVAL;
    }
    utf8proc_int32_t *points = arena_calloc(a, (size_t)n + 1, sizeof(*points));
    if (points == NULL) {
        return ERR_NOMEM;
    }
    n = utf8proc_decompose(in.p, (utf8proc_ssize_t)in.n, points, n, options);
    if (n >= 0) {
        n = utf8proc_reencode(points, n, options);
    }
    if (n < 0) {
        return ERR_INVAL;
    }
    *out = slice_make(points, (size_t)n);
    return OK;
}

enum err name_to_nfc(struct arena *a, struct slice in, struct slice *out)
{
    if (name_is_ascii(in)) {
        *out = in;
        return OK;
    }
    if (!name_utf8_valid(in)) {
        return ERR_INVAL;
    }
    return normalize(a, in, UTF8PROC_STABLE | UTF8PROC_COMPOSE, out);
}

enum err name_check_nfc(struct arena *a, struct slice name)
{
    struct slice nfc;
    enum err e = name_to_nfc(a, name, &nfc);
    if (e != OK) {
        return e;
    }
    return slice_eq(nfc, name) ? OK : ERR_INVAL;
}

enum err name_casefold(struct arena *a, struct slice in, struct slice *out)
{
    if (!name_is_ascii(in)) {
        if (!name_utf8_valid(in)) {
            return ERR_INVAL;
        }
        return normalize(
            a, in, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE, out);
    }
    uint8_t *low = arena_alloc(a, in.n);
    if (low == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < in.n; i++) {
        low[i] = ascii_lower(in.p[i]);
    }
    *out = slice_make(low, in.n);
    return OK;
}
