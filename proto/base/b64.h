/* base64 (RFC 4648, 4), strict with padding for SASL; and the MIME decoder's table-driven form lives in proto/message.
 */
#ifndef PROTO_BASE_B64_H
#define PROTO_BASE_B64_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

MUST_CHECK enum err b64_encode(struct buf *out, struct slice in);
/* ERR_INVAL for anything but canonical base64 without white space. */
MUST_CHECK enum err b64_decode(struct buf *out, struct slice in);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_B64_H */
