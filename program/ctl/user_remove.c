#include "program/ctl.h"

static int run(struct ctl *c, int argc, char **argv)
{
    struct shard_id shard;
    struct account_id account;
    if (argc != 1) {
        return CTL_USAGE;
    }
    enum err e = ctl_account(c, argv[0], &shard, &account);
    if (e == OK) {
        Pb__OpAccountRemove op = PB__OP_ACCOUNT_REMOVE__INIT;
        op.account = account.v;
        e = ctl_call(c, shard, account, METHOD_ACCOUNT_REMOVE, &op.base, NULL);
    }
    if (e == OK || e == ERR_NOTFOUND) {
        /* The mail goes first: a name whose account is gone refuses mail until this step, and can be removed again. */
        Pb__OpDirAccountRemove op = PB__OP_DIR_ACCOUNT_REMOVE__INIT;
        op.name = argv[0];
        e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_DIR_ACCOUNT_REMOVE, &op.base, NULL);
    }
    return e == OK ? 0 : ctl_fail("user remove", argv[0], e);
}

CTL_CMD(user_remove) = {
    .name = "user remove",
    .args = "ADDRESS",
    .help = "delete an account and all its mail",
    .run = run,
};
