#include "storage/backup/backup_set.h"

#include <stdio.h>

#include "proto/base/hash.h"
#include "proto/base/mem.h"

void backup_set_init(struct backup_set *s)
{
    memset(s, 0, sizeof(*s));
}

void backup_set_fini(struct backup_set *s)
{
    mem_free(s->files);
    backup_set_init(s);
}

enum err backup_set_add(struct backup_set *s, const struct backup_entry *f)
{
    if (s->n == s->capacity) {
        size_t capacity = s->capacity == 0 ? 64 : 2 * s->capacity;
        struct backup_entry *bigger = mem_realloc(s->files, capacity * sizeof(*bigger));
        if (bigger == NULL) {
            return ERR_NOMEM;
        }
        s->files = bigger;
        s->capacity = capacity;
    }
    s->files[s->n++] = *f;
    return OK;
}

/* --- what it knows --- */

const struct backup_entry *backup_set_tip(const struct backup_set *s, struct shard_id shard)
{
    for (size_t i = s->n; i > 0; i--) {
        if (s->files[i - 1].shard.v == shard.v) {
            return &s->files[i - 1];
        }
    }
    return NULL;
}

void backup_set_name(const struct backup_set *s, enum backup_kind kind, struct shard_id shard,
                     char out[BACKUP_NAME_BYTES_MAX + 1])
{
    snprintf(out, BACKUP_NAME_BYTES_MAX + 1, "%05u-%08zu.%s", shard.v, s->n + 1, kind == BACKUP_BASE ? "base" : "log");
}

uint64_t backup_set_index_max(const struct backup_set *s, struct shard_id shard)
{
    uint64_t max = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->files[i].shard.v == shard.v && s->files[i].index > max) {
            max = s->files[i].index;
        }
    }
    return max;
}

static enum err explain_time(struct buf *why, struct shard_id shard, const char *what, uint64_t wall_ms)
{
    char text[BACKUP_TIME_BYTES];
    backup_time_text(wall_ms, text);
    enum err ignored = buf_printf(why, "shard %u: %s %s", shard.v, what, text);
    (void)ignored; /* a courtesy: the error says enough */
    return ERR_INVAL;
}

/* The latest base that is not after until_ms; *out_first: the earliest of all. */
static const struct backup_entry *find_base(const struct backup_set *s, struct shard_id shard, uint64_t until_ms,
                                            const struct backup_entry **out_first)
{
    const struct backup_entry *base = NULL;
    *out_first = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const struct backup_entry *f = &s->files[i];
        if (f->shard.v != shard.v || f->kind != BACKUP_BASE) {
            continue;
        }
        *out_first = *out_first == NULL ? f : *out_first;
        base = f->wall_ms <= until_ms ? f : base;
    }
    return base;
}

enum err backup_set_plan(const struct backup_set *s, struct shard_id shard, uint64_t until_ms, struct backup_plan *out,
                         struct buf *why)
{
    const struct backup_entry *first;
    const struct backup_entry *base = find_base(s, shard, until_ms, &first);
    if (first == NULL) {
        enum err ignored = buf_printf(why, "shard %u: the backup has nothing of it", shard.v);
        (void)ignored; /* a courtesy */
        return ERR_NOTFOUND;
    }
    if (base == NULL) {
        return explain_time(why, shard, "the earliest time that the backup reaches back to is", first->wall_ms);
    }
    const struct backup_entry *tip = base;
    struct backup_plan p = {.base = base, .logs = mem_calloc(s->n, sizeof(const struct backup_entry *))};
    if (p.logs == NULL) {
        return ERR_NOMEM;
    }
    for (const struct backup_entry *f = base + 1; f < s->files + s->n; f++) {
        if (f->shard.v == shard.v && f->kind == BACKUP_BASE) {
            break;
        }
        if (f->shard.v == shard.v && (tip == base || tip->wall_ms < until_ms)) {
            p.logs[p.n_logs++] = f;
            tip = f;
        }
    }
    if (until_ms != BACKUP_NOW && tip->wall_ms < until_ms) {
        mem_free(p.logs);
        return explain_time(why, shard, "the backup reaches up to", tip->wall_ms);
    }
    *out = p;
    return OK;
}
