#include "program/ctl.h"

static int run(struct ctl *c, int argc, char **argv)
{
    if (argc != 1) {
        return CTL_USAGE;
    }
    Pb__OpDomainSet op = PB__OP_DOMAIN_SET__INIT;
    op.name = argv[0];
    op.remove = 1;
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_DOMAIN_SET, &op.base, NULL);
    return e == OK ? 0 : ctl_fail("domain remove", argv[0], e);
}

CTL_CMD(domain_remove) = {
    .name = "domain remove",
    .args = "DOMAIN",
    .help = "stop accepting mail for a domain (refused while it has users or aliases)",
    .run = run,
};
