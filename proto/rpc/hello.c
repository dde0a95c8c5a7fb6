#include "proto/rpc/hello.h"

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/rpc/links.h"

#define MAGIC "PBXL"
#define VERSION 1
#define FIXED_BYTES 48

size_t rpc_hello_encode(const struct rpc_hello *h, uint8_t out[RPC_HELLO_BYTES_MAX])
{
    ASSERT(h->address.n <= RPC_HELLO_ADDRESS_BYTES_MAX);
    memcpy(out, MAGIC, 4);
    out[4] = VERSION;
    out[5] = h->lane;
    put_le16(out + 6, (uint16_t)h->address.n);
    memcpy(out + 8, h->cluster.b, 16);
    put_le64(out + 24, h->from.v);
    put_le64(out + 32, h->to.v);
    put_le64(out + 40, h->epoch);
    if (h->address.n > 0) {
        memcpy(out + FIXED_BYTES, h->address.p, h->address.n);
    }
    return FIXED_BYTES + h->address.n;
}

static bool visible(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return false;
        }
    }
    return true;
}

enum err rpc_hello_decode(struct slice bytes, struct rpc_hello *out)
{
    if (bytes.n < 5 || memcmp(bytes.p, MAGIC, 4) != 0) {
        return ERR_CORRUPT;
    }
    if (bytes.p[4] != VERSION) {
        return ERR_UNSUPPORTED;
    }
    if (bytes.n < FIXED_BYTES) {
        return ERR_CORRUPT;
    }
    struct rpc_hello h = {.lane = bytes.p[5],
                          .from = {get_le64(bytes.p + 24)},
                          .to = {get_le64(bytes.p + 32)},
                          .epoch = get_le64(bytes.p + 40),
                          .address = slice_sub(bytes, FIXED_BYTES, bytes.n)};
    memcpy(h.cluster.b, bytes.p + 8, 16);
    if (h.address.n != get_le16(bytes.p + 6) || h.address.n > RPC_HELLO_ADDRESS_BYTES_MAX || h.lane >= RPC_LANES ||
        h.from.v == 0 || h.to.v == 0 || h.epoch == 0 || !visible(h.address)) {
        return ERR_CORRUPT;
    }
    *out = h;
    return OK;
}
