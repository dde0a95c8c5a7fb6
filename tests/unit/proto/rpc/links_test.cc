#include "rpc_fixture.h"

#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>

#include "proto/rpc/hello.h"
#include "proto/rpc/links.h"

namespace
{

const struct u128 kCluster = {{1, 2, 3}};
constexpr size_t kWindow = 4 * 1024 * 1024;

struct Frame {
    uint64_t from;
    enum rpc_lane lane;
    std::string text;
};

/* A storage node as far as links go. */
struct Node {
    uint64_t id;
    std::string url;
    struct rpc_links *l = nullptr;
    std::mutex mutex;
    std::vector<Frame> got;
    std::vector<std::pair<uint64_t, bool>> peers;
    bool hold = false; /* frames are kept, not released */
    std::vector<struct rpc_links_frame *> held;
    size_t held_bytes = 0;

    explicit Node(uint64_t number, const struct rpc_tls *tls = nullptr, struct u128 cluster = kCluster,
                  std::string at = fresh_url("tcp"), std::string announced = "", uint32_t silence_ms = 60000)
        : id(number), url(std::move(at))
    {
        announced = announced.empty() ? url : announced;
        struct rpc_links_config cfg = {};
        cfg.listen_url = url.c_str();
        cfg.address = announced.c_str();
        cfg.cluster = cluster;
        cfg.self.v = id;
        cfg.tls = tls;
        cfg.silence_ms = silence_ms;
        cfg.user = this;
        cfg.on_frame = on_frame;
        cfg.on_peer = on_peer;
        EXPECT_EQ(OK, rpc_links_open(&cfg, &l, nullptr));
    }

    ~Node()
    {
        if (l != nullptr) {
            close();
        }
    }

    void close()
    {
        rpc_links_stop(l);
        release();
        rpc_links_close(l);
        l = nullptr;
    }

    static void on_frame(void *user, struct rpc_links_frame *f)
    {
        Node *n = (Node *)user;
        std::lock_guard<std::mutex> g(n->mutex);
        n->got.push_back({f->from.v, f->lane, std::string((const char *)f->bytes.p, f->bytes.n)});
        if (n->hold) {
            n->held.push_back(f);
            n->held_bytes += f->bytes.n;
        } else {
            rpc_links_release(f);
        }
    }

    static void on_peer(void *user, struct node_id peer, bool up)
    {
        Node *n = (Node *)user;
        std::lock_guard<std::mutex> g(n->mutex);
        n->peers.emplace_back(peer.v, up);
    }

    void holding(bool yes)
    {
        std::lock_guard<std::mutex> g(mutex);
        hold = yes;
    }

    void release()
    {
        std::lock_guard<std::mutex> g(mutex);
        for (struct rpc_links_frame *f : held) {
            rpc_links_release(f);
        }
        held.clear();
        held_bytes = 0;
    }

    void dial(const Node &other)
    {
        EXPECT_EQ(OK, rpc_links_peer(l, {other.id}, other.url.c_str()));
    }

    bool up(const Node &other)
    {
        return eventually([&] { return rpc_links_is_up(l, {other.id}); });
    }

    enum err send(uint64_t to, enum rpc_lane lane, const std::string &text)
    {
        return rpc_links_send(l, {to}, lane, slice_make(text.data(), text.size()));
    }

    /* As soon as there is a connection of that lane. */
    bool sends(uint64_t to, enum rpc_lane lane, const std::string &text)
    {
        return eventually([&] { return send(to, lane, text) == OK; });
    }

    size_t count()
    {
        std::lock_guard<std::mutex> g(mutex);
        return got.size();
    }

    size_t count(uint64_t sender, enum rpc_lane lane)
    {
        std::lock_guard<std::mutex> g(mutex);
        return (size_t)std::count_if(got.begin(), got.end(),
                                     [&](const Frame &f) { return f.from == sender && f.lane == lane; });
    }

    std::vector<std::string> from(uint64_t sender, enum rpc_lane lane)
    {
        std::lock_guard<std::mutex> g(mutex);
        std::vector<std::string> out;
        for (const Frame &f : got) {
            if (f.from == sender && f.lane == lane) {
                out.push_back(f.text);
            }
        }
        return out;
    }

    std::vector<std::pair<uint64_t, bool>> heard()
    {
        std::lock_guard<std::mutex> g(mutex);
        return peers;
    }
};

/* A node that speaks by hand. */
struct RawPeer : RawClient {
    explicit RawPeer(const Node &to) : RawClient(to.url)
    {
    }

    bool hello(uint64_t from, uint64_t to, uint64_t epoch, const std::string &address = "",
               enum rpc_lane lane = RPC_LANE_CONTROL, struct u128 cluster = kCluster)
    {
        struct rpc_hello h = {};
        h.lane = (uint8_t)lane;
        h.cluster = cluster;
        h.from.v = from;
        h.to.v = to;
        h.epoch = epoch;
        h.address = slice_make(address.data(), address.size());
        uint8_t b[RPC_HELLO_BYTES_MAX];
        size_t n = rpc_hello_encode(&h, b);
        return frame(std::string((const char *)b, n));
    }

    bool frame(const std::string &text)
    {
        return put(framed(text, 0));
    }

    /* The node ends the connection. */
    bool ended(int within_s = 60)
    {
        struct timeval tv = {within_s, 0};
        char b;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
        ssize_t n = recv(fd, &b, 1, 0);
        return n == 0 || (n < 0 && errno == ECONNRESET);
    }
};

/* Where nothing lives that speaks by itself. */
struct Port {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int number = free_port();
    std::string url = "tcp://127.0.0.1:" + std::to_string(number);
    std::vector<int> taken;

    Port()
    {
        struct sockaddr_in a = Proxy::address(number);
        int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        EXPECT_EQ(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
        EXPECT_EQ(0, listen(fd, 4));
    }

    /* Says our greeting to whoever dials. */
    int take()
    {
        taken.push_back(accept(fd, nullptr, nullptr));
        EXPECT_EQ(8, write(taken.back(), "PBXRPC1\n", 8));
        return taken.back();
    }

    bool dialed(int within_ms)
    {
        struct pollfd p = {fd, POLLIN, 0};
        return poll(&p, 1, within_ms) == 1;
    }

    void stop_listening()
    {
        close(fd);
        fd = -1;
    }

    ~Port()
    {
        for (int f : taken) {
            close(f);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
};

/* Sends while the test looks on; ended with its connection. */
struct Pusher {
    RawClient &client;
    std::thread thread;

    Pusher(RawClient &c, const std::function<void()> &work) : client(c), thread(work)
    {
    }

    ~Pusher()
    {
        if (thread.joinable()) {
            shutdown(client.fd, SHUT_RDWR);
            thread.join();
        }
    }
};

std::string numbered(int i, size_t bytes = 0)
{
    std::string s = std::to_string(i) + ":";
    s.resize(std::max(bytes, s.size()), 'x');
    return s;
}

class Links : public testing::TestWithParam<bool>
{
  protected:
    const struct rpc_tls *tls()
    {
        return GetParam() ? certs_shared().peer : nullptr;
    }
};

} // namespace

INSTANTIATE_TEST_SUITE_P(All, Links, testing::Bool(),
                         [](const testing::TestParamInfo<bool> &i) { return i.param ? "tls" : "plain"; });

/* --- frames --- */

TEST_P(Links, ThreeNodesTalkInBothLanesAndEachLaneKeepsItsOrder)
{
    Node a(1, tls()), b(2, tls()), c(3, tls());
    Node *all[] = {&a, &b, &c};
    for (Node *x : all) {
        for (Node *y : all) {
            if (x != y) {
                x->dial(*y);
            }
        }
    }
    std::vector<std::string> want;
    for (int i = 0; i < 60; i++) {
        size_t bytes = i == 7 ? RPC_LINKS_FRAME_BYTES_MAX : (size_t)i * 97 % 9000;
        want.push_back(numbered(i, bytes));
        for (Node *x : all) {
            for (Node *y : all) {
                for (enum rpc_lane lane : {RPC_LANE_CONTROL, RPC_LANE_BULK}) {
                    if (x != y) {
                        ASSERT_TRUE(x->sends(y->id, lane, want.back()));
                    }
                }
            }
        }
    }
    for (Node *x : all) {
        ASSERT_TRUE(eventually([&] { return x->count() == 4 * want.size(); })) << x->count();
        for (Node *y : all) {
            if (x != y) {
                EXPECT_EQ(want, x->from(y->id, RPC_LANE_CONTROL));
                EXPECT_EQ(want, x->from(y->id, RPC_LANE_BULK));
            }
        }
    }
}

TEST_P(Links, AnEmptyFrameArrives)
{
    Node a(1, tls()), b(2, tls());
    a.dial(b);
    ASSERT_TRUE(a.sends(2, RPC_LANE_BULK, ""));
    ASSERT_TRUE(eventually([&] { return b.count() == 1; }));
    EXPECT_EQ("", b.from(1, RPC_LANE_BULK)[0]);
}

TEST_P(Links, ManyThreadsSendAtOnceAndEachKeepsItsOrder)
{
    Node a(1, tls()), b(2, tls());
    a.dial(b);
    ASSERT_TRUE(a.up(b));
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; t++) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 200; i++) {
                std::string text = std::string(1, (char)('a' + t)) + numbered(i, (size_t)(i * 37 + t) % 20000);
                EXPECT_TRUE(a.sends(2, RPC_LANE_CONTROL, text));
            }
        });
    }
    for (std::thread &t : threads) {
        t.join();
    }
    ASSERT_TRUE(eventually([&] { return b.count() == 1200; }));
    std::map<char, int> next;
    for (const std::string &s : b.from(1, RPC_LANE_CONTROL)) {
        EXPECT_EQ(next[s[0]]++, std::stoi(s.substr(1)));
    }
}

TEST(LinksPlain, WhatCannotBeSentIsSaid)
{
    Node a(1);
    EXPECT_EQ(ERR_NOTFOUND, a.send(2, RPC_LANE_CONTROL, "x"));
    ASSERT_EQ(OK, rpc_links_peer(a.l, {2}, "tcp://127.0.0.1:1"));
    EXPECT_EQ(ERR_CLOSED, a.send(2, RPC_LANE_CONTROL, "x"));
    EXPECT_EQ(ERR_LIMIT, a.send(2, RPC_LANE_CONTROL, std::string(RPC_LINKS_FRAME_BYTES_MAX + 1, 'x')));
    EXPECT_FALSE(rpc_links_is_up(a.l, {2}));
    EXPECT_FALSE(rpc_links_is_up(a.l, {3}));
    EXPECT_EQ(ERR_INVAL, rpc_links_peer(a.l, {1}, "tcp://127.0.0.1:1"));
    EXPECT_EQ(ERR_INVAL, rpc_links_peer(a.l, {0}, "tcp://127.0.0.1:1"));
    EXPECT_EQ(ERR_INVAL, rpc_links_peer(a.l, {2}, "nonsense"));
    EXPECT_EQ(ERR_INVAL, rpc_links_peer(a.l, {2}, ("tcp://" + std::string(250, 'a') + ":1").c_str()));
    EXPECT_EQ(OK, rpc_links_peer(a.l, {77}, nullptr));
}

TEST(LinksPlain, NoMoreThanSixtyFourNodesAndAForgottenOneMakesRoom)
{
    Node a(1);
    for (uint64_t i = 0; i < 64; i++) {
        ASSERT_EQ(OK, rpc_links_peer(a.l, {100 + i}, "ipc:///nowhere/at-all"));
    }
    EXPECT_EQ(ERR_LIMIT, rpc_links_peer(a.l, {200}, "ipc:///nowhere/at-all"));
    ASSERT_EQ(OK, rpc_links_peer(a.l, {130}, nullptr));
    Node b(200);
    a.dial(b);
    EXPECT_EQ(ERR_NOTFOUND, a.send(130, RPC_LANE_CONTROL, "x"));
    ASSERT_TRUE(a.sends(200, RPC_LANE_CONTROL, "y"));
    ASSERT_TRUE(eventually([&] { return b.count() == 1; }));
}

TEST(LinksPlain, APortThatIsTakenOrAnAddressThatIsNoneIsSaid)
{
    Node a(1);
    struct rpc_links_config cfg = {};
    cfg.listen_url = a.url.c_str();
    cfg.self.v = 2;
    cfg.on_frame = Node::on_frame;
    struct rpc_links *l = nullptr;
    struct buf why;
    buf_init(&why, 1000);
    EXPECT_EQ(ERR_EXISTS, rpc_links_open(&cfg, &l, &why));
    EXPECT_NE(std::string::npos, std::string((const char *)buf_slice(&why).p, why.len).find(a.url));
    buf_reset(&why);
    std::string url = fresh_url("tcp");
    cfg.listen_url = url.c_str();
    cfg.address = "node-2.example:2102"; /* the others would turn this away */
    EXPECT_EQ(ERR_INVAL, rpc_links_open(&cfg, &l, &why));
    EXPECT_NE(std::string::npos, std::string((const char *)buf_slice(&why).p, why.len).find(cfg.address));
    buf_fini(&why);
}

/* --- who dials whom --- */

TEST_P(Links, ANodeDialsBackWhoeverSaysHello)
{
    Node a(1, tls()), b(2, tls());
    a.dial(b);
    ASSERT_TRUE(b.sends(1, RPC_LANE_CONTROL, "back"));
    ASSERT_TRUE(b.sends(1, RPC_LANE_BULK, "back"));
    ASSERT_TRUE(eventually([&] { return a.count() == 2; }));
    EXPECT_TRUE(b.up(a));
}

TEST(LinksPlain, AHelloWithANewAddressIsDialedThereUnlessWeWereTold)
{
    Node b(2);
    Node old_home(1), new_home(1), told(3);
    RawPeer one(b);
    ASSERT_TRUE(one.hello(1, 2, UINT64_MAX - 1, old_home.url)); /* what the home says itself is older */
    ASSERT_TRUE(b.sends(1, RPC_LANE_CONTROL, "old"));
    ASSERT_TRUE(eventually([&] { return old_home.count() == 1; }));
    RawPeer two(b);
    ASSERT_TRUE(two.hello(1, 2, UINT64_MAX, new_home.url));
    ASSERT_TRUE(eventually([&] { return b.send(1, RPC_LANE_CONTROL, "new") == OK && new_home.count() > 0; }));
    b.dial(told);
    ASSERT_TRUE(b.up(told));
    RawPeer three(b);
    ASSERT_TRUE(three.hello(3, 2, UINT64_MAX, "tcp://127.0.0.1:1"));
    ASSERT_TRUE(three.frame("heard"));
    ASSERT_TRUE(eventually([&] { return b.count(3, RPC_LANE_CONTROL) == 1; }));
    EXPECT_TRUE(rpc_links_is_up(b.l, {3}));
    std::this_thread::sleep_for(200ms);
    EXPECT_TRUE(rpc_links_is_up(b.l, {3}));
}

/* It waited in a queue while the node moved. */
TEST(LinksPlain, AnOlderHelloOfTheOtherLaneThatComesLateDoesNotTurnTheAddressBack)
{
    Node b(2);
    Port old_home, new_home;
    RawPeer control(b), late(b);
    ASSERT_TRUE(control.hello(1, 2, 6, new_home.url));
    new_home.take();
    ASSERT_TRUE(late.hello(1, 2, 5, old_home.url, RPC_LANE_BULK) && late.frame("late"));
    ASSERT_TRUE(eventually([&] { return b.count(1, RPC_LANE_BULK) == 1; }));
    EXPECT_FALSE(old_home.dialed(300));
    RawPeer bulk(b);
    ASSERT_TRUE(bulk.hello(1, 2, 7, old_home.url, RPC_LANE_BULK)); /* it has moved back */
    EXPECT_TRUE(old_home.dialed(5000));
}

TEST_P(Links, AnotherAddressIsDialedAndNoneEndsTheLink)
{
    Node a(1, tls());
    Node first(2, tls()), second(2, tls());
    a.dial(first);
    ASSERT_TRUE(a.sends(2, RPC_LANE_BULK, "one"));
    ASSERT_TRUE(eventually([&] { return first.count() == 1; }));
    a.dial(second);
    ASSERT_TRUE(eventually([&] { return a.send(2, RPC_LANE_BULK, "two") == OK && second.count() > 0; }));
    ASSERT_EQ(OK, rpc_links_peer(a.l, {2}, nullptr));
    ASSERT_TRUE(eventually([&] { return !rpc_links_is_up(a.l, {2}); }));
    ASSERT_TRUE(eventually([&] { return a.send(2, RPC_LANE_BULK, "x") == ERR_CLOSED; }));
    std::this_thread::sleep_for(200ms);
    EXPECT_FALSE(rpc_links_is_up(a.l, {2}));
}

/* --- cuts --- */

TEST_P(Links, ALinkThatIsCutComesBackAndBothSidesHearOfIt)
{
    Node b(2, tls());
    int port = std::stoi(b.url.substr(b.url.rfind(':') + 1));
    Proxy proxy(port);
    Node a(1, tls());
    ASSERT_EQ(OK, rpc_links_peer(a.l, {2}, ("tcp://127.0.0.1:" + std::to_string(proxy.port)).c_str()));
    for (int round = 0; round < 5; round++) {
        size_t before = b.count();
        ASSERT_TRUE(a.sends(2, RPC_LANE_CONTROL, numbered(round, 50000)));
        ASSERT_TRUE(eventually([&] { return b.count() > before; }));
        for (int i = 0; i < 20; i++) {
            (void)!a.send(2, RPC_LANE_CONTROL, numbered(1000 * round + i, 50000));
            if (i == 10) {
                proxy.cut();
            }
        }
        ASSERT_TRUE(eventually([&] { return a.heard().size() >= (size_t)(2 * round + 2); }));
    }
    std::vector<std::pair<uint64_t, bool>> heard = a.heard();
    for (size_t i = 0; i < heard.size(); i++) {
        EXPECT_EQ(2u, heard[i].first);
        EXPECT_EQ(i % 2 == 0, heard[i].second) << i;
    }
    /* In order, whatever was lost. */
    std::map<int, int> last;
    for (const std::string &s : b.from(1, RPC_LANE_CONTROL)) {
        int n = std::stoi(s);
        EXPECT_TRUE(last.count(n / 1000) == 0 || last[n / 1000] < n || n < 1000) << n;
        last[n / 1000] = n;
        EXPECT_EQ(50000u, s.size());
    }
}

TEST_P(Links, ANodeThatStartsAgainIsHeardAtOnce)
{
    Node b(2, tls());
    for (int i = 0; i < 3; i++) {
        Node a(1, tls());
        a.dial(b);
        ASSERT_TRUE(a.sends(2, RPC_LANE_CONTROL, numbered(i)));
        ASSERT_TRUE(eventually([&] { return b.count() == (size_t)i + 1; }));
    }
}

TEST(LinksPlain, ANewerConnectionEndsTheOlderOneAndAnOlderOneIsRefused)
{
    Node b(2);
    RawPeer five(b), six(b), four(b), same(b), bulk(b);
    ASSERT_TRUE(five.hello(1, 2, 5) && five.frame("five"));
    ASSERT_TRUE(eventually([&] { return b.count() == 1; }));
    ASSERT_TRUE(bulk.hello(1, 2, 4, "", RPC_LANE_BULK) && bulk.frame("bulk")); /* lanes do not mind each other */
    ASSERT_TRUE(six.hello(1, 2, 6) && six.frame("six"));
    EXPECT_TRUE(five.ended());
    ASSERT_TRUE(four.hello(1, 2, 4) && four.frame("four"));
    EXPECT_TRUE(four.ended());
    ASSERT_TRUE(same.hello(1, 2, 6) && same.frame("same"));
    EXPECT_TRUE(same.ended());
    ASSERT_TRUE(six.frame("again"));
    ASSERT_TRUE(eventually([&] { return b.count() == 4; }));
    EXPECT_EQ((std::vector<std::string>{"five", "six", "again"}), b.from(1, RPC_LANE_CONTROL));
    EXPECT_EQ((std::vector<std::string>{"bulk"}), b.from(1, RPC_LANE_BULK));
}

TEST(LinksPlain, AnOlderConnectionThatIsLateIsRefusedAfterTheNewerHasEndedToo)
{
    Node b(2);
    {
        RawPeer six(b);
        ASSERT_TRUE(six.hello(1, 2, 6) && six.frame("six"));
        ASSERT_TRUE(eventually([&] { return b.count() == 1; }));
    }
    std::this_thread::sleep_for(50ms);
    RawPeer four(b), seven(b);
    ASSERT_TRUE(four.hello(1, 2, 4) && four.frame("four"));
    EXPECT_TRUE(four.ended());
    ASSERT_TRUE(seven.hello(1, 2, 7) && seven.frame("seven"));
    ASSERT_TRUE(eventually([&] { return b.count() == 2; }));
    EXPECT_EQ((std::vector<std::string>{"six", "seven"}), b.from(1, RPC_LANE_CONTROL));
}

TEST(LinksPlain, WhatAnOlderConnectionStillHadToSayIsNotDelivered)
{
    Node b(2);
    b.holding(true);
    RawPeer one(b), two(b);
    ASSERT_TRUE(one.hello(1, 2, 1));
    Pusher pusher(one, [&] {
        for (int i = 0; i < 14 && one.frame(numbered(i, 400000)); i++) {
        }
    });
    ASSERT_TRUE(eventually(
        [&] { return b.count() == 10; })); /* then it is paused: of an eleventh it is not known how long it will be */
    std::this_thread::sleep_for(100ms);
    ASSERT_EQ(10u, b.count());
    ASSERT_TRUE(two.hello(1, 2, 2) && two.frame("new"));
    pusher.thread.join(); /* the rest of it goes nowhere */
    EXPECT_TRUE(one.ended());
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(10u, b.count()); /* the newer one finds the window closed, too */
    b.holding(false);
    b.release();
    ASSERT_TRUE(eventually([&] { return b.count() == 11; }));
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(11u, b.count());
    EXPECT_EQ("new", b.from(1, RPC_LANE_CONTROL).back());
}

/* --- back-pressure --- */

TEST_P(Links, AReceiverThatHoldsItsFramesStopsTheSenderAndNothingIsLost)
{
    Node a(1, tls()), b(2, tls());
    b.holding(true);
    a.dial(b);
    ASSERT_TRUE(a.up(b));
    int accepted = 0;
    enum err e;
    std::string text(50000, 'x');
    auto push = [&] {
        do {
            std::string number = std::to_string(accepted) + ":";
            std::copy(number.begin(), number.end(), text.begin());
            e = a.send(2, RPC_LANE_BULK, text);
            accepted += e == OK ? 1 : 0;
        } while (e == OK);
    };
    auto held_bytes = [&] {
        std::lock_guard<std::mutex> g(b.mutex);
        return b.held_bytes;
    };
    ASSERT_TRUE(eventually([&] {
        push();
        return e == ERR_OVERLOAD && held_bytes() >= kWindow - RPC_LINKS_FRAME_BYTES_MAX - text.size();
    }));
    for (int still = 0; still < 20; std::this_thread::sleep_for(10ms)) {
        int before = accepted;
        push();
        ASSERT_EQ(ERR_OVERLOAD, e);
        still = accepted == before ? still + 1 : 0;
    }
    EXPECT_LE(held_bytes(), kWindow);
    EXPECT_EQ(OK, a.send(2, RPC_LANE_CONTROL, "the other lane is open"));
    ASSERT_TRUE(eventually([&] { return b.count(1, RPC_LANE_CONTROL) == 1; }));
    b.holding(false);
    b.release();
    ASSERT_TRUE(eventually([&] { return b.count(1, RPC_LANE_BULK) == (size_t)accepted; }));
    std::vector<std::string> got = b.from(1, RPC_LANE_BULK);
    for (int i = 0; i < accepted; i++) {
        ASSERT_EQ(i, std::stoi(got[(size_t)i]));
    }
    EXPECT_EQ(OK, a.send(2, RPC_LANE_BULK, "on it goes"));
}

TEST(LinksPlain, TheFirstConnectionToAnAddressIsTheOneThatStays)
{
    Node a(1);
    Port port;
    for (uint64_t id = 100; id < 130; id++) {
        ASSERT_EQ(OK, rpc_links_peer(a.l, {id}, port.url.c_str()));
        for (int lane = 0; lane < RPC_LANES; lane++) {
            char got[8 + 16 + 48]; /* greeting, prefix, hello */
            ASSERT_EQ((ssize_t)sizeof(got), recv(port.take(), got, sizeof(got), MSG_WAITALL)) << id;
        }
    }
}

/* Also how a peer is noticed whose machine is gone: nothing that we send gets anywhere. */
TEST(LinksPlain, APeerThatTakesNothingForSilenceMsIsGivenUp)
{
    Node a(1, nullptr, kCluster, fresh_url("tcp"), "", 1500);
    Port port;
    ASSERT_EQ(OK, rpc_links_peer(a.l, {2}, port.url.c_str()));
    for (int lane = 0; lane < RPC_LANES; lane++) {
        port.take();
    }
    port.stop_listening();
    ASSERT_TRUE(eventually([&] { return rpc_links_is_up(a.l, {2}); }));
    auto start = std::chrono::steady_clock::now();
    std::string text(100000, 'x');
    ASSERT_TRUE(eventually([&] { return a.send(2, RPC_LANE_CONTROL, text) == ERR_CLOSED; }));
    auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GT(took, 1s);
    EXPECT_LT(took, 20s);
    EXPECT_EQ(2u, a.heard().size());
}

TEST(LinksPlain, FiveSecondsOfSilenceAreTheDefaultOnBothSides)
{
    Node a(1, nullptr, kCluster, fresh_url("tcp"), "", 0), b(2, nullptr, kCluster, fresh_url("tcp"), "", 0);
    a.dial(b);
    auto connections = [] {
        int count = 0;
        for (int fd = 0; fd < 1024; fd++) {
            int ms = 0;
            socklen_t n = sizeof(ms);
            count += getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &n) == 0 && ms == 5000 ? 1 : 0;
        }
        return count;
    };
    EXPECT_TRUE(eventually([&] { return connections() == 8; })); /* two lanes each way, both ends */
}

TEST(LinksPlain, EmptyFramesTakeRoomToo)
{
    Node b(2);
    b.holding(true);
    RawPeer one(b);
    ASSERT_TRUE(one.hello(1, 2, 1));
    std::string many;
    for (int i = 0; i < 1000; i++) {
        many += RawClient::framed("", 0);
    }
    Pusher pusher(one, [&] {
        for (int i = 0; i < 60 && one.put(many); i++) {
        }
    });
    EXPECT_TRUE(eventually([&] { return b.count() > 20000; }));
    std::this_thread::sleep_for(100ms);
    EXPECT_LT(b.count(), 40000u);
    b.holding(false);
    b.release();
    pusher.thread.join();
    EXPECT_TRUE(eventually([&] { return b.count() == 60000; }));
}

/* --- strangers --- */

TEST(LinksPlain, AStrangersHelloEndsItsConnectionAndIsLogged)
{
    testing::internal::CaptureStderr();
    std::string logs;
    {
        Node b(2);
        struct u128 other = {{9}};
        RawPeer cluster(b), receiver(b), self(b), address(b), nonsense(b), version(b);
        ASSERT_TRUE(cluster.hello(1, 2, 1, "", RPC_LANE_CONTROL, other) && cluster.frame("x"));
        EXPECT_TRUE(cluster.ended());
        ASSERT_TRUE(receiver.hello(1, 3, 1) && receiver.frame("x"));
        EXPECT_TRUE(receiver.ended());
        ASSERT_TRUE(self.hello(2, 2, 1) && self.frame("x"));
        EXPECT_TRUE(self.ended());
        ASSERT_TRUE(address.hello(1, 2, 1, "ipc:///tmp/x") && address.frame("x"));
        EXPECT_TRUE(address.ended());
        ASSERT_TRUE(nonsense.frame("hello, I am node 1"));
        EXPECT_TRUE(nonsense.ended());
        ASSERT_TRUE(version.frame("PBXL\2" + std::string(60, 0)));
        EXPECT_TRUE(version.ended());
        EXPECT_EQ(0u, b.count());
        RawPeer good(b);
        ASSERT_TRUE(good.hello(1, 2, 1) && good.frame("fine"));
        EXPECT_TRUE(eventually([&] { return b.count() == 1; }));
    }
    logs = testing::internal::GetCapturedStderr();
    EXPECT_NE(std::string::npos, logs.find("links.refused")) << logs;
    EXPECT_NE(std::string::npos, logs.find("another cluster")) << logs;
    EXPECT_EQ(std::string::npos, logs.find("another version")) << logs; /* within the same second */
}

TEST(LinksPlain, ANodeOfAnotherClusterIsNotHeardAndDoesNotHammer)
{
    struct u128 other = {{9}};
    Node b(2), a(1, nullptr, other);
    auto start = std::chrono::steady_clock::now();
    a.dial(b);
    ASSERT_TRUE(eventually([&] { return a.heard().size() >= 12; }));
    /* Six attempts, between them 20, 40, 80, 160 and 320 ms; or one of them lasted, which is 200 ms and then 20. */
    EXPECT_GE(std::chrono::steady_clock::now() - start, 400ms);
    EXPECT_EQ(0u, b.count());
    EXPECT_EQ(ERR_NOTFOUND, b.send(1, RPC_LANE_CONTROL, "x"));
}

TEST(LinksPlain, AFrameThatIsTooLongEndsItsConnection)
{
    Node b(2);
    RawPeer one(b);
    ASSERT_TRUE(one.hello(1, 2, 1) && one.frame("fine"));
    (void)one.frame(std::string(RPC_LINKS_FRAME_BYTES_MAX + 1, 'x'));
    EXPECT_TRUE(one.ended());
    EXPECT_EQ(1u, b.count());
}

TEST(LinksPlain, WhoSaysNoHelloIsCutOff)
{
    Node b(2, nullptr, kCluster, fresh_url("tcp"), "", 1500);
    auto start = std::chrono::steady_clock::now();
    RawPeer one(b);
    RawClient mute(b.url, false);
    EXPECT_TRUE(one.ended());
    EXPECT_GE(std::chrono::steady_clock::now() - start, 1400ms);
    char c[16];
    EXPECT_EQ(8, recv(mute.fd, c, 8, MSG_WAITALL));
    EXPECT_EQ(0, recv(mute.fd, c, 1, 0));
}

TEST(LinksPlain, AFloodOfStrangersLeavesTheNodesTheirPlaces)
{
    Node a(1), b(2);
    a.dial(b);
    ASSERT_TRUE(a.up(b));
    std::list<RawClient> flood;
    for (int i = 0; i < 300; i++) {
        flood.emplace_back(b.url, false);
    }
    ASSERT_TRUE(a.sends(2, RPC_LANE_CONTROL, "x"));
    ASSERT_TRUE(eventually([&] { return b.count() == 1; }));
    Node c(3);
    c.dial(b);
    /* No stranger expires so soon. */
    ASSERT_TRUE(eventually([&] { return c.send(2, RPC_LANE_CONTROL, "y") == OK; }, 20000ms));
    ASSERT_TRUE(eventually([&] { return b.count(3, RPC_LANE_CONTROL) == 1; }, 20000ms));
}

TEST(LinksPlain, OnlyCertificatesOfNodesCount)
{
    Certs &certs = certs_shared();
    Node b(2, certs.peer), good(1, certs.peer);
    Node frontend(3, certs.front), stranger(4, certs.stranger), plain(5);
    for (Node *n : {&good, &frontend, &stranger, &plain}) {
        n->dial(b);
    }
    ASSERT_TRUE(good.sends(2, RPC_LANE_CONTROL, "x"));
    ASSERT_TRUE(eventually([&] { return b.count() == 1; }));
    std::this_thread::sleep_for(500ms);
    for (Node *n : {&frontend, &stranger, &plain}) {
        EXPECT_FALSE(rpc_links_is_up(n->l, {2})) << n->id;
        EXPECT_TRUE(n->heard().empty()) << n->id;
    }
}

/* --- the end --- */

TEST_P(Links, EitherSideMayStopAmidTraffic)
{
    for (int round = 0; round < 6; round++) {
        Node a(1, tls()), b(2, tls());
        b.holding(round % 3 == 2);
        a.dial(b);
        ASSERT_TRUE(a.up(b));
        std::atomic<bool> stop{false};
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; t++) {
            threads.emplace_back([&, t] {
                while (!stop) {
                    (void)!a.send(2, t == 0 ? RPC_LANE_CONTROL : RPC_LANE_BULK, numbered(t, 30000));
                    (void)!b.send(1, RPC_LANE_CONTROL, numbered(t, 30000));
                }
            });
        }
        std::this_thread::sleep_for(30ms);
        rpc_links_stop(round % 2 == 0 ? a.l : b.l);
        std::this_thread::sleep_for(10ms);
        stop = true;
        for (std::thread &t : threads) {
            t.join();
        }
        EXPECT_EQ(ERR_CLOSED, (round % 2 == 0 ? a.send(2, RPC_LANE_CONTROL, "x") : b.send(1, RPC_LANE_CONTROL, "x")));
        size_t n = a.count();
        if (round % 2 == 0) {
            std::this_thread::sleep_for(20ms);
            EXPECT_EQ(n, a.count());
            EXPECT_EQ(ERR_CLOSED, rpc_links_peer(a.l, {5}, "tcp://127.0.0.1:1"));
        }
    }
}
