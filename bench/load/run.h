/* A run: phases, clock, counters. One thread, one epoll. */
#ifndef BENCH_LOAD_RUN_H
#define BENCH_LOAD_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load/conn.h"
#include "bench/load/gap.h"
#include "bench/load/hist.h"
#include "bench/load/options.h"
#include "bench/load/server_stat.h"
#include "proto/base/rng.h"

#ifdef __cplusplus
extern "C" {
#endif

enum run_phase { RUN_WATCHERS, RUN_SETUP, RUN_WARM, RUN_MEASURE, RUN_DONE };

enum { RUN_SETUPS_MAX = 16, RUN_INPUT_BYTES = 256 * 1024 };

struct run {
    const struct options *o;
    struct server_stat stat;
    enum run_phase phase;
    int epoll;
    struct rng rng;
    struct conn *conns; /* o->connections, then o->watchers */
    uint64_t conns_n;
    uint64_t setup_next; /* index of the next one to set up */
    uint64_t setups_running;
    uint64_t begun_us;
    uint64_t measure_us; /* start and end of the measurement */
    uint64_t end_us;
    uint64_t started;  /* operations, warm-up included */
    uint64_t accepted; /* completed, warm-up included */
    uint64_t ops;      /* completed in the measurement */
    uint64_t op_bytes;
    uint64_t cpu_us; /* the server's, over the measurement */
    uint64_t own_cpu_us;
    uint64_t pss_before_kib;
    uint64_t pss_watchers_kib;
    uint64_t pss_kib;
    uint64_t delivered_before;
    uint64_t *sent_us; /* for each user: when the last message was sent; NULL without watchers */
    uint64_t notices;
    struct gap gap;      /* between two completed operations, whichever connections they are of */
    uint64_t longest_us; /* operation of one connection, one unanswered at the end by its age */
    struct hist latency;
    struct hist notice;
    char input[RUN_INPUT_BYTES];
};

void run_init(struct run *r, const struct options *o);
void run_fini(struct run *r);
/* Until done; ends the program when the server refuses anything or the deadline passes. */
void run_all(struct run *r);

/* For connections. */
void run_setup_done(struct run *r, struct conn *c, uint64_t now_us);
void run_op_done(struct run *r, struct conn *c, uint64_t now_us);
void run_sent(struct run *r, const struct conn *c, uint64_t now_us);
void run_noticed(struct run *r, const struct conn *c, uint64_t now_us);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_RUN_H */
