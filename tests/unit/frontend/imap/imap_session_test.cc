/* A session over a real connection, as far as it goes without storage: nothing answers at the backend's address. */
#include "tests/unit/frontend/net/net_fixture.h"

#include "frontend/imap/imap.h"
#include "frontend/session/auth.h"
#include "frontend/session/backend.h"

namespace
{

class ImapSession : public ::testing::Test
{
  protected:
    void start(bool insecure_auth, const std::function<void(imap_server_config *)> &change = nullptr)
    {
        buf why;
        buf_init(&why, 4096);
        backend_config bc = {};
        bc.rpc_urls = "inproc://imap-session-test-nobody";
        bc.pub_url = "inproc://imap-session-test-nobody-pub";
        bc.timeout_ms = 200;
        ASSERT_EQ(OK, backend_open(&bc, &backend_, &why));
        auth_config ac = {};
        ac.backend = backend_;
        ac.insecure_auth = insecure_auth;
        ASSERT_EQ(OK, auth_open(&ac, &auth_, &why));
        cfg_.backend = backend_;
        cfg_.auth = auth_;
        if (change) {
            change(&cfg_);
        }
        imap_server_config_defaults(&cfg_);
        server_config sc = {};
        sc.backend = IO_BACKEND_EPOLL;
        sc.threads = 1;
        listener_config l = {};
        l.address = "127.0.0.1:0";
        l.proto = &imap_proto;
        l.user = &cfg_;
        ASSERT_EQ(OK, server_start(&sc, &l, 1, &server_, &why));
        buf_fini(&why);
    }
    void TearDown() override
    {
        if (server_ != nullptr) {
            server_stop(server_);
        }
        if (auth_ != nullptr) {
            auth_close(auth_);
        }
        if (backend_ != nullptr) {
            backend_close(backend_);
        }
    }
    net_test::Client connect()
    {
        return net_test::Client(server_port(server_, 0));
    }
    server *server_ = nullptr;

  private:
    backend *backend_ = nullptr;
    auth *auth_ = nullptr;
    imap_server_config cfg_ = {};
};

TEST_F(ImapSession, GreetsWithItsCapabilities)
{
    start(true);
    net_test::Client c = connect();
    std::string greeting = c.line();
    EXPECT_EQ(0u, greeting.find("* OK [CAPABILITY IMAP4rev1 "));
    for (const char *word :
         {"LITERAL+", "SASL-IR", "AUTH=PLAIN", "IDLE", "NAMESPACE", "ID", "UIDPLUS", "MOVE", "ENABLE", "CONDSTORE",
          "UNSELECT", "SPECIAL-USE", "LIST-EXTENDED", "LIST-STATUS", "CHILDREN", "ESEARCH", "APPENDLIMIT=52428800"}) {
        EXPECT_NE(std::string::npos, (greeting + " ").find(" " + std::string(word))) << word;
    }
    EXPECT_EQ(std::string::npos, greeting.find("STARTTLS"));
    EXPECT_EQ(std::string::npos, greeting.find("LOGINDISABLED"));
    c.send("a CAPABILITY\r\nb LOGOUT\r\n");
    EXPECT_EQ(0u, c.line().find("* CAPABILITY IMAP4rev1 "));
    EXPECT_EQ("a OK CAPABILITY completed", c.line());
    EXPECT_EQ("* BYE Logging out", c.line());
    EXPECT_EQ("b OK LOGOUT completed", c.line());
    EXPECT_EQ("<eof>", c.line());
}

TEST_F(ImapSession, PasswordsNeedTls)
{
    start(false);
    net_test::Client c = connect();
    EXPECT_NE(std::string::npos, c.line().find("LOGINDISABLED"));
    c.send("a LOGIN x y\r\nb AUTHENTICATE PLAIN\r\nc STARTTLS\r\n");
    EXPECT_EQ(0u, c.line().find("a NO [PRIVACYREQUIRED] "));
    EXPECT_EQ(0u, c.line().find("b NO [PRIVACYREQUIRED] "));
    EXPECT_EQ(0u, c.line().find("c NO "));
}

TEST_F(ImapSession, WithoutStorageALoginIsTemporarilyRefused)
{
    start(true);
    net_test::Client c = connect();
    c.line();
    c.send("a LOGIN alice@example.test pw\r\n");
    EXPECT_EQ(0u, c.line().find("a NO [UNAVAILABLE] "));
    c.send("b NOOP\r\n");
    EXPECT_EQ("b OK NOOP completed", c.line());
}

TEST_F(ImapSession, AuthenticateAsksForWhatItNeeds)
{
    start(true);
    net_test::Client c = connect();
    c.line();
    c.send("a AUTHENTICATE PLAIN\r\n");
    EXPECT_EQ("+ ", c.line());
    c.send("*\r\nb AUTHENTICATE LOGIN\r\n");
    EXPECT_EQ("a BAD Authentication was cancelled", c.line());
    EXPECT_EQ("+ VXNlcm5hbWU6", c.line());
    c.send("YWxpY2U=\r\n");
    EXPECT_EQ("+ UGFzc3dvcmQ6", c.line());
    c.send("!\r\n");
    EXPECT_EQ("b BAD Invalid base64", c.line());
    c.send("c AUTHENTICATE PLAIN =\r\nd AUTHENTICATE PLAIN YQBiAGM=\r\ne AUTHENTICATE GSSAPI\r\nf AUTHENTICATE PLAIN "
           "AGEAYg==\r\n");
    EXPECT_EQ("c BAD Invalid PLAIN message", c.line());
    EXPECT_EQ(0u, c.line().find("d NO [AUTHORIZATIONFAILED] "));
    EXPECT_EQ(0u, c.line().find("e NO [CANNOT] "));
    EXPECT_EQ(0u, c.line().find("f NO [UNAVAILABLE] "));
}

TEST_F(ImapSession, LiteralsAreAskedForAndTakenAtEverySplit)
{
    start(true);
    std::string stream = "a LOGIN {1+}\r\nx {2+}\r\n\"\r\r\nb ID {4+}\r\nNIL \r\nc NOOP\r\n";
    for (size_t at = 1; at < stream.size(); at += 3) {
        net_test::Client c = connect();
        c.line();
        c.send(stream.substr(0, at));
        net_test::sleep_ms(2);
        c.send(stream.substr(at));
        EXPECT_EQ(0u, c.line().find("a NO [UNAVAILABLE] ")) << at;
        EXPECT_EQ(0u, c.line().find("b BAD ")) << at;
        EXPECT_EQ("c OK NOOP completed", c.line()) << at;
    }
    net_test::Client c = connect();
    c.line();
    c.send("a LOGIN {5}\r\n");
    EXPECT_EQ("+ OK", c.line());
    c.send("alice {2}\r\n");
    EXPECT_EQ("+ OK", c.line());
    c.send("pw\r\n");
    EXPECT_EQ(0u, c.line().find("a NO [UNAVAILABLE] "));
}

TEST_F(ImapSession, ALiteralOfARefusedCommandIsNeverReadAsACommand)
{
    start(true);
    net_test::Client c = connect();
    c.line();
    c.send("a FOO {10+}\r\nx LOGOUT\r\n\r\nb NOOP\r\n");
    EXPECT_EQ("a BAD Unknown command", c.line());
    EXPECT_EQ("b OK NOOP completed", c.line());
    c.send("c FOO {10}\r\n");
    EXPECT_EQ("c BAD Unknown command", c.line());
    c.send("d LOGIN {100000+}\r\n" + std::string(100000, 'x') + " y\r\ne NOOP\r\n");
    EXPECT_EQ("d BAD Literal is too large", c.line());
    EXPECT_EQ("e OK NOOP completed", c.line());
}

TEST_F(ImapSession, ALineThatIsTooLongIsSkipped)
{
    start(true);
    net_test::Client c = connect();
    c.line();
    c.send("a NOOP " + std::string(200000, 'x') + "\r\nb NOOP\r\n");
    EXPECT_EQ("a BAD Command line is too long", c.line());
    EXPECT_EQ("b OK NOOP completed", c.line());
}

TEST_F(ImapSession, TooManyErrorsInARowEndTheSession)
{
    start(true, [](imap_server_config *cfg) { cfg->limits.errors_max = 3; });
    net_test::Client c = connect();
    c.line();
    c.send("a X\r\nb X\r\nc NOOP\r\nd X\r\ne X\r\nf X\r\ng NOOP\r\n");
    EXPECT_EQ("a BAD Unknown command", c.line());
    EXPECT_EQ("b BAD Unknown command", c.line());
    EXPECT_EQ("c OK NOOP completed", c.line());
    EXPECT_EQ("d BAD Unknown command", c.line());
    EXPECT_EQ("e BAD Unknown command", c.line());
    EXPECT_EQ("f BAD Unknown command", c.line());
    EXPECT_EQ("* BYE Too many invalid commands", c.line());
    EXPECT_EQ("<eof>", c.line());
}

TEST_F(ImapSession, SilenceBeforeLoginEndsTheSession)
{
    start(true, [](imap_server_config *cfg) { cfg->login_ms = 200; });
    net_test::Client c = connect();
    c.line();
    EXPECT_EQ("* BYE Autologout; idle for too long", c.line());
    EXPECT_EQ("<eof>", c.line());
}

TEST_F(ImapSession, TalkingWithoutLoggingInDoesNotKeepItOpen)
{
    start(true, [](imap_server_config *cfg) { cfg->login_ms = 200; });
    net_test::Client c = connect();
    c.line();
    std::string last;
    for (int i = 0; i < 30 && last != "* BYE Log in sooner"; i++) {
        c.send("a NOOP\r\n");
        net_test::sleep_ms(50);
        last = c.line();
    }
    EXPECT_EQ("* BYE Log in sooner", last);
}

TEST_F(ImapSession, ADrainSaysBye)
{
    start(true);
    net_test::Client c = connect();
    c.line();
    server_drain(server_, 2000);
    EXPECT_EQ("* BYE Server is shutting down", c.line());
    EXPECT_EQ("<eof>", c.line());
}

} // namespace
