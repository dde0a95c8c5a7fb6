#include "program/ctl_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define POLL_MS 500

const char *ctl_node_state(const Pb__NodeRow *row)
{
    if (row->removed) {
        return "removed";
    }
    if (row->claim.len == 0) {
        return "waiting";
    }
    if (row->away) {
        return "away";
    }
    return row->draining ? "draining" : "member";
}

bool ctl_node_id(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    if (*out == 0 || *end != '\0' || text[0] < '0' || text[0] > '9') {
        fprintf(stderr, "pillarbox ctl: %s is no node id (see `pillarbox ctl node list`)\n", text);
        return false;
    }
    return true;
}

int ctl_node_set(struct ctl *c, const char *what, Pb__OpNodeSet *op)
{
    ProtobufCMessage *reply = NULL;
    char name[24];
    snprintf(name, sizeof(name), "%llu", (unsigned long long)op->node);
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_NODE_SET, &op->base, &reply);
    if (e == ERR_PERM) {
        fprintf(stderr, "pillarbox ctl: %s: no other node could take over what node %s holds\n", what, name);
        return 1;
    }
    if (e == ERR_NOTFOUND) {
        fprintf(stderr, "pillarbox ctl: %s: there is no node %s (see `pillarbox ctl node list`)\n", what, name);
        return 1;
    }
    return e == OK ? 0 : ctl_level_fail(what, name, e);
}

enum err ctl_shard(struct ctl *c, uint32_t shard, const Pb__ReadShardResult **out)
{
    Pb__ReadShard req = PB__READ_SHARD__INIT;
    ProtobufCMessage *reply = NULL;
    req.shard = shard;
    enum err e = ctl_call(c, (struct shard_id){shard}, (struct account_id){0}, METHOD_SHARD, &req.base, &reply);
    *out = (const Pb__ReadShardResult *)(const void *)reply;
    return e;
}

bool ctl_shard_number(struct ctl *c, const char *text, uint32_t *out)
{
    char *end;
    uint32_t last = 0;
    enum err e = ctl_shards(c, &last);
    if (e != OK) {
        (void)ctl_fail("shard", text, e);
        return false;
    }
    unsigned long n = strtoul(text, &end, 10);
    if (*end != '\0' || text[0] < '0' || text[0] > '9' || n > last) {
        fprintf(stderr, "pillarbox ctl: %s: shards are 0 (the directory) to %u\n", text, last);
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

int ctl_shard_set(struct ctl *c, const char *what, const Pb__OpShardSet *op)
{
    char name[16];
    ProtobufCMessage *reply = NULL;
    snprintf(name, sizeof(name), "shard %u", op->shard);
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_SHARD_SET, &op->base, &reply);
    if (e == ERR_NOTFOUND) {
        fprintf(stderr, "pillarbox ctl: %s: %s: no such member of the cluster (see `pillarbox ctl node list`)\n", what,
                name);
        return 1;
    }
    return e == OK ? 0 : ctl_level_fail(what, name, e);
}

int ctl_level_fail(const char *what, const char *name, enum err e)
{
    if (e == ERR_UNSUPPORTED) {
        fprintf(stderr,
                "pillarbox ctl: %s: not yet: some node runs an older version (see `pillarbox ctl cluster status`)\n",
                what);
        return 1;
    }
    return ctl_fail(what, name, e);
}

void ctl_shard_print(const Pb__ReadShardResult *s)
{
    printf("%u\tleader=%llu\tterm=%llu\tlog=%llu..%llu\t%s", s->shard, (unsigned long long)s->leader,
           (unsigned long long)s->term, (unsigned long long)s->log_first, (unsigned long long)s->log_last,
           s->settled ? "settled" : "changing");
    for (size_t i = 0; i < s->n_servers; i++) {
        const Pb__ShardServer *v = s->servers[i];
        printf("\t%llu=%s", (unsigned long long)v->node, v->voter ? "voter" : "standby");
        if (v->behind > 0) {
            printf("(behind %llu)", (unsigned long long)v->behind);
        }
    }
    putchar('\n');
}

int ctl_shard_wait(struct ctl *c, const char *what, uint32_t shard,
                   bool (*done)(const Pb__ReadShardResult *s, uint64_t arg), uint64_t arg)
{
    uint64_t servers = 0;
    for (;;) {
        const Pb__ReadShardResult *s;
        enum err e = ctl_shard(c, shard, &s);
        if (e != OK) {
            return ctl_fail(what, "", e);
        }
        uint64_t now = s->leader;
        for (size_t i = 0; i < s->n_servers; i++) {
            now = now * 31 + s->servers[i]->node * 2 + (s->servers[i]->voter ? 1 : 0);
        }
        if (now != servers) {
            ctl_shard_print(s);
            fflush(stdout);
        }
        if (s->settled && done(s, arg)) {
            return 0;
        }
        servers = now;
        arena_reset(&c->arena);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

enum err ctl_node_holds(struct ctl *c, uint64_t node, uint32_t *out_shards)
{
    uint32_t last;
    enum err e = ctl_shards(c, &last);
    *out_shards = 0;
    for (uint32_t i = 0; e == OK && i <= last; i++) {
        const Pb__ReadShardResult *s;
        e = ctl_shard(c, i, &s);
        for (size_t j = 0; e == OK && j < s->n_servers; j++) {
            *out_shards += s->servers[j]->node == node && (i != 0 || s->servers[j]->voter);
        }
    }
    return e;
}
