#include "imap_fixture.h"

#include "frontend/imap/imap_error.h"

namespace
{

std::string code(enum err e, imap_error_about about = IMAP_ABOUT_MAILBOX)
{
    return imap_error_of(e, about).code;
}

TEST(ImapError, ClientsHearTheRightCode)
{
    EXPECT_EQ("NONEXISTENT", code(ERR_NOTFOUND));
    EXPECT_EQ("TRYCREATE", code(ERR_NOTFOUND, IMAP_ABOUT_TARGET));
    EXPECT_EQ("TRYCREATE", code(ERR_NOPARENT, IMAP_ABOUT_TARGET));
    EXPECT_EQ("EXPUNGEISSUED", code(ERR_EXPUNGED, IMAP_ABOUT_MESSAGE));
    EXPECT_EQ("EXPUNGEISSUED", code(ERR_NOTFOUND, IMAP_ABOUT_MESSAGE));
    EXPECT_EQ("ALREADYEXISTS", code(ERR_EXISTS));
    EXPECT_EQ("OVERQUOTA", code(ERR_QUOTA));
    EXPECT_EQ("LIMIT", code(ERR_LIMIT));
    EXPECT_EQ("INUSE", code(ERR_LOCKED));
    EXPECT_EQ("CANNOT", code(ERR_PERM));
    EXPECT_EQ("AUTHENTICATIONFAILED", code(ERR_AUTH, IMAP_ABOUT_LOGIN));
    EXPECT_EQ("SERVERBUG", code(ERR_CORRUPT));
    EXPECT_EQ("SERVERBUG", code(ERR_NOMEM));
}

TEST(ImapError, WhatMayPassLaterIsUnavailable)
{
    for (enum err e :
         {ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_OVERLOAD, ERR_NOT_LEADER, ERR_FULL, ERR_SHUTDOWN, ERR_EXPIRED}) {
        EXPECT_EQ("UNAVAILABLE", code(e)) << err_name(e);
    }
}

TEST(ImapError, EveryErrorHasACodeAndAText)
{
    for (unsigned e = 1; e <= ERR_MAX; e++) {
        for (int about = IMAP_ABOUT_MAILBOX; about <= IMAP_ABOUT_LOGIN; about++) {
            imap_error x = imap_error_of(static_cast<enum err>(e), static_cast<imap_error_about>(about));
            ASSERT_NE(nullptr, x.code);
            ASSERT_NE(nullptr, x.text);
            EXPECT_EQ(std::string::npos, std::string(x.text).find_first_of("\r\n]"));
        }
    }
}

} // namespace
