#include <openssl/cipher.h>
#include <openssl/hmac.h>

#include "frontend/net/tls_ticket.h"
#include "proto/base/mem.h"
#include "tls_fixture.h"

using namespace net_test;

static std::string open_error(const std::string &cert, const std::string &key, enum err want)
{
    Certs c;
    c.add("x.example", "x.example");
    write_file(c.paths[0], cert);
    write_file(c.paths[1], key);
    std::string why;
    EXPECT_EQ(c.open(&why), want) << why;
    return why;
}

TEST(TlsTest, wrong_files_are_explained)
{
    Pem a = make_certificate("a.example", "a.example");
    Pem b = make_certificate("b.example", "");
    Pem locked = make_certificate("c.example", "", "passphrase");
    open_error(a.cert, a.key, OK);
    open_error("some text before\n" + a.cert + b.cert, a.key, OK); /* a chain */
    EXPECT_NE(open_error("", a.key, ERR_TLS).find("no certificate"), std::string::npos);
    EXPECT_NE(open_error("garbage\n", a.key, ERR_TLS).find("c0.pem"), std::string::npos);
    EXPECT_NE(open_error(a.cert, b.key, ERR_TLS).find("does not fit"), std::string::npos);
    EXPECT_NE(open_error(a.cert, "", ERR_TLS).find("c0.key"), std::string::npos);
    EXPECT_NE(open_error(a.cert, a.cert, ERR_TLS).find("no private key"), std::string::npos);
    EXPECT_NE(open_error(locked.cert, locked.key, ERR_TLS).find("passphrase"), std::string::npos);
    std::string broken = a.cert + b.cert;
    broken[a.cert.size() + 200] = '!';
    size_t lines = (size_t)std::count(a.cert.begin(), a.cert.end(), '\n') + 1;
    std::string why = open_error(broken, a.key, ERR_TLS);
    EXPECT_NE(why.find("line " + std::to_string(lines)), std::string::npos) << why;
}

TEST(TlsTest, missing_files_are_an_io_error)
{
    Certs c;
    c.add("x.example", "");
    ::unlink(c.paths[0].c_str());
    std::string why;
    EXPECT_EQ(c.open(&why), ERR_IO);
    EXPECT_NE(why.find("No such file"), std::string::npos) << why;
    Certs none;
    EXPECT_EQ(none.open(&why), ERR_TLS);
}

TEST(TlsTest, every_failing_allocation_is_survived)
{
    Certs c;
    c.add("x.example", "x.example,y.example,*.z.example");
    c.add("w.example", "");
    uint64_t nth = 0;
    for (bool fired = true; fired;) {
        std::string why;
        mem_fail_nth(++nth);
        enum err e = c.open(&why);
        fired = mem_fail_fired() != 0;
        mem_fail_nth(0);
        EXPECT_EQ(e == OK, !fired || c.ctx != nullptr) << nth;
        if (e == OK && fired) { /* the text of an error was lost, nothing else */
            tls_context_free(c.ctx);
            c.ctx = nullptr;
        }
        ASSERT_LT(nth, 1000U);
    }
    EXPECT_GT(nth, 8U);
}

namespace
{

struct FakeClock {
    struct clock clock;
    uint64_t now;
};

class Tickets
{
  public:
    Tickets()
    {
        fake.clock.wall_ms = [](struct clock *) -> uint64_t { return 0; };
        fake.clock.mono_ms = [](struct clock *c) { return ((FakeClock *)c)->now; };
        fake.now = 5000;
        EXPECT_EQ(tls_tickets_new(&fake.clock, &t), OK);
    }
    ~Tickets()
    {
        tls_tickets_free(t);
    }
    int key(int encrypt)
    {
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        HMAC_CTX *h = HMAC_CTX_new();
        int r = tls_tickets_key(t, name, iv, c, h, encrypt);
        HMAC_CTX_free(h);
        EVP_CIPHER_CTX_free(c);
        return r;
    }
    FakeClock fake;
    struct tls_tickets *t = nullptr;
    uint8_t name[16] = {};
    uint8_t iv[16] = {};
};

} // namespace

TEST(TlsTicketTest, keys_rotate_and_the_one_before_still_opens)
{
    Tickets t;
    EXPECT_EQ(t.key(0), 0); /* nobody's name */
    EXPECT_EQ(t.key(1), 1);
    EXPECT_EQ(t.key(0), 1);
    t.fake.now += TLS_TICKET_KEY_MS - 1;
    EXPECT_EQ(t.key(0), 1);
    t.fake.now += 1;
    EXPECT_EQ(t.key(0), 2); /* renew */
    t.fake.now += TLS_TICKET_KEY_MS - 1;
    EXPECT_EQ(t.key(0), 2);
    t.fake.now += 1;
    EXPECT_EQ(t.key(0), 0); /* gone */
}

TEST(TlsTicketTest, after_a_long_silence_old_tickets_open_nothing)
{
    Tickets t;
    EXPECT_EQ(t.key(1), 1);
    t.fake.now += 2 * TLS_TICKET_KEY_MS;
    EXPECT_EQ(t.key(0), 0);
}
