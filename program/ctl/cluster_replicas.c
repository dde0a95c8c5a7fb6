#include <stdio.h>
#include <string.h>

#include "program/ctl_nodes.h"

static int run(struct ctl *c, int argc, char **argv)
{
    Pb__OpClusterSet op = PB__OP_CLUSTER_SET__INIT;
    ProtobufCMessage *reply = NULL;
    if (argc != 1) {
        return CTL_USAGE;
    }
    if (strlen(argv[0]) != 1 || strchr("135", argv[0][0]) == NULL) {
        fprintf(stderr, "pillarbox ctl: cluster replicas: 1, 3 or 5: an even number survives no more failures\n");
        return 1;
    }
    op.replicas = (uint32_t)(argv[0][0] - '0');
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_CLUSTER_SET, &op.base, &reply);
    return e == OK ? 0 : ctl_level_fail("cluster replicas", argv[0], e);
}

CTL_CMD(cluster_replicas) = {
    .name = "cluster replicas",
    .args = "1|3|5",
    .help = "on how many nodes each shard is, where there are so many (5 at first)",
    .run = run,
};
