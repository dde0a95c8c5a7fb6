#include "bench/micro/fetch.h"
#include "bench/micro/micro.h"
#include "proto/rpc/flags.h"

static void *open_flags(void)
{
    return fetch_open("(UID FLAGS)", FETCH_COL_FLAGS);
}

MICRO(fetch_flags) = {
    .name = "fetch_flags",
    .op = "responses for a page (128 KiB) of FETCH 1:* (UID FLAGS)",
    .iterations = 5,
    .open = open_flags,
    .run = fetch_run,
    .close = fetch_close,
};
