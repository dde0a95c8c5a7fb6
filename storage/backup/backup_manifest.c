/* The manifest as text. */
#include "proto/base/hash.h"
#include "storage/backup/backup_set.h"

#define VERSION_LINE "pillarbox-backup"

static const char *kind_name(enum backup_kind kind)
{
    return kind == BACKUP_BASE ? "base" : "log";
}

static enum err print_file(const struct backup_entry *f, struct buf *out)
{
    return buf_printf(out, "file %s %s %u %llu %llu %llu %llu %llu %u\n", f->name, kind_name(f->kind), f->shard.v,
                      (unsigned long long)f->first, (unsigned long long)f->index, (unsigned long long)f->term,
                      (unsigned long long)f->wall_ms, (unsigned long long)f->bytes, f->crc);
}

enum err backup_set_print(const struct backup_set *s, struct buf *out)
{
    char hex[33];
    u128_hex(&s->cluster, hex);
    buf_reset(out);
    enum err e =
        buf_printf(out, "%s %d\ncluster %s\nshards %u\n", VERSION_LINE, BACKUP_MANIFEST_VERSION, hex, s->shards);
    for (size_t i = 0; e == OK && i < s->n; i++) {
        e = print_file(&s->files[i], out);
    }
    struct slice text = buf_slice(out);
    return e == OK ? buf_printf(out, "end %zu %u\n", s->n, crc32c(0, text.p, text.n)) : e;
}

/* --- parsing --- */

struct parsing {
    const char *name;
    struct slice text;
    size_t at;
    unsigned line;
    struct buf *why;
};

static enum err damaged(const struct parsing *p, const char *what)
{
    enum err ignored = buf_printf(p->why, "%s: line %u: %s", p->name, p->line, what);
    (void)ignored; /* a courtesy: the error says enough */
    return ERR_CORRUPT;
}

/* The next line without its end, which it must have. */
static bool next_line(struct parsing *p, struct slice *out)
{
    struct slice rest = slice_sub(p->text, p->at, p->text.n);
    size_t n = slice_find(rest, '\n');
    p->line++;
    if (n == rest.n) {
        return false;
    }
    *out = slice_sub(rest, 0, n);
    p->at += n + 1;
    return true;
}

/* The next word of a line; single spaces. */
static struct slice word(struct slice *line)
{
    size_t n = slice_find(*line, ' ');
    struct slice w = slice_sub(*line, 0, n);
    *line = slice_sub(*line, n + 1, line->n);
    return w;
}

static bool number(struct slice *line, uint64_t max, uint64_t *out)
{
    return slice_u64(word(line), out) == OK && *out <= max;
}

static bool parse_name(struct slice w, char out[BACKUP_NAME_BYTES_MAX + 1])
{
    if (w.n == 0 || w.n > BACKUP_NAME_BYTES_MAX || w.p[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < w.n; i++) {
        uint8_t c = w.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.')) {
            return false;
        }
    }
    memcpy(out, w.p, w.n);
    out[w.n] = '\0';
    return true;
}

static bool parse_kind(struct slice w, enum backup_kind *out)
{
    *out = slice_eq_str(w, kind_name(BACKUP_BASE)) ? BACKUP_BASE : BACKUP_LOG;
    return *out == BACKUP_BASE || slice_eq_str(w, kind_name(BACKUP_LOG));
}

static bool parse_fields(struct slice line, uint32_t shards, struct backup_entry *f)
{
    uint64_t shard;
    uint64_t crc;
    if (!parse_name(word(&line), f->name) || !parse_kind(word(&line), &f->kind) || !number(&line, shards, &shard) ||
        !number(&line, UINT64_MAX, &f->first) || !number(&line, UINT64_MAX, &f->index) ||
        !number(&line, UINT64_MAX, &f->term) || !number(&line, UINT64_MAX, &f->wall_ms) ||
        !number(&line, UINT64_MAX, &f->bytes) || !number(&line, UINT32_MAX, &crc) || line.n != 0) {
        return false;
    }
    f->shard.v = (uint32_t)shard;
    f->crc = (uint32_t)crc;
    return f->kind == BACKUP_BASE ? f->first == 0 : f->first >= 2 && f->index + 1 >= f->first;
}

static enum err parse_file(struct parsing *p, struct slice line, struct backup_set *s)
{
    struct backup_entry f;
    memset(&f, 0, sizeof(f));
    if (!parse_fields(line, s->shards, &f)) {
        return damaged(p, "not what a file line looks like");
    }
    const struct backup_entry *before = backup_set_tip(s, f.shard);
    if (f.kind == BACKUP_LOG && (before == NULL || f.first != before->index + 1)) {
        return damaged(p, "a log that does not go on where the one before ends");
    }
    return backup_set_add(s, &f);
}

static enum err parse_head(struct parsing *p, struct backup_set *s)
{
    struct slice line = {NULL, 0};
    uint64_t version;
    uint64_t shards;
    if (!next_line(p, &line) || !slice_eq_str(word(&line), VERSION_LINE) || !number(&line, UINT32_MAX, &version)) {
        return damaged(p, "this is no backup's manifest");
    }
    if (version != BACKUP_MANIFEST_VERSION) {
        (void)damaged(p, "written by another version of Pillarbox");
        return ERR_UNSUPPORTED;
    }
    if (!next_line(p, &line) || !slice_eq_str(word(&line), "cluster") || u128_from_hex(line, &s->cluster) != OK) {
        return damaged(p, "the cluster's id is expected");
    }
    if (!next_line(p, &line) || !slice_eq_str(word(&line), "shards") || !number(&line, UINT16_MAX, &shards) ||
        shards == 0 || line.n != 0) {
        return damaged(p, "the number of shards is expected");
    }
    s->shards = (uint32_t)shards;
    return OK;
}

static enum err parse_end(struct parsing *p, struct slice line, uint32_t crc, const struct backup_set *s)
{
    uint64_t n;
    uint64_t said;
    if (!number(&line, UINT64_MAX, &n) || !number(&line, UINT32_MAX, &said) || line.n != 0 || n != s->n ||
        said != crc) {
        return damaged(p, "the manifest is damaged: its checksum is wrong");
    }
    return p->at == p->text.n ? OK : damaged(p, "something follows the end");
}

static enum err parse(struct parsing *p, struct backup_set *s)
{
    enum err e = parse_head(p, s);
    while (e == OK) {
        struct slice line;
        size_t at = p->at;
        if (!next_line(p, &line)) {
            return damaged(p, "the manifest is cut short");
        }
        struct slice kind = word(&line);
        if (slice_eq_str(kind, "end")) {
            return parse_end(p, line, crc32c(0, p->text.p, at), s);
        }
        e = slice_eq_str(kind, "file") ? parse_file(p, line, s) : damaged(p, "not a file's line");
    }
    return e;
}

enum err backup_set_parse(const char *name, struct slice text, struct backup_set *s, struct buf *why)
{
    struct parsing p = {.name = name, .text = text, .why = why};
    backup_set_init(s);
    enum err e = parse(&p, s);
    if (e != OK) {
        backup_set_fini(s);
    }
    return e;
}
