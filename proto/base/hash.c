#include "proto/base/hash.h"

#include <pthread.h>

#include "proto/base/bytes.h"
#include "proto/base/rng.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#define CRC32C_POLY_REFLECTED 0x82f63b78U

/* tables[k][b] is the checksum of byte b followed by k zero bytes: eight bytes a step. */
static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_fill(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? CRC32C_POLY_REFLECTED : 0);
        }
        tables[0][b] = crc;
    }
    for (uint32_t b = 0; b < 256; b++) {
        for (int k = 1; k < 8; k++) {
            uint32_t crc = tables[k - 1][b];
            tables[k][b] = crc >> 8 ^ tables[0][crc & 255];
        }
    }
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *at = p;
    (void)pthread_once(&tables_once, tables_fill);
    crc = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t v = get_le64(at) ^ crc;
        crc = 0;
        for (unsigned k = 0; k < 8; k++) {
            crc ^= tables[7 - k][v >> (8 * k) & 255];
        }
    }
    for (; n > 0; n--, at++) {
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *at = p;
    uint64_t wide = (uint32_t)~crc;
    for (; n >= 8; n -= 8, at += 8) {
        wide = _mm_crc32_u64(wide, get_le64(at));
    }
    crc = (uint32_t)wide;
    for (; n > 0; n--, at++) {
        crc = _mm_crc32_u8(crc, *at);
    }
    return ~crc;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_sse42(crc, p, n) : crc32c_portable(crc, p, n);
}
#elif defined(__ARM_FEATURE_CRC32)
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *at = p;
    crc = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        crc = __crc32cd(crc, get_le64(at));
    }
    for (; n > 0; n--, at++) {
        crc = __crc32cb(crc, *at);
    }
    return ~crc;
}
#else
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return crc32c_portable(crc, p, n);
}
#endif

static uint64_t rotl(uint64_t x, unsigned k)
{
    return x << k | x >> (64 - k);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    for (; rounds > 0; rounds--) {
        v[0] += v[1];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[0] = rotl(v[0], 32);
        v[2] += v[3];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[2] = rotl(v[2], 32);
    }
}

static void sip_word(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    sip_rounds(v, 2);
    v[0] ^= m;
}

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF". */
uint64_t siphash24(const uint8_t key[16], const void *p, size_t n)
{
    const uint8_t *at = p;
    uint64_t k0 = get_le64(key);
    uint64_t k1 = get_le64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU, k0 ^ 0x6c7967656e657261U,
                     k1 ^ 0x7465646279746573U};
    uint64_t last = (uint64_t)n << 56;
    for (; n >= 8; n -= 8, at += 8) {
        sip_word(v, get_le64(at));
    }
    for (size_t i = 0; i < n; i++) {
        last |= (uint64_t)at[i] << (8 * i);
    }
    sip_word(v, last);
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint8_t table_key[16];
static pthread_once_t table_key_once = PTHREAD_ONCE_INIT;

static void table_key_draw(void)
{
    rng_fill(rng_system(), table_key, sizeof(table_key));
}

uint64_t hash_table_key(const void *p, size_t n)
{
    (void)pthread_once(&table_key_once, table_key_draw);
    return siphash24(table_key, p, n);
}

uint64_t hash_stable(const void *p, size_t n)
{
    const uint8_t *at = p;
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ at[i]) * 0x100000001b3U;
    }
    /* FNV leaves the high bits weak for short input; this is MurmurHash3's 64-bit finalizer. */
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdU;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53U;
    return h ^ h >> 33;
}
