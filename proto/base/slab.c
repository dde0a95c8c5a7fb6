#include "proto/base/slab.h"

#include "proto/base/assert.h"
#include "proto/base/mem.h"

struct slab *slab_new(size_t cap)
{
    if (cap > PTRDIFF_MAX - sizeof(struct slab)) {
        return NULL;
    }
    struct slab *s = mem_alloc(sizeof(*s) + cap);
    if (s == NULL) {
        return NULL;
    }
    s->refs = 1;
    s->size = 0;
    s->cap = cap;
    return s;
}

struct slab *slab_ref(struct slab *s)
{
    uint32_t before = __atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
    ASSERT(before > 0 && before < UINT32_MAX);
    return s;
}

void slab_unref(struct slab *s)
{
    if (s == NULL) {
        return;
    }
    uint32_t before = __atomic_fetch_sub(&s->refs, 1, __ATOMIC_ACQ_REL);
    ASSERT(before > 0);
    if (before == 1) {
        mem_free(s);
    }
}
