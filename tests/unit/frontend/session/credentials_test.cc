#include "frontend/session/auth.h"

#include <gtest/gtest.h>

#include <string>

#include "proto/base/rng.h"

namespace
{
struct Made {
    struct arena arena;
    Pb__Credentials c;
    Made() : c(PB__CREDENTIALS__INIT)
    {
        arena_init(&arena, 1 << 20);
    }
    ~Made()
    {
        arena_fini(&arena);
    }
};

std::string text(ProtobufCBinaryData b)
{
    return std::string(reinterpret_cast<const char *>(b.data), b.len);
}

std::string hex(ProtobufCBinaryData b)
{
    static const char digits[] = "0123456789abcdef";
    std::string s;
    for (size_t i = 0; i < b.len; i++) {
        s += digits[b.data[i] >> 4];
        s += digits[b.data[i] & 15];
    }
    return s;
}
} // namespace

TEST(Credentials, MadeOnesVerifyTheirPasswordAndNoOther)
{
    Made m;
    ASSERT_EQ(credentials_make(slice_str("correct horse"), rng_system(), &m.arena, &m.c), OK);
    EXPECT_EQ(text(m.c.argon2id).rfind("$argon2id$v=19$m=19456,t=2,p=1$", 0), 0u) << text(m.c.argon2id);
    EXPECT_EQ(m.c.crypt.len, 0u);
    EXPECT_EQ(credentials_verify(&m.c, slice_str("correct horse")), OK);
    EXPECT_EQ(credentials_verify(&m.c, slice_str("correct hors")), ERR_AUTH);
    EXPECT_EQ(credentials_verify(&m.c, slice_str("")), ERR_AUTH);
}

TEST(Credentials, ScramVerifiersHaveTheirSizesAndDifferForDifferentSalts)
{
    Made a;
    Made b;
    ASSERT_EQ(credentials_make(slice_str("pencil"), rng_system(), &a.arena, &a.c), OK);
    ASSERT_EQ(credentials_make(slice_str("pencil"), rng_system(), &b.arena, &b.c), OK);
    EXPECT_EQ(a.c.scram_iterations, 4096u);
    EXPECT_EQ(a.c.scram_sha256_stored.len, 32u);
    EXPECT_EQ(a.c.scram_sha256_server.len, 32u);
    EXPECT_EQ(a.c.scram_sha1_stored.len, 20u);
    EXPECT_EQ(a.c.scram_sha1_server.len, 20u);
    EXPECT_NE(hex(a.c.scram_sha256_stored), hex(b.c.scram_sha256_stored));
}

/* RFC 7677, section 3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 iterations. */
TEST(Credentials, ScramKeysMatchTheVectorOfRfc7677)
{
    struct rng fixed = {};
    fixed.fill = [](struct rng *, void *p, size_t n) {
        static const unsigned char salt[16] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                               0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
        memcpy(p, salt, n);
    };
    Made m;
    ASSERT_EQ(credentials_make(slice_str("pencil"), &fixed, &m.arena, &m.c), OK);
    EXPECT_EQ(hex(m.c.scram_sha256_stored), "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6");
    EXPECT_EQ(hex(m.c.scram_sha256_server), "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5");
}

TEST(Credentials, ImportsCryptSchemesWithAndWithoutPrefix)
{
    static const struct {
        const char *hash;
        const char *password;
    } cases[] = {
        {"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
         "Hello world!"},
        {"{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
         "O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
         "Hello world!"},
        {"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"},
        {"{BLF-CRYPT}$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
        {"{CRYPT}$y$j9T$abcdefgh$WtA2I5exIyQv5b7uDMgPs3N8zOQY6ZtcplRdKJSUiBC", "Hello world!"},
        {"$1$abcdefgh$fzmjzFdo5nMtBG8gtud5e0", "Hello world!"},
    };
    for (const auto &t : cases) {
        Made m;
        ASSERT_EQ(credentials_import(slice_str(t.hash), &m.arena, &m.c), OK) << t.hash;
        EXPECT_EQ(credentials_verify(&m.c, slice_str(t.password)), OK) << t.hash;
        EXPECT_EQ(credentials_verify(&m.c, slice_str("other")), ERR_AUTH) << t.hash;
    }
}

TEST(Credentials, ImportedArgon2idKeepsItsText)
{
    Made a;
    Made b;
    ASSERT_EQ(credentials_make(slice_str("x1"), rng_system(), &a.arena, &a.c), OK);
    std::string hash = "{ARGON2ID}" + text(a.c.argon2id) + "\n";
    ASSERT_EQ(credentials_import(slice_make(hash.data(), hash.size()), &b.arena, &b.c), OK);
    EXPECT_EQ(text(b.c.argon2id), text(a.c.argon2id));
    EXPECT_EQ(credentials_verify(&b.c, slice_str("x1")), OK);
}

TEST(Credentials, WhatCannotBeVerifiedIsNotImported)
{
    for (const char *h : {"", "plain", "{PLAIN}secret", "{SSHA}abc", "$argon2i$v=19$m=1", "$9$x"}) {
        Made m;
        EXPECT_EQ(credentials_import(slice_str(h), &m.arena, &m.c), ERR_UNSUPPORTED) << h;
    }
}

TEST(Credentials, AHashThatNobodyCouldLogInWithIsNotImported)
{
    const std::string good = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
                             "O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
    for (const std::string &h :
         {std::string("$6$"), std::string("$6$saltstring"), good.substr(0, good.size() - 1), good + "x",
          good + ":0:99999", std::string("$2b$05$CCCCCCCCCCCCCCCCCCCCC."), std::string("$y$j9T$abcdefgh"),
          std::string("$argon2id$"), std::string("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ")}) {
        Made m;
        EXPECT_EQ(credentials_import(slice_make(h.data(), h.size()), &m.arena, &m.c), ERR_INVAL) << h;
    }
}

TEST(Credentials, APasswordWithNulDoesNotMatchItsBeginning)
{
    Made m;
    ASSERT_EQ(
        credentials_import(slice_str("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"), &m.arena, &m.c), OK);
    EXPECT_EQ(credentials_verify(&m.c, slice_make("Hello world!\0x", 14)), ERR_AUTH);
}

TEST(Credentials, BrokenStoredHashesAreRefusedNotCrashed)
{
    Made m;
    m.c.crypt.data = (uint8_t *)"$6$";
    m.c.crypt.len = 3;
    EXPECT_EQ(credentials_verify(&m.c, slice_str("x")), ERR_AUTH);
    m.c.argon2id.data = (uint8_t *)"$argon2id$";
    m.c.argon2id.len = 10;
    EXPECT_EQ(credentials_verify(&m.c, slice_str("x")), ERR_AUTH);
}
