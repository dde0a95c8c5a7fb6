/* The program's options; --help prints the table. */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load/server_stat.h"
#include "bench/load/work.h"

#ifdef __cplusplus
extern "C" {
#endif

struct options {
    const struct work *work;
    const char *server;
    const char *cgroup;
    const char *domain;
    const char *password;
    const char *mailbox;
    uint64_t port;
    uint64_t pid;
    uint64_t connections;
    uint64_t seconds;
    uint64_t warm_seconds;
    uint64_t ops;
    uint64_t ops_each;
    uint64_t size;
    uint64_t user_first;
    uint64_t users;
    uint64_t messages;
    uint64_t interval_ms;
    uint64_t watchers;
    uint64_t watch_port;
    uint64_t delivered_port;
    uint64_t deadline_seconds;
    uint64_t seed;
};

/* Ends the program on a mistake (status 2) and on --help (0). */
void options_parse(struct options *o, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_OPTIONS_H */
