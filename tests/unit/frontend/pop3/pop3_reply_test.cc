#include "frontend/pop3/pop3_reply.h"

#include <gtest/gtest.h>

#include <string>

TEST(Pop3Reply, EveryErrorHasATextAndAKnownCode)
{
    for (unsigned i = 1; i <= ERR_MAX; i++) {
        pop3_status st = pop3_status_of(err_from_wire(i));
        std::string code = st.code;
        EXPECT_TRUE(code.empty() || code == "[SYS/TEMP] " || code == "[SYS/PERM] " || code == "[IN-USE] " ||
                    code == "[AUTH] ")
            << err_name(err_from_wire(i));
        EXPECT_GT(std::string(st.text).size(), 0u);
    }
    EXPECT_STREQ(pop3_status_of(ERR_AUTH).code, "[AUTH] ");
    EXPECT_STREQ(pop3_status_of(ERR_LOCKED).code, "[IN-USE] ");
    EXPECT_STREQ(pop3_status_of(ERR_UNAVAILABLE).code, "[SYS/TEMP] ");
    EXPECT_STREQ(pop3_status_of(ERR_OVERLOAD).code, "[SYS/TEMP] ");
    EXPECT_STREQ(pop3_status_of(ERR_CORRUPT).code, "[SYS/PERM] ");
}
