#include "bench/micro/micro.h"
#include "bench/micro/read.h"

static void *select_open(void)
{
    return read_open(0);
}

MICRO(select) = {
    .name = "select",
    .op = "storage's SELECT of 10,000 messages that a reader has seen before",
    .iterations = 50,
    .open = select_open,
    .run = read_select,
    .close = read_close,
};
