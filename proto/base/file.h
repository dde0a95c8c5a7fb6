/* Small files, read whole. */
#ifndef PROTO_BASE_FILE_H
#define PROTO_BASE_FILE_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the file's bytes to out, whose limit bounds it. ERR_IO; ERR_LIMIT, ERR_NOMEM as from the buf. "path: reason"
 * goes to why (may be NULL). Blocks. */
MUST_CHECK enum err file_read(const char *path, struct buf *out, struct buf *why);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_FILE_H */
