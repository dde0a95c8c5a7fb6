#include "frontend/net/ip_limit.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "proto/base/mem.h"

static struct sockaddr_storage addr(const char *text)
{
    struct sockaddr_storage a = {};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        a.ss_family = AF_INET;
    } else {
        EXPECT_EQ(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        a.ss_family = AF_INET6;
    }
    return a;
}

static enum err enter(struct ip_limit *l, const char *text)
{
    struct sockaddr_storage a = addr(text);
    return ip_limit_enter(l, &a);
}

static void leave(struct ip_limit *l, const char *text)
{
    struct sockaddr_storage a = addr(text);
    ip_limit_leave(l, &a);
}

TEST(IpLimitTest, counts_ipv4_by_address_and_ipv6_by_its_64_bits)
{
    struct ip_limit *l;
    ASSERT_EQ(ip_limit_new(2, &l), OK);
    EXPECT_EQ(enter(l, "192.0.2.1"), OK);
    EXPECT_EQ(enter(l, "192.0.2.1"), OK);
    EXPECT_EQ(enter(l, "192.0.2.1"), ERR_LIMIT);
    EXPECT_EQ(enter(l, "::ffff:192.0.2.1"), ERR_LIMIT); /* the same host */
    EXPECT_EQ(enter(l, "192.0.2.2"), OK);
    EXPECT_EQ(enter(l, "2001:db8::1"), OK);
    EXPECT_EQ(enter(l, "2001:db8::ffff:1"), OK);
    EXPECT_EQ(enter(l, "2001:db8::2"), ERR_LIMIT);
    EXPECT_EQ(enter(l, "2001:db8:0:1::2"), OK);
    leave(l, "192.0.2.1");
    EXPECT_EQ(enter(l, "192.0.2.1"), OK);
    EXPECT_EQ(ip_limit_count(l), 4U);
    for (const char *a : {"192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::1", "2001:db8:0:1::2"}) {
        leave(l, a);
    }
    EXPECT_EQ(ip_limit_count(l), 0U);
    ip_limit_free(l);
}

TEST(IpLimitTest, zero_means_no_limit)
{
    struct ip_limit *l;
    ASSERT_EQ(ip_limit_new(0, &l), OK);
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(enter(l, "192.0.2.1"), OK);
    }
    for (int i = 0; i < 100; i++) {
        leave(l, "192.0.2.1");
    }
    ip_limit_free(l);
}

TEST(IpLimitTest, an_allocation_that_fails_changes_nothing)
{
    struct ip_limit *l;
    ASSERT_EQ(ip_limit_new(5, &l), OK);
    for (uint64_t nth = 1;; nth++) {
        mem_fail_nth(nth);
        enum err e = enter(l, "192.0.2.9");
        bool fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        if (!fired) {
            EXPECT_EQ(e, OK);
            break;
        }
        if (e == OK) { /* growing the table may fail silently */
            leave(l, "192.0.2.9");
        } else {
            EXPECT_EQ(e, ERR_NOMEM);
            EXPECT_EQ(ip_limit_count(l), 0U);
        }
    }
    leave(l, "192.0.2.9");
    ip_limit_free(l);
}

TEST(IpLimitTest, threads_enter_and_leave_at_once)
{
    struct ip_limit *l;
    ASSERT_EQ(ip_limit_new(0, &l), OK);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 3000; i++) {
                std::string a = "192.0." + std::to_string(i % 4) + "." + std::to_string((i + t) % 200);
                EXPECT_EQ(enter(l, a.c_str()), OK);
                leave(l, a.c_str());
            }
        });
    }
    for (auto &t : threads) {
        t.join();
    }
    EXPECT_EQ(ip_limit_count(l), 0U);
    ip_limit_free(l);
}
