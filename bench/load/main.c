/* Loads a mail server on loopback and prints one line of JSON: bench/README.md says how to read it. */
#include <stdio.h>

#include "bench/load/options.h"
#include "bench/load/run.h"

static struct run run; /* holds the input buffer and the histograms */

static void print_watchers(const struct run *r)
{
    if (r->o->watchers == 0) {
        return;
    }
    double kib = (double)r->pss_watchers_kib - (double)r->pss_before_kib;
    printf(", \"watchers\": %llu, \"pss_per_watcher_kib\": %.1f, \"notices\": %llu, \"notice_p50_ms\": %.3f, "
           "\"notice_p99_ms\": %.3f, \"notice_max_ms\": %.3f",
           (unsigned long long)r->o->watchers, kib / (double)r->o->watchers, (unsigned long long)r->notices,
           hist_ms(&r->notice, 500), hist_ms(&r->notice, 990), (double)r->notice.max_us / 1000);
}

static void print_result(const struct run *r)
{
    double seconds = (double)(r->end_us - r->measure_us) / 1e6;
    double ops = r->ops == 0 ? 1 : (double)r->ops;
    printf("{\"work\": \"%s\", \"server\": \"%s\", \"connections\": %llu, \"size\": %llu, \"ops\": %llu, "
           "\"seconds\": %.3f, \"ops_per_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
           "\"longest_ms\": %.3f, \"gap_max_ms\": %.3f, ",
           r->o->work->name, r->o->server, (unsigned long long)r->o->connections, (unsigned long long)r->o->size,
           (unsigned long long)r->ops, seconds, (double)r->ops / seconds, hist_ms(&r->latency, 500),
           hist_ms(&r->latency, 990), (double)r->latency.max_us / 1000, (double)r->longest_us / 1000,
           (double)r->gap.max_us / 1000);
    if (server_stat_known(&r->stat)) {
        printf("\"server_cpu_us_per_op\": %.1f, \"pss_kib\": %llu, ", (double)r->cpu_us / ops,
               (unsigned long long)r->pss_kib);
    }
    printf("\"load_cpu_us_per_op\": %.1f, \"reply_bytes_per_op\": %.0f", (double)r->own_cpu_us / ops,
           (double)r->op_bytes / ops);
    print_watchers(r);
    printf("}\n");
}

int main(int argc, char **argv)
{
    struct options o;
    options_parse(&o, argc, argv);
    run_init(&run, &o);
    run_all(&run);
    print_result(&run);
    run_fini(&run);
    return 0;
}
