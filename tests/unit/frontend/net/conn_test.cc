#include "net_fixture.h"

using namespace net_test;

class ConnTest : public BothBackends
{
};
NET_BOTH_BACKENDS(ConnTest);

TEST_P(ConnTest, greets_echoes_and_says_goodbye)
{
    Server s(GetParam(), {});
    Client c(s.port());
    EXPECT_EQ(c.line(), "HELLO");
    c.send("ECHO one\r\n");
    EXPECT_EQ(c.line(), "one");
    c.send("QUIT\r\n");
    EXPECT_EQ(c.line(), "BYE");
    EXPECT_EQ(c.line(), "<eof>");
    c.shut();
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    EXPECT_EQ(s.shared.opened, 1);
    EXPECT_EQ(s.shared.closed, 1);
}

TEST_P(ConnTest, input_is_understood_at_every_split)
{
    Server s(GetParam(), {});
    const std::string text = "ECHO first\r\nECHO second\r\nLIT 5\r\nabcdeECHO third\r\n";
    for (size_t split = 1; split < text.size(); split++) {
        Client c(s.port());
        ASSERT_TRUE(c.send(text.substr(0, split)));
        EXPECT_EQ(c.line(), "HELLO");
        if (split % 4 == 0) {
            sleep_ms(1);
        }
        ASSERT_TRUE(c.send(text.substr(split)));
        EXPECT_EQ(c.line(), "first") << split;
        EXPECT_EQ(c.line(), "second") << split;
        EXPECT_EQ(c.line(), "+") << split;
        EXPECT_EQ(c.line().substr(0, 5), "LIT 5") << split;
        EXPECT_EQ(c.line(), "third") << split;
    }
}

TEST_P(ConnTest, input_is_understood_byte_by_byte)
{
    Server s(GetParam(), {});
    Client c(s.port());
    for (char ch : std::string("ECHO slow\r\nQUIT\r\n")) {
        ASSERT_TRUE(c.send(std::string(1, ch)));
        sleep_ms(1);
    }
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "slow");
    EXPECT_EQ(c.line(), "BYE");
}
