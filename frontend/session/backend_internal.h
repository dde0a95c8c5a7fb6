/* The backend client's parts among themselves. */
#ifndef FRONTEND_SESSION_BACKEND_INTERNAL_H
#define FRONTEND_SESSION_BACKEND_INTERNAL_H

#include "frontend/session/backend.h"
#include "frontend/session/nodes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct resolve_cache;
struct watch_registry;

struct backend {
    struct backend_config cfg;
    struct nodes *nodes;
    struct resolve_cache *resolved;
    struct watch_registry *watches;
};

/* protobuf-c's allocator over an arena: what is unpacked dies with it. */
ProtobufCAllocator backend_allocator(struct arena *arena);

MUST_CHECK enum err resolve_cache_open(struct resolve_cache **out);
void resolve_cache_close(struct resolve_cache *c);

/* Opened before the nodes, which tell it what they hear (user: the registry); started after them, stopped before. */
extern const struct nodes_ops watch_ops;
MUST_CHECK enum err watch_registry_open(struct backend *b, struct watch_registry **out);
MUST_CHECK enum err watch_registry_start(struct watch_registry *r);
void watch_registry_stop(struct watch_registry *r);
void watch_registry_close(struct watch_registry *r);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_BACKEND_INTERNAL_H */
