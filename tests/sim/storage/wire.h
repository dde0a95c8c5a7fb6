/* Protobuf messages of requests and results as C++ values. */
#ifndef TESTS_SIM_STORAGE_WIRE_H
#define TESTS_SIM_STORAGE_WIRE_H

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/uidset.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"

namespace mail
{

/* An unpacked message that frees itself. */
template <class T> class Msg
{
  public:
    Msg(const struct ProtobufCMessageDescriptor *d, const std::string &bytes)
        : m_(reinterpret_cast<T *>(
              protobuf_c_message_unpack(d, nullptr, bytes.size(), reinterpret_cast<const uint8_t *>(bytes.data()))))
    {
        EXPECT_NE(m_, nullptr) << "cannot be unpacked";
    }
    ~Msg()
    {
        if (m_ != nullptr) {
            protobuf_c_message_free_unpacked(reinterpret_cast<ProtobufCMessage *>(m_), nullptr);
        }
    }
    Msg(const Msg &) = delete;
    Msg &operator=(const Msg &) = delete;
    const T *operator->() const
    {
        return m_;
    }
    const T &operator*() const
    {
        return *m_;
    }
    explicit operator bool() const
    {
        return m_ != nullptr;
    }

  private:
    T *m_;
};

#define MESSAGE(T, d)                                                                                                  \
    inline const ProtobufCMessageDescriptor *descriptor_of(const T *)                                                  \
    {                                                                                                                  \
        return &d;                                                                                                     \
    }
MESSAGE(Pb__OpAccountCreate, pb__op_account_create__descriptor)
MESSAGE(Pb__OpAccountCreateMany, pb__op_account_create_many__descriptor)
MESSAGE(Pb__OpAccountRemove, pb__op_account_remove__descriptor)
MESSAGE(Pb__OpAliasSet, pb__op_alias_set__descriptor)
MESSAGE(Pb__OpAppend, pb__op_append__descriptor)
MESSAGE(Pb__OpAppendResult, pb__op_append_result__descriptor)
MESSAGE(Pb__OpCopy, pb__op_copy__descriptor)
MESSAGE(Pb__OpCopyResult, pb__op_copy_result__descriptor)
MESSAGE(Pb__OpDeliver, pb__op_deliver__descriptor)
MESSAGE(Pb__OpDeliverResult, pb__op_deliver_result__descriptor)
MESSAGE(Pb__OpDirAccountAdd, pb__op_dir_account_add__descriptor)
MESSAGE(Pb__OpDirAccountAddMany, pb__op_dir_account_add_many__descriptor)
MESSAGE(Pb__OpDirAccountAddManyResult, pb__op_dir_account_add_many_result__descriptor)
MESSAGE(Pb__OpDirAccountAddResult, pb__op_dir_account_add_result__descriptor)
MESSAGE(Pb__OpDirAccountRemove, pb__op_dir_account_remove__descriptor)
MESSAGE(Pb__OpDomainSet, pb__op_domain_set__descriptor)
MESSAGE(Pb__OpExpunge, pb__op_expunge__descriptor)
MESSAGE(Pb__OpExpungeResult, pb__op_expunge_result__descriptor)
MESSAGE(Pb__OpKeptDrop, pb__op_kept_drop__descriptor)
MESSAGE(Pb__OpUndelete, pb__op_undelete__descriptor)
MESSAGE(Pb__OpUndeleteResult, pb__op_undelete_result__descriptor)
MESSAGE(Pb__ReadKeptResult, pb__read_kept_result__descriptor)
MESSAGE(Pb__OpHandoffDone, pb__op_handoff_done__descriptor)
MESSAGE(Pb__OpMailboxCreate, pb__op_mailbox_create__descriptor)
MESSAGE(Pb__OpMailboxCreateResult, pb__op_mailbox_create_result__descriptor)
MESSAGE(Pb__OpMailboxDelete, pb__op_mailbox_delete__descriptor)
MESSAGE(Pb__OpMailboxRename, pb__op_mailbox_rename__descriptor)
MESSAGE(Pb__OpMailboxSubscribe, pb__op_mailbox_subscribe__descriptor)
MESSAGE(Pb__OpMove, pb__op_move__descriptor)
MESSAGE(Pb__OpPurge, pb__op_purge__descriptor)
MESSAGE(Pb__OpQuotaSet, pb__op_quota_set__descriptor)
MESSAGE(Pb__OpRecentClaim, pb__op_recent_claim__descriptor)
MESSAGE(Pb__OpRecentClaimResult, pb__op_recent_claim_result__descriptor)
MESSAGE(Pb__OpStageAbort, pb__op_stage_abort__descriptor)
MESSAGE(Pb__OpStageBegin, pb__op_stage_begin__descriptor)
MESSAGE(Pb__OpStageBeginResult, pb__op_stage_begin_result__descriptor)
MESSAGE(Pb__OpStore, pb__op_store__descriptor)
MESSAGE(Pb__OpStoreResult, pb__op_store_result__descriptor)
MESSAGE(Pb__ReadAccountResult, pb__read_account_result__descriptor)
MESSAGE(Pb__ReadBodyResult, pb__read_body_result__descriptor)
MESSAGE(Pb__ReadFetchResult, pb__read_fetch_result__descriptor)
MESSAGE(Pb__ReadMailboxesResult, pb__read_mailboxes_result__descriptor)
MESSAGE(Pb__ReadResolveResult, pb__read_resolve_result__descriptor)
MESSAGE(Pb__ReadSelectResult, pb__read_select_result__descriptor)
MESSAGE(Pb__ReadSyncResult, pb__read_sync_result__descriptor)
MESSAGE(Pb__ReadVanishedResult, pb__read_vanished_result__descriptor)
#undef MESSAGE

template <class T> Msg<T> unpack(const std::string &bytes)
{
    return Msg<T>(descriptor_of(static_cast<const T *>(nullptr)), bytes);
}

inline const char *method_name(enum method m)
{
    switch (static_cast<int>(m)) {
#define METHOD_NAME(NAME, name, number, req, rep)                                                                      \
    case number:                                                                                                       \
        return #name;
        METHOD_WRITE_LIST(METHOD_NAME)
        METHOD_READ_LIST(METHOD_NAME)
#undef METHOD_NAME
    default:
        return "?";
    }
}

inline std::string pack(const ProtobufCMessage *m)
{
    std::string out(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(out.data()));
    return out;
}

inline ProtobufCBinaryData bytes_of(const std::string &s)
{
    ProtobufCBinaryData b;
    b.len = s.size();
    b.data = reinterpret_cast<uint8_t *>(const_cast<char *>(s.data()));
    return b;
}

inline std::string string_of(ProtobufCBinaryData b)
{
    return std::string(reinterpret_cast<const char *>(b.data), b.len);
}

inline char *text(const std::string &s)
{
    return const_cast<char *>(s.c_str());
}

inline std::string pack_uids(const std::vector<uint32_t> &uids)
{
    struct uidset s;
    struct buf b;
    uidset_init(&s);
    buf_init(&b, SIZE_MAX / 2);
    for (uint32_t uid : uids) {
        EXPECT_EQ(uidset_add(&s, uid), OK);
    }
    EXPECT_EQ(uidset_encode(&s, &b), OK);
    std::string out(reinterpret_cast<const char *>(buf_slice(&b).p), b.len);
    buf_fini(&b);
    uidset_fini(&s);
    return out;
}

inline std::string pack_range(uint32_t first, uint32_t last)
{
    struct uidset s;
    struct buf b;
    uidset_init(&s);
    buf_init(&b, SIZE_MAX / 2);
    EXPECT_EQ(uidset_add_range(&s, first, last), OK);
    EXPECT_EQ(uidset_encode(&s, &b), OK);
    std::string out(reinterpret_cast<const char *>(buf_slice(&b).p), b.len);
    buf_fini(&b);
    uidset_fini(&s);
    return out;
}

/* A UID set that can be asked; runs may be wide. */
class Uids
{
  public:
    explicit Uids(ProtobufCBinaryData b)
    {
        uidset_init(&s_);
        if (b.len > 0) {
            EXPECT_EQ(uidset_decode(&s_, slice_make(b.data, b.len), SIZE_MAX), OK);
        }
    }
    ~Uids()
    {
        uidset_fini(&s_);
    }
    Uids(const Uids &) = delete;
    Uids &operator=(const Uids &) = delete;
    bool has(uint32_t uid) const
    {
        return uidset_has(&s_, uid);
    }
    std::vector<uint32_t> list() const
    {
        std::vector<uint32_t> out;
        for (uint32_t u = uidset_next(&s_, 0); u != 0; u = uidset_next(&s_, u)) {
            out.push_back(u);
        }
        return out;
    }

  private:
    struct uidset s_;
};

inline std::vector<uint32_t> uids_of(ProtobufCBinaryData b)
{
    return Uids(b).list();
}

} // namespace mail

#endif /* TESTS_SIM_STORAGE_WIRE_H */
