#include "storage/check/check.h"

#include <stdio.h>

#include "program/ctl.h"
#include "replication/check.h"
#include "storage/kv/kv_lmdb.h"
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
    c->shard = shard.v;
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

static int check(struct kv *kv, const char *dir)
{
    struct checking c = {0};
    struct repl_check_totals log = {0};
    struct repl_check cfg = {.ctx = &c, .problem = on_problem, .replica = on_replica, .body = on_body};
    enum err e = kv_begin(kv, false, &c.t);
    if (e == OK) {
        e = repl_check_run(c.t, &cfg, &log);
        kv_abort(c.t);
    }
    return e == OK ? report(&c, &log) : ctl_fail("check", dir, e);
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    char path[1200];
    struct node_identity id;
    struct buf why;
    struct kv *kv = NULL;
    (void)argv;
    if (argc != 0) {
        return CTL_USAGE;
    }
    buf_init(&why, 4096);
    enum err e = node_dir_read(ctl->data_dir, &id, &why);
    if (e == OK) {
        snprintf(path, sizeof(path), "%s/volume.mdb", ctl->data_dir);
        struct kv_lmdb_config cfg = {.path = path, .read_only = true};
        e = kv_lmdb_open(&cfg, &kv, &why);
    }
    if (e != OK) {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: check: %.*s\n", (int)w.n, (const char *)w.p);
        buf_fini(&why);
        return 1;
    }
    buf_fini(&why);
    int rc = check(kv, ctl->data_dir);
    kv_close(kv);
    return rc;
}

CTL_CMD(check) = {
    .name = "check",
    .args = "",
    .help = "verify a stopped node's data directory: checksums, references, counters, indexes",
    .run = run,
};
