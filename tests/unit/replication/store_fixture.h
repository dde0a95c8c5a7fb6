/* A kv_mem and short ways to write to it. */
#ifndef TESTS_UNIT_REPLICATION_STORE_FIXTURE_H
#define TESTS_UNIT_REPLICATION_STORE_FIXTURE_H

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "storage/kv/kv_mem.h"

class Store : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_EQ(kv_mem_new(&kv), OK);
    }
    void TearDown() override
    {
        kv_close(kv);
    }
    /* One write transaction: committed when the body returns OK. */
    enum err write(const std::function<enum err(struct kv_txn *)> &body)
    {
        struct kv_txn *t;
        enum err e = kv_begin(kv, true, &t);
        if (e != OK) {
            return e;
        }
        e = body(t);
        if (e != OK) {
            kv_abort(t);
            return e;
        }
        return kv_commit(t);
    }
    enum err read(const std::function<enum err(struct kv_txn *)> &body)
    {
        struct kv_txn *t;
        enum err e = kv_begin(kv, false, &t);
        if (e != OK) {
            return e;
        }
        e = body(t);
        kv_abort(t);
        return e;
    }
    struct Row {
        std::string key;
        std::string value;
    };
    std::vector<Row> rows(const std::string &prefix = "")
    {
        std::vector<Row> all;
        EXPECT_EQ(read([&](struct kv_txn *t) {
                      struct kv_cursor *c;
                      struct slice k;
                      struct slice v;
                      enum err e = kv_cursor_open(t, &c);
                      if (e != OK) {
                          return e;
                      }
                      while ((e = kv_cursor_next(c, &k, &v)) == OK) {
                          Row row = {std::string(reinterpret_cast<const char *>(k.p), k.n),
                                     std::string(reinterpret_cast<const char *>(v.p), v.n)};
                          if (row.key.compare(0, prefix.size(), prefix) == 0) {
                              all.push_back(row);
                          }
                      }
                      kv_cursor_close(c);
                      return e == ERR_NOTFOUND ? OK : e;
                  }),
                  OK);
        return all;
    }
    void put(const std::string &key, const std::string &value)
    {
        ASSERT_EQ(write([&](struct kv_txn *t) {
                      return kv_put(t, slice_make(key.data(), key.size()), slice_make(value.data(), value.size()));
                  }),
                  OK);
    }
    void del(const std::string &key)
    {
        ASSERT_EQ(write([&](struct kv_txn *t) { return kv_del(t, slice_make(key.data(), key.size())); }), OK);
    }
    struct kv *kv = nullptr;
};

/* Prefix of a letter's rows of replica n (< 256). */
inline std::string under(uint8_t replica, char letter)
{
    return std::string("\0\0\0", 3) + static_cast<char>(replica) + letter;
}

inline std::string string_of(struct slice s)
{
    return std::string(reinterpret_cast<const char *>(s.p), s.n);
}

inline struct slice slice_of(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

#endif /* TESTS_UNIT_REPLICATION_STORE_FIXTURE_H */
