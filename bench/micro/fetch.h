/* The IMAP frontend's half of FETCH: a page of storage, decoded and written as responses. */
#ifndef BENCH_MICRO_FETCH_H
#define BENCH_MICRO_FETCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* items: of the command; columns: what they need from storage */
void *fetch_open(const char *items, uint32_t columns);
void fetch_run(void *state);
void fetch_close(void *state);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_MICRO_FETCH_H */
