#include <stdio.h>

#include "frontend/session/auth.h"
#include "program/ctl.h"

static int run(struct ctl *c, int argc, char **argv)
{
    struct slice hash;
    if (argc != 1) {
        return CTL_USAGE;
    }
    enum err e = ctl_password(c, "Password hash", &hash);
    if (e != OK) {
        return 1;
    }
    Pb__Credentials cred = PB__CREDENTIALS__INIT;
    e = credentials_import(hash, &c->arena, &cred);
    if (e == ERR_UNSUPPORTED) {
        fputs("pillarbox ctl: user import: hashes of crypt(3) ($1$ $5$ $6$ $2a$ $2b$ $2y$ $y$ $gy$ $7$) and $argon2id$ "
              "are "
              "taken, with or without a {SCHEME} before them\n",
              stderr);
        return 1;
    }
    if (e == ERR_INVAL) {
        return ctl_fail("user import: the hash is cut or garbled:", argv[0], e);
    }
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
