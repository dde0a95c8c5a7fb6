/* Watched accounts and what was missed of them: hints (watch.c) and the thread that asks (watch_check.c). */
#ifndef FRONTEND_SESSION_WATCH_INTERNAL_H
#define FRONTEND_SESSION_WATCH_INTERNAL_H

#include <pthread.h>

#include "frontend/session/backend_internal.h"
#include "proto/base/hmap.h"
#include "proto/base/list.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WATCH_STRIPES 64
#define SHARD_BITS 8192 /* shards beyond share the last */

struct watched {
    struct hmap_node node;
    struct account_id account;
    struct shard_id shard;
    uint64_t modseq; /* atomic */
    bool again;      /* a session could not read: wake it with the next answer */
    struct list watches;
};

struct backend_watch {
    struct list node;
    struct watched *account;
    struct conn_handle *conn;
    struct stripe *stripe;
    struct watch_registry *registry;
};

struct stripe {
    pthread_mutex_t lock;
    struct hmap map;
};

/* A node's events, by its slot in the map. */
struct source {
    bool open;
    bool gap;          /* it counted more than we heard */
    uint64_t epoch;    /* of the publisher */
    uint64_t counted;  /* its account hints, as far as we heard */
    uint64_t heard_ms; /* last hint or heartbeat */
};

struct shard_bits {
    uint64_t bits[SHARD_BITS / 64];
};

struct watch_registry {
    struct backend *backend;
    struct stripe stripes[WATCH_STRIPES];
    pthread_t checker;
    bool checker_started;
    pthread_mutex_t lock; /* below */
    pthread_cond_t wake;
    bool stop;
    struct shard_bits missed; /* something was lost there: check */
    bool missed_any;
    struct source sources[NODES_MAX];
};

static inline void bits_set(struct shard_bits *b, struct shard_id shard)
{
    uint32_t i = shard.v < SHARD_BITS ? shard.v : SHARD_BITS - 1;
    b->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline bool bits_has(const struct shard_bits *b, struct shard_id shard)
{
    uint32_t i = shard.v < SHARD_BITS ? shard.v : SHARD_BITS - 1;
    return (b->bits[i / 64] >> (i % 64) & 1) != 0;
}

/* The account, which lives in that shard, reached modseq: wake its sessions if that is news, or if answered and they
 * want to hear it again. */
void watch_account_changed(struct watch_registry *r, struct account_id a, struct shard_id shard, uint64_t modseq,
                           bool answered);
/* The account has moved: it will be asked for there. */
void watch_account_moved(struct watch_registry *r, struct account_id a, struct shard_id to);
/* With the lock held. */
void watch_missed_shard(struct watch_registry *r, struct shard_id shard);
void watch_missed_all(struct watch_registry *r);

/* The checker's thread; arg: the registry. Runs until stop. */
void *watch_check_main(void *arg);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_WATCH_INTERNAL_H */
