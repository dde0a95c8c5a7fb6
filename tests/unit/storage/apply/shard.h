/* A shard without Raft: entries go straight to the state machine with positions made by hand, bodies are stored as the
 * volume would. */
#ifndef TESTS_UNIT_STORAGE_APPLY_SHARD_H
#define TESTS_UNIT_STORAGE_APPLY_SHARD_H

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "proto/base/uidset.h"
#include "proto/message/message.h"
#include "proto/rpc/flags.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"
#include "replication/body.h"
#include "replication/volume.h"
#include "storage/apply/entry.h"
#include "storage/apply/housekeeping.h"
#include "storage/check/check.h"
#include "storage/kv/kv_mem.h"
#include "storage/mailbox/read_cache.h"
#include "storage/method/method_run.h"
#include "storage/method/pop3_locks.h"

namespace shard_test
{

struct Mail {
    std::string raw;
    std::string record;
};

inline Mail make_mail(const std::string &raw)
{
    Mail m;
    struct msg_parser *p = nullptr;
    struct buf out;
    m.raw = raw;
    buf_init(&out, 1 << 20);
    EXPECT_EQ(OK, msg_parser_new(&msg_limits_default, &p));
    EXPECT_EQ(OK, msg_parser_feed(p, slice_make(raw.data(), raw.size())));
    EXPECT_EQ(OK, msg_parser_finish(p, &out));
    msg_parser_free(p);
    m.record.assign(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
    buf_fini(&out);
    return m;
}

inline Mail simple_mail(int n, const std::string &body = "Hello.\r\n", const std::string &extra = "")
{
    return make_mail("From: sender@example.org\r\nTo: alice@example.test\r\nSubject: number " + std::to_string(n) +
                     "\r\nMessage-ID: <m" + std::to_string(n) +
                     "@example.org>\r\nDate: Mon, 3 Nov 2025 10:00:00 +0100\r\n" + extra + "\r\n" + body);
}

inline ProtobufCBinaryData bin(const std::string &s)
{
    ProtobufCBinaryData b;
    b.len = s.size();
    b.data = reinterpret_cast<uint8_t *>(const_cast<char *>(s.data()));
    return b;
}

inline std::string str(const ProtobufCBinaryData &b)
{
    return std::string(reinterpret_cast<const char *>(b.data), b.len);
}

inline std::string packed(const ProtobufCMessage *m)
{
    std::string s(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(&s[0]));
    return s;
}

/* "1:3,7" */
inline std::string uids(const std::vector<uint32_t> &list)
{
    struct uidset s;
    struct buf out;
    uidset_init(&s);
    buf_init(&out, 1 << 20);
    for (uint32_t u : list) {
        EXPECT_EQ(OK, uidset_add(&s, u));
    }
    EXPECT_EQ(OK, uidset_encode(&s, &out));
    std::string r(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
    buf_fini(&out);
    uidset_fini(&s);
    return r;
}

inline std::string uid_range(uint32_t first, uint32_t last)
{
    struct uidset s;
    struct buf out;
    uidset_init(&s);
    buf_init(&out, 1 << 20);
    EXPECT_EQ(OK, uidset_add_range(&s, first, last));
    EXPECT_EQ(OK, uidset_encode(&s, &out));
    std::string r(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
    buf_fini(&out);
    uidset_fini(&s);
    return r;
}

inline std::vector<uint32_t> uid_list(const std::string &encoded)
{
    struct uidset s;
    std::vector<uint32_t> r;
    if (encoded.empty()) {
        return r; /* a field that is not there */
    }
    uidset_init(&s);
    EXPECT_EQ(OK, uidset_decode(&s, slice_make(encoded.data(), encoded.size()), 1 << 20));
    for (uint32_t i = 0; i < uidset_count(&s); i++) {
        r.push_back(uidset_at(&s, i));
    }
    uidset_fini(&s);
    return r;
}

template <class T> std::vector<T> column(const ProtobufCBinaryData &b)
{
    std::vector<T> r(b.len / sizeof(T));
    if (b.len > 0) {
        memcpy(r.data(), b.data, r.size() * sizeof(T));
    }
    return r;
}

struct Result {
    enum err error = OK;  /* of the store */
    enum err status = OK; /* the operation's */
    std::string bytes;
    std::string attach;
};

/* Owns an unpacked message. */
template <class T> struct Message {
    T *m;
    explicit Message(T *p) : m(p)
    {
    }
    ~Message()
    {
        if (m != nullptr) {
            protobuf_c_message_free_unpacked(&m->base, nullptr);
        }
    }
    Message(const Message &) = delete;
    T *operator->() const
    {
        return m;
    }
};

#define UNPACK(type, lower, r)                                                                                         \
    shard_test::Message<type>(                                                                                         \
        lower##__unpack(nullptr, (r).bytes.size(), reinterpret_cast<const uint8_t *>((r).bytes.data())))

struct Kept {
    uint64_t ms;
    uint32_t mailbox;
    uint32_t uid;
    uint64_t flags;
    int64_t internal_s;
    uint32_t size;
    std::string texts[3]; /* mailbox, From, Subject */
};

inline void kept_page(const Pb__ReadKeptResult &m, std::vector<Kept> *out)
{
    auto ms = column<uint64_t>(m.time_ms);
    auto mailbox = column<uint32_t>(m.mailbox);
    auto uid = column<uint32_t>(m.uid);
    auto flags = column<uint64_t>(m.flags);
    auto internal = column<int64_t>(m.internal_s);
    auto size = column<uint32_t>(m.size);
    auto lens = column<uint32_t>(m.lens);
    std::string texts = str(m.texts);
    size_t at = 0;
    ASSERT_EQ(m.rows, ms.size());
    ASSERT_EQ(3 * ms.size(), lens.size());
    for (size_t i = 0; i < ms.size(); i++) {
        Kept k = {ms[i], mailbox[i], uid[i], flags[i], internal[i], size[i], {}};
        for (size_t t = 0; t < 3; t++) {
            k.texts[t] = texts.substr(at, lens[3 * i + t]);
            at += lens[3 * i + t];
        }
        out->push_back(k);
    }
    EXPECT_EQ(texts.size(), at);
}

/* OpUndelete.rows */
inline std::string kept_rows(const std::vector<std::pair<uint64_t, uint32_t>> &which)
{
    std::string rows(12 * which.size(), '\0');
    for (size_t i = 0; i < which.size(); i++) {
        put_le64(reinterpret_cast<uint8_t *>(&rows[12 * i]), which[i].first);
        put_le32(reinterpret_cast<uint8_t *>(&rows[12 * i + 8]), which[i].second);
    }
    return rows;
}

struct Options {
    const char *request_id = nullptr; /* 16 bytes; fresh when null */
    uint64_t account = UINT64_MAX;    /* of the head; the operation's by default */
    bool commit = true;
    bool handoff = false; /* of a delivery */
};

class Shard
{
  public:
    explicit Shard(uint32_t number = 1, uint32_t replica = 7, struct kv *use = nullptr) : shard{number}
    {
        if (use == nullptr) {
            EXPECT_EQ(OK, kv_mem_new(&kv));
            owned = true;
        } else {
            kv = use;
        }
        put_be32(prefix, replica);
        prefix[4] = 'S';
        struct storage_fsm_config cfg;
        memset(&cfg, 0, sizeof(cfg));
        cfg.shard = shard;
        memcpy(cfg.prefix, prefix, 5);
        cfg.dedupe_ms = 900000;
        EXPECT_EQ(OK, storage_fsm_new(&cfg, &fsm));
        storage_fsm_bind(fsm, &bound);
        EXPECT_EQ(OK, read_cache_new(1 << 20, &cache));
        EXPECT_EQ(OK, pop3_locks_new(&pop3));
        rng_seeded_init(&rng, 42);
    }
    ~Shard()
    {
        pop3_locks_free(pop3);
        read_cache_free(cache);
        storage_fsm_free(fsm);
        if (owned) {
            kv_close(kv);
        }
    }
    Shard(const Shard &) = delete;

    struct entry_head head_of(enum method m, uint64_t account, const Options &o)
    {
        struct entry_head h;
        memset(&h, 0, sizeof(h));
        h.method = static_cast<uint16_t>(m);
        h.keep = keeps;
        h.shard = shard;
        h.account.v = o.account == UINT64_MAX ? account : o.account;
        h.entry_ms = now_ms;
        h.issue_ms = now_ms;
        rng_fill(&rng, h.request_id.b, 16);
        rng_fill(&rng, h.random, sizeof(h.random));
        if (o.request_id != nullptr) {
            memcpy(h.request_id.b, o.request_id, 16);
        }
        return h;
    }

    /* One entry in a transaction of the caller's. */
    enum err apply_in(struct kv_txn *t, const struct entry_head &h, const std::string &op, const std::string &body,
                      struct buf *out)
    {
        std::string data(ENTRY_HEAD_BYTES, '\0');
        entry_head_encode(&h, reinterpret_cast<uint8_t *>(&data[0]));
        data += op;
        if (!body.empty()) {
            enum err e = body_write(t, get_be32(prefix), index, 0, 0, slice_make(body.data(), body.size()));
            if (e != OK) {
                return e;
            }
        }
        struct repl_position pos = {index, term};
        return bound.apply(bound.ctx, t, pos, slice_make(data.data(), data.size()), static_cast<uint32_t>(body.size()),
                           out);
    }

    Result apply_head(const struct entry_head &h, const std::string &op, const std::string &body = "",
                      bool commit = true)
    {
        Result r;
        struct kv_txn *t = nullptr;
        struct buf out;
        buf_init(&out, 1 << 22);
        r.error = kv_begin(kv, true, &t);
        if (r.error == OK) {
            r.error = apply_in(t, h, op, body, &out);
            if (r.error == OK && commit) {
                r.error = kv_commit(t);
            } else {
                kv_abort(t);
                r.error = r.error == OK ? ERR_CLOSED : r.error;
            }
        }
        if (r.error == OK) {
            if (on_entry) {
                on_entry(index, h, op, body);
            }
            index++;
            bound.committed(bound.ctx);
            EXPECT_GE(out.len, 4u);
            r.status = err_from_wire(get_le32(buf_slice(&out).p));
            r.bytes.assign(reinterpret_cast<const char *>(buf_slice(&out).p) + 4, out.len - 4);
        } else {
            bound.aborted(bound.ctx);
        }
        buf_fini(&out);
        return r;
    }

    Result apply(enum method m, const ProtobufCMessage *op, uint64_t account, const std::string &body = "",
                 const Options &o = {})
    {
        struct entry_head h = head_of(m, account, o);
        now_ms += 1;
        return apply_head(h, packed(op), body, o.commit);
    }

    Result read(enum method m, const ProtobufCMessage *req)
    {
        Result r;
        struct kv_txn *t = nullptr;
        struct arena arena;
        struct buf meta;
        struct buf attach;
        std::string bytes = packed(req);
        arena_init(&arena, 64 << 20);
        buf_init(&meta, 1 << 20);
        buf_init(&attach, 1 << 20);
        EXPECT_EQ(OK, kv_begin(kv, false, &t));
        struct read_context rc;
        memset(&rc, 0, sizeof(rc));
        rc.txn = t;
        memcpy(rc.prefix, prefix, 5);
        rc.shard = shard;
        rc.term = term;
        rc.now_ms = mono_ms;
        rc.deadline_ms = mono_ms + 1000;
        rc.cache = use_cache ? cache : nullptr;
        rc.pop3 = pop3;
        rc.node = node;
        rc.arena = &arena;
        mem_fail_nth(fail_alloc_nth);
        r.status = storage_method_run(&rc, m, slice_make(bytes.data(), bytes.size()), &meta, &attach);
        kv_abort(t);
        if (r.status == OK) {
            r.bytes.assign(reinterpret_cast<const char *>(buf_slice(&meta).p), meta.len);
            r.attach.assign(reinterpret_cast<const char *>(buf_slice(&attach).p), attach.len);
            EXPECT_LE(meta.len + attach.len, 256u * 1024 - 100);
        }
        buf_fini(&meta);
        buf_fini(&attach);
        arena_fini(&arena);
        return r;
    }

    enum err precheck(enum method m, const ProtobufCMessage *op, uint64_t account, uint32_t attach, const Options &o,
                      bool *done, std::string *result)
    {
        struct kv_txn *t = nullptr;
        struct buf out;
        bool grows = false;
        *done = false;
        struct entry_head h = head_of(m, account, o);
        std::string bytes = packed(op);
        buf_init(&out, 1 << 20);
        EXPECT_EQ(OK, kv_begin(kv, false, &t));
        enum err e =
            storage_precheck(t, prefix, &h, slice_make(bytes.data(), bytes.size()), attach, &grows, done, &out);
        kv_abort(t);
        if (result != nullptr) {
            result->assign(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
        }
        buf_fini(&out);
        return e;
    }

    /* All findings, "" when clean. */
    std::string check()
    {
        std::string text;
        struct kv_txn *t = nullptr;
        struct check_config cfg;
        struct check_totals totals;
        memset(&cfg, 0, sizeof(cfg));
        cfg.ctx = &text;
        cfg.finding = [](void *ctx, const struct check_finding *f) {
            auto *s = static_cast<std::string *>(ctx);
            *s += f->what;
            *s += " [";
            for (size_t i = 0; i < f->key.n && i < 60; i++) {
                char hex[4];
                snprintf(hex, sizeof(hex), "%02x", f->key.p[i]);
                *s += hex;
            }
            *s += "]\n";
        };
        EXPECT_EQ(OK, kv_begin(kv, false, &t));
        EXPECT_EQ(OK, storage_check(t, prefix, &cfg, &totals));
        kv_abort(t);
        last_totals = totals;
        return text;
    }

    /* The state's rows (the log and dead bodies apart), as one comparable value. */
    std::map<std::string, std::string> state()
    {
        return rows(slice_make(prefix, 5));
    }

    /* All rows of the replica, bodies too. */
    std::map<std::string, std::string> rows()
    {
        return rows(slice_make(prefix, 4));
    }

    std::map<std::string, std::string> rows(struct slice under)
    {
        std::map<std::string, std::string> found;
        struct kv_txn *t = nullptr;
        struct kv_cursor *c = nullptr;
        struct slice k;
        struct slice v;
        EXPECT_EQ(OK, kv_begin(kv, false, &t));
        EXPECT_EQ(OK, kv_cursor_open(t, &c));
        for (enum err e = kv_cursor_seek(c, under, &k, &v);
             e == OK && k.n > under.n && memcmp(k.p, under.p, under.n) == 0; e = kv_cursor_next(c, &k, &v)) {
            found[std::string(reinterpret_cast<const char *>(k.p) + under.n, k.n - under.n)] =
                std::string(reinterpret_cast<const char *>(v.p), v.n);
        }
        kv_cursor_close(c);
        kv_abort(t);
        return found;
    }

    bool body_dead(uint64_t body_index)
    {
        uint8_t k[15];
        struct kv_txn *t = nullptr;
        struct slice v;
        memcpy(k, prefix, 4);
        k[4] = 'Q';
        put_be64(k + 5, body_index);
        put_be16(k + 13, 0);
        EXPECT_EQ(OK, kv_begin(kv, false, &t));
        enum err e = kv_get(t, slice_make(k, sizeof(k)), &v);
        kv_abort(t);
        return e == OK;
    }

    std::vector<struct storage_event> events()
    {
        size_t n = 0;
        const struct storage_event *ev = storage_fsm_events(fsm, &n);
        return std::vector<struct storage_event>(ev, ev + n);
    }

    /* --- shorthands --- */
    enum err create_account(uint64_t id, uint64_t quota_bytes = 0, uint64_t quota_messages = 0)
    {
        Pb__OpAccountCreate op = PB__OP_ACCOUNT_CREATE__INIT;
        Pb__Credentials c = PB__CREDENTIALS__INIT;
        std::string name = "user" + std::to_string(id) + "@example.test";
        std::string hash = "$argon2id$x";
        c.argon2id = bin(hash);
        op.account = id;
        op.name = const_cast<char *>(name.c_str());
        op.credentials = &c;
        op.quota_bytes = quota_bytes;
        op.quota_messages = quota_messages;
        return apply(METHOD_ACCOUNT_CREATE, &op.base, id).status;
    }

    Result append(uint64_t id, const std::string &mailbox, const Mail &mail, uint64_t flags = 0,
                  const std::vector<std::string> &keywords = {}, const Options &o = {})
    {
        Pb__OpAppend op = PB__OP_APPEND__INIT;
        Pb__BodySource body = PB__BODY_SOURCE__INIT;
        std::vector<char *> k;
        for (const auto &s : keywords) {
            k.push_back(const_cast<char *>(s.c_str()));
        }
        body.size = static_cast<uint32_t>(mail.raw.size());
        op.account = id;
        op.mailbox = const_cast<char *>(mailbox.c_str());
        op.body = &body;
        op.record = bin(mail.record);
        op.flags = flags;
        op.keywords = k.data();
        op.n_keywords = k.size();
        return apply(METHOD_APPEND, &op.base, id, mail.raw, o);
    }

    Result deliver(const std::vector<uint64_t> &accounts, const Mail &mail, const Options &o = {},
                   const std::string &mailbox = "")
    {
        Pb__OpDeliver op = PB__OP_DELIVER__INIT;
        Pb__BodySource body = PB__BODY_SOURCE__INIT;
        std::vector<Pb__Recipient> r(accounts.size());
        std::vector<Pb__Recipient *> p;
        for (size_t i = 0; i < accounts.size(); i++) {
            pb__recipient__init(&r[i]);
            r[i].account = accounts[i];
            r[i].mailbox = const_cast<char *>(mailbox.c_str());
            p.push_back(&r[i]);
        }
        body.size = static_cast<uint32_t>(mail.raw.size());
        op.recipients = p.data();
        op.n_recipients = p.size();
        op.body = &body;
        op.record = bin(mail.record);
        op.handoff = o.handoff;
        return apply(METHOD_DELIVER, &op.base, accounts.empty() ? 0 : accounts[0], mail.raw, o);
    }

    Result create(uint64_t id, const std::string &name, const Options &o = {})
    {
        Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
        op.account = id;
        op.name = const_cast<char *>(name.c_str());
        return apply(METHOD_MAILBOX_CREATE, &op.base, id, "", o);
    }

    Result remove(uint64_t id, const std::string &name)
    {
        Pb__OpMailboxDelete op = PB__OP_MAILBOX_DELETE__INIT;
        op.account = id;
        op.name = const_cast<char *>(name.c_str());
        return apply(METHOD_MAILBOX_DELETE, &op.base, id);
    }

    Result rename(uint64_t id, const std::string &from, const std::string &to)
    {
        Pb__OpMailboxRename op = PB__OP_MAILBOX_RENAME__INIT;
        op.account = id;
        op.from = const_cast<char *>(from.c_str());
        op.to = const_cast<char *>(to.c_str());
        return apply(METHOD_MAILBOX_RENAME, &op.base, id);
    }

    Result store(uint64_t id, uint64_t mailbox, const std::string &set, int mode, uint64_t flags,
                 const std::vector<std::string> &keywords = {}, int64_t unchanged_since = -1, const Options &o = {})
    {
        Pb__OpStore op = PB__OP_STORE__INIT;
        std::vector<char *> k;
        for (const auto &s : keywords) {
            k.push_back(const_cast<char *>(s.c_str()));
        }
        op.account = id;
        op.mailbox = mailbox;
        op.uids = bin(set);
        op.mode = static_cast<Pb__OpStore__Mode>(mode);
        op.flags = flags;
        op.keywords = k.data();
        op.n_keywords = k.size();
        op.has_unchanged_since = unchanged_since >= 0;
        op.unchanged_since = unchanged_since >= 0 ? static_cast<uint64_t>(unchanged_since) : 0;
        return apply(METHOD_STORE, &op.base, id, "", o);
    }

    Result expunge(uint64_t id, uint64_t mailbox, const std::string &set, bool only_deleted = false,
                   uint64_t pop3_term = 0, const Options &o = {})
    {
        Pb__OpExpunge op = PB__OP_EXPUNGE__INIT;
        op.account = id;
        op.mailbox = mailbox;
        op.uids = bin(set);
        op.only_deleted = only_deleted;
        op.pop3_term = pop3_term;
        return apply(METHOD_EXPUNGE, &op.base, id, "", o);
    }

    Result copy(uint64_t id, uint64_t mailbox, const std::string &set, const std::string &to,
                const std::string &copy_id = "", bool last = false, bool undo = false)
    {
        Pb__OpCopy op = PB__OP_COPY__INIT;
        op.account = id;
        op.mailbox = mailbox;
        op.uids = bin(set);
        op.to = const_cast<char *>(to.c_str());
        op.copy_id = bin(copy_id);
        op.last = last;
        op.undo = undo;
        return apply(METHOD_COPY, &op.base, id);
    }

    Result move(uint64_t id, uint64_t mailbox, const std::string &set, const std::string &to)
    {
        Pb__OpMove op = PB__OP_MOVE__INIT;
        op.account = id;
        op.mailbox = mailbox;
        op.uids = bin(set);
        op.to = const_cast<char *>(to.c_str());
        return apply(METHOD_MOVE, &op.base, id);
    }

    /* (entry time, UID) of each, UIDs ascending. */
    Result undelete(uint64_t id, uint64_t mailbox, const std::vector<std::pair<uint64_t, uint32_t>> &which,
                    const std::string &into = "", const Options &o = {})
    {
        Pb__OpUndelete op = PB__OP_UNDELETE__INIT;
        std::string rows = kept_rows(which);
        op.account = id;
        op.mailbox = mailbox;
        op.rows = bin(rows);
        op.into = const_cast<char *>(into.c_str());
        return apply(METHOD_UNDELETE, &op.base, id, "", o);
    }

    Result kept_drop(uint64_t before_ms, uint32_t messages = 0, uint64_t bytes = 0)
    {
        Pb__OpKeptDrop op = PB__OP_KEPT_DROP__INIT;
        op.before_ms = before_ms;
        op.messages = messages;
        op.bytes = bytes;
        return apply(METHOD_KEPT_DROP, &op.base, 0);
    }

    /* All pages. */
    std::vector<Kept> kept(uint64_t id, const std::string &name = "", uint64_t since_ms = 0, uint64_t until_ms = 0,
                           uint32_t max_rows = 0)
    {
        std::vector<Kept> all;
        Pb__ReadKept q = PB__READ_KEPT__INIT;
        q.account = id;
        q.name = const_cast<char *>(name.c_str());
        q.since_ms = since_ms;
        q.until_ms = until_ms;
        q.max_rows = max_rows;
        for (bool more = true; more;) {
            Result r = read(METHOD_KEPT, &q.base);
            EXPECT_EQ(OK, r.status);
            auto m = UNPACK(Pb__ReadKeptResult, pb__read_kept_result, r);
            kept_page(*m.m, &all);
            more = r.status == OK && m->more;
            q.from_ms = m->next_ms;
            q.from_mailbox = m->next_mailbox;
            q.from_uid = m->next_uid;
        }
        return all;
    }

    Result purge(uint64_t account, uint64_t mailbox)
    {
        Pb__OpPurge op = PB__OP_PURGE__INIT;
        op.account = account;
        op.mailbox = mailbox;
        return apply(METHOD_PURGE, &op.base, account);
    }

    /* A chunk of a staged body, asked for as replication does and stored as one body. */
    enum err chunk_in(struct kv_txn *t, uint64_t at, const std::string &bytes, uint64_t off)
    {
        uint64_t have = 0;
        enum err e = repl_body_bytes(t, prefix, at, 0, &have);
        bool adds = off == have;
        if (e == OK) {
            e = bound.staged(bound.ctx, t, at, adds ? static_cast<uint32_t>(bytes.size()) : 0);
        }
        return e == OK && adds ? body_write(t, get_be32(prefix), at, 0, off, slice_make(bytes.data(), bytes.size()))
                               : e;
    }
    enum err chunk(uint64_t at, const std::string &bytes, uint64_t off)
    {
        struct kv_txn *t = nullptr;
        enum err e = kv_begin(kv, true, &t);
        if (e == OK) {
            e = chunk_in(t, at, bytes, off);
            if (e != OK) {
                kv_abort(t);
            }
        }
        return e == OK ? kv_commit(t) : e;
    }
    void put_staged(uint64_t at, const std::string &bytes, uint64_t off = 0)
    {
        ASSERT_EQ(OK, chunk(at, bytes, off));
    }

    bool purge_due(uint64_t *account, uint64_t *mailbox)
    {
        struct kv_txn *t = nullptr;
        bool due = false;
        EXPECT_EQ(OK, kv_begin(kv, false, &t));
        EXPECT_EQ(OK, housekeeping_purge_due(t, prefix, now_ms, &keeping, account, mailbox, &due));
        kv_abort(t);
        return due;
    }

    /* Until nothing is due; the number of steps. */
    int purge_all(int steps_max = 1000)
    {
        int steps = 0;
        uint64_t account;
        uint64_t mailbox;
        int idle = 0;
        while (steps < steps_max && idle < 3) {
            if (purge_due(&account, &mailbox)) {
                Result r = purge(account, mailbox);
                EXPECT_EQ(OK, r.error);
                EXPECT_EQ(OK, r.status);
                steps++;
                idle = 0;
            } else {
                idle++;
            }
        }
        return steps;
    }

    Result select(uint64_t id, const std::string &name, uint64_t mailbox = 0)
    {
        Pb__ReadSelect q = PB__READ_SELECT__INIT;
        q.account = id;
        q.name = const_cast<char *>(name.c_str());
        q.mailbox = mailbox;
        return read(METHOD_SELECT, &q.base);
    }

    uint64_t mailbox_id(uint64_t id, const std::string &name)
    {
        Result r = select(id, name);
        if (r.status != OK) {
            return 0;
        }
        auto m = UNPACK(Pb__ReadSelectResult, pb__read_select_result, r);
        return m->info->mailbox;
    }

    Result fetch(uint64_t id, uint64_t mailbox, const std::string &set, uint32_t columns, uint32_t from = 0,
                 uint32_t max_bytes = 0, uint64_t changed_since = 0)
    {
        Pb__ReadFetch q = PB__READ_FETCH__INIT;
        q.account = id;
        q.mailbox = mailbox;
        q.uids = bin(set);
        q.columns = columns;
        q.from_uid = from;
        q.max_bytes = max_bytes;
        q.changed_since = changed_since;
        return read(METHOD_FETCH, &q.base);
    }

    Result sync(uint64_t id, uint64_t mailbox, uint64_t since, uint32_t uidvalidity = 0)
    {
        Pb__ReadSync q = PB__READ_SYNC__INIT;
        q.account = id;
        q.mailbox = mailbox;
        q.since = since;
        q.uidvalidity = uidvalidity;
        return read(METHOD_SYNC, &q.base);
    }

    std::string body(uint64_t id, uint64_t mailbox, uint32_t uid, enum err *status = nullptr)
    {
        std::string all;
        for (;;) {
            Pb__ReadBody q = PB__READ_BODY__INIT;
            q.account = id;
            q.mailbox = mailbox;
            q.uid = uid;
            q.offset = static_cast<uint32_t>(all.size());
            q.length = 100000;
            Result r = read(METHOD_BODY, &q.base);
            if (status != nullptr) {
                *status = r.status;
            }
            if (r.status != OK || r.attach.empty()) {
                return all;
            }
            all += r.attach;
        }
    }

    struct kv *kv = nullptr;
    bool owned = false;
    struct shard_id shard;
    uint8_t prefix[5];
    struct storage_fsm *fsm = nullptr;
    struct repl_fsm bound;
    struct read_cache *cache = nullptr;
    struct pop3_locks *pop3 = nullptr;
    const struct node_info *node = nullptr;
    bool use_cache = true;
    bool keeps = false; /* the leader keeps what is expunged */
    struct rng rng;
    struct housekeeping keeping = {0};
    struct check_totals last_totals;
    uint64_t index = 10;
    uint64_t term = 3;
    /* Told of every entry that is applied, with its index. */
    std::function<void(uint64_t, const struct entry_head &, const std::string &, const std::string &)> on_entry;
    uint64_t now_ms = UINT64_C(1700000000000);
    uint64_t mono_ms = 1000;
    uint64_t fail_alloc_nth = 0; /* of the next reads */
};

} // namespace shard_test

#endif /* TESTS_UNIT_STORAGE_APPLY_SHARD_H */
