/* Fibers: commands are straight-line code on small pooled stacks (mmap with a guard page). A fiber belongs to one loop
 * (thread) for life and runs only there. Only a running command has one; idle connections have none.
 *
 * Blocking points are few and named: conn_read, conn_write/conn_flush (back-pressure), backend_call, fiber_sleep and
 * fiber_park itself. Everything else runs to completion. Switches are annotated for ASan and TSan. */
#ifndef FRONTEND_NET_FIBER_H
#define FRONTEND_NET_FIBER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;
struct fiber;

#define FIBER_STACK_BYTES (128 * 1024) /* reserved; only touched pages cost memory, pooled stacks are trimmed */

typedef void (*fiber_fn)(void *arg);

/* Starts fn(arg) on a pooled fiber; it runs until its first park before this returns when called from the loop itself,
 * or is queued when called from another fiber. ERR_LIMIT when the loop's fiber limit is reached, ERR_NOMEM. */
MUST_CHECK enum err fiber_spawn(struct loop *loop, fiber_fn fn, void *arg);

/* The running fiber, NULL on the loop's own stack. */
struct fiber *fiber_self(void);
struct loop *fiber_loop(void);

/* Suspends the running fiber until fiber_wake. A wake that comes before the park is kept (one), so there is no lost
 * wakeup: callers re-check their condition in a loop. */
void fiber_park(void);
/* Makes a parked fiber runnable in its loop's next round. Only from the fiber's own loop thread; other threads use
 * loop_post. */
void fiber_wake(struct fiber *f);
/* Returns after ms milliseconds. */
void fiber_sleep(uint64_t ms);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_FIBER_H */
