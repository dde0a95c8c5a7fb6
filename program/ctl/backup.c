#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "program/config.h"
#include "program/ctl_backup.h"
#include "program/ctl_nodes.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

/* What was asked for. */
struct asked {
    bool incremental;
    bool one_shard;
    uint32_t shard;
    uint64_t node; /* 0: any */
    uint32_t shards;
    uint64_t *leaders; /* by shard; mem_free */
};

static int complain(struct backup_run *r, enum err e)
{
    struct slice why = buf_slice(&r->why);
    if (why.n == 0) {
        return ctl_fail("backup", r->dir, e);
    }
    fprintf(stderr, "pillarbox ctl: backup: %.*s\n", (int)why.n, (const char *)why.p);
    return 1;
}

static bool parse_shard(const char *text, struct asked *a)
{
    uint64_t n;
    if (text == NULL) {
        return true;
    }
    a->one_shard = slice_u64(slice_str(text), &n) == OK && n <= UINT16_MAX;
    a->shard = a->one_shard ? (uint32_t)n : 0;
    return a->one_shard;
}

static bool wanted(const struct asked *a, uint32_t shard)
{
    return (!a->one_shard || a->shard == shard) && (a->node == 0 || a->leaders[shard] == a->node);
}

/* The cluster that is there, and the directory's backup if there is one. */
static enum err open_set(struct backup_run *r, struct asked *a)
{
    const Pb__ReadMapResult *map;
    struct u128 cluster;
    enum err e = ctl_map(r->ctl, &map);
    if (e != OK) {
        return e;
    }
    if (map->cluster_id.len != sizeof(cluster.b) || map->n_leaders != (size_t)map->shards + 1) {
        return ERR_PROTOCOL;
    }
    memcpy(cluster.b, map->cluster_id.data, sizeof(cluster.b));
    a->shards = map->shards;
    a->leaders = mem_calloc(map->n_leaders, sizeof(*a->leaders));
    if (a->leaders == NULL) {
        return ERR_NOMEM;
    }
    memcpy(a->leaders, map->leaders, map->n_leaders * sizeof(*a->leaders));
    if (!a->incremental) {
        r->set->cluster = cluster;
        r->set->shards = map->shards;
        return r->stream ? OK : backup_dir_make(r->dir, &r->why);
    }
    e = backup_dir_load(r->dir, r->set, &r->why);
    if (e == OK && (!u128_eq(&r->set->cluster, &cluster) || r->set->shards != map->shards)) {
        enum err ignored = buf_printf(&r->why, "%s: a backup of another cluster", r->dir);
        (void)ignored; /* a courtesy */
        e = ERR_INVAL;
    }
    return e;
}

/* A log that does not reach back is no reason to have no backup. */
static enum err take_more(struct backup_run *r, struct shard_id shard)
{
    enum err e = ctl_backup_log(r, shard);
    if (e != ERR_NOTFOUND && e != ERR_STALE) {
        return e;
    }
    if (backup_set_tip(r->set, shard) != NULL) {
        fprintf(stderr, "shard %u: %s: a new base is taken\n", shard.v,
                e == ERR_STALE ? "its history is another one than the backup's"
                               : "its log does not reach back to the last backup");
    }
    return ctl_backup_base(r, shard);
}

/* Bases first, then what was written meanwhile, so that all shards end at nearly the same time. Where a log is too
 * short for that the base stands alone. */
static enum err take_all(struct backup_run *r, const struct asked *a)
{
    enum err e = OK;
    for (uint32_t i = 0; e == OK && i <= a->shards; i++) {
        struct shard_id shard = {i};
        if (wanted(a, i)) {
            e = a->incremental ? take_more(r, shard) : ctl_backup_base(r, shard);
        }
    }
    for (uint32_t i = 0; e == OK && !a->incremental && i <= a->shards; i++) {
        struct shard_id shard = {i};
        if (wanted(a, i)) {
            e = ctl_backup_log(r, shard);
            e = e == ERR_NOTFOUND || e == ERR_STALE ? OK : e;
        }
    }
    return e;
}

static void report(const struct backup_run *r)
{
    double s = (double)(clock_perf_us() - r->began_us) / 1e6;
    double mib = (double)r->raw_bytes / 1048576.0;
    fprintf(r->stream ? stderr : stdout, "%llu bases, %llu logs: %.1f MiB, %.1f MiB stored, in %.1f s (%.1f MiB/s)\n",
            (unsigned long long)r->bases, (unsigned long long)r->logs, mib, (double)r->stored_bytes / 1048576.0, s,
            s > 0 ? mib / s : 0);
}

static enum err backup(struct backup_run *r, struct asked *a)
{
    int lock = -1;
    enum err e = open_set(r, a);
    if (e == OK && a->one_shard && a->shard > a->shards) {
        enum err ignored = buf_printf(&r->why, "there are shards 0 (the directory) to %u", a->shards);
        (void)ignored; /* a courtesy */
        e = ERR_INVAL;
    }
    if (e == OK && !r->stream) {
        e = backup_dir_lock(r->dir, &lock, &r->why);
    }
    if (e == OK) {
        e = take_all(r, a);
    }
    if (e == OK && r->set->n == 0) {
        enum err ignored = buf_printf(&r->why, "node %llu leads no shard", (unsigned long long)a->node);
        (void)ignored; /* a courtesy */
        e = ERR_NOTFOUND;
    }
    if (e == OK) {
        e = r->stream ? ctl_backup_stream_end(r) : backup_dir_save(r->dir, r->set, &r->why);
    }
    if (lock >= 0) {
        (void)close(lock);
    }
    return e;
}

static int run(struct ctl *c, int argc, char **argv)
{
    struct backup_set set;
    struct backup_run r = {.ctl = c, .set = &set, .began_us = clock_perf_us()};
    struct asked a = {.incremental = ctl_flag(&argc, argv, "--incremental")};
    const char *rate = ctl_option(&argc, argv, "--rate");
    const char *shard = ctl_option(&argc, argv, "--shard");
    const char *node = ctl_option(&argc, argv, "--node-id");
    if (argc != 1 || !parse_shard(shard, &a) || (rate != NULL && config_bytes_parse(rate, &r.bytes_per_s) != OK)) {
        return CTL_USAGE;
    }
    if (node != NULL && !ctl_node_id(node, &a.node)) {
        return 1;
    }
    r.dir = argv[0];
    r.stream = strcmp(argv[0], "-") == 0;
    if (r.stream && (a.incremental || isatty(STDOUT_FILENO))) {
        fputs("pillarbox ctl: backup: a stream is a full backup, for a file or a pipe (`... | pillarbox ctl backup "
              "receive DIR`)\n",
              stderr);
        return 1;
    }
    backup_set_init(&set);
    buf_init(&r.why, 8192);
    enum err e = backup(&r, &a);
    if (e == OK) {
        report(&r);
    }
    int rc = e == OK ? 0 : complain(&r, e);
    buf_fini(&r.why);
    backup_set_fini(&set);
    mem_free(a.leaders);
    return rc;
}

CTL_CMD(backup) = {
    .name = "backup",
    .args = "DIR|- [--incremental] [--shard N] [--node-id ID] [--rate BYTES]",
    .help = "write a copy of the cluster, of one shard, or of what a node leads, while it serves; see `backup verify`, "
            "`restore`",
    .run = run,
};
