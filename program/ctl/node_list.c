#include <stdio.h>

#include "program/ctl_nodes.h"

static int run(struct ctl *c, int argc, char **argv)
{
    const Pb__ReadMapResult *map;
    (void)argv;
    if (argc != 0) {
        return CTL_USAGE;
    }
    enum err e = ctl_map(c, &map);
    if (e != OK) {
        return ctl_fail("node list", "", e);
    }
    for (size_t i = 0; i < map->n_nodes; i++) {
        const Pb__NodeRow *r = map->nodes[i];
        printf("%llu\t%s\tpeer=%s\trpc=%s\tevents=%s\tzone=%s\n", (unsigned long long)r->node, ctl_node_state(r),
               r->peer, r->rpc, r->events, r->zone);
    }
    return 0;
}

CTL_CMD(node_list) = {
    .name = "node list",
    .args = "",
    .help = "list the nodes of the cluster, as the node asked knows them",
    .run = run,
};
