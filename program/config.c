#include "program/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "program/config_keys.h"
#include "proto/base/assert.h"
#include "proto/base/bytes.h"

#define PROBLEMS_MAX 20
#define FILE_BYTES_MAX (1024 * 1024)

struct loader {
    struct config *c;
    struct buf *why;
    unsigned problems;
    size_t *lines; /* where the file has each key; 0: nowhere yet */
};

static const struct config_key *key_find(const char *name)
{
    for (size_t i = 0; i < config_keys_n; i++) {
        if (strcmp(config_keys[i].key, name) == 0) {
            return &config_keys[i];
        }
    }
    return NULL;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1}, {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}, {NULL, 0}};
static const struct unit time_units[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
                                         {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

/* "64 MiB", "30s": digits, blanks, a unit of the table. */
static bool number_with_unit(const char *text, const struct unit *units, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t v;
    if (slice_u64(slice_make(text, digits), &v) != OK) {
        return false;
    }
    const char *name = text + digits + strspn(text + digits, " ");
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (strcmp(u->name, name) == 0 && v <= UINT64_MAX / u->factor) {
            *out = v * u->factor;
            return true;
        }
    }
    return v == 0 && *name == '\0' ? (*out = 0, true) : false;
}

enum err config_bytes_parse(const char *text, uint64_t *out)
{
    return number_with_unit(text, byte_units, out) ? OK : ERR_INVAL;
}

enum err config_ms_parse(const char *text, uint64_t *out)
{
    return number_with_unit(text, time_units, out) ? OK : ERR_INVAL;
}

static bool choice_allowed(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; n > 0; p++) {
        size_t w = strcspn(p, "|");
        if (w == n && memcmp(p, text, n) == 0) {
            return true;
        }
        p += w;
        if (*p == '\0') {
            break;
        }
    }
    return false;
}

/* A number as a person writes it, with the largest unit that divides it. */
static void number_text(enum config_kind kind, uint64_t v, char *out, size_t n)
{
    const struct unit *units = kind == CONFIG_BYTES ? byte_units : time_units;
    const struct unit *best = NULL;
    for (const struct unit *u = units; kind != CONFIG_U64 && u->name != NULL; u++) {
        if (v % u->factor == 0 && v > 0) {
            best = u;
        }
    }
    if (best == NULL || best->name[0] == '\0') {
        snprintf(out, n, "%llu%s", (unsigned long long)v, kind == CONFIG_MS ? " ms" : "");
    } else {
        snprintf(out, n, "%llu %s", (unsigned long long)(v / best->factor), best->name);
    }
}

static void allowed_text(const struct config_key *k, char *out, size_t n)
{
    char lo[40];
    char hi[40];
    switch (k->kind) {
    case CONFIG_STR:
        snprintf(out, n, "text");
        break;
    case CONFIG_BOOL:
        snprintf(out, n, "true or false");
        break;
    case CONFIG_ENUM:
        snprintf(out, n, "one of %s", k->choices);
        break;
    case CONFIG_U64:
    case CONFIG_BYTES:
    case CONFIG_MS:
        number_text(k->kind, k->min, lo, sizeof(lo));
        number_text(k->kind, k->max, hi, sizeof(hi));
        snprintf(out, n, "%s to %s%s", lo, hi,
                 k->kind == CONFIG_BYTES ? " (units B KiB MiB GiB TiB)"
                 : k->kind == CONFIG_MS  ? " (units ms s min h d)"
                                         : "");
        break;
    }
}

static void problem(struct loader *l, const char *where, const char *text)
{
    if (l->problems++ < PROBLEMS_MAX) {
        enum err e = buf_printf(l->why, "%s: %s\n", where, text);
        (void)e; /* a full report buffer cuts the report, not the refusal */
    }
}

static void *field(struct config *c, const struct config_key *k)
{
    return (char *)c + k->offset;
}

static bool value_set(struct config *c, const struct config_key *k, const char *text)
{
    uint64_t v = 0;
    switch (k->kind) {
    case CONFIG_ENUM:
        if (!choice_allowed(k->choices, text)) {
            return false;
        }
        /* fall through */
    case CONFIG_STR: {
        char *copy = arena_strdup(&c->arena, text);
        if (copy == NULL) {
            return false;
        }
        *(const char **)field(c, k) = copy;
        return true;
    }
    case CONFIG_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            return false;
        }
        *(bool *)field(c, k) = strcmp(text, "true") == 0;
        return true;
    case CONFIG_U64:
        if (slice_u64(slice_str(text), &v) != OK) {
            return false;
        }
        break;
    case CONFIG_BYTES:
        if (!number_with_unit(text, byte_units, &v)) {
            return false;
        }
        break;
    case CONFIG_MS:
        if (!number_with_unit(text, time_units, &v)) {
            return false;
        }
        break;
    }
    if (v < k->min || v > k->max) {
        return false;
    }
    *(uint64_t *)field(c, k) = v;
    return true;
}

static void assign(struct loader *l, const char *where, const char *key, const char *value)
{
    char text[600];
    char allowed[200];
    const struct config_key *k = key_find(key);
    if (k == NULL) {
        snprintf(text, sizeof(text), "unknown key '%.200s' (`pillarbox config` prints all keys)", key);
        problem(l, where, text);
        return;
    }
    if (!value_set(l->c, k, value)) {
        allowed_text(k, allowed, sizeof(allowed));
        snprintf(text, sizeof(text), "bad value '%.200s' for %s: allowed is %s", value, key, allowed);
        problem(l, where, text);
    }
}

/* --- the file: nested mappings of scalars, flattened with dots --- */

#define YAML_DEPTH_MAX 4

struct yaml_walk {
    char path[256];
    size_t ends[YAML_DEPTH_MAX + 1]; /* length of path at each open mapping */
    unsigned depth;
    bool have_key;
};

static void walk_where(char *out, size_t n, const char *file, const yaml_event_t *ev)
{
    snprintf(out, n, "%s:%zu", file, ev->start_mark.line + 1);
}

/* A key that stands twice: one of the two would be ignored, and nobody would know which. */
static void duplicate_refuse(struct loader *l, const char *where, const char *key, size_t line)
{
    const struct config_key *k = key_find(key);
    char text[400];
    if (k == NULL) {
        return;
    }
    size_t *first = &l->lines[k - config_keys];
    if (*first != 0) {
        snprintf(text, sizeof(text), "%.200s stands twice, first in line %zu", key, *first);
        problem(l, where, text);
    } else {
        *first = line;
    }
}

static void walk_scalar(struct loader *l, struct yaml_walk *w, const char *where, const yaml_event_t *ev)
{
    const char *text = (const char *)ev->data.scalar.value;
    size_t base = w->ends[w->depth];
    if (w->depth == 0) {
        problem(l, where, "the file must be a mapping of keys to values");
        return;
    }
    if (!w->have_key) {
        snprintf(w->path + base, sizeof(w->path) - base, "%s%s", base > 0 ? "." : "", text);
        w->have_key = true;
        return;
    }
    duplicate_refuse(l, where, w->path, ev->start_mark.line + 1);
    assign(l, where, w->path, text);
    w->have_key = false;
}

/* False when the walk cannot go on. */
static bool walk_event(struct loader *l, struct yaml_walk *w, const char *where, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        walk_scalar(l, w, where, ev);
        return true;
    case YAML_MAPPING_START_EVENT:
        if (w->depth == YAML_DEPTH_MAX || (w->depth > 0 && !w->have_key)) {
            problem(l, where, "nested too deep");
            return false;
        }
        w->depth++;
        w->ends[w->depth] = w->depth == 1 ? 0 : strlen(w->path);
        w->have_key = false;
        return true;
    case YAML_MAPPING_END_EVENT:
        w->depth--;
        w->have_key = false;
        return true;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_ALIAS_EVENT:
        problem(l, where, "lists and aliases are not used here; separate several values by commas");
        return false;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return true;
    }
    return true;
}

static void file_walk(struct loader *l, const char *file, yaml_parser_t *parser)
{
    struct yaml_walk w = {0};
    char where[512];
    bool more = true;
    while (more) {
        yaml_event_t ev;
        if (!yaml_parser_parse(parser, &ev)) {
            snprintf(where, sizeof(where), "%s:%zu", file, parser->problem_mark.line + 1);
            problem(l, where, parser->problem != NULL ? parser->problem : "not YAML");
            return;
        }
        walk_where(where, sizeof(where), file, &ev);
        more = walk_event(l, &w, where, &ev) && ev.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
    }
}

static enum err file_load(struct loader *l, const char *file)
{
    FILE *f = fopen(file, "re");
    if (f == NULL) {
        problem(l, file, strerror(errno));
        return ERR_IO;
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return ERR_NOMEM;
    }
    yaml_parser_set_input_file(&parser, f);
    file_walk(l, file, &parser);
    yaml_parser_delete(&parser);
    fclose(f);
    return OK;
}

static void env_name(const char *key, char *out, size_t n)
{
    size_t at = (size_t)snprintf(out, n, "PILLARBOX_");
    for (; *key != '\0' && at + 1 < n; key++) {
        out[at++] = *key == '.' ? '_' : (char)ascii_upper((uint8_t)*key);
    }
    out[at] = '\0';
}

static void env_load(struct loader *l)
{
    char name[128];
    for (size_t i = 0; i < config_keys_n; i++) {
        env_name(config_keys[i].key, name, sizeof(name));
        const char *v = getenv(name);
        if (v != NULL) {
            char where[160];
            snprintf(where, sizeof(where), "environment %s", name);
            assign(l, where, config_keys[i].key, v);
        }
    }
}

static void sets_load(struct loader *l, const struct config_override *sets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *eq = strchr(sets[i].assignment, '=');
        char key[256];
        if (eq == NULL || (size_t)(eq - sets[i].assignment) >= sizeof(key)) {
            problem(l, "--set", "expected key=value");
            continue;
        }
        snprintf(key, sizeof(key), "%.*s", (int)(eq - sets[i].assignment), sets[i].assignment);
        assign(l, "--set", key, eq + 1);
    }
}

enum err config_load(struct config *c, const char *file, const struct config_override *sets, size_t n_sets,
                     struct buf *why)
{
    memset(c, 0, sizeof(*c));
    arena_init(&c->arena, FILE_BYTES_MAX);
    struct loader l = {.c = c, .why = why, .lines = arena_zalloc(&c->arena, config_keys_n * sizeof(size_t))};
    if (l.lines == NULL) {
        config_fini(c);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < config_keys_n; i++) {
        bool good = value_set(c, &config_keys[i], config_keys[i].fallback);
        ASSERT(good);
    }
    enum err e = file == NULL ? OK : file_load(&l, file);
    if (e == OK) {
        env_load(&l);
        sets_load(&l, sets, n_sets);
    }
    if (e != OK || l.problems > 0) {
        config_fini(c);
        return e != OK ? e : ERR_INVAL;
    }
    return OK;
}

void config_fini(struct config *c)
{
    arena_fini(&c->arena);
}

/* A YAML double-quoted scalar (YAML 1.1, 5.7). */
static enum err text_print(const char *text, struct buf *out)
{
    enum err e = buf_append_u8(out, '"');
    for (const char *p = text; e == OK && *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            e = buf_printf(out, "\\%c", *p);
        } else if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            e = buf_printf(out, "\\x%02x", (unsigned)(unsigned char)*p);
        } else {
            e = buf_append_u8(out, (uint8_t)*p);
        }
    }
    return e == OK ? buf_append_u8(out, '"') : e;
}

static enum err value_print(const struct config *c, const struct config_key *k, struct buf *out)
{
    const void *p = (const char *)c + k->offset;
    char text[64];
    switch (k->kind) {
    case CONFIG_STR:
        return text_print(*(const char *const *)p, out);
    case CONFIG_ENUM:
        return buf_printf(out, "%s", *(const char *const *)p);
    case CONFIG_BOOL:
        return buf_printf(out, "%s", *(const bool *)p ? "true" : "false");
    case CONFIG_U64:
    case CONFIG_BYTES:
    case CONFIG_MS:
        number_text(k->kind, *(const uint64_t *)p, text, sizeof(text));
        return buf_printf(out, "%s", text);
    }
    return ERR_INVAL;
}

enum err config_print(const struct config *c, struct buf *out)
{
    char env[128];
    char allowed[200];
    for (size_t i = 0; i < config_keys_n; i++) {
        const struct config_key *k = &config_keys[i];
        env_name(k->key, env, sizeof(env));
        allowed_text(k, allowed, sizeof(allowed));
        enum err e = buf_printf(out, "%s# %s\n# Allowed: %s. Default: %s. Environment: %s\n%s: ", i == 0 ? "" : "\n",
                                k->doc, allowed, k->fallback[0] != '\0' ? k->fallback : "empty", env, k->key);
        if (e == OK) {
            e = value_print(c, k, out);
        }
        if (e == OK) {
            e = buf_append_u8(out, '\n');
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}
