/* Reads of an INBOX of READ_MESSAGES messages, as storage answers them and as the IMAP frontend shows them. */
#ifndef BENCH_MICRO_READ_H
#define BENCH_MICRO_READ_H

#include "bench/micro/shard.h"

#ifdef __cplusplus
extern "C" {
#endif

#define READ_MESSAGES 10000

struct read {
    struct shard *shard;
    Pb__ReadFetch fetch;
    Pb__ReadSelect select;
    struct buf uids;
    struct buf meta;
    struct buf attach;
};

/* columns: of fetch (proto/rpc/flags.h) */
struct read *read_open(uint32_t columns);
/* Storage's first page of the FETCH, into meta and attach. */
void read_fetch(void *state);
void read_select(void *state);
void read_close(void *state);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MICRO_READ_H */
