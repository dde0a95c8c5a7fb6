#include "frontend/smtp/smtp_reply.h"

#include <gtest/gtest.h>

#include <string>

TEST(SmtpReply, EveryErrorHasAReplyThatFitsItsClass)
{
    for (unsigned i = 0; i <= ERR_MAX; i++) {
        smtp_status st = smtp_status_of(err_from_wire(i), false);
        EXPECT_EQ(st.code == 250, i == OK) << err_name(err_from_wire(i));
        EXPECT_EQ(st.enhanced[0] - '0', st.code / 100) << err_name(err_from_wire(i));
        EXPECT_GT(std::string(st.text).size(), 0u);
        smtp_status a = smtp_status_of_auth(err_from_wire(i));
        EXPECT_EQ(a.code == 235, i == OK) << err_name(err_from_wire(i));
        EXPECT_EQ(a.enhanced[0] - '0', a.code / 100);
    }
}

TEST(SmtpReply, TheErrorsThatOperatorsKnow)
{
    struct {
        err e;
        int code;
        const char *enhanced;
    } want[] = {
        {ERR_UNAVAILABLE, 451, "4.3.0"}, {ERR_TIMEOUT, 451, "4.3.0"},  {ERR_NOT_LEADER, 451, "4.3.0"},
        {ERR_FULL, 452, "4.3.1"},        {ERR_QUOTA, 452, "4.2.2"},    {ERR_OVERLOAD, 451, "4.3.2"},
        {ERR_SHUTDOWN, 421, "4.3.2"},    {ERR_NOTFOUND, 550, "5.1.1"}, {ERR_LIMIT, 552, "5.3.4"},
        {ERR_NOMEM, 451, "4.3.0"},       {ERR_IO, 451, "4.3.0"},       {ERR_CORRUPT, 451, "4.3.0"},
    };
    for (const auto &w : want) {
        smtp_status st = smtp_status_of(w.e, false);
        EXPECT_EQ(st.code, w.code) << err_name(w.e);
        EXPECT_STREQ(st.enhanced, w.enhanced) << err_name(w.e);
    }
    EXPECT_EQ(smtp_status_of(ERR_QUOTA, true).code, 552);
    EXPECT_STREQ(smtp_status_of(ERR_QUOTA, true).enhanced, "5.2.2");
}
