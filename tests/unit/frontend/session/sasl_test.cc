#include "frontend/session/auth.h"

#include <gtest/gtest.h>

#include <string>

namespace
{
enum err plain(const std::string &m, std::string *user, std::string *password)
{
    struct slice u = slice_str("");
    struct slice p = slice_str("");
    enum err e = auth_sasl_plain(slice_make(m.data(), m.size()), &u, &p);
    user->assign(reinterpret_cast<const char *>(u.p), u.n);
    password->assign(reinterpret_cast<const char *>(p.p), p.n);
    return e;
}
} // namespace

TEST(SaslPlain, TakesUserAndPassword)
{
    std::string u, p;
    EXPECT_EQ(plain(std::string("\0tim\0tanstaaftanstaaf", 21), &u, &p), OK);
    EXPECT_EQ(u, "tim");
    EXPECT_EQ(p, "tanstaaftanstaaf");
    EXPECT_EQ(plain(std::string("tim\0tim\0pw", 10), &u, &p), OK);
}

TEST(SaslPlain, ActingForSomebodyElseIsRefused)
{
    std::string u, p;
    EXPECT_EQ(plain(std::string("Ursel\0Kurt\0xipj3plmq", 20), &u, &p), ERR_PERM);
}

TEST(SaslPlain, MalformedMessagesAreRefused)
{
    std::string u, p;
    for (const std::string &m :
         {std::string(""), std::string("user"), std::string("\0user", 5), std::string("\0\0pw", 4),
          std::string("\0user\0", 6), std::string("\0user\0pw\0x", 10)}) {
        EXPECT_EQ(plain(m, &u, &p), ERR_INVAL) << m.size();
    }
}
