#include "program/ctl_nodes.h"

static int run(struct ctl *c, int argc, char **argv)
{
    uint32_t last = 0;
    uint32_t first = 0;
    enum err e = ctl_shards(c, &last);
    if (e == OK && argc == 1) {
        if (!ctl_shard_number(c, argv[0], &first)) {
            return 1;
        }
        last = first;
    } else if (argc > 1) {
        return CTL_USAGE;
    }
    for (uint32_t i = first; e == OK && i <= last; i++) {
        const Pb__ReadShardResult *s;
        e = ctl_shard(c, i, &s);
        if (e == OK) {
            ctl_shard_print(s);
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
