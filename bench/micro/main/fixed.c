/* For counting: what the C library does differently on each CPU, done plainly, so that a copy costs the same number of
 * instructions everywhere; and randomness that is none. Defined in the program, they serve the shared libraries too.
 * Allocations are the C library's still, but counted. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "proto/base/bytes.h"

extern uint64_t micro_allocations;
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);

#define WORD sizeof(uint64_t)

typedef uint64_t word __attribute__((may_alias, aligned(1)));

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    for (; n >= WORD; n -= WORD, t += WORD, f += WORD) {
        *(word *)t = *(const word *)f;
    }
    for (; n > 0; n--) {
        *t++ = *f++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((uintptr_t)t - (uintptr_t)f >= n) {
        return memcpy(to, from, n);
    }
    for (; n >= WORD; n -= WORD) {
        *(word *)(t + n - WORD) = *(const word *)(f + n - WORD);
    }
    for (; n > 0; n--) {
        t[n - 1] = f[n - 1];
    }
    return to;
}

void *memset(void *to, int c, size_t n)
{
    uint8_t *t = to;
    uint64_t all = (uint8_t)c * UINT64_C(0x0101010101010101);
    for (; n >= WORD; n -= WORD, t += WORD) {
        *(word *)t = all;
    }
    for (; n > 0; n--) {
        *t++ = (uint8_t)c;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    for (; n >= WORD; n -= WORD, x += WORD, y += WORD) {
        if (*(const word *)x != *(const word *)y) {
            return get_be64(x) < get_be64(y) ? -1 : 1;
        }
    }
    for (; n > 0; n--, x++, y++) {
        if (*x != *y) {
            return *x < *y ? -1 : 1;
        }
    }
    return 0;
}

/* A byte of v is zero (exact for the lowest one, which is the one that counts). */
static uint64_t zeros(uint64_t v)
{
    return (v - UINT64_C(0x0101010101010101)) & ~v & UINT64_C(0x8080808080808080);
}

void *memchr(const void *s, int c, size_t n)
{
    const uint8_t *p = s;
    uint64_t all = (uint8_t)c * UINT64_C(0x0101010101010101);
    for (; n >= WORD && zeros(*(const word *)p ^ all) == 0; n -= WORD, p += WORD) {
    }
    for (; n > 0; n--, p++) {
        if (*p == (uint8_t)c) {
            return (void *)(uintptr_t)p;
        }
    }
    return NULL;
}

size_t strlen(const char *s)
{
    const char *p = s;
    while (*p != '\0') {
        p++;
    }
    return (size_t)(p - s);
}

int strcmp(const char *a, const char *b)
{
    for (; *a != '\0' && *a == *b; a++, b++) {
    }
    return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0 && *a != '\0' && *a == *b; a++, b++, n--) {
    }
    return n == 0 ? 0 : (uint8_t)*a - (uint8_t)*b;
}

void *memrchr(const void *s, int c, size_t n)
{
    const uint8_t *p = s;
    for (; n > 0; n--) {
        if (p[n - 1] == (uint8_t)c) {
            return (void *)(uintptr_t)(p + n - 1);
        }
    }
    return NULL;
}

ssize_t getrandom(void *to, size_t n, unsigned flags)
{
    (void)flags;
    (void)memset(to, 0x5a, n);
    return (ssize_t)n;
}

uint64_t micro_allocations;

void *malloc(size_t n)
{
    micro_allocations++;
    return __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    micro_allocations++;
    return __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
    micro_allocations++;
    return __libc_realloc(p, n);
}
