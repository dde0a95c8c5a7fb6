#include "bench/load/server_stat.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIDS_MAX = 65536 };

struct process {
    int pid;
    int parent;
    uint64_t ticks; /* its own and its waited-for children's */
};

struct tree {
    size_t n;
    struct process all[PIDS_MAX];
};

static struct tree tree; /* too large for the stack; one thread */

bool server_stat_known(const struct server_stat *s)
{
    return s->cgroup != NULL || s->pid > 0;
}

static bool read_file(char *out, size_t cap, const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    size_t n = fread(out, 1, cap - 1, f);
    out[n] = '\0';
    (void)fclose(f);
    return n > 0;
}

static bool read_process(int pid, struct process *out)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (!read_file(text, sizeof(text), path)) {
        return false;
    }
    /* The name in brackets may hold anything, brackets too. */
    const char *p = strrchr(text, ')');
    unsigned long long utime;
    unsigned long long stime;
    long long cutime;
    long long cstime;
    if (p == NULL || sscanf(p + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &out->parent,
                            &utime, &stime, &cutime, &cstime) != 5) {
        return false;
    }
    out->pid = pid;
    out->ticks = utime + stime + (uint64_t)cutime + (uint64_t)cstime;
    return true;
}

static void read_all(void)
{
    DIR *d = opendir("/proc");
    tree.n = 0;
    if (d == NULL) {
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL && tree.n < PIDS_MAX; e = readdir(d)) {
        int pid = (int)strtol(e->d_name, NULL, 10);
        if (pid > 0 && read_process(pid, &tree.all[tree.n])) {
            tree.n++;
        }
    }
    (void)closedir(d);
}

/* Moves the descendants of root to the front, parents before children; how many they are. */
static size_t select_tree(int root)
{
    size_t kept = 0;
    read_all();
    for (size_t i = 0; i < tree.n; i++) {
        if (tree.all[i].pid == root) {
            struct process p = tree.all[0];
            tree.all[0] = tree.all[i];
            tree.all[i] = p;
            kept = 1;
        }
    }
    for (size_t parent = 0; parent < kept; parent++) {
        for (size_t i = kept; i < tree.n; i++) {
            if (tree.all[i].parent == tree.all[parent].pid) {
                struct process p = tree.all[kept];
                tree.all[kept] = tree.all[i];
                tree.all[i] = p;
                kept++;
            }
        }
    }
    return kept;
}

static uint64_t cgroup_cpu_us(const char *cgroup)
{
    char path[512];
    char text[1024];
    (void)snprintf(path, sizeof(path), "%s/cpuacct.usage", cgroup);
    if (read_file(text, sizeof(text), path)) {
        return strtoull(text, NULL, 10) / 1000;
    }
    (void)snprintf(path, sizeof(path), "%s/cpu.stat", cgroup);
    if (read_file(text, sizeof(text), path)) {
        const char *p = strstr(text, "usage_usec ");
        return p == NULL ? 0 : strtoull(p + strlen("usage_usec "), NULL, 10);
    }
    return 0;
}

uint64_t server_stat_cpu_us(const struct server_stat *s)
{
    uint64_t ticks = 0;
    if (s->cgroup != NULL) {
        return cgroup_cpu_us(s->cgroup);
    }
    size_t n = s->pid > 0 ? select_tree(s->pid) : 0;
    for (size_t i = 0; i < n; i++) {
        ticks += tree.all[i].ticks;
    }
    return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t pss_kib(int pid)
{
    char path[64];
    char text[2048];
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    if (!read_file(text, sizeof(text), path)) {
        return 0;
    }
    const char *p = strstr(text, "\nPss:");
    return p == NULL ? 0 : strtoull(p + strlen("\nPss:"), NULL, 10);
}

static uint64_t cgroup_pss_kib(const char *cgroup)
{
    char path[512];
    uint64_t sum = 0;
    int pid;
    (void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
    FILE *f = fopen(path, "re");
    while (f != NULL && fscanf(f, "%d", &pid) == 1) {
        sum += pss_kib(pid);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return sum;
}

uint64_t server_stat_pss_kib(const struct server_stat *s)
{
    uint64_t sum = 0;
    if (s->cgroup != NULL) {
        return cgroup_pss_kib(s->cgroup);
    }
    size_t n = s->pid > 0 ? select_tree(s->pid) : 0;
    for (size_t i = 0; i < n; i++) {
        sum += pss_kib(tree.all[i].pid);
    }
    return sum;
}
