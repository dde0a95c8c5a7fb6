#include "net_fixture.h"
#include "proto/base/mem.h"

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

TEST_P(ConnTest, a_client_that_half_closes_after_quit_still_gets_its_answers)
{
    Server s(GetParam(), {});
    for (int i = 0; i < 20; i++) {
        Client c(s.port());
        c.send("ECHO a\r\nSLEEP 3\r\nQUIT\r\n");
        c.half_close();
        EXPECT_EQ(c.line(), "HELLO");
        EXPECT_EQ(c.line(), "a");
        EXPECT_EQ(c.line(), "slept");
        EXPECT_EQ(c.line(), "BYE");
        EXPECT_EQ(c.line(), "<eof>");
    }
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
}

TEST_P(ConnTest, end_of_file_without_a_complete_line_ends_the_session)
{
    Server s(GetParam(), {});
    Client c(s.port());
    c.send("ECHO incompl");
    c.half_close();
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "<eof>");
    EXPECT_TRUE(eventually([&] { return s.shared.closed == 1; }));
}

TEST_P(ConnTest, a_reading_command_sees_end_of_file)
{
    Server s(GetParam(), {});
    Client c(s.port());
    c.send("LIT 100\r\nabc");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "+");
    c.half_close();
    EXPECT_EQ(c.line(), "<eof>");
    EXPECT_EQ((enum err)s.shared.last_err.load(), ERR_CLOSED);
}

TEST_P(ConnTest, a_reading_command_times_out)
{
    Server s(GetParam(), {});
    Client c(s.port());
    c.send("HASTY 100\r\nabc");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "+");
    uint64_t start = now_ms();
    EXPECT_EQ(c.line(), "<eof>");
    EXPECT_GE(now_ms() - start, 190U);
    EXPECT_EQ((enum err)s.shared.last_err.load(), ERR_TIMEOUT);
}

TEST_P(ConnTest, a_large_upload_passes_through_the_bounded_input_buffer)
{
    Server s(GetParam(), {});
    Client c(s.port());
    const size_t n = 8 * 1024 * 1024;
    std::string body(n, 0);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        body[i] = (char)(i * 7 + (i >> 9));
        sum = sum * 31 + (uint8_t)body[i];
    }
    ASSERT_TRUE(c.send("LIT " + std::to_string(n) + "\r\n" + body + "ECHO after\r\n"));
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "+");
    EXPECT_EQ(c.line(), "LIT " + std::to_string(n) + " " + std::to_string(sum));
    EXPECT_EQ(c.line(), "after");
    EXPECT_LE(s.shared.peak_input, line_proto.in_bytes_max);
}

TEST_P(ConnTest, input_that_the_protocol_cannot_use_is_bounded_and_ends_the_session)
{
    Server s(GetParam(), {});
    Client c(s.port());
    std::string endless(20000, 'x'); /* no line end, more than in_bytes_max */
    c.send(endless);
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "<eof>");
    EXPECT_TRUE(eventually([&] { return s.shared.closed == 1; }));
}

TEST_P(ConnTest, pipelined_commands_beyond_the_input_buffer_are_all_answered)
{
    Server s(GetParam(), {});
    Client c(s.port());
    std::string all;
    const int n = 20000;
    for (int i = 0; i < n; i++) {
        all += "ECHO " + std::to_string(i) + "\r\n";
    }
    std::thread sender([&] { c.send(all); });
    EXPECT_EQ(c.line(), "HELLO");
    for (int i = 0; i < n; i++) {
        ASSERT_EQ(c.line(), std::to_string(i));
    }
    sender.join();
}

TEST_P(ConnTest, large_output_arrives_complete_through_back_pressure)
{
    Server s(GetParam(), {});
    for (const char *cmd : {"BIG 10000000\r\n", "CHUNKS 10000000 777\r\n"}) {
        Client c(s.port(), 32 * 1024);
        c.send(cmd);
        EXPECT_EQ(c.line(), "HELLO");
        sleep_ms(50); /* the session's fiber is parked by now */
        std::string got = c.exactly(10000002);
        EXPECT_EQ(got.size(), 10000002U);
        EXPECT_EQ(got.find_first_not_of('b'), 10000000U);
        c.send("ECHO next\r\n");
        EXPECT_EQ(c.line(), "next");
    }
}

TEST_P(ConnTest, a_client_that_does_not_read_is_evicted_and_others_go_on)
{
    Server::Options o;
    o.stall_ms = 300;
    Server s(GetParam(), o);
    Client slow(s.port(), 4096);
    slow.send("BIG 50000000\r\n");
    Client other(s.port());
    EXPECT_EQ(other.line(), "HELLO");
    for (int i = 0; i < 10; i++) {
        other.send("ECHO x\r\n");
        EXPECT_EQ(other.line(), "x");
    }
    EXPECT_TRUE(eventually([&] { return s.shared.closed == 1; }));
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 1; }));
    std::string how;
    slow.rest(&how);
    EXPECT_EQ(how, "<error>"); /* reset */
}

TEST_P(ConnTest, a_client_that_reads_slowly_but_steadily_is_not_evicted)
{
    Server::Options o;
    o.stall_ms = 400;
    o.high = 16 * 1024;
    Server s(GetParam(), o);
    Client c(s.port(), 4096);
    c.send("BIG 3000000\r\nQUIT\r\n");
    size_t got = 0;
    for (int i = 0; i < 20; i++) {
        got += c.exactly(40000).size();
        sleep_ms(50);
    }
    got += c.rest().size();
    EXPECT_EQ(got, 7U + 3000002U + 5U);
}

TEST_P(ConnTest, a_reset_in_the_middle_of_a_write_ends_the_session)
{
    Server s(GetParam(), {});
    for (int i = 0; i < 20; i++) {
        Client c(s.port(), 4096);
        c.send("BIG 30000000\r\n");
        EXPECT_EQ(c.line(), "HELLO");
        if (i % 2 == 0) {
            c.exactly(10000);
        }
        c.reset();
    }
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    EXPECT_EQ(s.shared.closed, s.shared.opened);
}

TEST_P(ConnTest, a_reset_while_a_command_sleeps_is_noticed_after_it)
{
    Server s(GetParam(), {});
    Client c(s.port());
    c.send("SLEEP 100\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    c.reset();
    EXPECT_TRUE(eventually([&] { return s.shared.closed == 1; }));
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
}

/* APPEND's literal went from the view to storage while more of it arrived. */
TEST_P(ConnTest, a_view_of_the_input_stays_while_a_command_waits_for_something_else)
{
    Server s(GetParam(), {});
    Client c(s.port());
    EXPECT_EQ(c.line(), "HELLO");
    c.send("HOLD 300\r\nECHO first\r\n");
    for (int i = 0; i < 20; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        c.send("ECHO " + std::string(700, 'x') + "\r\n");
    }
    EXPECT_EQ(c.line(), "held still");
    EXPECT_EQ(c.line(), "first");
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(c.line(), std::string(700, 'x'));
    }
}

TEST_P(ConnTest, the_last_reply_survives_unread_input)
{
    Server s(GetParam(), {});
    for (int i = 0; i < 20; i++) {
        Client c(s.port());
        /* What follows QUIT is never read by the session: a plain close would reset the connection. */
        c.send("BIG 200000\r\nQUIT\r\n" + std::string(100000, 'z'));
        std::string how;
        std::string all = c.rest(&how);
        EXPECT_EQ(how, "<eof>");
        EXPECT_EQ(all.substr(all.size() - 5), "BYE\r\n");
    }
}

TEST_P(ConnTest, an_idle_session_is_told_and_may_stay)
{
    Server::Options o;
    o.proto = &line_proto_short_idle;
    Server s(GetParam(), o);
    s.shared.keep_on_timeout = true;
    Client c(s.port());
    EXPECT_EQ(c.line(), "HELLO");
    uint64_t start = now_ms();
    EXPECT_EQ(c.line(), "* still here");
    EXPECT_GE(now_ms() - start, 290U);
    EXPECT_EQ(c.line(), "* still here");
    s.shared.keep_on_timeout = false;
    EXPECT_EQ(c.line(), "* BYE idle");
    EXPECT_EQ(c.line(), "<eof>");
    EXPECT_GE(now_ms() - start, 890U);
}

TEST_P(ConnTest, input_starts_the_idle_time_anew_and_a_running_command_does_not_count)
{
    Server::Options o;
    o.proto = &line_proto_short_idle;
    Server s(GetParam(), o);
    Client c(s.port());
    EXPECT_EQ(c.line(), "HELLO");
    for (int i = 0; i < 3; i++) {
        sleep_ms(120);
        c.send("ECHO x\r\n");
        EXPECT_EQ(c.line(), "x");
    }
    c.send("SLEEP 400\r\n");
    EXPECT_EQ(c.line(), "slept");
    EXPECT_EQ(s.shared.timeouts, 0);
    c.send("IDLE 60000\r\n");
    EXPECT_EQ(c.line(), "ok");
    sleep_ms(350);
    EXPECT_EQ(s.shared.timeouts, 0);
    c.send("IDLE 100\r\n");
    EXPECT_EQ(c.line(), "ok");
    EXPECT_EQ(c.line(), "* BYE idle");
}

TEST_P(ConnTest, a_notification_from_another_thread_reaches_the_session)
{
    Server s(GetParam(), {});
    Client c(s.port());
    c.send("HANDLE\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "ok");
    struct conn_handle *h = s.shared.handle;
    ASSERT_NE(h, nullptr);
    for (int i = 0; i < 20; i++) {
        conn_notify(h);
        EXPECT_EQ(c.line(), "* NOTIFY");
    }
    conn_handle_unref(h);
}

TEST_P(ConnTest, notifications_during_a_command_are_coalesced_and_delivered_after_it)
{
    Server s(GetParam(), {});
    Client c(s.port());
    c.send("HANDLE\r\nSLEEP 100\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "ok");
    for (int i = 0; i < 1000; i++) {
        conn_notify(s.shared.handle);
    }
    EXPECT_EQ(c.line(), "slept");
    EXPECT_EQ(c.line(), "* NOTIFY");
    c.send("ECHO last\r\n");
    EXPECT_EQ(c.line(), "last");
    EXPECT_EQ(s.shared.notified, 1);
    conn_handle_unref(s.shared.handle);
}

TEST_P(ConnTest, notifying_races_with_the_end_of_the_session)
{
    Server::Options o;
    o.threads = 2;
    Server s(GetParam(), o);
    for (int i = 0; i < 100; i++) {
        Client c(s.port());
        c.send("HANDLE\r\n");
        EXPECT_EQ(c.line(), "HELLO");
        EXPECT_EQ(c.line(), "ok");
        struct conn_handle *h = s.shared.handle;
        std::atomic<bool> stop{false};
        std::thread notifier([&] {
            while (!stop) {
                conn_notify(h);
            }
        });
        if (i % 2 == 0) {
            c.send("QUIT\r\n");
            c.rest();
        } else {
            c.reset();
        }
        stop = true;
        notifier.join();
        conn_notify(h);
        conn_handle_unref(h);
    }
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    EXPECT_EQ(s.shared.closed, s.shared.opened);
}

TEST_P(ConnTest, the_addresses_are_told)
{
    Server s(GetParam(), {});
    Client c(s.port());
    struct sockaddr_in me = {};
    socklen_t n = sizeof(me);
    getsockname(c.fd(), (struct sockaddr *)&me, &n);
    c.send("WHO\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "127.0.0.1 " + std::to_string(ntohs(me.sin_port)) + " 127.0.0.1");
}

TEST_P(ConnTest, two_thousand_connections_at_once)
{
    Server::Options o;
    o.threads = 2;
    Server s(GetParam(), o);
    const int n = 2000;
    std::vector<Client> clients;
    clients.reserve(n);
    for (int i = 0; i < n; i++) {
        clients.emplace_back(s.port());
        ASSERT_TRUE(clients.back().ok()) << i << " " << strerror(errno);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < n; i++) {
            ASSERT_TRUE(clients[(size_t)i].send("NAP 20 " + std::to_string(i) + "\r\n"));
        }
        for (int i = 0; i < n; i++) {
            if (round == 0) {
                ASSERT_EQ(clients[(size_t)i].line(), "HELLO");
            }
            ASSERT_EQ(clients[(size_t)i].line(), "slept " + std::to_string(i));
        }
    }
    EXPECT_EQ(server_connections(s.server), (unsigned)n);
    clients.clear();
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    EXPECT_EQ(s.shared.closed, n);
}

TEST_P(ConnTest, sessions_wait_for_a_fiber_when_all_are_in_use)
{
    Server::Options o;
    o.fibers = 4;
    Server s(GetParam(), o);
    std::vector<Client> clients;
    for (int i = 0; i < 40; i++) {
        clients.emplace_back(s.port());
        clients.back().send("NAP 30 " + std::to_string(i) + "\r\n");
    }
    for (int i = 0; i < 40; i++) {
        EXPECT_EQ(clients[(size_t)i].line(), "HELLO");
        EXPECT_EQ(clients[(size_t)i].line(), "slept " + std::to_string(i));
    }
}

TEST_P(ConnTest, a_client_that_goes_while_waiting_for_a_fiber_does_not_block_those_behind_it)
{
    Server::Options o;
    o.fibers = 1;
    Server s(GetParam(), o);
    Client holder(s.port());
    EXPECT_EQ(holder.line(), "HELLO");
    std::vector<Client> waiting;
    for (int i = 0; i < 9; i++) {
        waiting.emplace_back(s.port());
        EXPECT_EQ(waiting.back().line(), "HELLO");
    }
    holder.send("SLEEP 200\r\n");
    sleep_ms(30);
    for (auto &c : waiting) {
        c.send("ECHO x\r\n");
    }
    sleep_ms(30);
    for (size_t i = 0; i < waiting.size(); i += 2) {
        waiting[i].reset();
    }
    EXPECT_EQ(holder.line(), "slept");
    for (size_t i = 1; i < waiting.size(); i += 2) {
        EXPECT_EQ(waiting[i].line(), "x");
    }
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 5; }));
}

TEST_P(ConnTest, more_input_at_once_than_the_backend_has_buffers_for_is_not_lost)
{
    Server s(GetParam(), {});
    const int n = 150;
    const size_t bytes = 120000;
    std::vector<Client> clients;
    std::string body(bytes, 'q');
    for (int i = 0; i < n; i++) {
        clients.emplace_back(s.port());
        ASSERT_TRUE(clients.back().send("LIT " + std::to_string(bytes) + "\r\n"));
    }
    for (auto &c : clients) {
        EXPECT_EQ(c.line(), "HELLO");
        EXPECT_EQ(c.line(), "+");
    }
    std::vector<std::thread> senders; /* all of them at once: the loop cannot keep up */
    for (int t = 0; t < 3; t++) {
        senders.emplace_back([&, t] {
            for (size_t i = (size_t)t; i < clients.size(); i += 3) {
                EXPECT_TRUE(clients[i].send(body));
            }
        });
    }
    for (auto &t : senders) {
        t.join();
    }
    for (auto &c : clients) {
        EXPECT_EQ(c.line().substr(0, 10), "LIT 120000");
    }
}

TEST_P(ConnTest, an_allocation_that_fails_costs_one_connection_at_most)
{
    Server s(GetParam(), {});
    for (uint64_t nth = 1; nth < 25; nth++) {
        struct Task {
            struct loop_task task;
            uint64_t nth;
            std::atomic<bool> done;
        } t = {{}, nth, {false}};
        t.task.fn = [](struct loop *, struct loop_task *lt) {
            mem_fail_nth(((Task *)lt)->nth);
            ((Task *)lt)->done = true;
        };
        loop_post(server_loop(s.server, 0), &t.task);
        ASSERT_TRUE(eventually([&] { return t.done.load(); }));
        Client c(s.port());
        c.send("HANDLE\r\nECHO x\r\nBIG 100000\r\nLIT 3\r\nabcQUIT\r\n");
        std::string how;
        std::string all = c.rest(&how);
        EXPECT_NE(how, "<timeout>") << nth;
        c.shut();
        EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; })) << nth;
        struct conn_handle *h = s.shared.handle.exchange(nullptr);
        conn_handle_unref(h);
    }
    EXPECT_EQ(s.shared.opened, s.shared.closed);
    Client c(s.port());
    c.send("ECHO fine\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "fine");
}
