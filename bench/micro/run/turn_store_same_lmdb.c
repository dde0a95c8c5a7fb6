#include "bench/micro/micro.h"
#include "bench/micro/turn.h"

static void *open_lmdb(void)
{
    return turn_open(SHARD_KV_LMDB);
}

MICRO(turn_store_same_lmdb) = {
    .name = "turn_store_same_lmdb",
    .op = "a turn of 16 x STORE that changes nothing, store on LMDB",
    .iterations = 20,
    .open = open_lmdb,
    .run = turn_store_same,
    .close = turn_close,
};
