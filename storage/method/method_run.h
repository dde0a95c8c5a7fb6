/* Read methods: one file each (storage/method/<name>.c, descriptor STORAGE_METHOD(<name>)). A method runs on a reader
 * thread over one short read snapshot and writes its reply's meta and attachment. Pure but for the snapshot and the
 * reader's cache. */
#ifndef STORAGE_METHOD_METHOD_RUN_H
#define STORAGE_METHOD_METHOD_RUN_H

#include <protobuf-c/protobuf-c.h>

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/kv.h"
#include "proto/rpc/frame.h"
#include "proto/rpc/method.h"

#ifdef __cplusplus
extern "C" {
#endif

struct node_info;
struct node_info;
struct pop3_locks;
struct read_cache; /* UID runs and unseen counts keyed by (account, mailbox, modseq); shared by readers, bounded;
                      storage/mailbox/read_cache.h */

struct read_context {
    struct kv_txn *txn;
    uint8_t prefix[5];
    struct shard_id shard;
    uint64_t term;   /* of this leadership */
    uint64_t now_ms; /* monotonic */
    uint64_t deadline_ms;
    struct read_cache *cache;
    struct pop3_locks *pop3;      /* the leader's leases; storage/method/pop3_locks.h */
    const struct node_info *node; /* storage/method/node_info.h */
    struct arena *arena;          /* the call's */
};

struct storage_method {
    enum method method;
    bool local;  /* about the node: answered whether or not it leads the shard */
    bool volume; /* answered on the volume's thread (storage/node/copies.c), from its own state; run is NULL */
    const ProtobufCMessageDescriptor *request;
    /* May be NULL. Looks at the packed request before it is unpacked (nesting). */
    enum err (*check)(struct slice packed);
    /* req: the unpacked request message. Appends the packed reply message to meta and raw bytes to attach. */
    enum err (*run)(struct read_context *rc, const ProtobufCMessage *req, struct buf *meta, struct buf *attach);
};

#define STORAGE_METHOD(n) const struct storage_method storage_method_##n

/* False also for a number that no method has. */
bool storage_method_local(unsigned method);
bool storage_method_volume(unsigned method);
/* Decodes, runs, encodes. ERR_UNSUPPORTED: a number that no method has, or one that the volume's thread answers. */
MUST_CHECK enum err storage_method_run(struct read_context *rc, unsigned method, struct slice req_meta,
                                       struct buf *meta, struct buf *attach);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_METHOD_RUN_H */
