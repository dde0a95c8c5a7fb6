#include "proto/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"

#define ALIGN_BYTES 16
#define BLOCK_BYTES_MIN 1024
#define BLOCK_BYTES_MAX 65536

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t used;
    alignas(ALIGN_BYTES) uint8_t data[];
};

void arena_init(struct arena *a, size_t limit_bytes)
{
    a->head = NULL;
    a->used_bytes = 0;
    a->limit_bytes = limit_bytes;
}

void arena_reset(struct arena *a)
{
    struct arena_block *b = a->head;
    while (b != NULL) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    a->head = NULL;
    a->used_bytes = 0;
}

void arena_fini(struct arena *a)
{
    arena_reset(a);
}

/* Blocks double up to a maximum; what is larger than a block gets one of its own size. */
static size_t block_size(const struct arena *a, size_t need)
{
    size_t size = a->head == NULL ? BLOCK_BYTES_MIN : a->head->cap * 2;
    if (size > BLOCK_BYTES_MAX) {
        size = BLOCK_BYTES_MAX;
    }
    return need > size ? need : size;
}

static struct arena_block *block_add(struct arena *a, size_t need)
{
    size_t cap = block_size(a, need);
    struct arena_block *b = mem_alloc(sizeof(*b) + cap);
    if (b == NULL) {
        return NULL;
    }
    b->cap = cap;
    b->used = 0;
    if (a->head != NULL && cap == need && a->head->cap - a->head->used > 0) {
        /* A block of its own is full at once: keep filling the present one. */
        b->next = a->head->next;
        a->head->next = b;
    } else {
        b->next = a->head;
        a->head = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t left = a->limit_bytes > a->used_bytes ? a->limit_bytes - a->used_bytes : 0;
    if (size > left || size > PTRDIFF_MAX / 2) {
        return NULL;
    }
    size_t need = (size + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    if (need == 0) {
        need = ALIGN_BYTES;
    }
    if (need > left) {
        return NULL;
    }
    struct arena_block *b = a->head;
    if (b == NULL || b->cap - b->used < need) {
        b = block_add(a, need);
        if (b == NULL) {
            return NULL;
        }
    }
    void *p = b->data + b->used;
    b->used += need;
    a->used_bytes += need;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    if (p != NULL) {
        memset(p, 0, size);
    }
    return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    return arena_zalloc(a, total);
}

void *arena_dup(struct arena *a, const void *p, size_t size)
{
    void *copy = arena_alloc(a, size);
    if (copy != NULL && size > 0) {
        memcpy(copy, p, size);
    }
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_dup(a, s, strlen(s) + 1);
}

char *arena_slice_str(struct arena *a, struct slice s)
{
    if (s.n == SIZE_MAX) {
        return NULL;
    }
    char *z = arena_alloc(a, s.n + 1);
    if (z == NULL) {
        return NULL;
    }
    if (s.n > 0) {
        memcpy(z, s.p, s.n);
    }
    z[s.n] = '\0';
    return z;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        return NULL;
    }
    char *z = arena_alloc(a, (size_t)n + 1);
    if (z == NULL) {
        return NULL;
    }
    va_start(args, fmt);
    (void)vsnprintf(z, (size_t)n + 1, fmt, args);
    va_end(args);
    return z;
}
