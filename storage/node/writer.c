#include <time.h>

#include "storage/node/node_internal.h"

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
    while (inbox_wait(n, wait) || wait == 0) {
        /* What arrives while the turn commits waits in the inbox and is the next turn's batch: that is the group
         * commit. */
        wait = volume_turn(n->volume, inbox_take(n));
        uint64_t now = clock_mono_ms(n->clock);
        hints_publish(n, now);
        uint64_t beat = hints_wait_ms(n, now);
        wait = beat < wait && wait > 0 ? beat + 1 : wait;
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
