/* Turns of a volume with SHARD_BATCH writes each: entries made, logged, applied, committed and answered. */
#ifndef BENCH_MICRO_TURN_H
#define BENCH_MICRO_TURN_H

#include "bench/micro/shard.h"

#ifdef __cplusplus
extern "C" {
#endif

void *turn_open(enum shard_kv kind);
void turn_deliver(void *state);
void turn_append(void *state);
void turn_store(void *state);
void turn_store_same(void *state);
void turn_close(void *state);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MICRO_TURN_H */
