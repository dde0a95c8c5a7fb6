/* Parsing of one message, fed in the pieces that a connection gives. */
#ifndef BENCH_MICRO_MIME_H
#define BENCH_MICRO_MIME_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

void *mime_open(void (*mail)(struct buf *out));
void mime_run(void *state);
void mime_close(void *state);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MICRO_MIME_H */
