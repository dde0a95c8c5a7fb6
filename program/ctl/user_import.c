#include "frontend/session/auth.h"
#include "program/ctl.h"

static int run(struct ctl *c, int argc, char **argv)
{
    struct slice hash;
    if (argc != 1) {
        return CTL_USAGE;
    }
    enum err e = ctl_password(c, &hash);
    if (e != OK) {
        return ctl_fail("user import: no hash on stdin for", argv[0], e);
    }
    Pb__Credentials cred = PB__CREDENTIALS__INIT;
    e = credentials_import(hash, &c->arena, &cred);
    if (e == OK) {
        e = ctl_account_make(c, argv[0], &cred, 0);
    }
    return e == OK ? 0 : ctl_fail("user import", argv[0], e);
}

CTL_CMD(user_import) = {
    .name = "user import",
    .args = "ADDRESS",
    .help = "make an account from a password hash on stdin (crypt(3), {SCHEME} prefixes, Argon2id)",
    .run = run,
};
