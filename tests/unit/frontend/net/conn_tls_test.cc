#include "tls_fixture.h"

using namespace net_test;

class ConnTlsTest : public BothBackends
{
  protected:
    void SetUp() override
    {
        BothBackends::SetUp();
        certs.add("default.example", "default.example,mail.example.org");
        certs.add("other.example", "other.example,*.wild.example");
        std::string why;
        ASSERT_EQ(certs.open(&why), OK) << why;
    }
    Server::Options options(bool implicit)
    {
        Server::Options o;
        o.tls = certs.ctx;
        o.implicit_tls = implicit;
        return o;
    }
    Certs certs;
};
NET_BOTH_BACKENDS(ConnTlsTest);

TEST_P(ConnTlsTest, implicit_tls_greets_echoes_and_closes_with_notice)
{
    Server s(GetParam(), options(true));
    for (uint16_t v : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsClient c(s.port(), {"", "", v, nullptr});
        ASSERT_TRUE(c.handshake()) << c.error;
        EXPECT_EQ(c.line(), "HELLO");
        c.send("ECHO secret\r\nTLS\r\n");
        EXPECT_EQ(c.line(), "secret");
        EXPECT_EQ(c.line(),
                  std::string(SSL_get_version(c.ssl)) + " " + SSL_CIPHER_standard_name(SSL_get_current_cipher(c.ssl)));
        c.send("QUIT\r\n");
        EXPECT_EQ(c.line(), "BYE");
        EXPECT_EQ(c.line(), "<close_notify>");
    }
}

TEST_P(ConnTlsTest, tls_1_1_is_refused)
{
    Server s(GetParam(), options(true));
    TlsClient c(s.port(), {"", "", TLS1_1_VERSION, nullptr});
    EXPECT_FALSE(c.handshake());
    EXPECT_NE(c.error.find("PROTOCOL_VERSION"), std::string::npos) << c.error;
    EXPECT_EQ(s.shared.opened, 0);
    c.plain.shut();
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    EXPECT_EQ(s.shared.closed, 0); /* never opened, never closed */
}

TEST_P(ConnTlsTest, starttls_upgrades_once)
{
    Server s(GetParam(), options(false));
    TlsClient c(s.port());
    EXPECT_EQ(c.plain.line(), "HELLO");
    c.plain.send("TLS\r\nSTARTTLS\r\n");
    EXPECT_EQ(c.plain.line(), "");
    EXPECT_EQ(c.plain.line(), "GO");
    ASSERT_TRUE(c.handshake()) << c.error;
    c.send("ECHO secret\r\n");
    EXPECT_EQ(c.line(), "secret");
    c.send("STARTTLS\r\n");
    EXPECT_EQ(c.line(), "NO");
    c.send("QUIT\r\n");
    EXPECT_EQ(c.line(), "BYE");
    EXPECT_EQ(c.line(), "<close_notify>");
}

TEST_P(ConnTlsTest, starttls_without_a_context_is_not_possible)
{
    Server s(GetParam(), {});
    Client c(s.port());
    c.send("STARTTLS\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "NO");
}

TEST_P(ConnTlsTest, plaintext_pipelined_behind_starttls_is_never_executed)
{
    Server s(GetParam(), options(false));
    Client c(s.port());
    EXPECT_EQ(c.line(), "HELLO");
    c.send("STARTTLS\r\nECHO injected\r\n");
    EXPECT_EQ(c.line(), "GO");
    std::string rest = c.rest();
    EXPECT_EQ(rest.find("injected"), std::string::npos);
    EXPECT_EQ((enum err)s.shared.last_err.load(), ERR_PROTOCOL);
    EXPECT_TRUE(eventually([&] { return s.shared.closed == 1; }));
}

TEST_P(ConnTlsTest, plaintext_sent_after_starttls_fails_the_handshake)
{
    Server s(GetParam(), options(false));
    for (int i = 0; i < 20; i++) {
        Client c(s.port());
        EXPECT_EQ(c.line(), "HELLO");
        c.send("STARTTLS\r\n");
        if (i % 2 == 0) {
            EXPECT_EQ(c.line(), "GO");
        }
        c.send("ECHO injected\r\n");
        std::string rest = c.rest();
        EXPECT_EQ(rest.find("injected"), std::string::npos);
        EXPECT_TRUE(eventually([&] { return s.shared.closed == i + 1; }));
        enum err e = (enum err)s.shared.last_err.load();
        EXPECT_TRUE(e == ERR_TLS || e == ERR_PROTOCOL) << err_name(e);
    }
}

TEST_P(ConnTlsTest, plaintext_on_an_implicit_port_opens_no_session)
{
    Server s(GetParam(), options(true));
    Client c(s.port());
    c.send("ECHO hello there\r\n");
    std::string rest = c.rest();
    EXPECT_EQ(rest.find("HELLO"), std::string::npos);
    EXPECT_EQ(s.shared.opened, 0);
    c.shut();
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
}

TEST_P(ConnTlsTest, a_handshake_that_does_not_come_is_given_up)
{
    Server::Options o = options(true);
    o.handshake_ms = 200;
    Server s(GetParam(), o);
    Client silent(s.port());
    std::string how;
    EXPECT_EQ(silent.rest(&how), "");
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
    o = options(false);
    o.handshake_ms = 200;
    Server s2(GetParam(), o);
    Client c(s2.port());
    EXPECT_EQ(c.line(), "HELLO");
    c.send("STARTTLS\r\n");
    EXPECT_EQ(c.line(), "GO");
    EXPECT_EQ(c.rest(&how), "");
    EXPECT_EQ((enum err)s2.shared.last_err.load(), ERR_TLS);
    EXPECT_TRUE(eventually([&] { return s2.shared.closed == 1; }));
}

/* The client's side over memory, so that the test decides how its bytes are cut. */
static void byte_by_byte(uint16_t port, bool starttls)
{
    TlsClient c(port);
    if (starttls) {
        EXPECT_EQ(c.plain.line(), "HELLO");
        c.plain.send("STARTTLS\r\n");
        EXPECT_EQ(c.plain.line(), "GO");
    }
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(c.ssl, in, out);
    auto push = [&] {
        char b;
        while (BIO_read(out, &b, 1) == 1) {
            ASSERT_TRUE(c.plain.send(std::string(1, b)));
        }
    };
    auto pull = [&] {
        char b[4096];
        ssize_t n;
        do {
            n = recv(c.plain.fd(), b, sizeof(b), 0);
        } while (n < 0 && errno == EINTR);
        ASSERT_GT(n, 0);
        ASSERT_EQ(BIO_write(in, b, (int)n), (int)n);
    };
    while (SSL_do_handshake(c.ssl) != 1) {
        push();
        pull();
        if (testing::Test::HasFatalFailure()) {
            return;
        }
    }
    EXPECT_EQ(SSL_write(c.ssl, "ECHO tiny\r\n", 11), 11);
    push();
    std::string got;
    while (got.find("tiny\r\n") == std::string::npos) {
        char b[100];
        int n = SSL_read(c.ssl, b, sizeof(b));
        if (n > 0) {
            got.append(b, (size_t)n);
        } else {
            pull();
            if (testing::Test::HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_P(ConnTlsTest, handshake_and_records_arrive_byte_by_byte)
{
    Server implicit(GetParam(), options(true));
    byte_by_byte(implicit.port(), false);
    Server upgrade(GetParam(), options(false));
    byte_by_byte(upgrade.port(), true);
}

TEST_P(ConnTlsTest, large_transfers_pass_in_both_directions)
{
    Server s(GetParam(), options(true));
    TlsClient c(s.port());
    ASSERT_TRUE(c.handshake()) << c.error;
    EXPECT_EQ(c.line(), "HELLO");
    const size_t n = 4 * 1024 * 1024;
    std::string body(n, 0);
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        body[i] = (char)(i * 11 + (i >> 8));
        sum = sum * 31 + (uint8_t)body[i];
    }
    ASSERT_TRUE(c.send("LIT " + std::to_string(n) + "\r\n"));
    ASSERT_TRUE(c.send(body));
    EXPECT_EQ(c.line(), "+");
    EXPECT_EQ(c.line(), "LIT " + std::to_string(n) + " " + std::to_string(sum));
    EXPECT_LE(s.shared.peak_input, line_proto.in_bytes_max);
    c.send("BIG 5000000\r\nCHUNKS 1000000 333\r\nQUIT\r\n");
    sleep_ms(50);
    std::string got = c.exactly(6000004);
    EXPECT_EQ(got, std::string(5000000, 'b') + "\r\n" + std::string(1000000, 'b') + "\r\n");
    EXPECT_EQ(c.line(), "BYE");
    EXPECT_EQ(c.line(), "<close_notify>");
}

TEST_P(ConnTlsTest, a_tls_client_that_does_not_read_is_evicted)
{
    Server::Options o = options(true);
    o.stall_ms = 300;
    Server s(GetParam(), o);
    TlsClient c(s.port());
    ASSERT_TRUE(c.handshake()) << c.error;
    c.send("BIG 50000000\r\n");
    EXPECT_TRUE(eventually([&] { return s.shared.closed == 1; }));
    EXPECT_TRUE(eventually([&] { return server_connections(s.server) == 0; }));
}

TEST_P(ConnTlsTest, a_close_notify_after_quit_does_not_lose_the_answer)
{
    Server s(GetParam(), options(true));
    TlsClient c(s.port());
    ASSERT_TRUE(c.handshake()) << c.error;
    c.send("ECHO a\r\nSLEEP 30\r\nQUIT\r\n");
    SSL_shutdown(c.ssl);
    c.plain.half_close();
    std::string all;
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), "a");
    EXPECT_EQ(c.line(), "slept");
    EXPECT_EQ(c.line(), "BYE");
}

TEST_P(ConnTlsTest, damaged_records_end_the_session)
{
    Server s(GetParam(), options(true));
    TlsClient c(s.port());
    ASSERT_TRUE(c.handshake()) << c.error;
    EXPECT_EQ(c.line(), "HELLO");
    std::string junk("\x17\x03\x03\x00\x20", 5);
    c.plain.send(junk + std::string(32, 'x'));
    EXPECT_EQ(c.line(), "<error>"); /* bad_record_mac */
    EXPECT_TRUE(eventually([&] { return s.shared.closed == 1; }));
}

TEST_P(ConnTlsTest, alpn_is_selected_tolerated_when_absent_and_refused_when_foreign)
{
    Server::Options o = options(true);
    o.proto = &line_proto_alpn;
    Server s(GetParam(), o);
    {
        TlsClient c(s.port(), {"", "\x02h2\x04imap", TLS1_3_VERSION, nullptr});
        ASSERT_TRUE(c.handshake()) << c.error;
        const uint8_t *p;
        unsigned n;
        SSL_get0_alpn_selected(c.ssl, &p, &n);
        EXPECT_EQ(std::string((const char *)p, n), "imap");
        EXPECT_EQ(c.line(), "HELLO");
    }
    {
        TlsClient c(s.port());
        ASSERT_TRUE(c.handshake()) << c.error;
        EXPECT_EQ(c.line(), "HELLO");
    }
    for (uint16_t v : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsClient c(s.port(), {"", "\x02h2\x08http/1.1", v, nullptr});
        EXPECT_FALSE(c.handshake());
        EXPECT_NE(c.error.find("NO_APPLICATION_PROTOCOL"), std::string::npos) << c.error;
    }
    EXPECT_EQ(s.shared.opened, 2);
}

TEST_P(ConnTlsTest, the_certificate_is_chosen_by_server_name)
{
    Server s(GetParam(), options(true));
    const std::pair<const char *, const char *> cases[] = {
        {"", "default.example"},
        {"default.example", "default.example"},
        {"mail.example.org", "default.example"},
        {"other.example", "other.example"},
        {"OTHER.Example", "other.example"},
        {"a.wild.example", "other.example"},
        {"a.b.wild.example", "default.example"},
        {"wild.example", "default.example"},
        {"nowhere.example", "default.example"},
    };
    for (auto &x : cases) {
        for (uint16_t v : {TLS1_2_VERSION, TLS1_3_VERSION}) {
            TlsClient c(s.port(), {x.first, "", v, nullptr});
            ASSERT_TRUE(c.handshake()) << x.first << c.error;
            EXPECT_EQ(c.peer_name(), x.second) << x.first;
            EXPECT_EQ(c.line(), "HELLO");
        }
    }
}

TEST_P(ConnTlsTest, sessions_resume_by_ticket_also_after_a_reload)
{
    Server s(GetParam(), options(true));
    for (uint16_t v : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsClient first(s.port(), {"other.example", "", v, nullptr});
        ASSERT_TRUE(first.handshake()) << first.error;
        EXPECT_EQ(first.line(), "HELLO");
        EXPECT_FALSE(SSL_session_reused(first.ssl));
        ASSERT_NE(first.session, nullptr);
        ASSERT_EQ(certs.reload(), OK);
        TlsClient again(s.port(), {"other.example", "", v, first.session});
        ASSERT_TRUE(again.handshake()) << again.error;
        EXPECT_EQ(again.line(), "HELLO");
        EXPECT_TRUE(SSL_session_reused(again.ssl)) << v;
    }
}

TEST_P(ConnTlsTest, a_reload_serves_new_handshakes_and_leaves_old_sessions_alone)
{
    Server s(GetParam(), options(true));
    TlsClient before(s.port());
    ASSERT_TRUE(before.handshake()) << before.error;
    EXPECT_EQ(before.peer_name(), "default.example");
    certs.replace(0, make_certificate("renewed.example", "default.example"));
    ASSERT_EQ(certs.reload(), OK);
    TlsClient after(s.port());
    ASSERT_TRUE(after.handshake()) << after.error;
    EXPECT_EQ(after.peer_name(), "renewed.example");
    write_file(certs.paths[1], "not a key");
    std::string why;
    EXPECT_EQ(certs.reload(&why), ERR_TLS);
    EXPECT_NE(why.find(certs.paths[1]), std::string::npos) << why;
    TlsClient still(s.port());
    ASSERT_TRUE(still.handshake()) << still.error;
    EXPECT_EQ(still.peer_name(), "renewed.example");
    before.send("ECHO alive\r\n");
    EXPECT_EQ(before.line(), "HELLO");
    EXPECT_EQ(before.line(), "alive");
}

TEST_P(ConnTlsTest, reloads_race_with_handshakes)
{
    Server::Options o = options(true);
    o.threads = 2;
    Server s(GetParam(), o);
    std::atomic<bool> stop{false};
    std::thread reloader([&] {
        while (!stop) {
            EXPECT_EQ(certs.reload(), OK);
        }
    });
    for (int i = 0; i < 60; i++) {
        TlsClient c(s.port(), {i % 2 == 0 ? "other.example" : "", "", TLS1_3_VERSION, nullptr});
        ASSERT_TRUE(c.handshake()) << c.error;
        EXPECT_EQ(c.line(), "HELLO");
    }
    stop = true;
    reloader.join();
}

TEST_P(ConnTlsTest, both_ends_export_the_same_keying_material)
{
    Server s(GetParam(), options(true));
    TlsClient c(s.port());
    ASSERT_TRUE(c.handshake()) << c.error;
    uint8_t k[32];
    ASSERT_EQ(SSL_export_keying_material(c.ssl, k, sizeof(k), "EXPORTER-Channel-Binding", 24, nullptr, 0, 0), 1);
    char want[9];
    snprintf(want, sizeof(want), "%02x%02x%02x%02x", k[0], k[1], k[30], k[31]);
    c.send("EXPORT\r\n");
    EXPECT_EQ(c.line(), "HELLO");
    EXPECT_EQ(c.line(), want);
    Server plain(GetParam(), {});
    Client p(plain.port());
    p.send("EXPORT\r\n");
    EXPECT_EQ(p.line(), "HELLO");
    EXPECT_EQ(p.line(), "ERR_TLS");
}

TEST_P(ConnTlsTest, drain_ends_handshakes_and_says_goodbye_in_tls)
{
    Server s(GetParam(), options(true));
    Client silent(s.port());
    TlsClient c(s.port());
    ASSERT_TRUE(c.handshake()) << c.error;
    EXPECT_EQ(c.line(), "HELLO");
    std::thread drain([&] { server_drain(s.server, 3000); });
    EXPECT_EQ(c.line(), "* BYE draining");
    EXPECT_EQ(c.line(), "<close_notify>");
    c.plain.shut();
    EXPECT_EQ(silent.rest(), "");
    silent.shut();
    drain.join();
    EXPECT_EQ(server_connections(s.server), 0U);
}

TEST_P(ConnTlsTest, many_tls_sessions_at_once)
{
    Server::Options o = options(true);
    o.threads = 2;
    Server s(GetParam(), o);
    std::vector<std::unique_ptr<TlsClient>> clients;
    for (int i = 0; i < 200; i++) {
        clients.push_back(std::make_unique<TlsClient>(s.port()));
        ASSERT_TRUE(clients.back()->handshake()) << clients.back()->error;
        clients.back()->send("NAP 20 " + std::to_string(i) + "\r\n");
    }
    for (int i = 0; i < 200; i++) {
        EXPECT_EQ(clients[(size_t)i]->line(), "HELLO");
        EXPECT_EQ(clients[(size_t)i]->line(), "slept " + std::to_string(i));
    }
}

TEST_P(ConnTlsTest, a_half_closed_client_still_gets_what_it_asked_for_while_a_command_ran)
{
    Server s(GetParam(), options(true));
    for (bool notice : {true, false}) {
        SCOPED_TRACE(notice ? "with close_notify" : "without");
        TlsClient c(s.port());
        ASSERT_TRUE(c.handshake()) << c.error;
        EXPECT_EQ(c.line(), "HELLO");
        c.send("SLEEP 200\r\n");
        sleep_ms(50);
        c.send("ECHO also\r\n");
        if (notice) {
            EXPECT_EQ(SSL_shutdown(c.ssl), 0);
        }
        EXPECT_EQ(shutdown(c.plain.fd(), SHUT_WR), 0);
        EXPECT_EQ(c.line(), "slept");
        EXPECT_EQ(c.line(), "also");
    }
}
