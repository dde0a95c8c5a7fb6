/* The backend client's parts among themselves. */
#ifndef FRONTEND_SESSION_BACKEND_INTERNAL_H
#define FRONTEND_SESSION_BACKEND_INTERNAL_H

#include "frontend/session/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct resolve_cache;
struct watch_registry;

struct backend {
    struct backend_config cfg;
    struct rpc_client *client;
    struct resolve_cache *resolved;
    struct watch_registry *watches;
};

/* protobuf-c's allocator over an arena: what is unpacked dies with it. */
ProtobufCAllocator backend_allocator(struct arena *arena);

MUST_CHECK enum err resolve_cache_open(struct resolve_cache **out);
void resolve_cache_close(struct resolve_cache *c);

MUST_CHECK enum err watch_registry_open(struct backend *b, struct watch_registry **out, struct buf *why);
void watch_registry_close(struct watch_registry *r);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_BACKEND_INTERNAL_H */
