#include "cluster.h"

#include <algorithm>

#include "node.h"

namespace cluster
{

namespace
{

constexpr uint64_t TICKS_PER_MIN = 60000;
constexpr uint64_t CONVERGE_MS = 60000;
constexpr uint64_t JUMP_MS = 60000;

} // namespace

World::World(uint64_t seed, const Options &o) : options(o), seen(o.shards), table_(o.nodes, o.shards)
{
    rng_seeded_init(&rng_, seed);
    links_.resize(o.nodes);
    for (auto &row : links_) {
        row.resize(o.nodes);
    }
    for (unsigned i = 0; i < o.nodes; i++) {
        nodes.push_back(std::make_unique<Node>(this, i + 1, seed * 31 + i, i == 0));
        uint64_t ends = static_cast<uint64_t>(20 * o.drift_percent);
        uint64_t rate = o.drift_most ? below(2) * ends : below(ends + 1);
        nodes[i]->drift_permille = static_cast<int>(rate) - 10 * o.drift_percent;
        nodes[i]->clock.wall_ms += o.skew_ms == 0 ? 0 : below(o.skew_ms);
    }
}

World::~World() = default;

void World::close()
{
    quiet_ = true;
    for (auto &n : nodes) {
        n->stop();
    }
}

void World::see(const Node *n, uint32_t shard, uint64_t index, const Applied &what)
{
    if (!options.compare) {
        return;
    }
    auto there = seen[shard].emplace(index, what);
    EXPECT_EQ(there.first->second, what) << "node " << n->id << " applied another entry at index " << index
                                         << " of shard " << shard
                                         << (there.first->second.id == what.id ? ", or with another result" : "");
}

uint64_t World::below(uint64_t n)
{
    return rng_below(&rng_, n);
}

bool World::chance(int percent)
{
    return below(100) < static_cast<uint64_t>(percent);
}

/* Called every millisecond. */
bool World::per_min(int n)
{
    return below(TICKS_PER_MIN) < static_cast<uint64_t>(n);
}

/* --- network --- */

/* In order, with gaps: what TCP and a bounded queue make of it. */
void World::send(Node *from, uint64_t to, const std::string &message)
{
    ASSERT_GE(to, 1u);
    ASSERT_LE(to, nodes.size());
    Link &l = links_[from->id - 1][to - 1];
    counts.messages++;
    counts.bytes += message.size();
    if (l.blocked_until > now_ || (!quiet_ && chance(options.loss_percent))) {
        return;
    }
    uint64_t at = now_ + 1 + below(options.delay_ms + 1);
    if (!l.way.empty() && at < l.way.back().first) {
        at = l.way.back().first;
    }
    l.way.emplace_back(at, message);
}

void World::deliver()
{
    for (size_t i = 0; i < nodes.size(); i++) {
        for (size_t j = 0; j < nodes.size(); j++) {
            Link &l = links_[i][j];
            while (!l.way.empty() && l.way.front().first <= now_) {
                if (nodes[j]->alive() && l.blocked_until <= now_) {
                    nodes[j]->receive(nodes[i]->id, l.way.front().second);
                }
                l.way.pop_front();
            }
        }
    }
}

/* Worse than TCP: out of order, late, twice. */
void World::send_frame(Node *from, uint64_t to, const std::string &frame)
{
    ASSERT_GE(to, 1u);
    ASSERT_LE(to, nodes.size());
    if (links_[from->id - 1][to - 1].blocked_until > now_ || (!quiet_ && chance(options.loss_percent))) {
        return;
    }
    uint64_t at = now_ + 1 + below(options.delay_ms + 1) + (chance(5) ? below(3000) : 0);
    frames_.emplace(at, Frame{from->id, to, frame});
    if (chance(10)) {
        frames_.emplace(at + below(4000), Frame{from->id, to, frame});
    }
}

/* A node answers them however busy it is with its commits. */
void World::deliver_frames()
{
    while (!frames_.empty() && frames_.begin()->first <= now_) {
        Frame f = frames_.begin()->second;
        frames_.erase(frames_.begin());
        Node *n = nodes[f.to - 1].get();
        if (n->alive()) { /* what is under way arrives though the link is cut */
            n->receive_frame(f.from, f.bytes);
        }
    }
}

/* --- faults --- */

void World::isolate(size_t i, uint64_t until)
{
    for (size_t j = 0; j < nodes.size(); j++) {
        links_[i][j].blocked_until = until;
        links_[j][i].blocked_until = until;
    }
}

void World::node_faults(Node *n)
{
    struct kv_mem_faults *f = kv_mem_faults(n->kv);
    if (per_min(options.crash_per_min)) {
        uint64_t how = below(3);
        if (how == 0) {
            kv_mem_crash(n->kv);
        } else {
            (how == 1 ? f->crash_before_commit_nth : f->crash_after_commit_nth) = 1 + below(4);
        }
    }
    if (per_min(options.full_per_min)) {
        (chance(50) ? f->put_full_nth : f->commit_full_nth) = 1 + below(5);
    }
    if (options.stall_per_min > 0 && per_min(options.stall_per_min)) {
        n->busy_until = now_ + 200 + below(options.stall_ms);
    }
    if (options.jump_per_min > 0 && per_min(options.jump_per_min)) {
        n->clock.wall_ms += below(2 * JUMP_MS);
        n->clock.wall_ms -= JUMP_MS;
    }
}

void World::network_faults()
{
    for (auto &row : links_) {
        for (Link &l : row) {
            if (per_min(options.cut_per_min)) {
                l.way.clear();
            }
            if (per_min(options.partition_per_min)) {
                l.blocked_until = now_ + 100 + below(8000);
            }
        }
    }
    if (per_min(options.partition_per_min)) { /* one node alone, often a leader */
        Node *leader = leader_of(static_cast<uint32_t>(below(options.shards)));
        size_t i = leader != nullptr && chance(60) ? leader->id - 1 : below(nodes.size());
        isolate(i, now_ + 100 + below(10000));
    }
    if (options.lag_per_min > 0 && per_min(options.lag_per_min)) {
        Node *n = leader_of(static_cast<uint32_t>(below(options.shards)));
        if (n != nullptr) {
            n->slow_until = now_ + 2000 + below(8000);
            isolate(n->id - 1, n->slow_until);
        }
    }
}

void World::faults()
{
    for (auto &n : nodes) {
        if (n->alive()) {
            node_faults(n.get());
        }
    }
    if (options.blackout_per_min > 0 && per_min(options.blackout_per_min)) {
        size_t last = below(nodes.size()); /* to go, and to come back */
        for (size_t i = 0; i < nodes.size(); i++) {
            struct kv_mem_faults *f = kv_mem_faults(nodes[i]->kv);
            (chance(80) ? f->crash_before_commit_nth : f->crash_after_commit_nth) = i == last ? 2 + below(3) : 1;
            nodes[i]->stays_away = i == last;
        }
    }
    network_faults();
    if (per_min(options.transfer_per_min)) {
        uint32_t s = static_cast<uint32_t>(below(options.shards));
        Node *n = leader_of(s);
        if (n != nullptr) {
            enum err e = volume_transfer(n->volume, shard_id{s}, node_id{0}); /* it may be too early */
            int stalls = options.hand_over_and_stall_percent;
            if (e == OK && stalls > 0 && chance(stalls)) {
                n->busy_until = now_ + 500; /* it does not hear what follows */
            }
        }
    }
    if (per_min(options.change_per_min)) {
        change_something();
    }
    if (options.table_per_min > 0 && per_min(options.table_per_min)) {
        change_table();
    }
}

/* --- membership --- */

Node *World::leader_of(uint32_t shard)
{
    Node *best = nullptr;
    uint64_t best_term = 0;
    for (auto &n : nodes) {
        struct volume_status st;
        if (n->status(shard, &st) && st.serves && st.term > best_term) {
            best = n.get();
            best_term = st.term;
        }
    }
    return best;
}

/* One legal step: a server more, one promoted that holds the log, one less. */
void World::change_something()
{
    uint32_t shard = static_cast<uint32_t>(below(options.shards));
    Node *n = leader_of(shard);
    struct volume_status st;
    if (n == nullptr || !n->status(shard, &st) || st.changing) {
        return;
    }
    std::vector<struct raft_server_info> next(st.servers, st.servers + st.n_servers);
    size_t voters = 0;
    for (const auto &s : next) {
        voters += s.role == RAFT_ROLE_VOTER;
    }
    size_t i = below(next.size());
    uint64_t fresh = 1 + below(nodes.size());
    bool known = std::any_of(next.begin(), next.end(), [&](const auto &s) { return s.node.v == fresh; });
    if (!known && next.size() < nodes.size()) {
        next.push_back({node_id{fresh}, RAFT_ROLE_STANDBY});
    } else if (next[i].role == RAFT_ROLE_STANDBY) {
        if (st.match[i] + 10 < st.log_last) {
            return;
        }
        next[i].role = RAFT_ROLE_VOTER;
    } else if (voters > 1 && next[i].node.v != n->id && chance(voters > 3 ? 80 : 30)) {
        next.erase(next.begin() + static_cast<long>(i));
    } else {
        return;
    }
    if (volume_change(n->volume, shard_id{shard}, next.data(), next.size()) == OK) {
        counts.changes++;
        n->wake_at = 0;
    }
}

/* --- time --- */

void World::step_ms(uint64_t ms)
{
    for (uint64_t i = 0; i < ms && !testing::Test::HasFailure(); i++) {
        now_++;
        if (!quiet_) {
            faults();
            if (options.backup_per_min > 0) {
                backup_.tick();
            }
        }
        clients();
        deliver();
        deliver_frames();
        for (auto &n : nodes) {
            n->clock.pass(1000 + (now_ < n->slow_until ? options.slow_permille : n->drift_permille));
            if (n->alive() && kv_mem_crashed(n->kv)) {
                n->stop();
                bool long_dead = n->stays_away || chance(options.long_dead_percent);
                n->dead_until = now_ + 50 + below(options.dead_ms) + (long_dead ? 4 * options.dead_ms : 0);
                n->stays_away = false;
                counts.crashes++;
            } else if (!n->alive() && now_ >= n->dead_until) {
                n->power_on();
            } else if (n->alive() && now_ >= n->busy_until && now_ >= n->wake_at) {
                n->turn();
                leftovers(n.get());
                if (options.table_per_min > 0 && started_) {
                    follow_table(n.get());
                }
            } else if (n->alive() && now_ >= n->reads_at) {
                n->tick_reads();
            }
        }
    }
}

bool World::wait_for_leaders(uint64_t ms)
{
    for (uint64_t i = 0; i < ms && !testing::Test::HasFailure(); i += 100) {
        bool all = true;
        for (uint32_t s = 0; s < options.shards; s++) {
            all = all && leader_of(s) != nullptr;
        }
        if (all) {
            return true;
        }
        step_ms(100);
    }
    return false;
}

/* --- the end --- */

bool World::agrees(uint32_t s, std::string *why)
{
    Node *leader = leader_of(s);
    struct volume_status st;
    if (leader == nullptr || !leader->status(s, &st)) {
        *why = "shard " + std::to_string(s) + " has no leader";
        return false;
    }
    for (size_t i = 0; i < st.n_servers; i++) {
        struct volume_status other;
        Node *n = nodes[st.servers[i].node.v - 1].get();
        if (!n->status(s, &other) || other.applied != st.log_last || st.commit != st.log_last) {
            *why = "shard " + std::to_string(s) + ": leader " + std::to_string(leader->id) + " of term " +
                   std::to_string(st.term) + " ends at " + std::to_string(st.log_last) + ", committed " +
                   std::to_string(st.commit) + ", knows " + std::to_string(st.match[i]) + " of node " +
                   std::to_string(n->id) + ", which ends at " + std::to_string(other.log_last) + ", committed " +
                   std::to_string(other.commit) + ", applied " + std::to_string(other.applied) + ", term " +
                   std::to_string(other.term) + ", follows " + std::to_string(other.leader.v);
            return false;
        }
    }
    return true;
}

bool World::agree(std::string *why)
{
    for (auto &n : nodes) {
        if (!n->alive() || kv_mem_crashed(n->kv)) {
            *why = "node " + std::to_string(n->id) + " is down";
            return false;
        }
    }
    for (uint32_t s = 0; s < options.shards; s++) {
        if (!agrees(s, why) || (options.table_per_min > 0 && !obeys_table(s, why))) {
            return false;
        }
    }
    *why = "somebody still waits for an answer";
    return idle();
}

/* Where everybody stands, for whoever reads a failed seed. */
std::string World::standing()
{
    std::string all;
    for (auto &n : nodes) {
        for (uint32_t s = 0; s < options.shards; s++) {
            struct volume_status st;
            all += "\n  node " + std::to_string(n->id) + " shard " + std::to_string(s) + ": ";
            if (!n->status(s, &st)) {
                all += "does not run";
                continue;
            }
            all += "term " + std::to_string(st.term) + ", follows " + std::to_string(st.leader.v) + ", log " +
                   std::to_string(st.log_first) + ".." + std::to_string(st.log_last) + ", committed " +
                   std::to_string(st.commit) + ", applied " + std::to_string(st.applied) + ", servers";
            for (size_t i = 0; i < st.n_servers; i++) {
                all += " " + std::to_string(st.servers[i].node.v) + "svp"[st.servers[i].role];
            }
            all += st.changing ? " (changing)" : "";
        }
    }
    return all;
}

std::map<std::string, std::string> World::rows_of(Node *n, uint32_t s)
{
    uint8_t prefix[5];
    EXPECT_EQ(volume_state_prefix(n->volume, shard_id{s}, prefix), OK);
    return state_of(n->kv, prefix);
}

std::map<std::string, std::string> World::state_of(struct kv *kv, const uint8_t prefix[5])
{
    std::map<std::string, std::string> rows;
    struct kv_txn *t;
    struct kv_cursor *c;
    struct slice k;
    struct slice v;
    EXPECT_EQ(kv_begin(kv, false, &t), OK);
    EXPECT_EQ(kv_cursor_open(t, &c), OK);
    enum err e = kv_cursor_seek(c, slice_make(prefix, 5), &k, &v);
    for (; e == OK && k.n > 5 && memcmp(k.p, prefix, 5) == 0; e = kv_cursor_next(c, &k, &v)) {
        rows[std::string(reinterpret_cast<const char *>(k.p) + 5, k.n - 5)] =
            std::string(reinterpret_cast<const char *>(v.p), v.n);
    }
    kv_cursor_close(c);
    kv_abort(t);
    return rows;
}

static std::string text_of(const std::string &key)
{
    std::string out;
    for (char c : key) {
        char hex[8];
        snprintf(hex, sizeof(hex), isalpha(static_cast<unsigned char>(c)) ? "%c" : "\\%02x", static_cast<uint8_t>(c));
        out += hex;
    }
    return out;
}

/* State rows of all members are equal, byte for byte. */
void World::compare_states()
{
    for (uint32_t s = 0; s < options.shards; s++) {
        std::map<std::string, std::string> first;
        Node *leader = leader_of(s);
        struct volume_status st;
        ASSERT_NE(leader, nullptr);
        ASSERT_TRUE(leader->status(s, &st));
        for (size_t i = 0; i < st.n_servers; i++) {
            Node *n = nodes[st.servers[i].node.v - 1].get();
            std::map<std::string, std::string> rows = rows_of(n, s);
            if (i == 0) {
                first = rows;
                continue;
            }
            EXPECT_EQ(first.size(), rows.size()) << "shard " << s << " node " << n->id;
            for (const auto &[key, row] : first) {
                auto other = rows.find(key);
                ASSERT_TRUE(other != rows.end() && other->second == row)
                    << "replicas of shard " << s << " differ on node " << n->id << " at " << text_of(key);
            }
        }
    }
}

void World::end()
{
    quiet_ = true;
    for (auto &n : nodes) {
        struct kv_mem_faults none = {};
        *kv_mem_faults(n->kv) = none;
        n->dead_until = 0;
        n->busy_until = 0;
    }
    for (auto &row : links_) {
        for (Link &l : row) {
            l.blocked_until = 0;
        }
    }
    std::string why;
    uint64_t from = now_;
    while (now_ < from + CONVERGE_MS && !testing::Test::HasFailure() && !agree(&why)) {
        step_ms(100);
    }
    ASSERT_FALSE(testing::Test::HasFailure());
    ASSERT_TRUE(agree(&why)) << "no agreement " << (now_ - from) << " ms after the faults stopped: " << why
                             << standing();
    check_end();
    if (options.compare) {
        compare_states();
        for (auto &n : nodes) {
            n->check_rows(true);
        }
    }
}

bool World::add_server(uint32_t s, unsigned id, std::vector<struct raft_server_info> *all)
{
    for (enum raft_server_role role : {RAFT_ROLE_STANDBY, RAFT_ROLE_VOTER}) {
        if (role == RAFT_ROLE_STANDBY) {
            all->push_back({node_id{id}, role});
        } else {
            all->back().role = role;
        }
        if (volume_change(nodes[0]->volume, shard_id{s}, all->data(), all->size()) != OK) {
            return false;
        }
        nodes[0]->wake_at = 0;
        struct volume_status st = {};
        for (int k = 0; k < 100; k++) {
            step_ms(20);
            if (!nodes[0]->status(s, &st)) {
                return false;
            }
            if (!st.changing && st.match[all->size() - 1] + 1 >= st.log_last) {
                break;
            }
        }
        if (st.changing) {
            return false;
        }
    }
    return true;
}

/* The founder takes the others in, one by one. */
void World::begin()
{
    quiet_ = true;
    for (auto &n : nodes) {
        n->start();
    }
    ASSERT_TRUE(wait_for_leaders(10000));
    for (uint32_t s = 0; s < options.shards; s++) {
        std::vector<struct raft_server_info> all = {{node_id{1}, RAFT_ROLE_VOTER}};
        for (unsigned i = 2; i <= options.voters; i++) {
            ASSERT_TRUE(add_server(s, i, &all));
        }
    }
    prepare();
    started_ = true;
    quiet_ = false;
}

void World::run()
{
    begin();
    step_ms(options.ms);
    if (!testing::Test::HasFailure()) {
        end();
    }
}

} // namespace cluster
