/* What the server under load uses: CPU time and memory of all its processes.
 *
 * With a control group (the server was started in one of its own) the kernel has added up every process that ever ran
 * in it, also those that came and went between two looks (Dovecot's login processes). Without one it is the tree below
 * a process id: user and system time of all that live plus what their parents have waited for; a child that ended
 * unwaited, or was given to init, is missed. */
#ifndef BENCH_LOAD_SERVER_STAT_H
#define BENCH_LOAD_SERVER_STAT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct server_stat {
    const char *cgroup; /* a folder with cpuacct.usage (version 1) or cpu.stat (version 2), and cgroup.procs; or NULL */
    int pid;            /* root of the tree when cgroup is NULL; 0: nothing is measured */
};

bool server_stat_known(const struct server_stat *s);
/* Microseconds of CPU since the server's start; 0 when unknown. */
uint64_t server_stat_cpu_us(const struct server_stat *s);
/* KiB: proportional set size over all processes (smaps_rollup), so that shared pages count once. */
uint64_t server_stat_pss_kib(const struct server_stat *s);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_SERVER_STAT_H */
