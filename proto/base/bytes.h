/* Fixed-width integers to and from bytes: big-endian for keys (so that memory order is numeric order), little-endian
 * for columns and frames. Plus LEB128 varints and a bounds-checked reader for decoding what came from outside. */
#ifndef PROTO_BASE_BYTES_H
#define PROTO_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline void put_be16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint16_t get_be16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

static inline void put_le16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline uint16_t get_le16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t get_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t get_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "columns and frames are little-endian; add byte swaps here before porting"
#endif

#define VARINT_BYTES_MAX 10
/* LEB128, at most 10 bytes; returns the bytes written. */
size_t varint_put(uint8_t *p, uint64_t v);

#define U64_DEC_BYTES_MAX 20
/* Decimal digits without a NUL, at most 20 bytes; returns the bytes written. */
size_t u64_dec_put(uint8_t *p, uint64_t v);

/* A reader over bytes that may be hostile. After the first failure it stays failed and every read gives 0. */
struct reader {
    const uint8_t *p;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_make(struct slice s)
{
    struct reader r;
    r.p = s.p;
    r.end = s.p == NULL ? NULL : s.p + s.n;
    r.failed = false;
    return r;
}

static inline size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->p);
}

uint8_t reader_u8(struct reader *r);
uint16_t reader_le16(struct reader *r);
uint32_t reader_le32(struct reader *r);
uint64_t reader_le64(struct reader *r);
/* Overlong forms fail, so that every value has one encoding. */
uint64_t reader_varint(struct reader *r);
/* A view of n bytes of the input; empty on failure. */
struct slice reader_bytes(struct reader *r, size_t n);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_BYTES_H */
