/* The messages that the benchmarks parse and store: made, always the same. */
#ifndef BENCH_MICRO_MAIL_H
#define BENCH_MICRO_MAIL_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A message of one text/plain part, 4 KiB in all, with the header fields that mail has today. */
void mail_plain(struct buf *out);
/* multipart/mixed of an alternative (text and HTML) and a base64 attachment of 60 KiB. */
void mail_parts(struct buf *out);
/* The record of a message (proto/message/message.h). */
void mail_record(struct slice message, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MICRO_MAIL_H */
