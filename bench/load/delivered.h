/* How much mail has arrived: SMTP's 250 of a relaying server is a promise, not a delivery. */
#ifndef BENCH_LOAD_DELIVERED_H
#define BENCH_LOAD_DELIVERED_H

#include <stdint.h>

#include "bench/load/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Messages in the INBOX of all users together. */
uint64_t delivered_count(const struct options *o);
/* Blocks until there are `want`; ends the program when that takes too long. */
void delivered_wait(const struct options *o, uint64_t want);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_DELIVERED_H */
