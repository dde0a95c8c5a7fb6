/* Randomness as an argument. rng_system is the kernel's CSPRNG (thread-safe); rng_seeded is deterministic
 * (xoshiro256**), for simulation and jitter, one thread at a time. */
#ifndef PROTO_BASE_RNG_H
#define PROTO_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/id.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rng {
    void (*fill)(struct rng *r, void *p, size_t n);
    uint64_t s[4];
};

struct rng *rng_system(void);
void rng_seeded_init(struct rng *r, uint64_t seed);

static inline void rng_fill(struct rng *r, void *p, size_t n)
{
    r->fill(r, p, n);
}

uint64_t rng_u64(struct rng *r);
/* Uniform in [0, bound); bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
struct u128 rng_u128(struct rng *r);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_RNG_H */
