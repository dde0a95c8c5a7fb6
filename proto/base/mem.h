/* Process memory. The only door to malloc: tests make the Nth allocation fail through it, and nothing outside
 * proto/base calls malloc (tests/tidy checks). All functions are thread-safe. Sizes are bytes. */
#ifndef PROTO_BASE_MEM_H
#define PROTO_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL when memory is out (or when a test says so). size 0 gives a pointer that may be freed. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
/* count * size with overflow check, zeroed. */
void *mem_calloc(size_t count, size_t size);
/* As realloc: on NULL the old block stays valid. */
void *mem_realloc(void *p, size_t size);
char *mem_strdup(const char *s);
void *mem_dup(const void *p, size_t size);
void mem_free(void *p);

/* Test hook: the nth allocation from now on fails (1 = the next one), 0 = none. Per thread. Once it has fired it is
 * off; mem_fail_fired() tells whether it has fired since it was set. */
void mem_fail_nth(uint64_t nth);
int mem_fail_fired(void);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_MEM_H */
