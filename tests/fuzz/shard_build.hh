/* A shard without Raft, filled once, for targets that change or read it: each input works in a transaction that is
 * forgotten afterwards. */
#ifndef TESTS_FUZZ_SHARD_BUILD_HH
#define TESTS_FUZZ_SHARD_BUILD_HH

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/message/message.h"
#include "proto/rpc/flags.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "replication/body.h"
#include "replication/volume.h"
#include "storage/apply/entry.h"
#include "storage/check/check.h"
#include "storage/kv/kv_mem.h"
#include "storage/method/node_info.h"
#include "tests/fuzz/proto_build.hh"

namespace shard_build
{

constexpr uint32_t kReplica = 7;
constexpr uint64_t kTerm = 3;
constexpr uint64_t kAlice = 11;
constexpr uint64_t kBob = 12;
constexpr uint64_t kInbox = 1;
constexpr uint64_t kStagedIndex = 100;
constexpr uint64_t kFilledMs = UINT64_C(1700000000000);
constexpr uint64_t kLost = 10;

inline void must(bool x)
{
    if (!x) {
        abort();
    }
}

struct Mail {
    std::string raw;
    std::string record;
};

inline Mail mail(const std::string &raw)
{
    Mail m;
    msg_parser *p = nullptr;
    buf out;
    m.raw = raw;
    buf_init(&out, 1 << 20);
    must(msg_parser_new(&msg_limits_default, &p) == OK);
    must(msg_parser_feed(p, slice_make(raw.data(), raw.size())) == OK);
    must(msg_parser_finish(p, &out) == OK);
    msg_parser_free(p);
    m.record.assign(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
    buf_fini(&out);
    return m;
}

inline const std::vector<Mail> &mails()
{
    static const std::vector<Mail> all = {
        mail("From: a@example.org\r\nTo: b@example.test\r\nSubject: one\r\nMessage-ID: <1@x>\r\n"
             "Date: Mon, 3 Nov 2025 10:00:00 +0100\r\n\r\nhello world\r\n"),
        mail(
            "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nStra=DFe\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
            "Subject: inner\r\n\r\nneedle\r\n--b--\r\n"),
        mail("Subject: base64\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n"
             "Cc: =?iso-8859-1?b?5A==?= <c@d>\r\n\r\nPGI+bmVlZGxlPC9iPg==\r\n"),
        mail("no header at all"),
    };
    return all;
}

constexpr size_t kStagedBytes = 9000; /* three rows */

inline const Mail &staged_mail()
{
    static const Mail m = [] {
        std::string raw = "Subject: large\r\n\r\n";
        while (raw.size() + 10 <= kStagedBytes) {
            raw += "needles \r\n";
        }
        return mail(raw + std::string(kStagedBytes - raw.size(), 'x'));
    }();
    return m;
}

/* OpUndelete.rows of what fill_kept has expunged. */
inline std::string kept_rows(uint32_t first, uint32_t last)
{
    std::string rows;
    for (uint32_t uid = first; uid <= last; uid++) {
        char row[12];
        put_le64(reinterpret_cast<uint8_t *>(row), kFilledMs);
        put_le32(reinterpret_cast<uint8_t *>(row + 8), uid);
        rows.append(row, sizeof(row));
    }
    return rows;
}

/* The size is the input's to set. */
inline proto_build::Words &words()
{
    static proto_build::Words w = [] {
        proto_build::Words made;
        made.strings = {"INBOX",
                        "Work",
                        "Work/a",
                        "Old",
                        "New/x/y",
                        "inbox/sub",
                        "Drafts",
                        "$Junk",
                        "k1",
                        "needle",
                        "Subject",
                        "example.test",
                        "alice@example.test",
                        "bob@example.test",
                        "team@example.test",
                        "other.test",
                        "x@other.test",
                        "Message-ID",
                        "",
                        "a//b",
                        "Gr\xc3\xbc\xc3\x9f",
                        "From",
                        "<1@x>",
                        "gr\xc3\xbcsse",
                        std::string(256, 'n'),
                        "/",
                        "*",
                        "k2",
                        "Lost"};
        for (const Mail &m : mails()) {
            made.records.push_back(m.record);
        }
        made.records.push_back(staged_mail().record);
        made.rows = {kept_rows(1, 1), kept_rows(1, 2), kept_rows(2, 3)};
        return made;
    }();
    return w;
}

inline ProtobufCBinaryData bin(const std::string &s)
{
    return {s.size(), reinterpret_cast<uint8_t *>(const_cast<char *>(s.data()))};
}

inline std::string packed(const ProtobufCMessage *m)
{
    std::string s(protobuf_c_message_get_packed_size(m), '\0');
    protobuf_c_message_pack(m, reinterpret_cast<uint8_t *>(&s[0]));
    return s;
}

inline node_info node_info_make()
{
    node_info i;
    i.ctx = nullptr;
    i.facts = [](void *, node_facts *f) {
        memset(f, 0, sizeof(*f));
        f->shards = 2;
    };
    i.shard = [](void *, shard_id, node_shard_info *out) { memset(out, 0, sizeof(*out)); };
    i.leader = [](void *, shard_id) { return node_id{1}; };
    i.group = [](void *, shard_id shard, node_group_info *out) {
        memset(out, 0, sizeof(*out));
        out->n = shard.v % NODE_GROUP_SERVERS_MAX;
        return shard.v != 0;
    };
    return i;
}

class Shard
{
  public:
    explicit Shard(uint32_t shard) : number(shard)
    {
        storage_fsm_config cfg;
        memset(&cfg, 0, sizeof(cfg));
        put_be32(prefix, kReplica);
        prefix[4] = 'S';
        cfg.shard.v = shard;
        memcpy(cfg.prefix, prefix, sizeof(prefix));
        must(kv_mem_new(&store) == OK && storage_fsm_new(&cfg, &fsm) == OK);
        storage_fsm_bind(fsm, &bound);
        must(kv_begin(store, true, &t) == OK);
        shard == 0 ? fill_directory() : fill();
        check();
        must(kv_commit(t) == OK);
        bound.committed(bound.ctx);
        filled_index = index;
        filled_ms = now_ms;
        filled_ids = ids;
    }

    void begin()
    {
        sound = true;
        stopped = false;
        index = filled_index;
        now_ms = filled_ms;
        ids = filled_ids; /* or they would be answered from what filled the shard */
        must(kv_begin(store, true, &t) == OK);
    }

    void forget()
    {
        kv_abort(t);
        bound.aborted(bound.ctx);
    }

    entry_head head(method m, uint64_t account)
    {
        entry_head h;
        memset(&h, 0, sizeof(h));
        h.method = static_cast<uint16_t>(m);
        h.keep = keeps;
        h.shard.v = number;
        h.account.v = account;
        h.entry_ms = h.issue_ms = now_ms;
        h.request_id.b[0] = 99;
        put_be64(h.request_id.b + 8, ++ids);
        put_be64(h.random, ids);
        return h;
    }

    /* Status and result. What the store would fail with is an abort: nothing a request says may stop a sound shard. Of
     * a damaged one, "" is the end. */
    std::string apply(const entry_head &h, const std::string &op, const std::string &body)
    {
        std::string data(ENTRY_HEAD_BYTES, '\0');
        entry_head_encode(&h, reinterpret_cast<uint8_t *>(&data[0]));
        data += op;
        index++;
        if (!body.empty()) {
            must(body_write(t, kReplica, index, 0, 0, slice_make(body.data(), body.size())) == OK);
        }
        buf out;
        buf_init(&out, 1 << 24);
        enum err e = bound.apply(bound.ctx, t, {index, kTerm}, slice_make(data.data(), data.size()),
                                 static_cast<uint32_t>(body.size()), &out);
        must(!sound || (e == OK && out.len >= APPLY_RESULT_HEAD_BYTES));
        stopped = stopped || e != OK;
        std::string result(reinterpret_cast<const char *>(buf_slice(&out).p), out.len);
        buf_fini(&out);
        return result;
    }

    /* A chunk of a staged body, asked for as replication does and stored as one body. */
    enum err chunk(uint64_t at, const std::string &bytes, uint64_t off)
    {
        uint64_t have = 0;
        enum err e = repl_body_bytes(t, prefix, at, 0, &have);
        bool adds = off == have && !bytes.empty();
        if (e == OK) {
            e = bound.staged(bound.ctx, t, at, adds ? static_cast<uint32_t>(bytes.size()) : 0);
        }
        return e == OK && adds ? body_write(t, kReplica, at, 0, off, slice_make(bytes.data(), bytes.size())) : e;
    }

    void check()
    {
        check_config cfg;
        check_totals totals;
        memset(&cfg, 0, sizeof(cfg));
        cfg.finding = [](void *, const check_finding *f) { fprintf(stderr, "check: %s\n", f->what); };
        enum err e = storage_check(t, prefix, &cfg, &totals);
        must(!sound || (e == OK && totals.findings == 0));
    }

    /* What a disk may do to a row: gone, shorter, another octet, other octets. */
    void damage(proto_build::Input *in)
    {
        slice key;
        slice value;
        kv_cursor *c = nullptr;
        must(kv_cursor_open(t, &c) == OK);
        enum err e = kv_cursor_seek(c, slice_make(prefix, 4), &key, &value);
        for (unsigned left = in->u8(); e == OK && left > 0; left--) {
            e = kv_cursor_next(c, &key, &value);
        }
        std::string k(reinterpret_cast<const char *>(key.p), e == OK ? key.n : 0);
        std::string v(reinterpret_cast<const char *>(value.p), e == OK ? value.n : 0);
        kv_cursor_close(c);
        if (e == OK) {
            row_change(k, v, in);
            sound = false;
        }
    }

    uint32_t number;
    kv *store = nullptr;
    storage_fsm *fsm = nullptr;
    repl_fsm bound;
    kv_txn *t = nullptr;
    uint8_t prefix[5];
    uint64_t index = 10;
    uint64_t now_ms = kFilledMs;
    bool sound = true;
    bool stopped = false;
    bool keeps = false; /* what is expunged */

  private:
    uint64_t filled_index = 0;
    uint64_t filled_ms = 0;
    uint64_t filled_ids = 0;
    uint64_t ids = 0;

    void row_change(const std::string &key, std::string value, proto_build::Input *in)
    {
        uint8_t how = in->u8() % 4;
        size_t at = value.empty() ? 0 : in->u16() % value.size();
        slice k = slice_make(key.data(), key.size());
        if (how == 0) {
            must(kv_del(t, k) == OK);
            return;
        }
        if (how == 1) {
            value.resize(at);
        } else if (how == 2 && !value.empty()) {
            value[at] = static_cast<char>(in->u8());
        } else {
            std::string other = in->bytes(in->u8() % 16);
            value.replace(at, other.size(), other);
        }
        must(kv_put(t, k, slice_make(value.data(), value.size())) == OK);
    }

    void make(method m, uint64_t account, const ProtobufCMessage *op, const std::string &body = "")
    {
        must(get_le32(reinterpret_cast<const uint8_t *>(apply(head(m, account), packed(op), body).data())) == OK);
    }

    void append(const char *mailbox, const Mail &m, uint64_t flags, char *keyword)
    {
        Pb__OpAppend op = PB__OP_APPEND__INIT;
        Pb__BodySource body = PB__BODY_SOURCE__INIT;
        body.size = static_cast<uint32_t>(m.raw.size());
        op.account = kAlice;
        op.mailbox = const_cast<char *>(mailbox);
        op.body = &body;
        op.record = bin(m.record);
        op.flags = flags;
        op.keywords = &keyword;
        op.n_keywords = keyword != nullptr ? 1 : 0;
        make(METHOD_APPEND, kAlice, &op.base, m.raw);
    }

    void fill_account(uint64_t id, const char *name)
    {
        Pb__OpAccountCreate op = PB__OP_ACCOUNT_CREATE__INIT;
        op.account = id;
        op.name = const_cast<char *>(name);
        make(METHOD_ACCOUNT_CREATE, id, &op.base);
    }

    void fill_folders()
    {
        Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
        op.account = kAlice;
        op.name = const_cast<char *>("Work/a");
        make(METHOD_MAILBOX_CREATE, kAlice, &op.base);
        op.name = const_cast<char *>("Old");
        make(METHOD_MAILBOX_CREATE, kAlice, &op.base);
        append("Old", mails()[0], 0, nullptr);
        Pb__OpMailboxDelete del = PB__OP_MAILBOX_DELETE__INIT;
        del.account = kAlice;
        del.name = const_cast<char *>("Old");
        make(METHOD_MAILBOX_DELETE, kAlice, &del.base);
    }

    void fill_mail()
    {
        char k1[] = "k1";
        char k2[] = "k2";
        for (unsigned i = 0; i < 12; i++) {
            append("INBOX", mails()[i % mails().size()], i % 3 == 0 ? FLAG_SEEN : FLAG_DELETED, i % 2 == 0 ? k1 : k2);
        }
        static const std::string some("\x01\x02\x03", 3); /* one run: 2:5 */
        Pb__OpCopy copy = PB__OP_COPY__INIT;
        copy.account = kAlice;
        copy.mailbox = kInbox;
        copy.uids = bin(some);
        copy.to = const_cast<char *>("Work");
        make(METHOD_COPY, kAlice, &copy.base);
        Pb__OpExpunge gone = PB__OP_EXPUNGE__INIT;
        gone.account = kAlice;
        gone.mailbox = kInbox;
        gone.uids = bin(some);
        gone.only_deleted = true;
        make(METHOD_EXPUNGE, kAlice, &gone.base);
    }

    /* Two messages are kept; a third is to be, with its mailbox. */
    void fill_kept()
    {
        char k1[] = "k1";
        Pb__OpMailboxCreate op = PB__OP_MAILBOX_CREATE__INIT;
        op.account = kAlice;
        op.name = const_cast<char *>("Lost");
        make(METHOD_MAILBOX_CREATE, kAlice, &op.base);
        for (unsigned i = 0; i < 3; i++) {
            append("Lost", mails()[i], FLAG_FLAGGED, k1);
        }
        static const std::string some("\x01\x01\x01", 3); /* one run: 1:2 */
        Pb__OpExpunge gone = PB__OP_EXPUNGE__INIT;
        gone.account = kAlice;
        gone.mailbox = kLost;
        gone.uids = bin(some);
        keeps = true;
        make(METHOD_EXPUNGE, kAlice, &gone.base);
        Pb__OpMailboxDelete del = PB__OP_MAILBOX_DELETE__INIT;
        del.account = kAlice;
        del.name = op.name;
        make(METHOD_MAILBOX_DELETE, kAlice, &del.base);
        keeps = false;
    }

    void fill_staged()
    {
        Pb__OpStageBegin begin = PB__OP_STAGE_BEGIN__INIT;
        begin.account = kAlice;
        begin.size = kStagedBytes;
        index = kStagedIndex - 1;
        make(METHOD_STAGE_BEGIN, kAlice, &begin.base);
        must(chunk(kStagedIndex, staged_mail().raw, 0) == OK);
        make(METHOD_STAGE_BEGIN, kAlice, &begin.base); /* another, to be filled */
    }

    void fill_handoff()
    {
        Pb__OpDeliver op = PB__OP_DELIVER__INIT;
        Pb__BodySource body = PB__BODY_SOURCE__INIT;
        Pb__Recipient r = PB__RECIPIENT__INIT;
        Pb__Recipient *rs[] = {&r};
        Pb__Handoff h = PB__HANDOFF__INIT;
        Pb__Handoff *hs[] = {&h};
        h.shard = 9;
        h.recipients = rs;
        h.n_recipients = 1;
        body.size = static_cast<uint32_t>(mails()[1].raw.size());
        op.body = &body;
        op.record = bin(mails()[1].record);
        op.handoffs = hs;
        op.n_handoffs = 1;
        index = 149;
        make(METHOD_DELIVER, 0, &op.base, mails()[1].raw);
    }

    void fill()
    {
        fill_account(kAlice, "alice@example.test");
        fill_account(kBob, "bob@example.test");
        fill_folders();
        fill_mail();
        fill_staged();
        fill_handoff();
        fill_kept();
    }

    void fill_directory()
    {
        Pb__OpDomainSet d = PB__OP_DOMAIN_SET__INIT;
        d.name = const_cast<char *>("example.test");
        make(METHOD_DOMAIN_SET, 0, &d.base);
        Pb__OpDirAccountAdd a = PB__OP_DIR_ACCOUNT_ADD__INIT;
        a.shards = 4;
        a.name = const_cast<char *>("alice@example.test");
        make(METHOD_DIR_ACCOUNT_ADD, 0, &a.base);
        a.name = const_cast<char *>("bob@example.test");
        make(METHOD_DIR_ACCOUNT_ADD, 0, &a.base);
        Pb__OpAliasSet al = PB__OP_ALIAS_SET__INIT;
        char *targets[] = {const_cast<char *>("alice@example.test"), const_cast<char *>("x@far.example")};
        al.address = const_cast<char *>("team@example.test");
        al.targets = targets;
        al.n_targets = 2;
        make(METHOD_ALIAS_SET, 0, &al.base);
        Pb__OpNodeSet node = PB__OP_NODE_SET__INIT;
        node.node = 1;
        node.peer = const_cast<char *>("tcp://a:1");
        make(METHOD_NODE_SET, 0, &node.base);
        node.node = 0;
        node.peer = const_cast<char *>("tcp://b:1");
        make(METHOD_NODE_SET, 0, &node.base);
        Pb__OpClusterSet settings = PB__OP_CLUSTER_SET__INIT;
        settings.level = 2;
        make(METHOD_CLUSTER_SET, 0, &settings.base);
        Pb__OpShardSet pin = PB__OP_SHARD_SET__INIT;
        uint64_t nodes[] = {1};
        pin.shard = 3;
        pin.nodes = nodes;
        pin.n_nodes = 1;
        make(METHOD_SHARD_SET, 0, &pin.base);
    }
};

} // namespace shard_build

#endif /* TESTS_FUZZ_SHARD_BUILD_HH */
