#include "storage/mailbox/pb.h"

struct pb_heap {
    struct arena *arena;
    bool failed;
};

static void *pb_alloc(void *ctx, size_t n)
{
    struct pb_heap *h = ctx;
    void *p = arena_alloc(h->arena, n);
    if (p == NULL) {
        h->failed = true;
    }
    return p;
}

static void pb_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

enum err pb_unpack(const ProtobufCMessageDescriptor *type, struct slice in, struct arena *arena, ProtobufCMessage **out)
{
    static const uint8_t none[1];
    struct pb_heap heap = {arena, false};
    ProtobufCAllocator a = {.alloc = pb_alloc, .free = pb_free, .allocator_data = &heap};
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &a, in.n, in.n == 0 ? none : in.p);
    if (m == NULL) {
        return heap.failed ? ERR_NOMEM : ERR_INVAL;
    }
    *out = m;
    return OK;
}

enum err pb_pack(const ProtobufCMessage *m, struct buf *out)
{
    uint8_t *p;
    size_t n = protobuf_c_message_get_packed_size(m);
    enum err e = buf_reserve(out, n, &p);
    if (e != OK) {
        return e;
    }
    buf_commit(out, protobuf_c_message_pack(m, p));
    return OK;
}
