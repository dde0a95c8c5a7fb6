#include "frontend/session/auth.h"
#include "program/ctl.h"
#include "proto/base/rng.h"

static int run(struct ctl *c, int argc, char **argv)
{
    struct slice password;
    struct shard_id shard;
    struct account_id account;
    if (argc != 1) {
        return CTL_USAGE;
    }
    enum err e = ctl_account(c, argv[0], &shard, &account);
    if (e == OK && ctl_password(c, "Password", &password) != OK) {
        return 1;
    }
    if (e == OK) {
        Pb__Credentials cred = PB__CREDENTIALS__INIT;
        e = credentials_make(password, rng_system(), &c->arena, &cred);
        if (e == OK) {
            Pb__OpCredentialsSet op = PB__OP_CREDENTIALS_SET__INIT;
            op.account = account.v;
            op.credentials = &cred;
            e = ctl_call(c, shard, account, METHOD_CREDENTIALS_SET, &op.base, NULL);
        }
    }
    return e == OK ? 0 : ctl_fail("user passwd", argv[0], e);
}

CTL_CMD(user_passwd) = {
    .name = "user passwd",
    .args = "ADDRESS",
    .help = "set a password from a prompt or stdin; running sessions go on",
    .run = run,
};
