/* What the read methods share. */
#ifndef STORAGE_METHOD_METHOD_H
#define STORAGE_METHOD_METHOD_H

#include "proto/rpc/flags.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/info.h"
#include "storage/mailbox/keyword.h"
#include "storage/mailbox/message.h"
#include "storage/mailbox/name.h"
#include "storage/mailbox/pb.h"
#include "storage/method/method_run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Meta and attachment of a reply together: the frame has a header, and protobuf its tags. */
#define REPLY_BYTES_MAX (240 * 1024)

extern const struct storage_method *const storage_method_table[];

static inline struct store method_store(const struct read_context *rc)
{
    struct store s;
    s.t = rc->txn;
    memcpy(s.prefix, rc->prefix, sizeof(s.prefix));
    return s;
}

/* A live account and one of its live mailboxes. ERR_NOTFOUND. */
MUST_CHECK enum err method_mailbox(const struct store *s, uint64_t account, uint64_t mailbox,
                                   struct account_row *out_account, struct mailbox_row *out_mailbox);
/* Decodes a request's UIDs: ERR_INVAL, ERR_LIMIT. The set is the caller's in every case. */
MUST_CHECK enum err method_uids(ProtobufCBinaryData in, struct uidset *out);
/* Packs a set as a reply's bytes (arena memory). */
MUST_CHECK enum err method_pack_uids(struct arena *a, const struct uidset *set, ProtobufCBinaryData *out);
/* Bytes that a keyword table takes in a reply. */
size_t method_keywords_bytes(const struct keyword_table *t);

/* Columns of fixed width, in the arena: rows are appended until the page is full. */
struct column {
    uint8_t *p;
    size_t n; /* bytes used */
};
static inline void column_le32(struct column *c, uint32_t v)
{
    put_le32(c->p + c->n, v);
    c->n += 4;
}
static inline void column_le64(struct column *c, uint64_t v)
{
    put_le64(c->p + c->n, v);
    c->n += 8;
}
static inline void column_bytes(struct column *c, const void *p, size_t n)
{
    memcpy(c->p + c->n, p, n);
    c->n += n;
}
static inline ProtobufCBinaryData column_data(const struct column *c)
{
    return pb_bytes(slice_make(c->p, c->n));
}

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_METHOD_H */
