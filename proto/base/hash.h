/* Checksums and hashes. crc32c protects rows on disk and frames; siphash is for tables keyed by what a peer chooses. */
#ifndef PROTO_BASE_HASH_H
#define PROTO_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CRC-32C (Castagnoli); start with 0, chain by passing the previous result. Uses SSE4.2 when the CPU has it,
 * or ARMv8 CRC when compiled for it. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without special instructions; tests compare the two. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

/* SipHash-2-4 with a 128-bit key. */
uint64_t siphash24(const uint8_t key[16], const void *p, size_t n);
/* SipHash under a key drawn at process start: for in-memory tables only, never stored. */
uint64_t hash_table_key(const void *p, size_t n);
/* FNV-1a 64 with a final mix: stable across processes and versions, for routing and stored indexes. */
uint64_t hash_stable(const void *p, size_t n);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_HASH_H */
