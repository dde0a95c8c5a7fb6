#include "proto/message/thread.h"

#include "proto/base/hash.h"
#include "proto/message/message.h"

#define ID_BYTES_MAX 512
#define SUBJECT_BYTES_MAX 2048
/* Decoding can make a byte three (U+FFFD), casemapping a character many. */
#define SUBJECT_GROWTH_MAX 64

static uint64_t hash_id(struct slice id)
{
    uint8_t kept[ID_BYTES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < id.n && n < sizeof(kept); i++) {
        if (!msg_is_space(id.p[i])) {
            kept[n++] = id.p[i];
        }
    }
    return n == 0 ? 0 : hash_stable(kept, n);
}

uint64_t msg_id_hash(struct slice value)
{
    if (value.p == NULL) {
        return 0;
    }
    size_t from = slice_find(value, '<');
    if (from == value.n) {
        return hash_id(value);
    }
    struct slice id = slice_sub(value, from + 1, value.n);
    return hash_id(slice_sub(id, 0, slice_find(id, '>')));
}

struct id_set {
    uint64_t *hashes;
    size_t n;
};

static void add_once(struct id_set *set, uint64_t hash)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->hashes[i] == hash) {
            return;
        }
    }
    if (hash != 0 && set->n < MSG_REFERENCES_MAX) {
        set->hashes[set->n++] = hash;
    }
}

static void add_forwards(struct id_set *set, struct slice v)
{
    while (v.n > 0 && set->n < MSG_REFERENCES_MAX) {
        size_t from = slice_find(v, '<');
        if (from == v.n) {
            return;
        }
        v = slice_sub(v, from + 1, v.n);
        size_t to = slice_find(v, '>');
        add_once(set, hash_id(slice_sub(v, 0, to)));
        v = slice_sub(v, to, v.n);
    }
}

/* The last ids name the nearest ancestors. */
static void add_backwards(struct id_set *set, struct slice v)
{
    while (v.n > 0 && set->n < MSG_REFERENCES_MAX) {
        const uint8_t *open = memrchr(v.p, '<', v.n);
        if (open == NULL) {
            return;
        }
        size_t at = (size_t)(open - v.p);
        struct slice id = slice_sub(v, at + 1, v.n);
        size_t close = slice_find(id, '>');
        if (close < id.n) {
            add_once(set, hash_id(slice_sub(id, 0, close)));
        }
        v.n = at;
    }
}

size_t msg_references(const struct msg_fields *f, uint64_t out[MSG_REFERENCES_MAX])
{
    struct id_set set = {out, 0};
    if (f->value[MSG_FIELD_IN_REPLY_TO].p != NULL) {
        add_forwards(&set, f->value[MSG_FIELD_IN_REPLY_TO]);
    }
    if (f->value[MSG_FIELD_REFERENCES].p != NULL) {
        add_backwards(&set, f->value[MSG_FIELD_REFERENCES]);
    }
    return set.n;
}

static void trim_front(struct slice *s, size_t n)
{
    *s = slice_sub(*s, n, s->n);
}

/* subj-trailer = "(fwd)" / WSP */
static void strip_trailers(struct slice *s)
{
    for (;;) {
        if (s->n > 0 && s->p[s->n - 1] == ' ') {
            s->n--;
        } else if (s->n >= 5 && slice_ieq_str(slice_sub(*s, s->n - 5, s->n), "(fwd)")) {
            s->n -= 5;
        } else {
            return;
        }
    }
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP ; BLOBCHAR: not "[" or "]". Bytes of a blob at the front, or 0. */
static size_t blob_bytes(struct slice s)
{
    size_t i = 1;
    if (s.n == 0 || s.p[0] != '[') {
        return 0;
    }
    while (i < s.n && s.p[i] != '[' && s.p[i] != ']') {
        i++;
    }
    if (i == s.n || s.p[i] != ']') {
        return 0;
    }
    i++;
    while (i < s.n && s.p[i] == ' ') {
        i++;
    }
    return i;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static size_t refwd_bytes(struct slice s)
{
    size_t i = slice_istarts_with(s, "fwd") ? 3 : slice_istarts_with(s, "re") || slice_istarts_with(s, "fw") ? 2 : 0;
    if (i == 0) {
        return 0;
    }
    while (i < s.n && s.p[i] == ' ') {
        i++;
    }
    i += blob_bytes(slice_sub(s, i, s.n));
    return i < s.n && s.p[i] == ':' ? i + 1 : 0;
}

/* subj-leader = (*subj-blob subj-refwd) / WSP */
static bool strip_leader(struct slice *s)
{
    if (s->n > 0 && s->p[0] == ' ') {
        trim_front(s, 1);
        return true;
    }
    size_t at = 0;
    for (size_t blob = 1; blob > 0; at += blob) {
        size_t refwd = refwd_bytes(slice_sub(*s, at, s->n));
        if (refwd > 0) {
            trim_front(s, at + refwd);
            return true;
        }
        blob = blob_bytes(slice_sub(*s, at, s->n));
    }
    return false;
}

static bool strip_blob(struct slice *s)
{
    size_t n = blob_bytes(*s);
    if (n == 0 || n == s->n) {
        return false;
    }
    trim_front(s, n);
    return true;
}

struct slice msg_subject_base(struct slice s)
{
    for (;;) {
        strip_trailers(&s);
        while (strip_leader(&s) || strip_blob(&s)) {
        }
        /* subj-fwd = "[fwd:" subject "]" */
        if (s.n < 6 || !slice_istarts_with(s, "[fwd:") || s.p[s.n - 1] != ']') {
            return s;
        }
        s = slice_sub(s, 5, s.n - 1);
    }
}

/* Each run of white space and controls becomes a space, in place. */
static struct slice collapse(struct buf *b)
{
    uint8_t *p = b->base + b->off;
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++) {
        uint8_t c = p[i] <= ' ' ? ' ' : p[i];
        if (c != ' ' || n == 0 || p[n - 1] != ' ') {
            p[n++] = c;
        }
    }
    return slice_make(p, n);
}

enum err msg_subject_hash(struct slice value, uint64_t *out_hash)
{
    *out_hash = 0;
    if (value.p == NULL) {
        return OK;
    }
    value = msg_trim(slice_sub(value, 0, SUBJECT_BYTES_MAX));
    struct buf text;
    struct buf folded;
    buf_init(&text, SUBJECT_BYTES_MAX * SUBJECT_GROWTH_MAX);
    buf_init(&folded, SUBJECT_BYTES_MAX * SUBJECT_GROWTH_MAX);
    enum err e = msg_header_decode(value, &text);
    if (e == OK && text.len > 0) {
        e = msg_casemap(msg_subject_base(collapse(&text)), &folded);
    }
    if (e == OK && folded.len > 0) {
        *out_hash = hash_stable(buf_slice(&folded).p, folded.len);
    }
    buf_fini(&folded);
    buf_fini(&text);
    return e == ERR_LIMIT ? OK : e;
}
