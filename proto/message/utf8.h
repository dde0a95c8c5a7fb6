/* UTF-8 validation (RFC 3629). */
#ifndef PROTO_MESSAGE_UTF8_H
#define PROTO_MESSAGE_UTF8_H

#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define UTF8_REPLACEMENT "\xef\xbf\xbd"
#define UTF8_REPLACEMENT_BYTES 3

enum utf8_stop { UTF8_END, UTF8_INVALID, UTF8_INCOMPLETE };

/* The valid bytes at the front; out_stop says what ends them. UTF8_INCOMPLETE: the rest can become a character. */
size_t utf8_valid_bytes(struct slice s, enum utf8_stop *out_stop);
/* Writes 1 to 3 bytes for a code point below U+10000. */
size_t utf8_put(uint8_t *to, uint32_t c);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_UTF8_H */
