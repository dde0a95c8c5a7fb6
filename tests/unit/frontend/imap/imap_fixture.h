/* What the IMAP tests share: an arena, a cursor over a string, and output gathered in a string. */
#ifndef TESTS_UNIT_FRONTEND_IMAP_IMAP_FIXTURE_H
#define TESTS_UNIT_FRONTEND_IMAP_IMAP_FIXTURE_H

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "frontend/imap/imap_out.h"
#include "frontend/imap/imap_parse.h"
#include "proto/base/uidset.h"

inline slice S(const std::string &s)
{
    return slice_make(s.data(), s.size());
}

inline std::string str(slice s)
{
    return std::string(reinterpret_cast<const char *>(s.p), s.n);
}

/* Each text is in a block of its own exact size, so that the sanitizer sees a read past its end. */
class Text
{
  public:
    explicit Text(const std::string &s) : bytes_(s.begin(), s.end())
    {
        bytes_.shrink_to_fit();
    }
    slice get() const
    {
        return slice_make(bytes_.data(), bytes_.size());
    }

  private:
    std::vector<uint8_t> bytes_;
};

class ImapTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        arena_init(&arena, 1 << 20);
    }
    void TearDown() override
    {
        arena_fini(&arena);
        for (Text *t : texts_) {
            delete t;
        }
    }
    imap_cursor cursor(const std::string &s)
    {
        texts_.push_back(new Text(s));
        imap_cursor c;
        imap_cursor_init(&c, texts_.back()->get(), &arena, &imap_limits_default);
        return c;
    }
    struct arena arena;

  private:
    std::vector<Text *> texts_;
};

class Out
{
  public:
    Out()
    {
        imap_out_init(&out, sink, this);
    }
    ~Out()
    {
        imap_out_release(&out);
    }
    std::string take()
    {
        imap_out_flush(&out);
        std::string s;
        s.swap(text_);
        return s;
    }
    imap_out out;
    size_t calls = 0;
    enum err fail = OK;

  private:
    static enum err sink(void *user, slice bytes)
    {
        Out *o = static_cast<Out *>(user);
        o->calls++;
        o->text_ += str(bytes);
        return o->fail;
    }
    std::string text_;
};

class Uids
{
  public:
    Uids()
    {
        uidset_init(&set);
    }
    explicit Uids(const std::vector<std::pair<uint32_t, uint32_t>> &ranges) : Uids()
    {
        for (auto r : ranges) {
            EXPECT_EQ(OK, uidset_add_range(&set, r.first, r.second));
        }
    }
    ~Uids()
    {
        uidset_fini(&set);
    }
    Uids(const Uids &) = delete;
    std::string text() const
    {
        buf b;
        buf_init(&b, 1 << 20);
        EXPECT_EQ(OK, uidset_format(&set, &b));
        std::string s = str(buf_slice(&b));
        buf_fini(&b);
        return s;
    }
    uidset set;
};

#endif
