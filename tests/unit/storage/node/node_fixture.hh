/* A node on a fresh directory, and a client that speaks to it as a frontend does. */
#ifndef TESTS_UNIT_STORAGE_NODE_NODE_FIXTURE_HH
#define TESTS_UNIT_STORAGE_NODE_NODE_FIXTURE_HH

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "proto/base/clock.h"
#include "proto/base/rng.h"
#include "proto/message/message.h"
#include "proto/rpc/client.h"
#include "proto/rpc/flags.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"
#include "storage/node/node.h"

inline bool eventually(const std::function<bool()> &f, int within_ms = 8000)
{
    auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(within_ms);
    while (!f()) {
        if (std::chrono::steady_clock::now() > until) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

inline std::string pack(const ProtobufCMessage *m)
{
    std::string s(protobuf_c_message_get_packed_size(m), 0);
    protobuf_c_message_pack(m, (uint8_t *)&s[0]);
    return s;
}

inline ProtobufCBinaryData bytes_of(const std::string &s)
{
    return ProtobufCBinaryData{s.size(), (uint8_t *)s.data()};
}

/* What came back of a call. */
struct Answer {
    enum err transport = OK;
    enum err status = OK;
    std::string meta;
    std::string attach;

    enum err e() const
    {
        return transport != OK ? transport : status;
    }
};

struct Account {
    uint64_t id = 0;
    uint32_t shard = 0;
    std::string name;
};

class NodeTest : public ::testing::Test
{
  protected:
    std::string parent, dir, rpc_url, pub_url;
    struct node *node = nullptr;
    struct rpc_client *client = nullptr;
    std::string why_text;
    std::string peer_address; /* of the node to be started */
    uint8_t level_max = 0;
    uint64_t copy_bytes_per_s = 0;
    uint64_t sole_log_bytes = 0;
    uint64_t last_hint = 0; /* of the last reply */
    std::mutex kept_mutex;
    std::list<std::string> kept;

    void SetUp() override
    {
        static std::atomic<int> number{0};
        char path[] = "/tmp/pb-node-XXXXXX";
        ASSERT_NE(mkdtemp(path), nullptr);
        parent = path;
        dir = parent + "/data";
        rpc_url = "inproc://node-test-" + std::to_string(number++);
        pub_url = rpc_url + "-pub";
    }

    void TearDown() override
    {
        rpc_client_close(client);
        if (node != nullptr) {
            node_stop(node);
        }
        std::error_code ignored;
        std::filesystem::remove_all(parent, ignored);
    }

    enum err start(uint32_t shards = 4)
    {
        struct buf why;
        const char *rpc = rpc_url.c_str();
        const char *pub = pub_url.c_str();
        struct node_config cfg = {};
        cfg.data_dir = dir.c_str();
        cfg.shards = shards;
        cfg.rpc_urls = &rpc;
        cfg.n_rpc_urls = 1;
        cfg.pub_urls = &pub;
        cfg.n_pub_urls = 1;
        cfg.readers = 2;
        cfg.map_bytes = UINT64_C(1) << 30;
        cfg.dedupe_ms = 15 * 60 * 1000;
        cfg.copy_bytes_per_s = copy_bytes_per_s;
        cfg.sole_log_bytes = sole_log_bytes;
        cfg.peer_address = peer_address.c_str();
        cfg.rpc_address = rpc_url.c_str();
        cfg.level_max = level_max;
        buf_init(&why, 4096);
        enum err e = node_start(&cfg, &node, &why);
        why_text.assign((const char *)buf_slice(&why).p, buf_slice(&why).n);
        buf_fini(&why);
        return e;
    }

    void up(uint32_t shards = 4)
    {
        ASSERT_EQ(OK, start(shards)) << why_text;
        ASSERT_TRUE(eventually([&] { return node_ready(node); }));
        connect();
    }

    void connect()
    {
        if (client == nullptr) {
            struct rpc_client_config cc = {rpc_url.c_str(), 4096, nullptr};
            ASSERT_EQ(OK, rpc_client_open(&cc, &client, nullptr));
        }
    }

    void down()
    {
        node_stop(node);
        node = nullptr;
        ASSERT_TRUE(eventually([&] { return !rpc_client_connected(client); }));
    }

    /* Copies that live as long as the test: callers pass temporaries. */
    struct slice keep(const std::string &text)
    {
        std::lock_guard<std::mutex> g(kept_mutex);
        kept.push_back(text);
        return slice_make(kept.back().data(), kept.back().size());
    }

    struct rpc_call call_of(uint32_t shard, uint64_t account, unsigned method, const std::string &meta,
                            const std::string &attach)
    {
        struct rpc_call c = {};
        c.head.method = (uint16_t)method;
        c.head.shard.v = shard;
        c.head.account.v = account;
        c.head.request_id = rng_u128(rng_system());
        c.head.issue_ms = clock_wall_ms(clock_system());
        c.head.budget_ms = 20000;
        c.timeout_ms = 20000;
        c.meta = keep(meta);
        c.attach = keep(attach);
        return c;
    }

    Answer run(struct rpc_call *c)
    {
        Answer a;
        a.transport = rpc_client_call(client, c);
        if (a.transport == OK) {
            a.status = c->reply.head.status;
            last_hint = c->reply.head.hint;
            a.meta.assign((const char *)c->reply.meta.p, c->reply.meta.n);
            a.attach.assign((const char *)c->reply.attach.p, c->reply.attach.n);
            rpc_reply_fini(&c->reply);
        }
        return a;
    }

    Answer call(uint32_t shard, uint64_t account, unsigned method, const ProtobufCMessage *m,
                const std::string &attach = "")
    {
        std::string meta = m == nullptr ? "" : pack(m);
        struct rpc_call c = call_of(shard, account, method, meta, attach);
        return run(&c);
    }

    void make_domain()
    {
        Pb__OpDomainSet d = PB__OP_DOMAIN_SET__INIT;
        d.name = (char *)"example.test";
        ASSERT_EQ(OK, call(0, 0, METHOD_DOMAIN_SET, &d.base).e());
    }

    /* In a given shard. */
    Account make_account(const std::string &user, uint32_t shard)
    {
        Account a;
        a.name = user + "@example.test";
        Pb__OpDirAccountAdd add = PB__OP_DIR_ACCOUNT_ADD__INIT;
        add.name = (char *)a.name.c_str();
        add.shard = shard;
        add.shards = 4;
        Answer r = call(0, 0, METHOD_DIR_ACCOUNT_ADD, &add.base);
        EXPECT_EQ(OK, r.e());
        Pb__OpDirAccountAddResult *res =
            pb__op_dir_account_add_result__unpack(nullptr, r.meta.size(), (const uint8_t *)r.meta.data());
        EXPECT_NE(nullptr, res);
        if (res != nullptr) {
            a.id = res->account;
            a.shard = res->shard;
            pb__op_dir_account_add_result__free_unpacked(res, nullptr);
        }
        EXPECT_EQ(shard, a.shard);
        Pb__OpAccountCreate c = PB__OP_ACCOUNT_CREATE__INIT;
        c.account = a.id;
        c.name = (char *)a.name.c_str();
        EXPECT_EQ(OK, call(a.shard, a.id, METHOD_ACCOUNT_CREATE, &c.base).e());
        return a;
    }

    static std::string message(const std::string &subject, size_t body_bytes = 100)
    {
        std::string m = "From: a@example.test\r\nTo: b@example.test\r\nSubject: " + subject + "\r\n\r\n";
        while (m.size() < body_bytes) {
            m += "line " + std::to_string(m.size()) + " of the body\r\n";
        }
        return m;
    }

    static std::string record_of(const std::string &msg)
    {
        struct msg_parser *p = nullptr;
        struct buf out;
        buf_init(&out, 64 * 1024);
        EXPECT_EQ(OK, msg_parser_new(&msg_limits_default, &p));
        EXPECT_EQ(OK, msg_parser_feed(p, slice_make(msg.data(), msg.size())));
        EXPECT_EQ(OK, msg_parser_finish(p, &out));
        msg_parser_free(p);
        std::string r((const char *)buf_slice(&out).p, out.len);
        buf_fini(&out);
        return r;
    }

    /* A packed OpDeliver to one account and, by handoffs, to others. */
    static std::string deliver_op(const std::string &msg, const Account &to, const std::vector<Account> &others = {},
                                  uint64_t staged_index = 0)
    {
        std::string record = record_of(msg);
        Pb__BodySource src = PB__BODY_SOURCE__INIT;
        Pb__Recipient rcpt = PB__RECIPIENT__INIT;
        Pb__Recipient *rcpts[1] = {&rcpt};
        std::vector<Pb__Recipient> other(others.size());
        std::vector<Pb__Recipient *> other_p(others.size());
        std::vector<Pb__Handoff> handoffs(others.size());
        std::vector<Pb__Handoff *> handoff_p(others.size());
        Pb__OpDeliver op = PB__OP_DELIVER__INIT;
        src.size = (uint32_t)msg.size();
        src.staged_index = staged_index;
        rcpt.account = to.id;
        rcpt.address = (char *)to.name.c_str();
        for (size_t i = 0; i < others.size(); i++) {
            pb__recipient__init(&other[i]);
            other[i].account = others[i].id;
            other[i].address = (char *)others[i].name.c_str();
            other_p[i] = &other[i];
            pb__handoff__init(&handoffs[i]);
            handoffs[i].shard = others[i].shard;
            handoffs[i].n_recipients = 1;
            handoffs[i].recipients = &other_p[i];
            handoff_p[i] = &handoffs[i];
        }
        op.n_recipients = 1;
        op.recipients = rcpts;
        op.body = &src;
        op.record = bytes_of(record);
        op.reverse_path = (char *)"sender@elsewhere.test";
        op.n_handoffs = handoffs.size();
        op.handoffs = handoff_p.data();
        return pack(&op.base);
    }

    Answer deliver(const std::string &msg, const Account &to, const std::vector<Account> &others = {})
    {
        std::string meta = deliver_op(msg, to, others);
        struct rpc_call c = call_of(to.shard, to.id, METHOD_DELIVER, meta, msg);
        return run(&c);
    }

    static uint32_t delivered_uid(const Answer &a)
    {
        Pb__OpDeliverResult *r = pb__op_deliver_result__unpack(nullptr, a.meta.size(), (const uint8_t *)a.meta.data());
        uint32_t uid = r != nullptr && r->n_recipients == 1 ? r->recipients[0]->uid : 0;
        if (r != nullptr) {
            pb__op_deliver_result__free_unpacked(r, nullptr);
        }
        return uid;
    }

    struct Inbox {
        uint64_t mailbox = 0;
        uint32_t messages = 0;
        uint32_t uidnext = 0;
        uint64_t modseq = 0;
    };

    Inbox inbox(const Account &a)
    {
        Inbox in;
        Pb__ReadSelect req = PB__READ_SELECT__INIT;
        req.account = a.id;
        req.name = (char *)"INBOX";
        Answer r = call(a.shard, a.id, METHOD_SELECT, &req.base);
        EXPECT_EQ(OK, r.e());
        Pb__ReadSelectResult *res =
            pb__read_select_result__unpack(nullptr, r.meta.size(), (const uint8_t *)r.meta.data());
        if (res != nullptr && res->info != nullptr) {
            in.mailbox = res->info->mailbox;
            in.messages = res->info->messages;
            in.uidnext = res->info->uidnext;
            in.modseq = res->info->highestmodseq;
        }
        if (res != nullptr) {
            pb__read_select_result__free_unpacked(res, nullptr);
        }
        return in;
    }

    /* The whole body of a message of INBOX, read piece by piece. */
    std::string body(const Account &a, uint32_t uid)
    {
        std::string all;
        uint64_t mailbox = inbox(a).mailbox;
        for (;;) {
            Pb__ReadBody req = PB__READ_BODY__INIT;
            req.account = a.id;
            req.mailbox = mailbox;
            req.uid = uid;
            req.offset = (uint32_t)all.size();
            req.length = 100000;
            Answer r = call(a.shard, a.id, METHOD_BODY, &req.base);
            EXPECT_EQ(OK, r.e());
            if (r.e() != OK || r.attach.empty()) {
                return all;
            }
            all += r.attach;
        }
    }

    /* Stages a body; its index. */
    uint64_t stage(const Account &a, const std::string &msg)
    {
        Pb__OpStageBegin b = PB__OP_STAGE_BEGIN__INIT;
        b.account = a.id;
        b.size = (uint32_t)msg.size();
        Answer r = call(a.shard, a.id, METHOD_STAGE_BEGIN, &b.base);
        EXPECT_EQ(OK, r.e());
        Pb__OpStageBeginResult *res =
            pb__op_stage_begin_result__unpack(nullptr, r.meta.size(), (const uint8_t *)r.meta.data());
        uint64_t index = res == nullptr ? 0 : res->staged_index;
        if (res != nullptr) {
            pb__op_stage_begin_result__free_unpacked(res, nullptr);
        }
        return index;
    }

    Answer stage_chunk(const Account &a, uint64_t index, const std::string &msg, size_t off)
    {
        Pb__OpStageChunk c = PB__OP_STAGE_CHUNK__INIT;
        c.account = a.id;
        c.staged_index = index;
        c.offset = (uint32_t)off;
        return call(a.shard, a.id, METHOD_STAGE_CHUNK, &c.base, msg.substr(off, STAGE_CHUNK_BYTES));
    }
};

#endif /* TESTS_UNIT_STORAGE_NODE_NODE_FIXTURE_HH */
