/* The end of a measurement that cannot be trusted: a message on stderr and exit status 1. */
#ifndef BENCH_LOAD_DIE_H
#define BENCH_LOAD_DIE_H

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((noreturn, cold, format(printf, 1, 2))) void die(const char *fmt, ...);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_DIE_H */
