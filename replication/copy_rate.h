/* How fast copies may be sent: a bucket of bytes that fills with time. Pure; the caller's clock. */
#ifndef REPLICATION_COPY_RATE_H
#define REPLICATION_COPY_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* After a pause no more than this goes at once: a turn reads all of it, and heartbeats wait for the turn. */
#define COPY_RATE_BURST_BYTES ((int64_t)1 << 20)

struct copy_rate {
    uint64_t bytes_per_s; /* 0: no bound */
    int64_t bytes;        /* that may go; below 0: what went too early */
    uint64_t at_ms;
};

void copy_rate_init(struct copy_rate *r, uint64_t bytes_per_s);
/* Whether something may go now, however large. */
bool copy_rate_open(struct copy_rate *r, uint64_t now_ms);
/* It went. */
void copy_rate_take(struct copy_rate *r, size_t n);
/* Until copy_rate_open says yes, if nothing goes before. */
uint64_t copy_rate_wait_ms(const struct copy_rate *r, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_COPY_RATE_H */
