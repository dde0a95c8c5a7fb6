/* The record's layout (message.h says what is in it):
 *
 *   72 bytes fixed | references, 8 each | part rows, 24 each | charset names | ENVELOPE | BODY | BODYSTRUCTURE | header
 * lines
 *
 * All little-endian; the lengths of the sections stand in the fixed part and add up to the record exactly. */
#ifndef PROTO_MESSAGE_RECORD_H
#define PROTO_MESSAGE_RECORD_H

#include "proto/message/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RECORD_VERSION 1
#define RECORD_FIXED_BYTES 72
#define RECORD_PART_BYTES 24

/* What the parser knows of the whole message, beside the tree. */
struct msg_summary {
    uint32_t size_bytes;
    uint32_t header_bytes;
    uint32_t lines;
    int64_t sent_s;
    int16_t sent_zone_min;
    uint64_t message_id;
    uint64_t base_subject;
    uint64_t references[20];
    size_t n_references;
    uint64_t headers_cut;
    struct msg_span envelope; /* in the tree's text */
    struct slice headers;
};

/* Appends the record; on ERR_NOMEM or ERR_LIMIT out is as it was. */
MUST_CHECK enum err msg_record_encode(const struct msg_summary *s, const struct msg_tree *t, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_RECORD_H */
