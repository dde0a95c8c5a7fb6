#include "storage/check/check.h"

#include <stdio.h>

#include "program/ctl.h"
#include "replication/check.h"
#include "replication/saved.h"
#include "replication/volume_owner.h"
#include "storage/kv/kv_lmdb.h"
#include "storage/kv/kv_pages.h"
#include "storage/node/node_dir.h"

#define FINDINGS_SHOWN 1000

/* Offline: the store itself is read, no node is asked. */
struct checking {
    struct kv_txn *t;
    struct check_totals totals;
    uint64_t shown;
    uint32_t shard; /* in hand */
    enum err err;
};

static void show(struct checking *c, const char *what, struct slice key)
{
    if (c->shown++ == FINDINGS_SHOWN) {
        puts("(further findings are only counted)");
    }
    if (c->shown > FINDINGS_SHOWN) {
        return;
    }
    printf("shard %u: %s: key ", c->shard, what);
    for (size_t i = 0; i < key.n; i++) {
        printf("%02x", key.p[i]);
    }
    putchar('\n');
}

static void on_problem(void *ctx, const char *what, struct slice key)
{
    show(ctx, what, key);
}

static void on_finding(void *ctx, const struct check_finding *f)
{
    show(ctx, f->what, f->key);
}

static void on_replica(void *ctx, struct shard_id shard, const uint8_t prefix[5])
{
    struct checking *c = ctx;
    struct check_totals totals = {0};
    struct check_config cfg = {.finding = on_finding, .ctx = c};
    struct saved_span log;
    c->shard = shard.v;
    if (saved_span_get(c->t, prefix, &log) == OK) { /* a meta row that cannot be read is repl_check_run's finding */
        cfg.applied_index = log.last;
    }
    enum err e = storage_check(c->t, prefix, &cfg, &totals);
    c->totals.accounts += totals.accounts;
    c->totals.mailboxes += totals.mailboxes;
    c->totals.messages += totals.messages;
    c->totals.emails += totals.emails;
    c->totals.findings += totals.findings;
    if (e != OK) {
        printf("shard %u: the check could not go on: %s\n", shard.v, err_text(e));
        c->err = e;
    }
}

static void on_body(void *ctx, const uint8_t prefix[5], uint64_t index, uint16_t ordinal, uint64_t bytes, bool dead)
{
    (void)ctx;
    (void)prefix;
    (void)index;
    (void)ordinal;
    (void)bytes;
    (void)dead;
}

static int report(const struct checking *c, const struct repl_check_totals *log)
{
    uint64_t wrong = c->totals.findings + log->problems;
    printf("%llu replicas, %llu log entries, %llu bodies (%llu bytes, %llu waiting to be deleted)\n"
           "%llu accounts, %llu mailboxes, %llu messages, %llu emails\n%llu findings\n",
           (unsigned long long)log->replicas, (unsigned long long)log->entries, (unsigned long long)log->bodies,
           (unsigned long long)log->body_bytes, (unsigned long long)log->dead_bodies,
           (unsigned long long)c->totals.accounts, (unsigned long long)c->totals.mailboxes,
           (unsigned long long)c->totals.messages, (unsigned long long)c->totals.emails, (unsigned long long)wrong);
    return wrong == 0 && c->err == OK ? 0 : 1;
}

/* A row that cannot be read is repl_check_run's finding; none at all is a store from before. */
static void owner_check(struct checking *c, const struct node_identity *id)
{
    struct volume_owner owner;
    if (volume_owner_get(c->t, &owner) == OK &&
        (!u128_eq(&owner.cluster, &id->cluster) || owner.node.v != id->node.v)) {
        printf("the store is node %llu's or another cluster's, not that of node.id\n",
               (unsigned long long)owner.node.v);
        c->totals.findings++;
    }
}

static int check(struct kv *kv, const char *dir, const struct node_identity *id)
{
    struct checking c = {0};
    struct repl_check_totals log = {0};
    struct repl_check cfg = {.ctx = &c, .problem = on_problem, .replica = on_replica, .body = on_body};
    enum err e = kv_begin(kv, false, &c.t);
    if (e == OK) {
        owner_check(&c, id);
        e = repl_check_run(c.t, &cfg, &log);
        kv_abort(c.t);
    }
    return e == OK ? report(&c, &log) : ctl_fail("check", dir, e);
}

static void on_page(void *ctx, uint64_t page, const char *what)
{
    uint64_t *shown = ctx;
    if ((*shown)++ < FINDINGS_SHOWN) {
        printf("volume.mdb: page %llu %s\n", (unsigned long long)page, what);
    }
}

/* LMDB would die of damaged pages: rows are looked at only when every page is in order. */
static enum err pages_check(const char *path, uint64_t *out_damaged, struct buf *why)
{
    struct kv_pages_totals totals = {0};
    uint64_t shown = 0;
    struct kv_pages_config cfg = {.finding = on_page, .ctx = &shown};
    enum err e = kv_pages_verify(path, &cfg, &totals, why);
    *out_damaged = totals.findings;
    return e;
}

static int rows_check(struct ctl *ctl, const char *path, const struct node_identity *id, struct buf *why,
                      enum err *out_e)
{
    struct kv *kv = NULL;
    struct kv_lmdb_config cfg = {.path = path};
    *out_e = kv_lmdb_open(&cfg, &kv, why);
    if (*out_e != OK) {
        return 1;
    }
    int rc = check(kv, ctl->data_dir, id);
    kv_close(kv);
    return rc;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    char path[1200];
    struct node_identity id;
    struct buf why;
    uint64_t damaged = 0;
    int rc = 1;
    (void)argv;
    if (argc != 0) {
        return CTL_USAGE;
    }
    buf_init(&why, 4096);
    enum err e = node_dir_read(ctl->data_dir, &id, &why);
    if (e == OK) {
        snprintf(path, sizeof(path), "%s/volume.mdb", ctl->data_dir);
        e = kv_lmdb_settle(path, &why);
    }
    if (e == OK) {
        e = pages_check(path, &damaged, &why);
    }
    if (e == OK && damaged == 0) {
        rc = rows_check(ctl, path, &id, &why, &e);
    }
    if (e != OK) {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: check: %.*s\n", (int)w.n, (const char *)w.p);
    } else if (damaged > 0) {
        printf("%llu findings in the pages of the store: its rows were not read; restore the directory from a copy\n",
               (unsigned long long)damaged);
    }
    buf_fini(&why);
    return rc;
}

CTL_CMD(check) = {
    .name = "check",
    .args = "",
    .help = "verify a stopped node's data directory: checksums, references, counters, indexes",
    .run = run,
};
