#include "frontend/net/fiber_switch.h"

#include <stdint.h>
#include <string.h>

#include "proto/base/assert.h"

#ifndef FIBER_SWITCH_UCONTEXT

/* Stores the stack pointer of the caller in *from_sp, loads to_sp and returns there. */
void fiber_switch_stacks(void **from_sp, void *to_sp);

#if defined(__x86_64__)

/* System V: rbx, rbp, r12-r15 and the control words of SSE and x87 belong to the caller. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl fiber_switch_stacks\n"
        ".hidden fiber_switch_stacks\n"
        ".type fiber_switch_stacks, @function\n"
        "fiber_switch_stacks:\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_switch_stacks, .-fiber_switch_stacks\n");

/* Control words, six registers, the address that ret pops, and the null that entry would return to: after ret the stack
 * is as after a call, 8 below a multiple of 16. */
#define FRAME_WORDS 9
#define FRAME_RETURN 7

void fiber_switch_init(struct fiber_switch *s, void *stack, size_t stack_bytes, void (*entry)(void))
{
    uintptr_t top = ((uintptr_t)stack + stack_bytes) & ~(uintptr_t)15;
    uint64_t *frame = (uint64_t *)top - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof(*frame));
    uint32_t mxcsr;
    uint16_t fpucw;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(fpucw));
    frame[0] = (uint64_t)fpucw << 32 | mxcsr;
    frame[FRAME_RETURN] = (uint64_t)(uintptr_t)entry;
    s->sp = frame;
}

#elif defined(__aarch64__)

/* AAPCS64: x19-x28, x29 (frame), x30 (link) and the low halves of v8-v15 belong to the caller. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl fiber_switch_stacks\n"
        ".hidden fiber_switch_stacks\n"
        ".type fiber_switch_stacks, %function\n"
        "fiber_switch_stacks:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size fiber_switch_stacks, .-fiber_switch_stacks\n");

#define FRAME_BYTES 160
#define FRAME_LINK 11 /* index of x30 */

void fiber_switch_init(struct fiber_switch *s, void *stack, size_t stack_bytes, void (*entry)(void))
{
    uintptr_t top = ((uintptr_t)stack + stack_bytes) & ~(uintptr_t)15;
    uint64_t *frame = (uint64_t *)(top - FRAME_BYTES);
    memset(frame, 0, FRAME_BYTES);
    frame[FRAME_LINK] = (uint64_t)(uintptr_t)entry;
    s->sp = frame;
}

#endif

void fiber_switch_to(struct fiber_switch *from, struct fiber_switch *to)
{
    fiber_switch_stacks(&from->sp, to->sp);
}

#else

void fiber_switch_init(struct fiber_switch *s, void *stack, size_t stack_bytes, void (*entry)(void))
{
    int rc = getcontext(&s->ctx);
    ASSERT(rc == 0);
    s->ctx.uc_stack.ss_sp = stack;
    s->ctx.uc_stack.ss_size = stack_bytes;
    s->ctx.uc_link = NULL;
    makecontext(&s->ctx, entry, 0);
}

void fiber_switch_to(struct fiber_switch *from, struct fiber_switch *to)
{
    int rc = swapcontext(&from->ctx, &to->ctx);
    ASSERT(rc == 0);
}

#endif
