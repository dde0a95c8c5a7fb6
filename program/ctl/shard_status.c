#include <stdio.h>
#include <stdlib.h>

#include "program/ctl_nodes.h"

static void print(const Pb__ReadShardResult *s)
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

static int run(struct ctl *c, int argc, char **argv)
{
    uint32_t last = 0;
    uint32_t first = 0;
    enum err e = ctl_shards(c, &last);
    if (e == OK && argc == 1) {
        char *end;
        unsigned long n = strtoul(argv[0], &end, 10);
        if (*end != '\0' || end == argv[0] || n > last) {
            fprintf(stderr, "pillarbox ctl: shard status: %s: shards are 0 (the directory) to %u\n", argv[0], last);
            return 1;
        }
        first = last = (uint32_t)n;
    } else if (argc > 1) {
        return CTL_USAGE;
    }
    for (uint32_t i = first; e == OK && i <= last; i++) {
        const Pb__ReadShardResult *s;
        e = ctl_shard(c, i, &s);
        if (e == OK) {
            print(s);
        }
    }
    return e == OK ? 0 : ctl_fail("shard status", "", e);
}

CTL_CMD(shard_status) = {
    .name = "shard status",
    .args = "[SHARD]",
    .help = "who has a shard's replicas, as its leader sees them: voters, standbys, how far they are behind",
    .run = run,
};
