#include "proto/rpc/method.h"

#include <stddef.h>

#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"

/* The lists name reply messages in the schema's spelling; protobuf-c's descriptors are in snake case. */
#define REPLY_NONE NULL
#define REPLY_OpDirAccountAddResult &pb__op_dir_account_add_result__descriptor
#define REPLY_OpDirAccountAddManyResult &pb__op_dir_account_add_many_result__descriptor
#define REPLY_OpNodeSetResult &pb__op_node_set_result__descriptor
#define REPLY_OpNodeClaimResult &pb__op_node_claim_result__descriptor
#define REPLY_OpArriveBeginResult &pb__op_arrive_begin_result__descriptor
#define REPLY_OpArriveKeepResult &pb__op_arrive_keep_result__descriptor
#define REPLY_OpMailboxCreateResult &pb__op_mailbox_create_result__descriptor
#define REPLY_OpRecentClaimResult &pb__op_recent_claim_result__descriptor
#define REPLY_OpDeliverResult &pb__op_deliver_result__descriptor
#define REPLY_OpAppendResult &pb__op_append_result__descriptor
#define REPLY_OpStoreResult &pb__op_store_result__descriptor
#define REPLY_OpExpungeResult &pb__op_expunge_result__descriptor
#define REPLY_OpCopyResult &pb__op_copy_result__descriptor
#define REPLY_OpStageBeginResult &pb__op_stage_begin_result__descriptor
#define REPLY_OpUndeleteResult &pb__op_undelete_result__descriptor

#define METHOD_ROW_WRITE(NAME, name, number, req, rep)                                                                 \
    [number] = {METHOD_##NAME, #name, 1, &pb__op_##name##__descriptor, REPLY_##rep},
/* A read's messages are named after it without exception. */
#define METHOD_ROW_READ(NAME, name, number, req, rep)                                                                  \
    [number] = {METHOD_##NAME, #name, 0, &pb__read_##name##__descriptor, &pb__read_##name##_result__descriptor},

static const struct method_info methods[METHOD_MAX + 1] = {METHOD_WRITE_LIST(METHOD_ROW_WRITE)
                                                               METHOD_READ_LIST(METHOD_ROW_READ)};

const struct method_info *method_info(unsigned number)
{
    if (number > METHOD_MAX || methods[number].name == NULL) {
        return NULL;
    }
    return &methods[number];
}
