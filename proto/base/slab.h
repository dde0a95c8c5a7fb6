/* A reference-counted block for message bodies: passed between threads and processes' layers without copies.
 * Thread-safe reference counting; contents are immutable once shared. */
#ifndef PROTO_BASE_SLAB_H
#define PROTO_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct slab {
    uint32_t refs;
    size_t size;
    size_t cap;
    uint8_t data[];
};

/* size = 0, one reference; NULL when memory is out. */
struct slab *slab_new(size_t cap);
struct slab *slab_ref(struct slab *s);
/* NULL is fine. */
void slab_unref(struct slab *s);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_SLAB_H */
