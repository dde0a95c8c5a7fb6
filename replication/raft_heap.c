/* The library's heap and its errors. */
#include <pthread.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "replication/raft_driver_internal.h"

/* Which of the entries' blocks raft_step() frees depends on the event, on the path through it and on the version
 * (1ee30187 to f9e37bc3 upstream). We lend it memory for the call and ignore what it frees of that; everything else
 * goes through mem.h. */
static _Thread_local struct {
    const uint8_t *from;
    const uint8_t *to;
} lent;

static bool is_lent(const void *p)
{
    return (const uint8_t *)p >= lent.from && (const uint8_t *)p < lent.to;
}

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    return mem_alloc(size);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    if (!is_lent(p)) {
        mem_free(p);
    }
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    return mem_calloc(n, size);
}

static void *heap_realloc(void *data, void *p, size_t size)
{
    (void)data;
    ASSERT(!is_lent(p));
    return mem_realloc(p, size);
}

/* Only the library's own disk code, which we do not use, wants aligned memory. */
static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    (void)alignment;
    (void)size;
    return NULL;
}

static void heap_aligned_free(void *data, size_t alignment, void *p)
{
    (void)data;
    (void)alignment;
    (void)p;
}

void raft_heap_lend(const void *p, size_t n)
{
    lent.from = p;
    lent.to = n == 0 ? NULL : lent.from + n;
}

static void set_heap(void)
{
    static struct raft_heap heap = {
        .malloc = heap_malloc,
        .free = heap_free,
        .calloc = heap_calloc,
        .realloc = heap_realloc,
        .aligned_alloc = heap_aligned_alloc,
        .aligned_free = heap_aligned_free,
    };
    raft_heap_set(&heap);
}

void raft_heap_use(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(pthread_once(&once, set_heap) == 0);
}

uint8_t raft_no_bytes[8];

enum err raft_error(int rc)
{
    switch (rc) {
    case 0:
        return OK;
    case RAFT_NOMEM:
        return ERR_NOMEM;
    case RAFT_NOTLEADER:
        return ERR_NOT_LEADER;
    case RAFT_CANTCHANGE:
        return ERR_LOCKED;
    case RAFT_NOTFOUND:
    case RAFT_BADID:
        return ERR_NOTFOUND;
    case RAFT_MALFORMED:
    case RAFT_CORRUPT:
    case RAFT_SHUTDOWN: /* a committed entry contradicts a peer's */
        return ERR_CORRUPT;
    default:
        return ERR_UNAVAILABLE;
    }
}

size_t raft_address_put(char out[RAFT_ADDRESS_BYTES_MAX], uint64_t node)
{
    size_t n = u64_dec_put((uint8_t *)out, node);
    out[n] = '\0';
    return n;
}
