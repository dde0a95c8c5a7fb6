/* The RPC methods: X(NAME, number, write, request message, reply message). Numbers are on the wire and, for writes, in
 * the log. Never renumber. Storage implements one file each: storage/apply/<name>.c for writes, storage/method/<name>.c
 * for reads (lower-case names). */
#ifndef PROTO_RPC_METHOD_H
#define PROTO_RPC_METHOD_H

#include "proto/base/err.h"

#define METHOD_WRITE_LIST(X)                                                                                           \
    X(DOMAIN_SET, domain_set, 1, OpDomainSet, NONE)                                                                    \
    X(DIR_ACCOUNT_ADD, dir_account_add, 2, OpDirAccountAdd, OpDirAccountAddResult)                                     \
    X(DIR_ACCOUNT_REMOVE, dir_account_remove, 3, OpDirAccountRemove, NONE)                                             \
    X(ALIAS_SET, alias_set, 4, OpAliasSet, NONE)                                                                       \
    X(DIR_ACCOUNT_ADD_MANY, dir_account_add_many, 5, OpDirAccountAddMany, OpDirAccountAddManyResult)                   \
    X(NODE_SET, node_set, 6, OpNodeSet, OpNodeSetResult)                                                               \
    X(NODE_CLAIM, node_claim, 7, OpNodeClaim, OpNodeClaimResult)                                                       \
    X(CLUSTER_SET, cluster_set, 8, OpClusterSet, NONE)                                                                 \
    X(SHARD_SET, shard_set, 9, OpShardSet, NONE)                                                                       \
    X(DIR_ACCOUNT_MOVE, dir_account_move, 10, OpDirAccountMove, NONE)                                                  \
    X(ACCOUNT_CREATE, account_create, 16, OpAccountCreate, NONE)                                                       \
    X(ACCOUNT_CREATE_MANY, account_create_many, 17, OpAccountCreateMany, NONE)                                         \
    X(ACCOUNT_REMOVE, account_remove, 18, OpAccountRemove, NONE)                                                       \
    X(CREDENTIALS_SET, credentials_set, 19, OpCredentialsSet, NONE)                                                    \
    X(QUOTA_SET, quota_set, 20, OpQuotaSet, NONE)                                                                      \
    X(MAILBOX_CREATE, mailbox_create, 32, OpMailboxCreate, OpMailboxCreateResult)                                      \
    X(MAILBOX_DELETE, mailbox_delete, 33, OpMailboxDelete, NONE)                                                       \
    X(MAILBOX_RENAME, mailbox_rename, 34, OpMailboxRename, NONE)                                                       \
    X(MAILBOX_SUBSCRIBE, mailbox_subscribe, 35, OpMailboxSubscribe, NONE)                                              \
    X(RECENT_CLAIM, recent_claim, 36, OpRecentClaim, OpRecentClaimResult)                                              \
    X(DELIVER, deliver, 48, OpDeliver, OpDeliverResult)                                                                \
    X(APPEND, append, 49, OpAppend, OpAppendResult)                                                                    \
    X(STORE, store, 50, OpStore, OpStoreResult)                                                                        \
    X(EXPUNGE, expunge, 51, OpExpunge, OpExpungeResult)                                                                \
    X(COPY, copy, 52, OpCopy, OpCopyResult)                                                                            \
    X(MOVE, move, 53, OpMove, OpCopyResult)                                                                            \
    X(HANDOFF_DONE, handoff_done, 54, OpHandoffDone, NONE)                                                             \
    X(STAGE_BEGIN, stage_begin, 64, OpStageBegin, OpStageBeginResult)                                                  \
    X(STAGE_CHUNK, stage_chunk, 65, OpStageChunk, NONE)                                                                \
    X(STAGE_ABORT, stage_abort, 66, OpStageAbort, NONE)                                                                \
    X(PURGE, purge, 67, OpPurge, NONE)                                                                                 \
    X(UNDELETE, undelete, 80, OpUndelete, OpUndeleteResult)                                                            \
    X(KEPT_DROP, kept_drop, 81, OpKeptDrop, NONE)                                                                      \
    X(MOVE_START, move_start, 96, OpMoveStart, NONE)                                                                   \
    X(MOVE_STEP, move_step, 97, OpMoveStep, NONE)                                                                      \
    X(ARRIVE_BEGIN, arrive_begin, 98, OpArriveBegin, OpArriveBeginResult)                                              \
    X(ARRIVE_EMAIL, arrive_email, 99, OpArriveEmail, NONE)                                                             \
    X(ARRIVE_KEEP, arrive_keep, 100, OpArriveKeep, OpArriveKeepResult)                                                 \
    X(ARRIVE_ROWS, arrive_rows, 101, OpArriveRows, NONE)                                                               \
    X(ARRIVE_END, arrive_end, 102, OpArriveEnd, NONE)

#define METHOD_READ_LIST(X)                                                                                            \
    X(RESOLVE, resolve, 128, ReadResolve, ReadResolveResult)                                                           \
    X(DIRECTORY_LIST, directory_list, 129, ReadDirectoryList, ReadDirectoryListResult)                                 \
    X(MAP, map, 130, ReadMap, ReadMapResult)                                                                           \
    X(SHARD, shard, 131, ReadShard, ReadShardResult)                                                                   \
    X(ACCOUNT, account, 144, ReadAccount, ReadAccountResult)                                                           \
    X(MAILBOXES, mailboxes, 145, ReadMailboxes, ReadMailboxesResult)                                                   \
    X(MOVES, moves, 150, ReadMoves, ReadMovesResult)                                                                   \
    X(SELECT, select, 160, ReadSelect, ReadSelectResult)                                                               \
    X(SYNC, sync, 161, ReadSync, ReadSyncResult)                                                                       \
    X(VANISHED, vanished, 162, ReadVanished, ReadVanishedResult)                                                       \
    X(FETCH, fetch, 163, ReadFetch, ReadFetchResult)                                                                   \
    X(BODY, body, 164, ReadBody, ReadBodyResult)                                                                       \
    X(SEARCH, search, 165, ReadSearch, ReadSearchResult)                                                               \
    X(KEPT, kept, 170, ReadKept, ReadKeptResult)                                                                       \
    X(POP3_LOCK, pop3_lock, 176, ReadPop3Lock, ReadPop3LockResult)                                                     \
    X(WATCH, watch, 177, ReadWatch, ReadWatchResult)                                                                   \
    X(STATUS, status, 192, ReadStatus, ReadStatusResult)                                                               \
    X(BACKUP_ROWS, backup_rows, 200, ReadBackupRows, ReadBackupRowsResult)                                             \
    X(BACKUP_LOG, backup_log, 201, ReadBackupLog, ReadBackupLogResult)

enum method {
#define METHOD_ENUM(NAME, name, number, req, rep) METHOD_##NAME = number,
    METHOD_WRITE_LIST(METHOD_ENUM) METHOD_READ_LIST(METHOD_ENUM)
#undef METHOD_ENUM
};

#define METHOD_WRITE_MAX 127
#define METHOD_MAX 201

#ifdef __cplusplus
extern "C" {
#endif

struct ProtobufCMessageDescriptor;

/* What a method's payloads are; NULL fields mean an empty payload. */
struct method_info {
    enum method method;
    const char *name; /* "deliver" */
    int write;
    const struct ProtobufCMessageDescriptor *request;
    const struct ProtobufCMessageDescriptor *reply;
};

/* NULL for a number that no method has (it may come from the wire). */
const struct method_info *method_info(unsigned number);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_METHOD_H */
