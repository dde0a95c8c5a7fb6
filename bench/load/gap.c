#include "bench/load/gap.h"

void gap_begin(struct gap *g, uint64_t now_us)
{
    g->last_us = now_us;
    g->max_us = 0;
}

void gap_end(struct gap *g, uint64_t now_us)
{
    uint64_t length_us = now_us - g->last_us;
    if (length_us > g->max_us) {
        g->max_us = length_us;
    }
    g->last_us = now_us;
}
