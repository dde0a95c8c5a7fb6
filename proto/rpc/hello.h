/* The first frame on a link between nodes (links.h): who speaks to whom. Little-endian, exactly as long as it says.
 *
 *   0 "PBXL"   4 u8 version (1)   5 u8 lane   6 u16 address_bytes   8 u8[16] cluster   24 u64 from   32 u64 to
 *  40 u64 epoch   48 address */
#ifndef PROTO_RPC_HELLO_H
#define PROTO_RPC_HELLO_H

#include "proto/base/id.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RPC_HELLO_ADDRESS_BYTES_MAX 255
#define RPC_HELLO_BYTES_MAX (48 + RPC_HELLO_ADDRESS_BYTES_MAX)

struct rpc_hello {
    uint8_t lane; /* enum rpc_lane */
    struct u128 cluster;
    struct node_id from;
    struct node_id to;
    uint64_t epoch;       /* of the connection: a later one of the same sender has a higher */
    struct slice address; /* where the sender can be dialed; may be empty */
};

/* The number of bytes. The address must not be longer than RPC_HELLO_ADDRESS_BYTES_MAX. */
size_t rpc_hello_encode(const struct rpc_hello *h, uint8_t out[RPC_HELLO_BYTES_MAX]);
/* ERR_UNSUPPORTED: another version. ERR_CORRUPT: lengths, an unknown lane, a node or epoch of 0, an address that is not
 * visible ASCII. The address points into `bytes`. */
MUST_CHECK enum err rpc_hello_decode(struct slice bytes, struct rpc_hello *out);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_HELLO_H */
