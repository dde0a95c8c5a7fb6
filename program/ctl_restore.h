/* Restoring from a backup (storage/backup): a cluster into an empty directory, or one account's mail into a running
 * one. */
#ifndef PROGRAM_CTL_RESTORE_H
#define PROGRAM_CTL_RESTORE_H

#include "program/ctl.h"
#include "proto/base/kv.h"
#include "storage/backup/backup_set.h"

struct restore_asked {
    const char *from;
    uint64_t until_ms;
    const char *account; /* NULL: the cluster */
    const char *mailbox; /* NULL: all of them */
    const char *to;      /* the account that gets it; NULL: the same name */
    const char *prefix;  /* the folder that it goes below; empty: none */
    const char *tmp;     /* where the shard is put together */
};

/* Makes the data directory c->data_dir. Exit status. */
int ctl_restore_cluster(struct ctl *c, const struct backup_set *set, const struct restore_asked *a);
/* Exit status. */
int ctl_restore_account(struct ctl *c, const struct backup_set *set, const struct restore_asked *a);

/* --- one account's mail, in the backup or in the cluster --- */

struct mail_side {
    struct ctl *ctl;
    struct kv_txn *saved; /* NULL: it is in the cluster */
    struct arena *arena;  /* of replies from a backup; those of the cluster lie in ctl's until the next is asked for */
    uint8_t prefix[5];    /* of the saved state */
    struct shard_id shard;
    struct account_id account;
};
/* One method of either. attach (may be NULL) is emptied first. */
MUST_CHECK enum err mail_ask(const struct mail_side *s, enum method method, const ProtobufCMessage *message,
                             struct slice body, ProtobufCMessage **out_reply, struct buf *attach);

struct mail_counts {
    uint64_t messages; /* restored */
    uint64_t there;    /* already */
    uint64_t bytes;
};
/* Appends the messages of a mailbox that the other one does not have: the same octets with the same internal date. Both
 * exist. why gets what was refused. */
MUST_CHECK enum err ctl_restore_mail(const struct mail_side *from, uint64_t from_mailbox, const struct mail_side *to,
                                     const char *to_name, struct mail_counts *out, struct buf *why);

#endif /* PROGRAM_CTL_RESTORE_H */
