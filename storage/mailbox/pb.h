/* protobuf-c with our memory: messages are unpacked into an arena and packed into a buf. */
#ifndef STORAGE_MAILBOX_PB_H
#define STORAGE_MAILBOX_PB_H

#include <protobuf-c/protobuf-c.h>

#include "proto/base/arena.h"
#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ERR_INVAL for what is no such message. Strings and bytes are copies in the arena. ERR_NOMEM. */
MUST_CHECK enum err pb_unpack(const ProtobufCMessageDescriptor *type, struct slice in, struct arena *arena,
                              ProtobufCMessage **out);
/* Appends. */
MUST_CHECK enum err pb_pack(const ProtobufCMessage *m, struct buf *out);

static inline ProtobufCBinaryData pb_bytes(struct slice s)
{
    ProtobufCBinaryData b;
    b.len = s.n;
    b.data = (uint8_t *)(uintptr_t)s.p;
    return b;
}

static inline struct slice pb_slice(ProtobufCBinaryData b)
{
    return slice_make(b.data, b.len);
}

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_PB_H */
