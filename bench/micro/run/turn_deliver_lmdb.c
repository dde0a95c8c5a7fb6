#include "bench/micro/micro.h"
#include "bench/micro/turn.h"

static void *open_lmdb(void)
{
    return turn_open(SHARD_KV_LMDB);
}

MICRO(turn_deliver_lmdb) = {
    .name = "turn_deliver_lmdb",
    .op = "a turn of 16 x DELIVER, store on LMDB",
    .iterations = 20,
    .open = open_lmdb,
    .run = turn_deliver,
    .close = turn_close,
};
