/* A bump allocator for memory that dies together: a session's, or one call's. Not thread-safe. Bounded: an arena that
 * would exceed its limit returns NULL, so what the network sizes cannot grow past the budget. */
#ifndef PROTO_BASE_ARENA_H
#define PROTO_BASE_ARENA_H

#include <stddef.h>

#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena_block;

struct arena {
    struct arena_block *head; /* newest block */
    size_t used_bytes;        /* handed out, with padding */
    size_t limit_bytes;
};

/* The arena owns no memory until its first allocation. */
void arena_init(struct arena *a, size_t limit_bytes);
/* Frees everything; the arena can be used again. */
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

/* Aligned to 16 bytes, NULL past the limit or out of memory. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t count, size_t size);
void *arena_dup(struct arena *a, const void *p, size_t size);
/* NUL-terminated copy. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_slice_str(struct arena *a, struct slice s);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *a, const char *fmt, ...);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_ARENA_H */
