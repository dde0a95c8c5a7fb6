#include "proto/base/metrics.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "proto/base/mem.h"

namespace
{

std::string render()
{
    struct buf b;
    buf_init(&b, 1 << 20);
    EXPECT_EQ(metrics_render(&b), OK);
    struct slice s = buf_slice(&b);
    std::string out = s.n == 0 ? std::string() : std::string(reinterpret_cast<const char *>(s.p), s.n);
    buf_fini(&b);
    return out;
}

size_t times(const std::string &text, const std::string &what)
{
    size_t n = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
        n++;
    }
    return n;
}

METRIC_COUNTER(never_used, "test_never_used_total", "Never.");
METRIC_COUNTER(plain, "test_plain_total", "Plain.");
METRIC_GAUGE(level, "test_level", "Level.");
METRIC_COUNTER_L(of_imap, "test_sessions_total", "Sessions.", "proto=\"imap\"");
METRIC_COUNTER_L(of_pop3, "test_sessions_total", "Sessions.", "proto=\"pop3\"");
METRIC_GAUGE_L(other_label, "test_other", "Other.", "a=\"b\"");
METRIC_HISTOGRAM(latency, "test_latency_seconds", "Latency.");
METRIC_HISTOGRAM_L(latency_l, "test_labelled_seconds", "Latency.", "cmd=\"FETCH\"");
METRIC_COUNTER(shared, "test_shared_total", "Shared.");

} // namespace

TEST(Metrics, OnlyWhatIsRegisteredIsExportedZerosToo)
{
    EXPECT_EQ(times(render(), "test_plain_total"), 0u);
    metric_register(&plain);
    metric_register(&plain);
    std::string text = render();
    EXPECT_EQ(times(text, "\ntest_plain_total 0\n"), 1u) << text;
    EXPECT_EQ(times(text, "# HELP test_plain_total Plain.\n# TYPE test_plain_total counter\n"), 1u);
    EXPECT_EQ(times(text, never_used.name), 0u);
    metric_inc(&plain);
    metric_add(&plain, 41);
    EXPECT_EQ(times(render(), "\ntest_plain_total 42\n"), 1u);
}

TEST(Metrics, GaugesGoUpAndDown)
{
    metric_set(&level, 10);
    metric_add(&level, -13);
    std::string text = render();
    EXPECT_EQ(times(text, "# TYPE test_level gauge\n"), 1u);
    EXPECT_EQ(times(text, "\ntest_level -3\n"), 1u) << text;
}

TEST(Metrics, SeriesOfOneNameStandTogetherUnderOneHead)
{
    metric_inc(&of_pop3);
    metric_inc(&other_label); /* registered in between */
    metric_add(&of_imap, 2);
    std::string text = render();
    EXPECT_EQ(times(text, "# HELP test_sessions_total Sessions.\n# TYPE test_sessions_total counter\n"
                          "test_sessions_total{proto=\"imap\"} 2\ntest_sessions_total{proto=\"pop3\"} 1\n"),
              1u)
        << text;
    EXPECT_EQ(times(text, "# HELP test_sessions_total"), 1u);
    EXPECT_EQ(times(text, "test_other{a=\"b\"} 1\n"), 1u);
}

TEST(Metrics, HistogramsAreCumulativeInSeconds)
{
    metric_observe_us(&latency, 0);
    metric_observe_us(&latency, 32);
    metric_observe_us(&latency, 33);
    metric_observe_us(&latency, 1500000);
    metric_observe_us(&latency, 16777216);
    metric_observe_us(&latency, 16777217);
    std::string text = render();
    EXPECT_EQ(times(text, "# TYPE test_latency_seconds histogram\ntest_latency_seconds_bucket{le=\"0.000032\"} 2\n"
                          "test_latency_seconds_bucket{le=\"0.000064\"} 3\n"),
              1u)
        << text;
    EXPECT_EQ(times(text, "le=\"1.048576\"} 3\n"), 1u);
    EXPECT_EQ(times(text, "le=\"2.097152\"} 4\n"), 1u);
    EXPECT_EQ(times(text, "le=\"16.777216\"} 5\ntest_latency_seconds_bucket{le=\"+Inf\"} 6\n"
                          "test_latency_seconds_sum 35.054498\ntest_latency_seconds_count 6\n"),
              1u);
    EXPECT_EQ(times(text, "test_latency_seconds_bucket{"), METRIC_BUCKETS + 1u);
    metric_observe_us(&latency_l, 40);
    text = render();
    EXPECT_EQ(times(text, "test_labelled_seconds_bucket{cmd=\"FETCH\",le=\"0.000032\"} 0\n"), 1u) << text;
    EXPECT_EQ(times(text, "test_labelled_seconds_sum{cmd=\"FETCH\"} 0.000040\n"
                          "test_labelled_seconds_count{cmd=\"FETCH\"} 1\n"),
              1u);
}

TEST(Metrics, ThreadsLoseNoUpdates)
{
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([] {
            for (int i = 0; i < 5000; i++) {
                metric_inc(&shared);
                metric_observe_us(&latency_l, 1);
                if (i % 1000 == 0) {
                    (void)render();
                }
            }
        });
    }
    for (auto &t : threads) {
        t.join();
    }
    EXPECT_EQ(times(render(), "\ntest_shared_total 20000\n"), 1u);
}

TEST(Metrics, AFailedRenderingLeavesTheBufferAsItWas)
{
    metric_register(&plain);
    for (size_t limit = 3; limit < 60; limit++) {
        struct buf b;
        buf_init(&b, limit);
        ASSERT_EQ(buf_append_str(&b, "abc"), OK);
        EXPECT_EQ(metrics_render(&b), ERR_LIMIT);
        EXPECT_TRUE(slice_eq_str(buf_slice(&b), "abc"));
        buf_fini(&b);
    }
    for (uint64_t nth = 1;; nth++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        mem_fail_nth(nth);
        enum err e = metrics_render(&b);
        bool fired = mem_fail_fired();
        mem_fail_nth(0);
        EXPECT_EQ(e, fired ? ERR_NOMEM : OK);
        EXPECT_TRUE(!fired || b.len == 0);
        buf_fini(&b);
        if (!fired) {
            EXPECT_GT(nth, 2u);
            break;
        }
    }
}
