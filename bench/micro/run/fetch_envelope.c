#include "bench/micro/fetch.h"
#include "bench/micro/micro.h"
#include "proto/rpc/flags.h"

static void *open_envelope(void)
{
    return fetch_open("(UID ENVELOPE)", FETCH_COL_ENVELOPE);
}

MICRO(fetch_envelope) = {
    .name = "fetch_envelope",
    .op = "responses for a page (128 KiB) of FETCH 1:* (UID ENVELOPE)",
    .iterations = 5,
    .open = open_envelope,
    .run = fetch_run,
    .close = fetch_close,
};
