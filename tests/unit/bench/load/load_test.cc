#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "bench/load/gap.h"
#include "bench/load/hist.h"
#include "bench/load/mail.h"
#include "bench/load/reply.h"
#include "bench/load/server_stat.h"

namespace
{

enum reply_state feed_all(enum reply_kind kind, unsigned want, const std::string &bytes, size_t piece)
{
    struct reply r;
    enum reply_state s = REPLY_MORE;
    reply_begin(&r, kind, want);
    for (size_t at = 0; at < bytes.size(); at += piece) {
        EXPECT_EQ(s, REPLY_MORE) << "done too early, at " << at << " of " << bytes;
        s = reply_feed(&r, bytes.data() + at, std::min(piece, bytes.size() - at));
    }
    return s;
}

TEST(Reply, IsFoundHoweverItIsCut)
{
    const std::string literal = "* 1 FETCH (BODY[] {14}\r\na line\r\nand 2\r\n)\r\nzq OK done\r\n";
    const std::string bye = "* BYE logging out\r\nzq OK done\r\n";
    for (size_t piece = 1; piece < 60; piece++) {
        EXPECT_EQ(feed_all(REPLY_TAGGED, 0, literal, piece), REPLY_GOOD) << piece;
        EXPECT_EQ(feed_all(REPLY_TAGGED, 0, bye, piece), REPLY_GOOD) << piece;
        EXPECT_EQ(feed_all(REPLY_TAGGED, 0, "zq NO no\r\n", piece), REPLY_BAD) << piece;
        EXPECT_EQ(feed_all(REPLY_SMTP, 3, "250 a\r\n250 b\r\n354 c\r\n", piece), REPLY_GOOD) << piece;
        EXPECT_EQ(feed_all(REPLY_SMTP, 1, "250-a\r\n250-b\r\n250 c\r\n", piece), REPLY_GOOD) << piece;
        EXPECT_EQ(feed_all(REPLY_SMTP, 2, "250 a\r\n451 b\r\n", piece), REPLY_BAD) << piece;
        EXPECT_EQ(feed_all(REPLY_DOT, 0, "+OK\r\n1 10\r\n2 .\r\n..\r\n.\r\n", piece), REPLY_GOOD) << piece;
        EXPECT_EQ(feed_all(REPLY_DOT, 0, "-ERR no\r\n", piece), REPLY_BAD) << piece;
        EXPECT_EQ(feed_all(REPLY_PLUS, 0, "* 3 EXISTS\r\n+ idling\r\n", piece), REPLY_GOOD) << piece;
    }
}

TEST(Reply, OfManyTimesItsTailIsFound)
{
    std::string big;
    for (int i = 0; i < 5000; i++) {
        big += "* " + std::to_string(i) + " FETCH (FLAGS ())\r\n";
    }
    EXPECT_EQ(feed_all(REPLY_TAGGED, 0, big + "zq OK done\r\n", 1460), REPLY_GOOD);
    EXPECT_EQ(feed_all(REPLY_TAGGED, 0, big, 1460), REPLY_MORE);
}

TEST(Mail, HasItsSizeAndAnotherIdentityEachTime)
{
    for (size_t size : {(size_t)MAIL_BYTES_MIN, (size_t)4096, (size_t)65536}) {
        struct mail m;
        std::set<std::string> seen;
        mail_init(&m, size, 1);
        for (uint64_t n = 0; n < 50; n++) {
            mail_vary(&m, n);
            std::string text(m.bytes, m.size_bytes);
            ASSERT_EQ(text.size(), size);
            EXPECT_EQ(text.find("\r\n."), std::string::npos) << "dot-stuffing would change it";
            EXPECT_EQ(text.substr(size - 2), "\r\n");
            EXPECT_EQ(text.find('@', 0) == std::string::npos, false);
            size_t at = text.find("Message-ID: ");
            ASSERT_NE(at, std::string::npos);
            seen.insert(text.substr(at, text.find("\r\n", at) - at));
        }
        EXPECT_EQ(seen.size(), 50U);
        EXPECT_EQ(std::string(m.bytes + size, 3), ".\r\n");
        mail_fini(&m);
    }
}

TEST(Hist, PercentilesAreWithinTwoPercent)
{
    static struct hist h;
    for (uint64_t us = 1; us <= 100000; us++) {
        hist_add(&h, us);
    }
    EXPECT_NEAR(hist_ms(&h, 500), 50.0, 1.0);
    EXPECT_NEAR(hist_ms(&h, 990), 99.0, 2.0);
    EXPECT_EQ(h.max_us, 100000U);
    EXPECT_LE(hist_ms(&h, 1000), 100.0);
}

TEST(Gap, TheLongestCountsAlsoWhenTheEndCutsIt)
{
    struct gap g;
    gap_begin(&g, 1000);
    gap_end(&g, 1300);
    gap_end(&g, 1310);
    gap_end(&g, 1500);
    EXPECT_EQ(g.max_us, 300U);
    gap_end(&g, 2100); /* nothing more came */
    EXPECT_EQ(g.max_us, 600U);
}

TEST(ServerStat, ReadsBothKindsOfControlGroups)
{
    char name[] = "/tmp/pb-bench-XXXXXX";
    std::string dir = mkdtemp(name);
    std::ofstream(dir + "/cpu.stat") << "usage_usec 12345\nuser_usec 1\n";
    std::ofstream(dir + "/cgroup.procs") << getpid() << "\n";
    struct server_stat s = {};
    s.cgroup = dir.c_str();
    EXPECT_EQ(server_stat_cpu_us(&s), 12345U);
    std::ofstream(dir + "/cpuacct.usage") << "77000000\n";
    EXPECT_EQ(server_stat_cpu_us(&s), 77000U);
    EXPECT_GT(server_stat_pss_kib(&s), 100U);
    std::filesystem::remove_all(dir);
}

/* A child that has ended counts with its parent's waited-for time, a living one with its own. */
TEST(ServerStat, ATreeCountsItsChildrenDeadAndAlive)
{
    struct server_stat s = {};
    int done[2];
    int stop[2];
    ASSERT_EQ(pipe(done), 0);
    ASSERT_EQ(pipe(stop), 0);
    pid_t root = fork();
    ASSERT_GE(root, 0);
    if (root == 0) {
        auto burn = [] {
            volatile uint64_t x = 0;
            while (clock() < CLOCKS_PER_SEC / 5) {
                x = x + 1;
            }
        };
        pid_t dead = fork();
        if (dead == 0) {
            burn();
            _exit(0);
        }
        waitpid(dead, nullptr, 0);
        if (fork() == 0) {
            burn();
        }
        char c = 'x';
        if (write(done[1], &c, 1) != 1) {
            _exit(1);
        }
        close(stop[1]);
        _exit(read(stop[0], &c, 1) == 0 ? 0 : 1);
    }
    close(stop[0]);
    char c[2];
    for (size_t got = 0; got < 2;) { /* the root and its living child */
        ssize_t n = read(done[0], c, 2 - got);
        ASSERT_GT(n, 0);
        got += (size_t)n;
    }
    s.pid = root;
    EXPECT_GE(server_stat_cpu_us(&s), 350000U);
    EXPECT_LT(server_stat_cpu_us(&s), 600000U);
    close(stop[1]);
    close(done[0]);
    close(done[1]);
    waitpid(root, nullptr, 0);
}

} // namespace
