/* Directory look-ups with a small cache of bounded age: an address that mail pours in for costs one RPC in five
 * seconds. */
#include <pthread.h>

#include "frontend/session/backend_internal.h"
#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/hash.h"
#include "proto/base/hmap.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"

#define ENTRIES_MAX 65536
#define POSITIVE_MS 5000
#define NEGATIVE_MS 2000
#define ADDRESS_BYTES_MAX 512
#define REPLY_BYTES_MAX 4096 /* larger answers (long alias lists) are not kept */

struct resolved {
    struct hmap_node node;
    struct list age; /* oldest first */
    uint64_t expires_ms;
    size_t address_bytes;
    size_t reply_bytes;
    uint8_t data[]; /* address, then the packed reply */
};

struct resolve_cache {
    pthread_mutex_t lock;
    struct hmap map;
    struct list age;
};

enum err resolve_cache_open(struct resolve_cache **out)
{
    struct resolve_cache *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&c->lock, NULL);
    hmap_init(&c->map);
    list_init(&c->age);
    *out = c;
    return OK;
}

static void resolved_drop(struct resolve_cache *c, struct resolved *r)
{
    hmap_remove(&c->map, &r->node);
    list_remove(&r->age);
    mem_free(r);
}

void resolve_cache_close(struct resolve_cache *c)
{
    while (!list_empty(&c->age)) {
        resolved_drop(c, LIST_ENTRY(c->age.next, struct resolved, age));
    }
    hmap_fini(&c->map);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static struct resolved *resolved_find(struct resolve_cache *c, struct slice address, uint64_t hash)
{
    for (struct hmap_node *n = hmap_first(&c->map, hash); n != NULL; n = hmap_next(n)) {
        struct resolved *r = HMAP_ENTRY(n, struct resolved, node);
        if (slice_eq(slice_make(r->data, r->address_bytes), address)) {
            return r;
        }
    }
    return NULL;
}

/* A copy of the packed reply in the arena; empty when there is none that is young enough. */
static struct slice cache_get(struct resolve_cache *c, struct slice address, uint64_t hash, uint64_t now,
                              struct arena *arena)
{
    struct slice out = slice_make(NULL, 0);
    pthread_mutex_lock(&c->lock);
    struct resolved *r = resolved_find(c, address, hash);
    if (r != NULL && now >= r->expires_ms) {
        resolved_drop(c, r);
    } else if (r != NULL) {
        uint8_t *copy = arena_dup(arena, r->data + r->address_bytes, r->reply_bytes);
        out = slice_make(copy, copy == NULL ? 0 : r->reply_bytes);
    }
    pthread_mutex_unlock(&c->lock);
    return out;
}

static void cache_put(struct resolve_cache *c, struct slice address, uint64_t hash, uint64_t expires,
                      struct slice reply)
{
    if (reply.n > REPLY_BYTES_MAX) {
        return;
    }
    struct resolved *r = mem_alloc(sizeof(*r) + address.n + reply.n);
    if (r == NULL) {
        return; /* the next look-up asks again */
    }
    r->expires_ms = expires;
    r->address_bytes = address.n;
    r->reply_bytes = reply.n;
    memcpy(r->data, address.p, address.n);
    if (reply.n > 0) {
        memcpy(r->data + address.n, reply.p, reply.n);
    }
    pthread_mutex_lock(&c->lock);
    struct resolved *old = resolved_find(c, address, hash);
    if (old != NULL) {
        resolved_drop(c, old);
    } else if (c->map.count >= ENTRIES_MAX) {
        resolved_drop(c, LIST_ENTRY(c->age.next, struct resolved, age));
    }
    if (hmap_insert(&c->map, &r->node, hash) == OK) {
        list_push_back(&c->age, &r->age);
    } else {
        mem_free(r);
    }
    pthread_mutex_unlock(&c->lock);
}

static enum err resolve_ask(struct backend *b, struct slice address, uint64_t hash, struct arena *arena,
                            const Pb__ReadResolveResult **out)
{
    Pb__ReadResolve req = PB__READ_RESOLVE__INIT;
    struct backend_reply reply;
    req.address = arena_slice_str(arena, address);
    if (req.address == NULL) {
        return ERR_LIMIT;
    }
    struct backend_request call = {.method = METHOD_RESOLVE, .message = &req.base};
    enum err e = backend_call(b, &call, arena, &reply);
    if (e == OK) {
        const Pb__ReadResolveResult *r = (const Pb__ReadResolveResult *)(const void *)reply.message;
        bool local = r->kind == PB__READ_RESOLVE_RESULT__KIND__LOCAL;
        uint64_t now = clock_mono_ms(clock_system());
        cache_put(b->resolved, address, hash, now + (local ? POSITIVE_MS : NEGATIVE_MS), reply.raw.meta);
        *out = r;
    }
    backend_reply_fini(&reply);
    return e;
}

enum err backend_resolve(struct backend *b, struct slice address, struct arena *arena,
                         const Pb__ReadResolveResult **out)
{
    uint8_t lower[ADDRESS_BYTES_MAX];
    ProtobufCAllocator alloc = backend_allocator(arena);
    if (address.n == 0 || address.n > sizeof(lower)) {
        return ERR_INVAL;
    }
    for (size_t i = 0; i < address.n; i++) {
        lower[i] = ascii_lower(address.p[i]);
    }
    struct slice key = slice_make(lower, address.n);
    uint64_t hash = hash_table_key(key.p, key.n);
    struct slice hit = cache_get(b->resolved, key, hash, clock_mono_ms(clock_system()), arena);
    if (hit.p != NULL) {
        *out = pb__read_resolve_result__unpack(&alloc, hit.n, hit.p);
        return *out == NULL ? ERR_LIMIT : OK;
    }
    return resolve_ask(b, key, hash, arena, out);
}
