#include <stdio.h>

#include "program/ctl.h"
#include "storage/node/node_dir.h"

#define SHARDS_MAX 4096 /* storage.shards */

static int run(struct ctl *c, int argc, char **argv)
{
    const char *shards_text = ctl_option(&argc, argv, "--shards");
    uint64_t shards = c->default_shards;
    struct node_identity id;
    struct buf why;
    char hex[33];
    if (argc != 0 || (shards_text != NULL && slice_u64(slice_str(shards_text), &shards) != OK) || shards == 0 ||
        shards > SHARDS_MAX) {
        return CTL_USAGE;
    }
    buf_init(&why, 4096);
    enum err e = node_dir_found(c->data_dir, (uint32_t)shards, &id, &why);
    if (e == OK) {
        u128_hex(&id.cluster, hex);
        printf("cluster %s, node %llu, %u shards\n", hex, (unsigned long long)id.node.v, id.shards);
    } else {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: cluster init: %.*s\n", (int)w.n, (const char *)w.p);
    }
    buf_fini(&why);
    return e == OK ? 0 : 1;
}

CTL_CMD(cluster_init) = {
    .name = "cluster init",
    .args = "[--shards N]",
    .help = "make the data directory (--data) the first node of a cluster; a node that waits there goes on by itself",
    .run = run,
};
