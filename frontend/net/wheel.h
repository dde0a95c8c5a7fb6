/* Timers of a loop: a hierarchical wheel, O(1) to arm and to cancel. Four levels of 64 slots and a tick of 10 ms reach
 * 46 hours; a longer delay waits in the last slot and is placed anew when the wheel gets there. Never early, late by
 * one tick at most (plus the loop's own delay). One thread. */
#ifndef FRONTEND_NET_WHEEL_H
#define FRONTEND_NET_WHEEL_H

#include <stdint.h>

#include "proto/base/list.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WHEEL_LEVELS 4
#define WHEEL_SLOT_BITS 6
#define WHEEL_SLOTS (1U << WHEEL_SLOT_BITS)
#define WHEEL_TICK_MS 10

struct loop;
struct loop_timer;

struct wheel {
    uint64_t tick;               /* everything up to this tick has fired */
    uint64_t used[WHEEL_LEVELS]; /* bit s: slot s may hold timers (a cancel does not clear it) */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);
/* t->at_ms is set and t is not armed. */
void wheel_insert(struct wheel *w, struct loop_timer *t);
/* Fires what is due at now_ms, in the order of its ticks. Callbacks may arm and cancel any timer. */
void wheel_advance(struct wheel *w, struct loop *l, uint64_t now_ms);
/* Milliseconds from now_ms until wheel_advance has something to do; UINT64_MAX when no timer is armed. */
uint64_t wheel_wait_ms(const struct wheel *w, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_WHEEL_H */
