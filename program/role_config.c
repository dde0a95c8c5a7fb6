#include <stdio.h>

#include "program/roles.h"

int role_config(const struct config *c)
{
    struct buf out;
    buf_init(&out, 1024 * 1024);
    enum err e = config_print(c, &out);
    struct slice s = buf_slice(&out);
    bool written = e == OK && fwrite(s.p, 1, s.n, stdout) == s.n && fflush(stdout) == 0;
    buf_fini(&out);
    return written ? 0 : 1;
}
