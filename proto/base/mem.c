#include "proto/base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local uint64_t fail_countdown; /* 0 = off */
static _Thread_local bool fail_fired;

static bool must_fail(void)
{
    if (__builtin_expect(fail_countdown == 0, 1)) {
        return false;
    }
    fail_countdown--;
    if (fail_countdown > 0) {
        return false;
    }
    fail_fired = true;
    return true;
}

/* Sizes past PTRDIFF_MAX are refused here, because sanitizers abort on them instead of returning NULL. */
static bool refused(size_t size)
{
    return must_fail() || size > PTRDIFF_MAX;
}

void *mem_alloc(size_t size)
{
    return refused(size) ? NULL : malloc(size == 0 ? 1 : size);
}

void *mem_zalloc(size_t size)
{
    return refused(size) ? NULL : calloc(1, size == 0 ? 1 : size);
}

void *mem_calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    return mem_zalloc(total);
}

void *mem_realloc(void *p, size_t size)
{
    return refused(size) ? NULL : realloc(p, size == 0 ? 1 : size);
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s) + 1);
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_alloc(size);
    if (copy != NULL && size > 0) {
        memcpy(copy, p, size);
    }
    return copy;
}

void mem_free(void *p)
{
    free(p);
}

void mem_fail_nth(uint64_t nth)
{
    fail_countdown = nth;
    fail_fired = false;
}

int mem_fail_fired(void)
{
    return fail_fired;
}
