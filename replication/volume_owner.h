/* Whose a volume is: the cluster's id and the node's, in a row of the volume's own (0 'I'). Written once, before the
 * volume has replicas or by the first start that knows of the row; compared at every start (storage/node). */
#ifndef REPLICATION_VOLUME_OWNER_H
#define REPLICATION_VOLUME_OWNER_H

#include "proto/base/id.h"
#include "proto/base/kv.h"

#ifdef __cplusplus
extern "C" {
#endif

struct volume_owner {
    struct u128 cluster;
    struct node_id node;
};

/* ERR_NOTFOUND, ERR_CORRUPT. */
MUST_CHECK enum err volume_owner_get(struct kv_txn *t, struct volume_owner *out);
MUST_CHECK enum err volume_owner_put(struct kv_txn *t, const struct volume_owner *o);
/* ERR_CORRUPT: length, checksum or content. */
MUST_CHECK enum err volume_owner_decode(struct slice row, struct volume_owner *out);

/* How many shards have a replica on disk. */
MUST_CHECK enum err volume_replicas_stored(struct kv_txn *t, uint32_t *out);

#ifdef __cplusplus
}
#endif

#endif /* REPLICATION_VOLUME_OWNER_H */
