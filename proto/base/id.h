/* Identifiers as distinct types, so that the compiler catches a mix-up. All fit a register but u128. */
#ifndef PROTO_BASE_ID_H
#define PROTO_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct account_id {
    uint64_t v;
}; /* given by the directory, never reused, 0 = none */
struct mailbox_id {
    uint64_t v;
}; /* unique within its account, never reused, 0 = the root of the tree / none */
struct email_no {
    uint64_t v;
}; /* unique within its account, ascending by arrival, never reused */
struct shard_id {
    uint32_t v;
}; /* 0 = directory, 1..n = accounts */
struct node_id {
    uint64_t v;
}; /* 0 = none */
struct replica_id {
    uint32_t v;
}; /* local to a volume, never reused */
struct imap_uid {
    uint32_t v;
}; /* RFC 3501, 2.3.1.1; 0 = none */
struct imap_seq {
    uint32_t v;
}; /* message sequence number, 1-based; 0 = none */

/* 128-bit opaque value: request ids, EMAILID, THREADID, MAILBOXID, tokens. Byte order is the order of printing. */
struct u128 {
    uint8_t b[16];
};

static inline bool u128_eq(const struct u128 *a, const struct u128 *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool u128_is_zero(const struct u128 *a)
{
    static const struct u128 zero = {{0}};
    return u128_eq(a, &zero);
}

/* 32 lower-case hex digits and a NUL. */
void u128_hex(const struct u128 *v, char out[33]);
/* ERR_INVAL for anything but 32 lower-case hex digits. */
MUST_CHECK enum err u128_from_hex(struct slice hex, struct u128 *out);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_ID_H */
