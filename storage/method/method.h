/* Helpers that the read methods share. */
#ifndef STORAGE_METHOD_METHOD_H
#define STORAGE_METHOD_METHOD_H

#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/keyword.h"
#include "storage/mailbox/message.h"
#include "storage/mailbox/name.h"
#include "storage/mailbox/pb.h"
#include "storage/mailbox/row.h"
#include "storage/mailbox/tree.h"
#include "storage/method/method_run.h"

#ifdef __cplusplus
extern "C" {
#endif

#define METHOD_RUNS_MAX 1000000 /* of a UID set in a request: the frame bounds it further */

extern const struct storage_method *const storage_method_table[];

static inline struct store method_store(const struct read_context *rc)
{
    struct store s;
    s.t = rc->txn;
    memcpy(s.prefix, rc->prefix, sizeof(s.prefix));
    return s;
}

/* A live mailbox of a live account. ERR_NOTFOUND. */
MUST_CHECK enum err method_mailbox(const struct store *s, struct account_id a, uint64_t mailbox, struct mailbox_row *out);
/* By full name: its id and row, and its node. ERR_NOTFOUND also for \NoSelect. */
MUST_CHECK enum err method_mailbox_named(const struct store *s, struct account_id a, const char *name, uint32_t *out_mailbox,
                                         struct mailbox_row *out);
/* Fills the protobuf form of a mailbox; strings and bytes point to name and row. */
void method_mailbox_info(Pb__MailboxInfo *info, uint32_t mailbox, char *name, struct mailbox_row *row);
/* The keyword table as a repeated string field. */
MUST_CHECK enum err method_keywords(const struct read_context *rc, const struct store *s, struct account_id a, uint32_t mailbox,
                                    const struct mailbox_row *row, char ***out_names, size_t *out_n);
/* A set as bytes in the arena. */
MUST_CHECK enum err method_pack_uids(struct arena *arena, const struct uidset *set, ProtobufCBinaryData *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_METHOD_METHOD_H */
