#include "frontend/net/loop.h"

#include "frontend/net/loop_internal.h"
#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define WAIT_MS_MAX 60000

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
    return current;
}

struct io *loop_io(struct loop *l)
{
    return l->io;
}

enum err loop_new(const struct loop_config *cfg, struct loop **out_loop)
{
    struct loop *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    int error = 0;
    enum err e = io_new(cfg->backend, &l->io, &error);
    if (e != OK) {
        mem_free(l);
        return e;
    }
    l->index = cfg->index;
    l->now_ms = clock_mono_ms(clock_system());
    queue_init(&l->posted);
    list_init(&l->deferred);
    wheel_init(&l->wheel, l->now_ms);
    fiber_pool_init(l, cfg->fibers_max);
    *out_loop = l;
    return OK;
}

void loop_free(struct loop *l)
{
    if (l == NULL) {
        return;
    }
    fiber_pool_fini(l);
    io_free(l->io);
    mem_free(l);
}

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

/* --- a round --- */

static void run_posted(struct loop *l)
{
    struct queue_node *n = queue_take(&l->posted);
    while (n != NULL) {
        struct loop_task *t = LIST_ENTRY(n, struct loop_task, node);
        n = n->next; /* the task is the poster's again once its function is called */
        t->fn(l, t);
    }
}

static void run_deferred(struct loop *l)
{
    for (struct list *n = list_pop_front(&l->deferred); n != NULL; n = list_pop_front(&l->deferred)) {
        struct loop_defer *d = LIST_ENTRY(n, struct loop_defer, node);
        d->fn(l, d);
    }
}

static bool posted_empty(struct loop *l)
{
    return __atomic_load_n(&l->posted.top, __ATOMIC_ACQUIRE) == NULL;
}

static bool stopping(struct loop *l)
{
    return __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE);
}

static uint64_t wait_ms(struct loop *l)
{
    if (!posted_empty(l) || !list_empty(&l->fibers.ready) || fiber_pool_can_feed(l) || stopping(l)) {
        return 0;
    }
    uint64_t ms = wheel_wait_ms(&l->wheel, l->now_ms);
    return ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX;
}

static void round_run(struct loop *l)
{
    run_posted(l);
    wheel_advance(&l->wheel, l, l->now_ms);
    fiber_pool_run(l);
    fiber_pool_feed(l);
    run_deferred(l);
}

void loop_run(struct loop *l)
{
    ASSERT(current == NULL);
    current = l;
    io_start(l->io);
    l->now_ms = clock_mono_ms(clock_system());
    while (!stopping(l)) {
        round_run(l);
        io_wait(l->io, wait_ms(l));
        l->now_ms = clock_mono_ms(clock_system());
        io_report(l->io);
    }
    round_run(l); /* what was posted before the stop still runs */
    io_finish(l->io);
    current = NULL;
}

void loop_stop(struct loop *l)
{
    __atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
    io_wake(l->io);
}

void loop_post(struct loop *l, struct loop_task *t)
{
    if (queue_push(&l->posted, &t->node) && current != l) {
        io_wake(l->io);
    }
}

/* --- deferred work --- */

void loop_defer_init(struct loop_defer *d, void (*fn)(struct loop *l, struct loop_defer *d))
{
    list_init(&d->node);
    d->fn = fn;
}

void loop_defer(struct loop *l, struct loop_defer *d)
{
    if (list_empty(&d->node)) {
        list_push_back(&l->deferred, &d->node);
    }
}

void loop_defer_cancel(struct loop_defer *d)
{
    list_remove(&d->node);
}

/* --- timers --- */

void loop_timer_init(struct loop_timer *t, void (*fn)(struct loop *l, struct loop_timer *t))
{
    list_init(&t->node);
    t->fn = fn;
    t->at_ms = 0;
    t->armed = false;
}

void loop_timer_arm(struct loop *l, struct loop_timer *t, uint64_t delay_ms)
{
    loop_timer_cancel(l, t);
    t->at_ms = delay_ms > UINT64_MAX - l->now_ms ? UINT64_MAX : l->now_ms + delay_ms;
    t->armed = true;
    wheel_insert(&l->wheel, t);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    (void)l;
    if (t->armed) {
        list_remove(&t->node);
        t->armed = false;
    }
}
