#include <time.h>

#include "proto/base/metrics.h"
#include "storage/node/linear.h"
#include "storage/node/node_internal.h"
#include "storage/node/node_table.h"

#define METRICS_MS 5000 /* between looks at the store: its free list is walked */

METRIC_GAUGE(metric_map, "pillarbox_store_map_bytes", "Upper bound of the store (storage.map_size)");
METRIC_GAUGE(metric_file, "pillarbox_store_file_bytes", "Size of the store's file");
METRIC_GAUGE(metric_used, "pillarbox_store_used_bytes", "Bytes of the file in use; the rest is used again");
METRIC_GAUGE(metric_disk, "pillarbox_store_disk_free_bytes", "Free bytes of the file system that holds the store");
METRIC_GAUGE(metric_full, "pillarbox_store_full", "1: less than storage.reserve is left, mail is refused");
METRIC_GAUGE(metric_refusals, "pillarbox_store_full_refusals", "Writes refused since the start for want of space");
METRIC_GAUGE(metric_commits, "pillarbox_store_commits", "Synced commits since the start");
METRIC_GAUGE(metric_entries, "pillarbox_store_entries", "Log entries stored and applied since the start");

static void metrics_count(struct node *n)
{
    struct volume_stats v;
    volume_stats(n->volume, &v);
    metric_set(&metric_full, v.above_watermark);
    metric_set(&metric_refusals, (int64_t)v.full_refusals);
    metric_set(&metric_commits, (int64_t)v.commits);
    metric_set(&metric_entries, (int64_t)v.entries);
}

static void metrics_look(struct node *n)
{
    struct kv_stat st;
    kv_stat(n->kv, &st);
    metric_set(&metric_map, (int64_t)st.map_bytes);
    metric_set(&metric_file, (int64_t)st.file_bytes);
    metric_set(&metric_used, (int64_t)st.used_bytes);
    metric_set(&metric_disk, (int64_t)node_dir_free_bytes(n->data_dir));
}

/* Takes the whole inbox, oldest first. */
static struct proposal *inbox_take(struct node *n)
{
    return (struct proposal *)(void *)queue_take(&n->inbox); /* node is the proposal's first member */
}

static void timed_wait(struct node *n, uint64_t ms)
{
    struct timespec ts;
    uint64_t until_us = clock_perf_us() + ms * 1000; /* CLOCK_MONOTONIC: what a condition variable can wait on */
    ts.tv_sec = (time_t)(until_us / 1000000);
    ts.tv_nsec = (long)(until_us % 1000000) * 1000;
    pthread_cond_clockwait(&n->inbox_wake, &n->inbox_lock, CLOCK_MONOTONIC, &ts);
}

/* Sleeps until something is in the inbox, `ms` have passed or the node stops. False: stop, and nothing is left. */
static bool inbox_wait(struct node *n, uint64_t ms)
{
    pthread_mutex_lock(&n->inbox_lock);
    if (__atomic_load_n(&n->inbox.top, __ATOMIC_ACQUIRE) == NULL && !n->inbox_stop && ms > 0) {
        timed_wait(n, ms);
    }
    bool stop = n->inbox_stop && __atomic_load_n(&n->inbox.top, __ATOMIC_ACQUIRE) == NULL;
    pthread_mutex_unlock(&n->inbox_lock);
    return !stop;
}

static void *writer_run(void *arg)
{
    struct node *n = arg;
    uint64_t wait = 0; /* 0: work is left over from the last turn */
    uint64_t looked_ms = 0;
    while (inbox_wait(n, wait) || wait == 0) {
        /* What arrives while the turn commits waits in the inbox and is the next turn's batch: that is the group
         * commit. */
        wait = volume_turn(n->volume, inbox_take(n), NULL);
        if (n->directory_changed) {
            n->directory_changed = false;
            node_table_refresh(n);
        }
        uint64_t now = clock_mono_ms(n->clock);
        uint64_t reads = linear_tick(n, now); /* what they waited for may be applied now */
        hints_publish(n, now);
        metrics_count(n);
        if (looked_ms == 0 || now - looked_ms >= METRICS_MS) {
            metrics_look(n);
            looked_ms = now;
        }
        uint64_t beat = hints_wait_ms(n, now);
        wait = beat < wait && wait > 0 ? beat + 1 : wait;
        wait = reads < wait && wait > 0 ? reads + 1 : wait;
    }
    return NULL;
}

enum err writer_start(struct node *n)
{
    if (pthread_create(&n->writer, NULL, writer_run, n) != 0) {
        return ERR_NOMEM;
    }
    n->writer_started = true;
    return OK;
}

void writer_stop(struct node *n)
{
    if (!n->writer_started) {
        return;
    }
    pthread_mutex_lock(&n->inbox_lock);
    n->inbox_stop = true;
    pthread_cond_signal(&n->inbox_wake);
    pthread_mutex_unlock(&n->inbox_lock);
    pthread_join(n->writer, NULL);
    n->writer_started = false;
}

void writer_submit(struct node *n, struct proposal *p)
{
    if (queue_push(&n->inbox, &p->node)) {
        pthread_mutex_lock(&n->inbox_lock);
        pthread_cond_signal(&n->inbox_wake);
        pthread_mutex_unlock(&n->inbox_lock);
    }
}
