#include <time.h>

#include "proto/base/metrics.h"
#include "storage/node/linear.h"
#include "storage/node/node_internal.h"
#include "storage/node/node_table.h"
#include "storage/node/peers.h"

#define METRICS_MS 5000   /* between looks at the store: its free list is walked */
#define STOP_TURN_MS 20   /* a node on its way out looks so often whether it may go */
#define HAND_OVER_MS 2000 /* nobody may be there to take over */

METRIC_GAUGE(metric_map, "pillarbox_store_map_bytes", "Upper bound of the store (storage.map_size)");
METRIC_GAUGE(metric_file, "pillarbox_store_file_bytes", "Size of the store's file");
METRIC_GAUGE(metric_used, "pillarbox_store_used_bytes", "Bytes of the file in use; the rest is used again");
METRIC_GAUGE(metric_disk, "pillarbox_store_disk_free_bytes", "Free bytes of the file system that holds the store");
METRIC_GAUGE(metric_full, "pillarbox_store_full", "1: less than storage.reserve is left, mail is refused");
METRIC_GAUGE(metric_refusals, "pillarbox_store_full_refusals", "Writes refused since the start for want of space");
METRIC_GAUGE(metric_commits, "pillarbox_store_commits", "Synced commits since the start");
METRIC_GAUGE(metric_entries, "pillarbox_store_entries", "Log entries stored and applied since the start");
METRIC_GAUGE(metric_elections, "pillarbox_elections", "Elections begun here since the start: no leader was heard");
METRIC_GAUGE(metric_copied, "pillarbox_copy_sent_bytes", "Bytes sent of copies of replicas since the start");

static void metrics_count(struct node *n)
{
    struct volume_stats v;
    volume_stats(n->volume, &v);
    metric_set(&metric_full, v.above_watermark);
    metric_set(&metric_refusals, (int64_t)v.full_refusals);
    metric_set(&metric_commits, (int64_t)v.commits);
    metric_set(&metric_entries, (int64_t)v.entries);
    metric_set(&metric_elections, (int64_t)v.elections);
    metric_set(&metric_copied, (int64_t)v.copy_bytes);
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

static bool inbox_empty(const struct node *n)
{
    return __atomic_load_n(&n->inbox.top, __ATOMIC_ACQUIRE) == NULL &&
           __atomic_load_n(&n->received.top, __ATOMIC_ACQUIRE) == NULL &&
           __atomic_load_n(&n->pulls.top, __ATOMIC_ACQUIRE) == NULL;
}

/* Sleeps until something came, `ms` have passed or the node stops. True: it stops. */
static bool inbox_wait(struct node *n, uint64_t ms)
{
    if (inbox_empty(n) && ms > 0) {
        kv_publish(n->kv); /* readers wait for that, not for the next turn */
    }
    pthread_mutex_lock(&n->inbox_lock);
    bool stop = n->inbox_stop;
    ms = stop && ms > STOP_TURN_MS ? STOP_TURN_MS : ms;
    if (inbox_empty(n) && ms > 0) {
        timed_wait(n, ms);
    }
    stop = n->inbox_stop;
    pthread_mutex_unlock(&n->inbox_lock);
    return stop;
}

/* Once all writes are answered and others lead what they can. */
static bool may_end(struct node *n, uint64_t *stop_ms)
{
    uint64_t now = clock_mono_ms(n->clock);
    if (*stop_ms == 0) {
        *stop_ms = now;
        placement_hand_over(n);
    }
    return __atomic_load_n(&n->inbox.top, __ATOMIC_ACQUIRE) == NULL &&
           __atomic_load_n(&n->writes_open, __ATOMIC_RELAXED) == 0 &&
           (now - *stop_ms >= HAND_OVER_MS || placement_handed_over(n));
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What follows a turn; how long the next may wait. */
static uint64_t turn_ended(struct node *n, uint64_t wait, uint64_t *looked_ms)
{
    uint64_t now = clock_mono_ms(n->clock);
    if (n->directory_changed) {
        kv_publish(n->kv); /* or the courier waits for it, with the table's mutex that we want next */
        n->directory_changed = false;
        node_table_refresh(n);
        peers_follow_table(n->peers);
    }
    uint64_t reads = linear_tick(n, now); /* what they waited for may be applied now */
    uint64_t place = placement_run(n, now);
    hints_publish(n, now);
    metrics_count(n);
    if (*looked_ms == 0 || now - *looked_ms >= METRICS_MS) {
        metrics_look(n);
        *looked_ms = now;
    }
    return wait == 0 ? 0 : least(least(wait, hints_wait_ms(n, now) + 1), least(reads, place) + 1);
}

static void *writer_run(void *arg)
{
    struct node *n = arg;
    uint64_t wait = 0; /* 0: work is left over from the last turn */
    uint64_t looked_ms = 0;
    uint64_t stop_ms = 0;
    while (!inbox_wait(n, wait) || wait == 0 || !may_end(n, &stop_ms)) {
        /* What arrives while the turn commits waits in the inbox and is the next turn's batch: that is the group
         * commit. */
        copies_take(n);
        wait = turn_ended(n, volume_turn(n->volume, inbox_take(n), peers_take(n)), &looked_ms);
    }
    kv_publish(n->kv);
    copies_end(n);
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

void writer_wake(struct node *n)
{
    pthread_mutex_lock(&n->inbox_lock);
    pthread_cond_signal(&n->inbox_wake);
    pthread_mutex_unlock(&n->inbox_lock);
}

void writer_submit(struct node *n, struct proposal *p)
{
    __atomic_add_fetch(&n->writes_open, 1, __ATOMIC_RELAXED);
    if (queue_push(&n->inbox, &p->node)) {
        writer_wake(n);
    }
}
