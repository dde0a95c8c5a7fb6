/* One event loop a thread: an I/O backend (io_uring or epoll behind the same completion interface), timers, a queue for
 * work posted by other threads, and the run queue of fibers. No locks between loops.
 *
 * io_backend = auto | io_uring | epoll is decided once per process by loop_backend_decide: auto tries a small ring, and
 * on EPERM, ENOSYS or ENOMEM logs errno and the remedy and falls back; strict io_uring returns an error text for the
 * caller to print and exit before listening. Metric pillarbox_io_backend{backend="..."}. */
#ifndef FRONTEND_NET_LOOP_H
#define FRONTEND_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/base/list.h"
#include "proto/base/queue.h"

#ifdef __cplusplus
extern "C" {
#endif

enum io_backend { IO_BACKEND_AUTO, IO_BACKEND_IO_URING, IO_BACKEND_EPOLL };

/* Resolves AUTO by probing. ERR_UNSUPPORTED with an operator's explanation in why for a strict request that cannot be
 * had. */
MUST_CHECK enum err loop_backend_decide(enum io_backend want, enum io_backend *out_got, struct buf *why);

struct loop;

struct loop_config {
    enum io_backend backend; /* decided: not AUTO */
    unsigned fibers_max;     /* default 4096 */
    unsigned index;          /* thread number, for logs and metrics */
};

MUST_CHECK enum err loop_new(const struct loop_config *cfg, struct loop **out_loop);
/* Runs until loop_stop. Call from the thread that will own the loop. */
void loop_run(struct loop *l);
/* Thread-safe. loop_run returns after the current round. */
void loop_stop(struct loop *l);
void loop_free(struct loop *l);
unsigned loop_index(const struct loop *l);

/* Milliseconds of the monotonic clock, read once a round. */
uint64_t loop_now_ms(const struct loop *l);

/* Work from any thread: fn runs on the loop's stack in its thread. The task is the poster's memory until fn is called.
 */
struct loop_task {
    struct queue_node node;
    void (*fn)(struct loop *l, struct loop_task *t);
};
void loop_post(struct loop *l, struct loop_task *t);

/* Timers: loop thread only. A timer is the user's memory; firing or cancelling disarms it. Resolution about 10 ms. */
struct loop_timer {
    struct list node;
    uint64_t at_ms;
    void (*fn)(struct loop *l, struct loop_timer *t);
    bool armed;
};
void loop_timer_init(struct loop_timer *t, void (*fn)(struct loop *l, struct loop_timer *t));
void loop_timer_arm(struct loop *l, struct loop_timer *t, uint64_t delay_ms);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_LOOP_H */
