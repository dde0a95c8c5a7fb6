#include "storage/backup/backup_restore.h"

#include "proto/base/mem.h"
#include "storage/backup/backup_entries.h"
#include "storage/backup/backup_shard.h"
#include "storage/directory/cluster.h"

#define ARENA_BYTES (1024 * 1024)

static enum err damaged(const struct backup_shard *x, enum err e, const char *what)
{
    enum err ignored = buf_printf(x->why, "%s: in the block at byte %llu: %s: %s", x->source.path,
                                  (unsigned long long)backup_reader_block_at(x->source.reader), what, err_text(e));
    (void)ignored; /* a courtesy: the error says enough */
    return e;
}

/* --- the base --- */

static enum err take_rows(struct backup_shard *x)
{
    struct slice block;
    enum err e;
    while ((e = backup_source_next(&x->source, &block, x->why)) == OK) {
        uint64_t n = 0;
        e = restore_rows(x->r, block, &n);
        if (e != OK) {
            return damaged(x, e, "rows that cannot be restored");
        }
        x->out->rows += n;
        x->out->bytes += block.n;
    }
    if (e != ERR_NOTFOUND) {
        return e;
    }
    const struct backup_end *end = backup_reader_end(x->source.reader);
    e = restore_base(x->r, end->index, end->term);
    return e == OK ? OK : damaged(x, e, "its end cannot be");
}

static enum err restore_file(struct backup_shard *x, const struct backup_entry *file,
                             enum err (*take)(struct backup_shard *x))
{
    enum err e = backup_source_open(x->cfg->dir, x->cfg->set, file, &x->source, x->why);
    if (e == OK) {
        e = take(x);
        backup_source_close(&x->source);
    }
    return e;
}

/* --- the log --- */

/* ERR_EXPIRED: this entry is too late, so are all that follow. Entries of commands have a time and a level; others
 * belong to the one after them. */
static enum err look_at_head(const struct backup_shard *x, const struct repl_entry *entry)
{
    struct entry_head head;
    struct slice op;
    if (entry->head.type != REPL_ENTRY_COMMAND || entry_decode(entry->head.data, &head, &op) != OK) {
        return OK; /* apply has its word on that */
    }
    if (x->cfg->until_ms != BACKUP_NOW && head.entry_ms > x->cfg->until_ms) {
        return ERR_EXPIRED;
    }
    return head.level <= LEVEL_NOW ? OK : damaged(x, ERR_UNSUPPORTED, "an entry of a later version of Pillarbox");
}

static enum err take_entry(void *ctx, const struct repl_entry *entry)
{
    struct backup_shard *x = ctx;
    enum err e = look_at_head(x, entry);
    if (e != OK) {
        return e;
    }
    e = restore_entry(x->r, entry);
    if (e != OK) {
        return damaged(x, e, "an entry that cannot be applied");
    }
    x->out->entries++;
    x->out->bytes += entry->head.data.n + entry->body.n;
    return OK;
}

static enum err take_log(struct backup_shard *x)
{
    struct slice block;
    enum err e;
    while ((e = backup_source_next(&x->source, &block, x->why)) == OK) {
        e = backup_entries_each(block, take_entry, x);
        if (e == ERR_PROTOCOL) {
            return damaged(x, ERR_CORRUPT, "not whole entries");
        }
        if (e != OK) {
            return e;
        }
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err take_logs(struct backup_shard *x, const struct backup_plan *plan)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < plan->n_logs; i++) {
        e = restore_file(x, plan->logs[i], take_log);
    }
    return e == ERR_EXPIRED ? OK : e;
}

/* --- the whole --- */

/* What rows mean is the cluster's level: a program that does not know it would read them wrongly. */
static enum err check_level(struct backup_shard *x, const struct store *s)
{
    struct dir_cluster cluster;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum err e = dir_cluster_get(s, &arena, &cluster);
    arena_fini(&arena);
    if (e == OK && cluster.level > LEVEL_NOW) {
        enum err ignored =
            buf_printf(x->why, "the cluster was at level %u of a later version of Pillarbox; this one knows %d",
                       cluster.level, LEVEL_NOW);
        (void)ignored; /* a courtesy */
        e = ERR_UNSUPPORTED;
    }
    x->out->level = e == OK ? (uint8_t)cluster.level : 0;
    return e;
}

static enum err empty_table(const struct store *s, enum directory_table table)
{
    struct key k;
    uint32_t budget = UINT32_MAX;
    bool done;
    dir_key(&k, s, table);
    return store_del_range(s, &k, &budget, &done);
}

/* The cluster that it came from goes on, or is gone: its nodes are none of the new one's, and no shard is pinned to
 * them. */
static enum err settle_directory(struct backup_shard *x)
{
    struct store s;
    enum err e = restore_txn(x->r, &s.t);
    restore_prefix(x->r, s.prefix);
    if (e == OK) {
        e = check_level(x, &s);
    }
    if (e == OK && x->cfg->new_cluster) {
        e = empty_table(&s, DIRECTORY_NODES);
        e = e == OK ? empty_table(&s, DIRECTORY_PINS) : e;
    }
    return e;
}

static enum err fill(struct backup_shard *x, const struct backup_plan *plan)
{
    enum err e = restore_file(x, plan->base, take_rows);
    if (e == OK) {
        e = take_logs(x, plan);
    }
    x->out->index = restore_index(x->r);
    if (e == OK && x->shard.v == 0) {
        e = settle_directory(x);
    }
    return e == OK ? restore_commit(x->r) : e;
}

static enum err machine_new(struct backup_shard *x, struct repl_fsm *out)
{
    const struct storage_fsm_config cfg = {.shard = x->shard, .dedupe_ms = x->cfg->dedupe_ms};
    enum err e = storage_fsm_new(&cfg, &x->fsm);
    if (e == OK) {
        storage_fsm_bind(x->fsm, out);
    }
    return e;
}

enum err backup_shard_fill(struct backup_shard *x)
{
    const struct restore_config cfg = {.kv = x->cfg->kv, .shard = x->shard, .node = x->cfg->node};
    struct backup_plan plan;
    struct repl_fsm fsm;
    memset(x->out, 0, sizeof(*x->out));
    enum err e = backup_set_plan(x->cfg->set, x->shard, x->cfg->until_ms, &plan, x->why);
    if (e != OK) {
        return e;
    }
    e = machine_new(x, &fsm);
    if (e == OK) {
        e = restore_begin(&cfg, &fsm, &x->r);
    }
    if (e == OK) {
        restore_prefix(x->r, x->out->prefix);
        storage_fsm_set_prefix(x->fsm, x->out->prefix);
        e = fill(x, &plan);
    }
    mem_free(plan.logs);
    return e;
}

enum err backup_shard_end(struct backup_shard *x)
{
    return restore_end(x->r, backup_set_index_max(x->cfg->set, x->shard) + BACKUP_INDEX_GAP);
}

void backup_shard_fini(struct backup_shard *x)
{
    restore_free(x->r);
    storage_fsm_free(x->fsm);
}

enum err backup_restore_shard(const struct backup_restore_config *cfg, struct shard_id shard,
                              struct backup_restored *out, struct buf *why)
{
    struct backup_shard x = {.cfg = cfg, .shard = shard, .out = out, .why = why};
    enum err e = backup_shard_fill(&x);
    if (e == OK) {
        e = backup_shard_end(&x);
    }
    backup_shard_fini(&x);
    return e;
}
