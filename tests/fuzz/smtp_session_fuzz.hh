/* What smtp_fuzz and lmtp_fuzz share: oracles for the parsers, and sessions against scripted storage. */
#ifndef TESTS_FUZZ_SMTP_SESSION_FUZZ_HH
#define TESTS_FUZZ_SMTP_SESSION_FUZZ_HH

#include <cstdlib>

#include "frontend/smtp/smtp.h"
#include "frontend/smtp/smtp_dot.h"
#include "frontend/smtp/smtp_head.h"
#include "frontend/smtp/smtp_path.h"
#include "frontend/smtp/smtp_session.h"
#include "proto/base/log.h"
#include "tests/unit/frontend/smtp/fake_frontend.hh"

inline void must(bool x)
{
    if (!x) {
        abort();
    }
}

inline std::string text_of(slice s)
{
    return std::string(reinterpret_cast<const char *>(s.p), s.n);
}

/* The content up to CRLF.CRLF by searching, unstuffed by lines. */
inline std::string unstuff(const std::string &in, bool *ended)
{
    std::string all = "\r\n" + in;
    size_t end = all.find("\r\n.\r\n");
    *ended = end != std::string::npos;
    std::string body = *ended ? all.substr(0, end + 2) : all;
    for (size_t at = body.find("\r\n."); at != std::string::npos; at = body.find("\r\n.", at + 2)) {
        body.erase(at + 2, 1);
    }
    return body.substr(2);
}

inline void fuzz_dot(slice in, size_t piece)
{
    smtp_dot d = {};
    d.policy = SMTP_BARE_KEEP;
    std::string got;
    buf out;
    buf_init(&out, size_t{1} << 20);
    for (size_t at = 0; at < in.n && !smtp_dot_ended(&d); at += piece) {
        size_t used = 0;
        buf_reset(&out);
        must(smtp_dot_feed(&d, slice_sub(in, at, at + piece), &out, &used) == OK);
        got += text_of(buf_slice(&out));
    }
    buf_fini(&out);
    bool ended = false;
    std::string want = unstuff(text_of(in), &ended);
    must(smtp_dot_ended(&d) == ended);
    must(ended ? got == want : want.compare(0, got.size(), got) == 0 && want.size() - got.size() <= 2);
}

inline void fuzz_head(slice in, size_t piece)
{
    smtp_head h = {};
    buf out;
    buf_init(&out, size_t{1} << 20);
    for (size_t at = 0; at < in.n; at += piece) {
        must(smtp_head_feed(&h, slice_sub(in, at, at + piece), &out) == OK);
    }
    must(smtp_head_finish(&h, &out) == OK);
    must(slice_eq(buf_slice(&out), in));
    buf_fini(&out);
}

/* What is accepted parses to the same again. */
inline void fuzz_path(slice in, bool null)
{
    smtp_path p;
    slice rest;
    if (smtp_path_parse(in, null, &p, &rest) != OK) {
        return;
    }
    must(rest.n < in.n);
    smtp_path again;
    std::string wire = "<" + std::string(p.mailbox) + ">";
    must(smtp_path_parse(slice_make(wire.data(), wire.size()), null, &again, &rest) == OK && rest.n == 0);
    must(strcmp(p.mailbox, again.mailbox) == 0 && strcmp(p.lookup, again.lookup) == 0);
    slice keyword;
    slice value;
    while (smtp_param_next(&rest, &keyword, &value) == OK) {
        must(keyword.n > 0);
    }
}

inline void fuzz_parsers(uint8_t how, slice in)
{
    size_t piece = 1 + (how >> 1) % 16;
    fuzz_dot(in, piece);
    fuzz_head(in, piece);
    fuzz_path(in, (how & 1) != 0);
    (void)smtp_domain_valid(in);
}

/* Takes every message; what a RCPT expands to depends on the address, so that all plans happen. */
inline err fuzz_storage(const backend_request &r, std::string *meta, std::string *)
{
    if (r.method == METHOD_ACCOUNT) {
        Pb__ReadAccountResult a = PB__READ_ACCOUNT_RESULT__INIT;
        *meta = pack(a);
        return OK;
    }
    const auto *op = reinterpret_cast<const Pb__OpDeliver *>(r.message);
    must(op->n_recipients > 0 && op->body->size == r.attach.n);
    return (op->recipients[0]->account & 1) != 0 ? OK : ERR_UNAVAILABLE;
}

inline void fuzz_session(const struct conn_proto &proto, uint8_t how, slice in)
{
    log_set_level(LOG_LEVEL_ERROR);
    fake() = fake_backend();
    fake().directory["a@b"] = {{1, 10, "", "", ""}};
    fake().directory["c@b"] = {{2, 20, "", "", ""}, {3, 10, "", "", ""}, {1, 10, "", "", ""}};
    fake().directory["away@b"] = {{0, 0, "", "", "x@y"}};
    fake().domain = "b";
    fake().password = "p";
    fake().call = fuzz_storage;
    smtp_server_config cfg;
    smtp_server_config_init(&cfg);
    cfg.backend = reinterpret_cast<backend *>(&cfg);
    cfg.auth = reinterpret_cast<auth *>(&cfg);
    cfg.message_bytes_max = 4096;
    cfg.recipients_max = 8;
    cfg.pipelining_strict = (how & 2) != 0; /* off: the input gets further */
    Session s(proto, &cfg);
    s.c.tls_listener = true;
    s.open();
    size_t piece = 1 + (how >> 2);
    std::vector<std::string> pieces;
    for (size_t at = 0; at < in.n; at += piece) {
        pieces.push_back(text_of(slice_sub(in, at, at + piece)));
    }
    s.talk(pieces);
    s.close();
    must(fake().uploads_open == 0);
}

#endif /* TESTS_FUZZ_SMTP_SESSION_FUZZ_HH */
