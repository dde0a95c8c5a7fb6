#include "bench/micro/micro.h"
#include "bench/micro/turn.h"

static void *open_mem(void)
{
    return turn_open(SHARD_KV_MEM);
}

MICRO(turn_store_mem) = {
    .name = "turn_store_mem",
    .op = "a turn of 16 x STORE, store in memory",
    .iterations = 20,
    .open = open_mem,
    .run = turn_store,
    .close = turn_close,
};
