#include "frontend/session/auth.h"
#include "program/config.h"
#include "program/ctl.h"
#include "proto/base/rng.h"

static int run(struct ctl *c, int argc, char **argv)
{
    const char *quota_text = ctl_option(&argc, argv, "--quota");
    uint64_t quota = 0;
    struct slice password;
    if (argc != 1 || (quota_text != NULL && config_bytes_parse(quota_text, &quota) != OK)) {
        return CTL_USAGE;
    }
    enum err e = ctl_password(c, "Password", &password);
    if (e != OK) {
        return 1;
    }
    Pb__Credentials cred = PB__CREDENTIALS__INIT;
    e = credentials_make(password, rng_system(), &c->arena, &cred);
    if (e == OK) {
        e = ctl_account_make(c, argv[0], &cred, quota);
    }
    return e == OK ? 0 : ctl_fail("user add", argv[0], e);
}

CTL_CMD(user_add) = {
    .name = "user add",
    .args = "ADDRESS [--quota BYTES]",
    .help = "make an account; the password comes from a prompt or stdin",
    .run = run,
};
