#include "replication/copy_rate.h"

#define MS_MAX 1000 /* a longer pause fills any bucket */

void copy_rate_init(struct copy_rate *r, uint64_t bytes_per_s)
{
    *r = (struct copy_rate){.bytes_per_s = bytes_per_s, .bytes = COPY_RATE_BURST_BYTES};
}

/* In the bucket at that time. */
static int64_t bytes_at(const struct copy_rate *r, uint64_t now_ms)
{
    uint64_t ms = now_ms > r->at_ms ? now_ms - r->at_ms : 0;
    int64_t bytes = r->bytes + (int64_t)((ms < MS_MAX ? ms : MS_MAX) * r->bytes_per_s / 1000);
    return bytes < COPY_RATE_BURST_BYTES ? bytes : COPY_RATE_BURST_BYTES;
}

bool copy_rate_open(struct copy_rate *r, uint64_t now_ms)
{
    r->bytes = bytes_at(r, now_ms);
    r->at_ms = now_ms;
    return r->bytes_per_s == 0 || r->bytes > 0;
}

void copy_rate_take(struct copy_rate *r, size_t n)
{
    if (r->bytes_per_s != 0) {
        r->bytes -= (int64_t)n;
    }
}

uint64_t copy_rate_wait_ms(const struct copy_rate *r, uint64_t now_ms)
{
    int64_t bytes = bytes_at(r, now_ms);
    return r->bytes_per_s == 0 || bytes > 0 ? 0 : (uint64_t)(1 - bytes) * 1000 / r->bytes_per_s + 1;
}
