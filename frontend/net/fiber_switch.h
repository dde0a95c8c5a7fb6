/* The switch between two stacks of one thread: 30 instructions on x86-64 and aarch64, ucontext elsewhere. Knows nothing
 * of loops; the annotations for sanitizers are in fiber.c. */
#ifndef FRONTEND_NET_FIBER_SWITCH_H
#define FRONTEND_NET_FIBER_SWITCH_H

#include <stddef.h>

#if !defined(FIBER_SWITCH_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define FIBER_SWITCH_UCONTEXT 1
#endif
#ifdef FIBER_SWITCH_UCONTEXT
#include <ucontext.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct fiber_switch {
#ifdef FIBER_SWITCH_UCONTEXT
    ucontext_t ctx;
#else
    void *sp; /* everything else that the ABI preserves lies on the stack */
#endif
};

/* Prepares s so that the first switch to it calls entry() on the stack; entry never returns. */
void fiber_switch_init(struct fiber_switch *s, void *stack, size_t stack_bytes, void (*entry)(void));
/* Saves the running context in from and continues to. */
void fiber_switch_to(struct fiber_switch *from, struct fiber_switch *to);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_FIBER_SWITCH_H */
