#include "proto/rpc/level.h"

#include <gtest/gtest.h>

#include <string>

#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"

namespace
{

template <class M> uint8_t needed(enum method method, const M &m)
{
    std::string s(protobuf_c_message_get_packed_size(&m.base), 0);
    protobuf_c_message_pack(&m.base, reinterpret_cast<uint8_t *>(&s[0]));
    return level_needed(method, slice_make(s.data(), s.size()));
}

TEST(Level, WhatWasThereFromTheBeginningNeedsNone)
{
    Pb__OpNodeSet set = PB__OP_NODE_SET__INIT;
    EXPECT_EQ(LEVEL_FIRST, needed(METHOD_NODE_SET, set));
    set.node = 3;
    set.peer = const_cast<char *>("tcp://a:1");
    set.remove = true;
    set.replace = true;
    EXPECT_EQ(LEVEL_FIRST, needed(METHOD_NODE_SET, set));
    Pb__OpStore store = PB__OP_STORE__INIT;
    store.unchanged_since = 9;
    store.has_unchanged_since = true;
    EXPECT_EQ(LEVEL_FIRST, needed(METHOD_STORE, store));
    EXPECT_EQ(LEVEL_FIRST, level_needed(METHOD_WRITE_MAX, slice_make(NULL, 0)));
}

TEST(Level, NewFieldsAndMethodsNeedIt)
{
    Pb__OpNodeSet set = PB__OP_NODE_SET__INIT;
    set.zone = const_cast<char *>("z");
    EXPECT_EQ(2, needed(METHOD_NODE_SET, set));
    set.zone = const_cast<char *>("");
    set.away = PB__NODE_MARK__MARK_OFF;
    EXPECT_EQ(2, needed(METHOD_NODE_SET, set));
    Pb__OpShardSet pin = PB__OP_SHARD_SET__INIT;
    EXPECT_EQ(2, needed(METHOD_SHARD_SET, pin));
    EXPECT_EQ(2, level_needed(METHOD_CLUSTER_SET, slice_make(NULL, 0)));
}

/* protobuf-c reads varints that are longer than they must be: they may not hide a field. */
TEST(Level, WhatCannotBeReadNeedsTheHighest)
{
    for (const std::string &s :
         {std::string("\x88\x80\x80\x00\x01", 5), std::string("\x0f", 1), std::string("\x12\xff", 2),
          std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11)}) {
        EXPECT_EQ(2, level_needed(METHOD_NODE_SET, slice_make(s.data(), s.size())));
    }
    std::string fixed("\x0d....\x09........\x42\x01z", 17); /* fields 1 (32 bits), 1 (64 bits), 8 */
    EXPECT_EQ(2, level_needed(METHOD_NODE_SET, slice_make(fixed.data(), fixed.size())));
    EXPECT_EQ(LEVEL_FIRST, level_needed(METHOD_NODE_SET, slice_make(fixed.data(), 14)));
}

} // namespace
