#include "proto/base/rng.h"

#include <errno.h>
#include <sys/random.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"

static void system_fill(struct rng *r, void *p, size_t n)
{
    uint8_t *at = p;
    (void)r;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0) {
            ASSERT(errno == EINTR);
            continue;
        }
        at += got;
        n -= (size_t)got;
    }
}

struct rng *rng_system(void)
{
    static struct rng kernel = {.fill = system_fill};
    return &kernel;
}

static uint64_t rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

/* xoshiro256** 1.0 (Blackman and Vigna). */
static uint64_t xoshiro_next(uint64_t s[4])
{
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static void seeded_fill(struct rng *r, void *p, size_t n)
{
    uint8_t *at = p;
    while (n > 0) {
        uint8_t word[8];
        size_t take = n < sizeof(word) ? n : sizeof(word);
        put_le64(word, xoshiro_next(r->s));
        memcpy(at, word, take);
        at += take;
        n -= take;
    }
}

/* splitmix64, which never gives the all-zero state. */
void rng_seeded_init(struct rng *r, uint64_t seed)
{
    r->fill = seeded_fill;
    for (size_t i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15U;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        r->s[i] = z ^ z >> 31;
    }
}

uint64_t rng_u64(struct rng *r)
{
    uint8_t word[8];
    rng_fill(r, word, sizeof(word));
    return get_le64(word);
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    ASSERT(bound > 0);
    /* 2^64 mod bound values at the bottom would come once too often. */
    uint64_t reject_below = (0 - bound) % bound;
    uint64_t v = rng_u64(r);
    while (v < reject_below) {
        v = rng_u64(r);
    }
    return v % bound;
}

struct u128 rng_u128(struct rng *r)
{
    struct u128 v;
    rng_fill(r, v.b, sizeof(v.b));
    return v;
}
