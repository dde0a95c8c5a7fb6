/* A line protocol that reaches every call of conn.h:
 *   ECHO x         answers x
 *   BIG n          answers n bytes 'b'
 *   CHUNKS n k     answers n bytes in writes of k
 *   LIT n          answers "+", reads n bytes with conn_read, answers their count and checksum
 *   HASTY n        the same, but each read waits 200 ms only
 *   HOLD ms        tells whether a view of the unread input outlives waiting
 *   SLEEP ms       answers "slept" afterwards
 *   NAP ms x       the same, then echoes x (for many at once)
 *   IDLE ms        sets the idle timeout
 *   HANDLE         leaves a handle in Shared
 *   STARTTLS, TLS  upgrades; tells conn_tls_description
 *   EXPORT         four bytes of the channel binding
 *   WHO            peer address
 *   QUIT           says BYE and closes */
#include <stdlib.h>

#include "net_fixture.h"

namespace net_test
{

struct Session {
    int magic;
};

static Shared *shared_of(struct conn *c)
{
    return (Shared *)conn_user(c);
}

static enum err line_open(struct conn *c, void *session)
{
    EXPECT_EQ(((Session *)session)->magic, 0); /* zeroed */
    ((Session *)session)->magic = 42;
    shared_of(c)->opened++;
    EXPECT_NE(fiber_self(), nullptr);
    return conn_write_str(c, "HELLO\r\n");
}

static enum err do_big(struct conn *c, size_t n, size_t chunk)
{
    std::string b(chunk, 'b');
    while (n > 0) {
        size_t some = n < chunk ? n : chunk;
        enum err e = conn_write(c, b.data(), some);
        if (e != OK) {
            return e;
        }
        n -= some;
    }
    return conn_write_str(c, "\r\n");
}

static enum err do_literal(struct conn *c, size_t n, uint64_t timeout_ms)
{
    enum err e = conn_write_str(c, "+\r\n");
    unsigned sum = 0;
    size_t got = 0;
    while (e == OK && got < n) {
        struct slice s = conn_peek(c);
        if (s.n == 0) {
            e = conn_read(c, timeout_ms);
            continue;
        }
        size_t peak = shared_of(c)->peak_input;
        if (s.n > peak) {
            shared_of(c)->peak_input = s.n;
        }
        size_t some = s.n < n - got ? s.n : n - got;
        for (size_t i = 0; i < some; i++) {
            sum = sum * 31 + s.p[i];
        }
        got += some;
        conn_consume(c, some);
    }
    if (e != OK) {
        shared_of(c)->last_err = (int)e;
        return e;
    }
    return conn_printf(c, "LIT %zu %u\r\n", got, sum);
}

static enum err do_starttls(struct conn *c)
{
    if (!conn_can_starttls(c)) {
        return conn_write_str(c, "NO\r\n");
    }
    enum err e = conn_write_str(c, "GO\r\n");
    if (e == OK) {
        e = conn_starttls(c);
    }
    if (e != OK) {
        shared_of(c)->last_err = (int)e;
    }
    return e;
}

static enum err run_line(struct conn *c, const std::string &l)
{
    size_t sp = l.find(' ');
    std::string cmd = l.substr(0, sp);
    std::string arg = sp == std::string::npos ? "" : l.substr(sp + 1);
    if (cmd == "ECHO") {
        return conn_printf(c, "%s\r\n", arg.c_str());
    }
    if (cmd == "BIG") {
        size_t n = strtoul(arg.c_str(), nullptr, 10);
        return do_big(c, n, n == 0 ? 1 : n);
    }
    if (cmd == "CHUNKS") {
        char *end;
        size_t n = strtoul(arg.c_str(), &end, 10);
        return do_big(c, n, strtoul(end, nullptr, 10));
    }
    if (cmd == "LIT") {
        return do_literal(c, strtoul(arg.c_str(), nullptr, 10), 10000);
    }
    if (cmd == "HASTY") {
        return do_literal(c, strtoul(arg.c_str(), nullptr, 10), 200);
    }
    if (cmd == "SLEEP" || cmd == "NAP") {
        char *end;
        fiber_sleep(strtoul(arg.c_str(), &end, 10));
        return conn_printf(c, "slept%s\r\n", end);
    }
    if (cmd ==
        "HOLD") { /* what is a view worth after waiting for something else? The next line, from a view taken before */
        struct slice view = conn_peek(c);
        std::string before(reinterpret_cast<const char *>(view.p), view.n);
        fiber_sleep(strtoul(arg.c_str(), nullptr, 10));
        std::string after(reinterpret_cast<const char *>(view.p), view.n);
        return conn_printf(c, "held %s\r\n", before == after && !before.empty() ? "still" : "moved");
    }
    if (cmd == "IDLE") {
        conn_set_idle_ms(c, strtoul(arg.c_str(), nullptr, 10));
        return conn_write_str(c, "ok\r\n");
    }
    if (cmd == "HANDLE") {
        shared_of(c)->handle = conn_handle_ref(c);
        return conn_write_str(c, "ok\r\n");
    }
    if (cmd == "STARTTLS") {
        return do_starttls(c);
    }
    if (cmd == "TLS") {
        return conn_printf(c, "%s\r\n", conn_tls_description(c));
    }
    if (cmd == "EXPORT") {
        uint8_t key[32];
        enum err e = conn_tls_export(c, "EXPORTER-Channel-Binding", key, sizeof(key));
        return e != OK ? conn_printf(c, "%s\r\n", err_name(e))
                       : conn_printf(c, "%02x%02x%02x%02x\r\n", key[0], key[1], key[30], key[31]);
    }
    if (cmd == "WHO") {
        return conn_printf(c, "%s %u %s\r\n", conn_peer_ip(c), conn_peer_port(c), conn_local_ip(c));
    }
    if (cmd == "QUIT") {
        conn_close(c);
        return conn_write_str(c, "BYE\r\n");
    }
    return conn_write_str(c, "BAD\r\n");
}

static enum err line_input(struct conn *c, void *session)
{
    EXPECT_EQ(((Session *)session)->magic, 42);
    for (;;) {
        struct slice s = conn_peek(c);
        size_t at = slice_find(s, '\n');
        if (at == s.n) {
            return OK;
        }
        std::string l((const char *)s.p, at);
        if (!l.empty() && l.back() == '\r') {
            l.pop_back();
        }
        conn_consume(c, at + 1);
        enum err e = run_line(c, l);
        if (e != OK) {
            return e;
        }
        if (l == "QUIT") {
            return OK;
        }
    }
}

static enum err line_event(struct conn *c, void *, enum conn_event ev)
{
    Shared *s = shared_of(c);
    switch (ev) {
    case CONN_EVENT_TIMEOUT:
        s->timeouts++;
        if (s->keep_on_timeout) {
            return conn_write_str(c, "* still here\r\n");
        }
        conn_close(c);
        return conn_write_str(c, "* BYE idle\r\n");
    case CONN_EVENT_NOTIFY:
        s->notified++;
        return conn_write_str(c, "* NOTIFY\r\n");
    case CONN_EVENT_DRAIN:
        s->drains++;
        EXPECT_TRUE(conn_draining(c));
        if (s->hold_on_drain) {
            return OK;
        }
        conn_close(c);
        return conn_write_str(c, "* BYE draining\r\n");
    }
    return OK;
}

static void line_close(struct conn *c, void *session)
{
    EXPECT_EQ(((Session *)session)->magic, 42);
    EXPECT_EQ(fiber_self(), nullptr);
    ((Session *)session)->magic = 43;
    shared_of(c)->closed++;
}

const struct conn_proto line_proto = {"line",    nullptr,    sizeof(Session), 8192,      60000,
                                      line_open, line_input, line_event,      line_close};
const struct conn_proto line_proto_short_idle = {"line",    nullptr,    sizeof(Session), 8192,      300,
                                                 line_open, line_input, line_event,      line_close};
const struct conn_proto line_proto_alpn = {"line",    "imap",     sizeof(Session), 8192,      60000,
                                           line_open, line_input, line_event,      line_close};

} // namespace net_test
