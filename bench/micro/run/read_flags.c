#include "bench/micro/micro.h"
#include "bench/micro/read.h"
#include "proto/rpc/flags.h"

static void *open_flags(void)
{
    return read_open(FETCH_COL_FLAGS);
}

MICRO(read_flags) = {
    .name = "read_flags",
    .op = "storage's first page (128 KiB) of FETCH 1:* (UID FLAGS)",
    .iterations = 5,
    .open = open_flags,
    .run = read_fetch,
    .close = read_close,
};
