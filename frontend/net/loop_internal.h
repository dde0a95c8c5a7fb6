/* The inside of a loop, for the other files of frontend/net only. */
#ifndef FRONTEND_NET_LOOP_INTERNAL_H
#define FRONTEND_NET_LOOP_INTERNAL_H

#include "frontend/net/fiber_switch.h"
#include "frontend/net/io.h"
#include "frontend/net/loop.h"
#include "frontend/net/wheel.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fiber;

/* Work of the loop itself, done on its stack before it waits for the kernel again. In a list at most once: loop_defer
 * does nothing when it is queued already. The user's memory; loop_defer_cancel before it goes away. */
struct loop_defer {
    struct list node;
    void (*fn)(struct loop *l, struct loop_defer *d);
};

void loop_defer_init(struct loop_defer *d, void (*fn)(struct loop *l, struct loop_defer *d));
void loop_defer(struct loop *l, struct loop_defer *d);
void loop_defer_cancel(struct loop_defer *d);

/* The fibers of one loop. */
struct fiber_pool {
    struct list ready;   /* runnable, in the order of their wakes */
    struct list idle;    /* no work; the most recently used first */
    struct list waiting; /* loop_defer that want a fiber when the limit was reached */
    struct fiber *running;
    struct fiber_switch loop_switch;
    void *loop_fake_stack; /* sanitizers: the loop's own stack */
    const void *loop_stack;
    size_t loop_stack_bytes;
    void *loop_tsan;
    unsigned in_use;
    unsigned max;
    struct loop_timer trim;
};

void fiber_pool_init(struct loop *l, unsigned fibers_max);
/* Unmaps every stack. Fibers that are still parked are abandoned: what their stacks own is lost. */
void fiber_pool_fini(struct loop *l);
/* Runs the fibers that were runnable at the call. */
void fiber_pool_run(struct loop *l);
/* Defers d as soon as fiber_spawn can succeed again (after its ERR_LIMIT); loop_defer_cancel gives up. d may find that
 * it needs no fiber any more: then the next one's turn comes in the next round. */
void fiber_pool_wait(struct loop *l, struct loop_defer *d);
/* Defers as many of those that wait as there are fibers to be had. */
void fiber_pool_feed(struct loop *l);
bool fiber_pool_can_feed(const struct loop *l);

struct loop {
    struct io *io;
    struct queue posted;
    struct wheel wheel;
    struct list deferred;
    struct fiber_pool fibers;
    uint64_t now_ms;
    unsigned index;
    bool stop; /* atomic */
};

/* The loop that this thread runs, NULL elsewhere. */
struct loop *loop_current(void);
struct io *loop_io(struct loop *l);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_LOOP_INTERNAL_H */
