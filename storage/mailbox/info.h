/* A mailbox as clients are told of it: MailboxInfo of read.proto, from its row and its place in the tree. */
#ifndef STORAGE_MAILBOX_INFO_H
#define STORAGE_MAILBOX_INFO_H

#include "proto/base/arena.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/row.h"
#include "storage/mailbox/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Counters and ids; row must outlive the message (objectid points into it). Name, tree and subscription are not set. */
void info_from_row(uint32_t mailbox, const struct mailbox_row *row, Pb__MailboxInfo *out);
/* Everything; row as above, the name in the arena. */
MUST_CHECK enum err info_fill(const struct store *s, struct account_id a, uint32_t mailbox,
                              const struct mailbox_row *row, struct arena *arena, Pb__MailboxInfo *out);
/* The whole list, with what is only subscribed, in the arena. */
MUST_CHECK enum err info_list(const struct store *s, struct account_id a, struct arena *arena, Pb__MailboxInfo ***out,
                              size_t *out_n);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_MAILBOX_INFO_H */
