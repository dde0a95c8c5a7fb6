/* A frontend over scripted storage nodes: RPC servers of this process that say of the cluster whatever a test wants. */
#ifndef TESTS_UNIT_FRONTEND_SESSION_CLUSTER_FIXTURE_HH
#define TESTS_UNIT_FRONTEND_SESSION_CLUSTER_FIXTURE_HH

#include "proto/base/bytes.h"
#include "proto/rpc/server.h"
#include "tests/unit/frontend/session/session_fixture.hh"

/* The node table of a test, as every node tells it. */
struct Row {
    uint64_t node;
    std::string rpc, events;
    bool removed;
};

class FakeNode
{
  public:
    using Answer = std::function<enum err(const struct rpc_request *, uint64_t *hint)>;

    const uint64_t id;
    std::string url, pub;
    std::vector<uint64_t> leaders, terms; /* by shard, the directory first */
    std::vector<Row> rows;
    Answer answer; /* of everything but the map; default: the leader answers, others name it */
    std::map<uint64_t, uint64_t> modseqs;
    std::map<uint64_t, uint32_t> moved; /* accounts that it says live in another shard */

    FakeNode(uint64_t number, const std::string &dir) : id(number)
    {
        url = "ipc://" + dir + "/rpc" + std::to_string(number);
        pub = "ipc://" + dir + "/pub" + std::to_string(number);
        for (int shard = 0; shard < 4; shard++) {
            leaders.push_back(0);
            terms.push_back(0);
        }
    }

    ~FakeNode()
    {
        down();
    }

    void up()
    {
        const char *u = url.c_str();
        const char *p = pub.c_str();
        struct rpc_server_config cfg = {};
        cfg.urls = &u;
        cfg.n_urls = 1;
        cfg.pub_urls = &p;
        cfg.n_pub_urls = 1;
        cfg.contexts = 64;
        cfg.user = this;
        cfg.on_request = on_request;
        struct buf why;
        buf_init(&why, 1024);
        EXPECT_EQ(OK, rpc_server_open(&cfg, &server_, &why));
        buf_fini(&why);
    }

    void down()
    {
        if (server_ != nullptr) {
            rpc_server_stop(server_);
            resume();
            rpc_server_close(server_);
            server_ = nullptr;
        }
    }

    enum Pause { NONE, ALL, BUT_MAP, MAP };

    /* ALL is like SIGSTOP: the link stays, nothing is answered. */
    void pause(Pause what = ALL)
    {
        std::lock_guard<std::mutex> g(mutex);
        paused_ = what;
    }

    void resume()
    {
        std::vector<struct rpc_request *> list;
        {
            std::lock_guard<std::mutex> g(mutex);
            paused_ = NONE;
            list.swap(held_);
        }
        for (struct rpc_request *r : list) {
            serve(r);
        }
    }

    void leads(std::initializer_list<uint64_t> list, uint64_t term)
    {
        std::lock_guard<std::mutex> g(mutex);
        leaders = list;
        terms.assign(leaders.size(), term);
    }

    template <class F> void change(const F &f)
    {
        std::lock_guard<std::mutex> g(mutex);
        f();
    }

    int calls(enum method m)
    {
        std::lock_guard<std::mutex> g(mutex);
        return (int)ids_[m].size();
    }

    std::vector<std::string> ids(enum method m)
    {
        std::lock_guard<std::mutex> g(mutex);
        return ids_[m];
    }

    void publish(uint32_t shard, uint64_t account, uint64_t modseq)
    {
        struct rpc_hint h = {};
        h.shard.v = shard;
        h.epoch = epoch;
        h.seq = ++seq;
        h.account.v = account;
        h.modseq = modseq;
        rpc_server_publish(server_, &h);
    }

    void heartbeat()
    {
        struct rpc_hint h = {};
        h.shard.v = RPC_HINT_SHARD_ALL;
        h.epoch = epoch;
        h.seq = seq;
        rpc_server_publish(server_, &h);
    }

    uint64_t epoch = 1, seq = 0;
    std::mutex mutex;

  private:
    struct rpc_server *server_ = nullptr;
    Pause paused_ = NONE;
    std::vector<struct rpc_request *> held_;
    std::map<int, std::vector<std::string>> ids_;

    static void on_request(void *user, struct rpc_request *r)
    {
        FakeNode *n = (FakeNode *)user;
        {
            std::lock_guard<std::mutex> g(n->mutex);
            n->ids_[r->head.method].push_back(std::string((const char *)r->head.request_id.b, 16));
            if (n->paused_ == ALL || n->paused_ == (r->head.method == METHOD_MAP ? MAP : BUT_MAP)) {
                n->held_.push_back(r);
                return;
            }
        }
        n->serve(r);
    }

    std::string map()
    {
        Pb__ReadMapResult m = PB__READ_MAP_RESULT__INIT;
        std::vector<Pb__NodeRow> list(rows.size());
        std::vector<Pb__NodeRow *> pointers;
        for (size_t i = 0; i < rows.size(); i++) {
            list[i] = PB__NODE_ROW__INIT;
            list[i].node = rows[i].node;
            list[i].rpc = (char *)rows[i].rpc.c_str();
            list[i].events = (char *)rows[i].events.c_str();
            list[i].removed = rows[i].removed;
            pointers.push_back(&list[i]);
        }
        m.shards = (uint32_t)leaders.size() - 1;
        m.n_leaders = leaders.size();
        m.leaders = leaders.data();
        m.n_terms = terms.size();
        m.terms = terms.data();
        m.n_nodes = pointers.size();
        m.nodes = pointers.data();
        m.node = id;
        return pack(&m.base);
    }

    std::string watched(struct slice meta)
    {
        Pb__ReadWatch *q = pb__read_watch__unpack(nullptr, meta.n, meta.p);
        Pb__ReadWatchResult a = PB__READ_WATCH_RESULT__INIT;
        std::string out(q->n_accounts * 8, 0);
        std::string shards(q->n_accounts * 4, 0);
        for (size_t i = 0; i < q->n_accounts; i++) {
            put_le64((uint8_t *)&out[i * 8], modseqs[q->accounts[i]]);
            put_le32((uint8_t *)&shards[i * 4], moved.count(q->accounts[i]) != 0 ? moved[q->accounts[i]] : 0);
        }
        pb__read_watch__free_unpacked(q, nullptr);
        a.modseqs = bytes_of(out);
        if (!moved.empty()) {
            a.shards = bytes_of(shards);
        }
        return pack(&a.base);
    }

    std::string account()
    {
        Pb__ReadAccountResult a = PB__READ_ACCOUNT_RESULT__INIT;
        a.used_messages = id;
        return pack(&a.base);
    }

    void serve(struct rpc_request *r)
    {
        std::string meta;
        uint64_t hint = 0;
        enum err e = OK;
        {
            std::lock_guard<std::mutex> g(mutex);
            if (r->head.method != METHOD_MAP && answer) {
                e = answer(r, &hint);
            } else if (r->head.method != METHOD_MAP && leaders[r->head.shard.v] != id) {
                e = ERR_NOT_LEADER;
                hint = leaders[r->head.shard.v];
            }
            if (e == OK) {
                meta = r->head.method == METHOD_MAP     ? map()
                       : r->head.method == METHOD_WATCH ? watched(r->meta)
                                                        : account();
            }
        }
        rpc_request_reply(r, e, hint, slice_make(meta.data(), meta.size()), slice_make(nullptr, 0));
    }
};

class ClusterTest : public ::testing::Test
{
  protected:
    std::string dir;
    std::map<uint64_t, std::unique_ptr<FakeNode>> nodes;
    struct backend *backend = nullptr;
    struct server *server = nullptr;
    std::atomic<uint32_t> answered_in{0}; /* the shard of the last answer; calls are made on several threads */

    void SetUp() override
    {
        char path[] = "/tmp/pb-cluster-XXXXXX";
        ASSERT_NE(mkdtemp(path), nullptr);
        dir = path;
        for (uint64_t id : {1, 2, 3}) {
            nodes[id] = std::make_unique<FakeNode>(id, dir);
        }
        struct server_config cfg = {};
        cfg.backend = IO_BACKEND_EPOLL;
        cfg.threads = 2;
        cfg.write_stall_ms = 5000;
        cfg.out_bytes_high = 65536;
        struct listener_config l = {};
        l.address = "127.0.0.1:0";
        l.proto = &Session::proto;
        ASSERT_EQ(OK, server_start(&cfg, &l, 1, &server, nullptr));
    }

    void TearDown() override
    {
        if (server != nullptr) {
            server_stop(server);
        }
        if (backend != nullptr) {
            backend_close(backend);
        }
        nodes.clear();
        EXPECT_EQ(0, system(("rm -rf " + dir).c_str()));
    }

    std::vector<Row> table() const
    {
        std::vector<Row> rows;
        for (const auto &n : nodes) {
            rows.push_back({n.first, n.second->url, n.second->pub, false});
        }
        return rows;
    }

    /* All nodes agree: the leaders of shards 0, 1, 2, 3. */
    void everybody(std::initializer_list<uint64_t> leaders, uint64_t term)
    {
        for (auto &n : nodes) {
            n.second->leads(leaders, term);
        }
    }

    /* Starts all nodes with the same table, and the frontend over these seeds. */
    void start(const std::string &seeds, bool wait = true)
    {
        for (auto &n : nodes) {
            n.second->rows = table();
            n.second->up();
        }
        struct backend_config cfg = {};
        struct buf why;
        std::string events = nodes[1]->pub;
        buf_init(&why, 1000);
        cfg.rpc_urls = seeds.c_str();
        cfg.pub_url = events.c_str();
        cfg.timeout_ms = 20000;
        ASSERT_EQ(OK, backend_open(&cfg, &backend, &why));
        buf_fini(&why);
        if (wait) {
            ASSERT_TRUE(eventually([&] { return backend_ready(backend); }));
            ASSERT_TRUE(eventually([&] {
                return nodes[1]->calls(METHOD_MAP) > 0 && nodes[2]->calls(METHOD_MAP) > 0 &&
                       nodes[3]->calls(METHOD_MAP) > 0;
            }));
        }
    }

    static struct account_ref ref(uint32_t shard)
    {
        struct account_ref r = {};
        r.id.v = 100 + shard;
        r.shard.v = shard;
        return r;
    }

    /* Which node answered; 0: none. */
    uint64_t call(uint32_t shard, uint32_t timeout_ms = 0, enum err *status = nullptr)
    {
        Session s(server_port(server, 0));
        uint64_t by = 0;
        s.run([&](struct conn *) { by = call_on_fiber(shard, timeout_ms, status); });
        return by;
    }

    uint64_t call_on_fiber(uint32_t shard, uint32_t timeout_ms = 0, enum err *status = nullptr, bool stays = false)
    {
        struct arena arena;
        struct backend_reply reply;
        struct backend_request req = {};
        Pb__ReadAccount q = PB__READ_ACCOUNT__INIT;
        arena_init(&arena, 65536);
        req.shard.v = shard;
        req.account.v = 100 + shard;
        req.method = METHOD_ACCOUNT;
        req.message = &q.base;
        req.timeout_ms = timeout_ms;
        req.stays = stays;
        enum err e = backend_call(backend, &req, &arena, &reply);
        answered_in = reply.shard.v;
        uint64_t by = e == OK ? ((const Pb__ReadAccountResult *)(const void *)reply.message)->used_messages : 0;
        backend_reply_fini(&reply);
        arena_fini(&arena);
        if (status != nullptr) {
            *status = e;
        }
        return by;
    }

    /* A metric without labels. */
    static long metric(const std::string &name)
    {
        struct buf out;
        buf_init(&out, 1 << 20);
        EXPECT_EQ(OK, metrics_render(&out));
        std::string text((const char *)buf_slice(&out).p, out.len);
        buf_fini(&out);
        size_t at = text.find("\n" + name + " ");
        return at == std::string::npos ? 0 : std::stol(text.substr(at + name.size() + 2));
    }
};

#endif /* TESTS_UNIT_FRONTEND_SESSION_CLUSTER_FIXTURE_HH */
