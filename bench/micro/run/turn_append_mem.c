#include "bench/micro/micro.h"
#include "bench/micro/turn.h"

static void *open_mem(void)
{
    return turn_open(SHARD_KV_MEM);
}

MICRO(turn_append_mem) = {
    .name = "turn_append_mem",
    .op = "a turn of 16 x APPEND, store in memory",
    .iterations = 20,
    .open = open_mem,
    .run = turn_append,
    .close = turn_close,
};
