/* POP3 from the wire: the stuffing against an oracle, then a whole session on a connection of this file's own with a
 * small maildrop, the input cut into pieces by the first byte. */
#include <cstdlib>

#include "frontend/pop3/pop3.h"
#include "frontend/pop3/pop3_session.h"
#include "frontend/pop3/pop3_stuff.h"
#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "proto/rpc/flags.h"
#include "tests/unit/frontend/smtp/fake_frontend.hh"

namespace
{

void must(bool x)
{
    if (!x) {
        abort();
    }
}

/* What goes out, undone: the same message with its bare LFs made CRLF and its last line finished. */
void stuff_oracle(slice in, size_t piece)
{
    pop3_stuff s;
    buf out;
    pop3_stuff_init(&s, POP3_LINES_ALL);
    buf_init(&out, size_t{1} << 20);
    for (size_t at = 0; at < in.n; at += piece) {
        must(pop3_stuff_feed(&s, slice_sub(in, at, at + piece), &out) == OK);
    }
    must(pop3_stuff_finish(&s, &out) == OK);
    std::string sent(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
    buf_fini(&out);
    must(sent.size() >= 3 && ("\r\n" + sent).find("\r\n.\r\n") == sent.size() - 3);
    std::string want;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r')) {
            want += '\r';
        }
        want += static_cast<char>(in.p[i]);
    }
    if (!want.empty() && want.back() != '\n') {
        want += want.back() == '\r' ? "\n" : "\r\n";
    }
    std::string got = "\r\n" + sent.substr(0, sent.size() - 3);
    for (size_t at = got.find("\r\n."); at != std::string::npos; at = got.find("\r\n.", at + 2)) {
        got.erase(at + 2, 1);
    }
    must(got.substr(2) == want);
}

constexpr uint32_t MESSAGES = 4;
slice body_bytes;

err storage(const backend_request &r, std::string *meta, std::string *attach)
{
    std::string bytes(16, 't');
    uint8_t number[MESSAGES * 4];
    uint8_t sizes[MESSAGES * 4];
    if (r.method == METHOD_POP3_LOCK) {
        Pb__ReadPop3LockResult out = PB__READ_POP3_LOCK_RESULT__INIT;
        out.token.data = reinterpret_cast<uint8_t *>(&bytes[0]);
        out.token.len = 16;
        out.lease_ms = 60000;
        *meta = pack(out);
    } else if (r.method == METHOD_SELECT) {
        Pb__ReadSelectResult out = PB__READ_SELECT_RESULT__INIT;
        Pb__MailboxInfo info = PB__MAILBOX_INFO__INIT;
        info.uidnext = MESSAGES + 1;
        info.messages = MESSAGES;
        out.info = &info;
        *meta = pack(out);
    } else if (r.method == METHOD_FETCH) {
        const auto *req = reinterpret_cast<const Pb__ReadFetch *>(r.message);
        Pb__ReadFetchResult out = PB__READ_FETCH_RESULT__INIT;
        for (uint32_t i = 0; i < MESSAGES; i++) {
            put_le32(number + i * 4, i + 1);
            put_le32(sizes + i * 4, static_cast<uint32_t>(body_bytes.n));
        }
        out.rows = MESSAGES;
        out.uid.data = number;
        out.uid.len = sizeof(number);
        out.size.data = sizes;
        out.size.len = sizeof(sizes);
        if ((req->columns & FETCH_COL_CONTENT) != 0) { /* of all, whatever was asked; the client steps over the rest */
            out.lens = out.size;
            size_t n = body_bytes.n > 0 && body_bytes.p[0] == '!' ? body_bytes.n - 1 : body_bytes.n; /* too short */
            for (uint32_t i = 0; i < MESSAGES; i++) {
                attach->append(reinterpret_cast<const char *>(body_bytes.p), n);
            }
        }
        *meta = pack(out);
    } else if (r.method == METHOD_BODY) {
        const auto *req = reinterpret_cast<const Pb__ReadBody *>(r.message);
        slice part = slice_sub(body_bytes, req->offset, size_t{req->offset} + req->length);
        Pb__ReadBodyResult out = PB__READ_BODY_RESULT__INIT;
        out.size = static_cast<uint32_t>(body_bytes.n);
        *meta = pack(out);
        *attach = std::string(reinterpret_cast<const char *>(part.p), part.n);
    }
    return OK;
}

void session(uint8_t how, slice in)
{
    log_set_level(LOG_LEVEL_ERROR);
    fake() = fake_backend();
    fake().directory["a"] = {{1, 10, "", "", ""}};
    fake().password = "p";
    fake().call = storage;
    body_bytes = in;
    pop3_server_config cfg;
    pop3_server_config_init(&cfg);
    cfg.backend = reinterpret_cast<backend *>(&cfg);
    cfg.auth = reinterpret_cast<auth *>(&cfg);
    Session s(pop3_proto, &cfg);
    s.c.tls_listener = true;
    s.open();
    std::vector<std::string> pieces;
    if ((how & 1) != 0) {
        pieces = {"USER a\r\n", "PASS p\r\n"};
    }
    size_t piece = 1 + (how >> 1);
    for (size_t at = 0; at < in.n; at += piece) {
        slice p = slice_sub(in, at, at + piece);
        pieces.push_back(std::string(reinterpret_cast<const char *>(p.p), p.n));
    }
    s.talk(pieces);
    s.close();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    slice rest = slice_make(data + 1, size - 1);
    stuff_oracle(rest, 1 + data[0] % 16);
    session(data[0], rest);
    return 0;
}
