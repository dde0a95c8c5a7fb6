/* A write transaction that tells which keys are written: a copy of a replica in progress (copy_out.c) must send again
 * what changes behind its cursor. Wraps another transaction; cursors and reads go through. */
#ifndef REPLICATION_KV_SPY_H
#define REPLICATION_KV_SPY_H

#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kv_spy {
    struct kv_txn txn; /* first: what callees get */
    struct kv_txn *inner;
    /* Before the write. */
    void (*wrote)(void *ctx, struct slice key);
    void *ctx;
};

/* The wrapped transaction; valid as long as the inner one, which is committed or aborted by itself. */
struct kv_txn *kv_spy_init(struct kv_spy *s, struct kv_txn *inner, void (*wrote)(void *ctx, struct slice key),
                           void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_KV_SPY_H */
