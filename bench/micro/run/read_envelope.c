#include "bench/micro/micro.h"
#include "bench/micro/read.h"
#include "proto/rpc/flags.h"

static void *open_envelope(void)
{
    return read_open(FETCH_COL_ENVELOPE);
}

MICRO(read_envelope) = {
    .name = "read_envelope",
    .op = "storage's first page (128 KiB) of FETCH 1:* (UID ENVELOPE)",
    .iterations = 5,
    .open = open_envelope,
    .run = read_fetch,
    .close = read_close,
};
