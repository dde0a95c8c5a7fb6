/* A connection and a backend of one thread for tests of protocol sessions: the test is linked with these definitions
 * instead of those of frontend/net and frontend/session, so that every byte boundary and every storage error can be
 * made to happen. The same sessions run against the real ones in tests/e2e. Include it in exactly one source of a
 * program. */
#ifndef TESTS_UNIT_FRONTEND_SMTP_FAKE_FRONTEND_HH
#define TESTS_UNIT_FRONTEND_SMTP_FAKE_FRONTEND_HH

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "frontend/net/conn.h"
#include "frontend/net/fiber.h"
#include "frontend/net/loop.h"
#include "frontend/session/auth.h"
#include "frontend/session/backend.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

struct conn {
    const struct conn_proto *proto = nullptr;
    void *user = nullptr;
    void *session = nullptr;
    std::string in;
    std::deque<std::string> steps; /* what the client sends, each once the server waits */
    bool at_once = false;          /* the next step is there without waiting */
    std::string out;
    bool tls = false;
    bool tls_listener = false;
    bool draining = false;
    bool closed = false;
    err read_fails = ERR_CLOSED; /* when the steps are over */
    std::function<void()> on_read;
    uint64_t idle_ms = 0;

    bool next_step()
    {
        while (!steps.empty() && steps.front().empty()) {
            steps.pop_front();
        }
        if (steps.empty()) {
            return false;
        }
        in += steps.front();
        steps.pop_front();
        return true;
    }
};

struct fake_upload {
    uint32_t shard;
    uint64_t account;
    std::string bytes;
    bool used = false;
};

/* Storage as far as the protocols see it, with the failures a test asks for. */
struct fake_backend {
    struct target {
        uint64_t account;
        uint32_t shard;
        std::string name;
        std::string detail;
        std::string remote;
    };
    std::map<std::string, std::vector<target>> directory;
    std::string domain = "example.test";
    err resolve_error = OK;
    err upload_begin_error = OK;
    err upload_write_error = OK;
    int uploads_open = 0;
    int uploads_aborted = 0;
    /* A packed reply, or the error; attach is the reply's attachment. */
    std::function<err(const backend_request &, std::string *meta, std::string *attach)> call;
    std::vector<uint64_t> slept_ms;
    std::vector<loop_timer *> timers; /* armed; at_ms is the delay */
    std::string password = "secret";
    bool auth_allowed = true;
    err auth_error = OK;
};

inline fake_backend &fake()
{
    static fake_backend f;
    return f;
}

/* Runs a session over the client's steps to its end, or until it waits for more. Returns all that the server wrote. */
class Session
{
  public:
    Session(const struct conn_proto &proto, void *user)
    {
        c.proto = &proto;
        c.user = user;
        c.session = mem_zalloc(proto.session_bytes);
    }
    ~Session()
    {
        close();
        mem_free(c.session);
    }
    std::string open(const std::string &early = "")
    {
        c.in = early;
        settle(c.proto->open(&c, c.session));
        return take();
    }
    /* Each piece arrives when the server waits for input. */
    std::string talk(std::vector<std::string> pieces)
    {
        c.steps.insert(c.steps.end(), pieces.begin(), pieces.end());
        while (!c.closed && c.next_step()) {
            settle(c.proto->input(&c, c.session));
        }
        return take();
    }
    std::string send(const std::string &bytes)
    {
        return talk(std::vector<std::string>{bytes});
    }
    std::string event(conn_event ev)
    {
        settle(c.proto->event(&c, c.session, ev));
        return take();
    }
    void close()
    {
        if (!done) {
            done = true;
            c.proto->close(&c, c.session);
        }
    }
    template <class T> T *state()
    {
        return static_cast<T *>(c.session);
    }
    conn c;

  private:
    void settle(err e)
    {
        c.closed = c.closed || e != OK;
    }
    std::string take()
    {
        std::string out;
        out.swap(c.out);
        return out;
    }
    bool done = false;
};

extern "C" {

void *conn_session(conn *c)
{
    return c->session;
}
loop *conn_loop(conn *)
{
    return nullptr;
}
void *conn_user(conn *c)
{
    return c->user;
}
const struct conn_proto *conn_proto(const conn *c)
{
    return c->proto;
}
uint64_t conn_id(const conn *)
{
    return 1;
}
const char *conn_peer_ip(const conn *)
{
    return "192.0.2.7";
}
slice conn_peek(conn *c)
{
    return slice_make(c->in.data(), c->in.size());
}
void conn_consume(conn *c, size_t n)
{
    ASSERT(n <= c->in.size());
    std::string rest = c->in.substr(n); /* a new block: a view that is used too long is caught */
    c->in.swap(rest);
}
err conn_read(conn *c, uint64_t)
{
    if (c->on_read) {
        c->on_read();
    }
    return c->next_step() ? OK : c->read_fails;
}
err conn_write(conn *c, const void *p, size_t n)
{
    c->out.append(static_cast<const char *>(p), n);
    return OK;
}
err conn_write_slice(conn *c, slice s)
{
    return conn_write(c, s.p, s.n);
}
err conn_write_str(conn *c, const char *z)
{
    return conn_write(c, z, strlen(z));
}
err conn_printf(conn *c, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ASSERT(n >= 0 && (size_t)n < sizeof(text));
    return conn_write(c, text, (size_t)n);
}
void conn_flush(conn *)
{
}
bool conn_is_tls(const conn *c)
{
    return c->tls;
}
bool conn_can_starttls(const conn *c)
{
    return c->tls_listener && !c->tls;
}
err conn_starttls(conn *c)
{
    if (!c->in.empty()) {
        return ERR_PROTOCOL;
    }
    c->tls = true;
    return OK;
}
const char *conn_tls_description(const conn *c)
{
    return c->tls ? "TLSv1.3 TLS_AES_128_GCM_SHA256" : "";
}
void conn_set_idle_ms(conn *c, uint64_t idle_ms)
{
    c->idle_ms = idle_ms;
}
bool conn_draining(const conn *c)
{
    return c->draining;
}

void loop_timer_init(loop_timer *t, void (*fn)(loop *, loop_timer *))
{
    *t = loop_timer{};
    t->fn = fn;
}
void loop_timer_cancel(loop *, loop_timer *t)
{
    auto &all = fake().timers;
    all.erase(std::remove(all.begin(), all.end(), t), all.end());
}
void loop_timer_arm(loop *l, loop_timer *t, uint64_t delay_ms)
{
    loop_timer_cancel(l, t);
    t->at_ms = delay_ms;
    fake().timers.push_back(t);
}
void fiber_sleep(uint64_t ms)
{
    fake().slept_ms.push_back(ms);
}
err fiber_spawn(loop *, fiber_fn fn, void *arg)
{
    fn(arg);
    return OK;
}

bool auth_allowed(const auth *, const conn *)
{
    return fake().auth_allowed;
}
err auth_login(auth *, conn *, slice user, slice password, account_ref *out)
{
    std::string name(reinterpret_cast<const char *>(user.p), user.n);
    auto at = fake().directory.find(name);
    if (fake().auth_error != OK) {
        return fake().auth_error;
    }
    if (at == fake().directory.end() || !slice_eq_str(password, fake().password.c_str())) {
        return ERR_AUTH;
    }
    memset(out, 0, sizeof(*out));
    out->id.v = at->second[0].account;
    out->shard.v = at->second[0].shard;
    snprintf(out->name, sizeof(out->name), "%s", name.c_str());
    return OK;
}
err auth_sasl_plain(slice m, slice *out_user, slice *out_password)
{
    size_t a = slice_find(m, 0);
    slice rest = slice_sub(m, a + 1, m.n);
    size_t b = slice_find(rest, 0);
    if (a == m.n || b == rest.n) {
        return ERR_INVAL;
    }
    *out_user = slice_sub(rest, 0, b);
    *out_password = slice_sub(rest, b + 1, rest.n);
    return OK;
}

err backend_resolve(backend *, slice address, arena *a, const Pb__ReadResolveResult **out)
{
    if (fake().resolve_error != OK) {
        return fake().resolve_error;
    }
    std::string name(reinterpret_cast<const char *>(address.p), address.n);
    auto *r = static_cast<Pb__ReadResolveResult *>(arena_zalloc(a, sizeof(Pb__ReadResolveResult)));
    if (r == nullptr) {
        return ERR_NOMEM;
    }
    pb__read_resolve_result__init(r);
    *out = r;
    size_t at = name.rfind('@');
    std::string detail;
    if (fake().directory.count(name) == 0 && (at == std::string::npos || name.substr(at + 1) != fake().domain)) {
        r->kind = PB__READ_RESOLVE_RESULT__KIND__NOT_LOCAL;
        return OK;
    }
    size_t plus = name.find('+');
    if (fake().directory.count(name) == 0 && plus != std::string::npos) {
        detail = name.substr(plus + 1, at - plus - 1);
        name = name.substr(0, plus) + name.substr(at);
    }
    auto found = fake().directory.find(name);
    if (found == fake().directory.end()) {
        r->kind = PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER;
        return OK;
    }
    r->kind = PB__READ_RESOLVE_RESULT__KIND__LOCAL;
    r->n_targets = found->second.size();
    r->targets = static_cast<Pb__ResolvedTarget **>(arena_calloc(a, r->n_targets, sizeof(Pb__ResolvedTarget *)));
    auto *all = static_cast<Pb__ResolvedTarget *>(arena_calloc(a, r->n_targets, sizeof(Pb__ResolvedTarget)));
    if (r->targets == nullptr || all == nullptr) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < r->n_targets; i++) {
        const auto &t = found->second[i];
        r->targets[i] = &all[i];
        pb__resolved_target__init(r->targets[i]);
        r->targets[i]->account = t.account;
        r->targets[i]->shard = t.shard;
        r->targets[i]->name = arena_strdup(a, t.name.c_str());
        r->targets[i]->detail = arena_strdup(a, detail.c_str());
        r->targets[i]->remote_address = arena_strdup(a, t.remote.c_str());
        if (r->targets[i]->name == nullptr || r->targets[i]->detail == nullptr ||
            r->targets[i]->remote_address == nullptr) {
            return ERR_NOMEM;
        }
    }
    return OK;
}

/* Replies are unpacked into plain memory that the raw reply owns, so that a leak or a use after backend_reply_fini
 * shows. */
err backend_call(backend *, const backend_request *req, arena *, backend_reply *out)
{
    memset(out, 0, sizeof(*out));
    std::string meta;
    std::string attach;
    err e = fake().call(*req, &meta, &attach);
    const ProtobufCMessageDescriptor *d = nullptr;
    switch (req->method) {
    case METHOD_DELIVER:
        d = &pb__op_deliver_result__descriptor;
        break;
    case METHOD_ACCOUNT:
        d = &pb__read_account_result__descriptor;
        break;
    case METHOD_POP3_LOCK:
        d = &pb__read_pop3_lock_result__descriptor;
        break;
    case METHOD_SELECT:
        d = &pb__read_select_result__descriptor;
        break;
    case METHOD_FETCH:
        d = &pb__read_fetch_result__descriptor;
        break;
    case METHOD_BODY:
        d = &pb__read_body_result__descriptor;
        break;
    case METHOD_EXPUNGE:
        d = &pb__op_expunge_result__descriptor;
        break;
    default:
        UNREACHABLE();
    }
    if (e == OK || !meta.empty()) {
        out->message =
            protobuf_c_message_unpack(d, nullptr, meta.size(), reinterpret_cast<const uint8_t *>(meta.data()));
        ASSERT(out->message != nullptr);
    }
    if (!attach.empty()) {
        out->raw.msg = mem_dup(attach.data(), attach.size());
        out->attach = slice_make(out->raw.msg, attach.size());
        e = out->raw.msg == nullptr ? ERR_NOMEM : e;
    }
    return e;
}
err backend_account_call(backend *b, account_ref *a, method m, const ProtobufCMessage *message, slice attach,
                         arena *arena, backend_reply *out)
{
    backend_request req = {};
    req.shard = a->shard;
    req.account = a->id;
    req.method = m;
    req.message = message;
    req.attach = attach;
    return backend_call(b, &req, arena, out);
}
void backend_reply_fini(backend_reply *r)
{
    if (r->message != nullptr) {
        protobuf_c_message_free_unpacked(r->message, nullptr);
    }
    mem_free(r->raw.msg);
    memset(r, 0, sizeof(*r));
}

err backend_upload_begin(backend *, shard_id shard, account_id account, uint64_t, backend_upload **out)
{
    if (fake().upload_begin_error != OK) {
        return fake().upload_begin_error;
    }
    fake().uploads_open++;
    *out = reinterpret_cast<backend_upload *>(new fake_upload{shard.v, account.v, "", false});
    return OK;
}
void backend_upload_for_delivery(backend_upload *)
{
}
err backend_upload_write(backend_upload *u, slice bytes)
{
    reinterpret_cast<fake_upload *>(u)->bytes.append(reinterpret_cast<const char *>(bytes.p), bytes.n);
    return fake().upload_write_error;
}
err backend_upload_finish(backend_upload *u, Pb__BodySource *out_source, slice *out_attach)
{
    auto *f = reinterpret_cast<fake_upload *>(u);
    out_source->size = (uint32_t)f->bytes.size();
    *out_attach = slice_make(f->bytes.data(), f->bytes.size());
    return OK;
}
void backend_upload_used(backend_upload *u)
{
    reinterpret_cast<fake_upload *>(u)->used = true;
}
void backend_upload_free(backend_upload *u)
{
    auto *f = reinterpret_cast<fake_upload *>(u);
    fake().uploads_open--;
    fake().uploads_aborted += f->used ? 0 : 1;
    delete f;
}

} // extern "C"

template <class M> std::string pack(const M &m)
{
    std::string s(protobuf_c_message_get_packed_size(&m.base), '\0');
    protobuf_c_message_pack(&m.base, reinterpret_cast<uint8_t *>(&s[0]));
    return s;
}

#endif /* TESTS_UNIT_FRONTEND_SMTP_FAKE_FRONTEND_HH */
