#include "cluster.h"

#include <algorithm>

#include "node.h"
#include "proto/base/bytes.h"

namespace cluster
{

namespace
{

constexpr uint64_t TICKS_PER_MIN = 60000;
constexpr uint64_t CONVERGE_MS = 60000;
constexpr int TRIES_MAX = 40;
constexpr int SLOW_PERMILLE = -700;

} // namespace

World::World(uint64_t seed, const Options &o) : options(o), facts(o.shards), uploads_(o.shards)
{
    rng_seeded_init(&rng_, seed);
    links_.resize(o.nodes);
    for (auto &row : links_) {
        row.resize(o.nodes);
    }
    for (unsigned i = 0; i < o.nodes; i++) {
        nodes.push_back(std::make_unique<Node>(this, i + 1, seed * 31 + i, i == 0));
        nodes[i]->drift_permille =
            static_cast<int>(below(static_cast<uint64_t>(20 * o.drift_percent + 1))) - 10 * o.drift_percent;
        nodes[i]->start();
    }
}

World::~World()
{
    quiet_ = true;
    for (auto &n : nodes) {
        n->stop();
    }
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
                    nodes[j]->receive(l.way.front().second);
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

void World::faults()
{
    for (auto &n : nodes) {
        if (!n->alive()) {
            continue;
        }
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
    }
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
    if (per_min(options.partition_per_min)) { /* one node alone */
        size_t i = below(nodes.size());
        isolate(i, now_ + 100 + below(10000));
    }
    if (per_min(options.lag_per_min)) {
        Node *n = leader_of(static_cast<uint32_t>(below(options.shards)));
        if (n != nullptr) {
            n->slow_until = now_ + 2000 + below(8000);
            isolate(n->id - 1, n->slow_until);
        }
    }
    if (per_min(options.transfer_per_min)) {
        uint32_t s = static_cast<uint32_t>(below(options.shards));
        Node *n = leader_of(s);
        if (n != nullptr) {
            enum err ignored = volume_transfer(n->volume, shard_id{s}, node_id{0});
            (void)ignored; /* it may be too early */
        }
    }
    if (per_min(options.change_per_min)) {
        change_something();
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

/* --- clients --- */

void World::clients()
{
    load_credit_ += static_cast<uint64_t>(options.ops_per_s);
    for (; load_credit_ >= 1000; load_credit_ -= 1000) {
        uint32_t shard = static_cast<uint32_t>(below(options.shards));
        Upload &u = uploads_[shard];
        OpRef op = std::make_shared<Op>();
        op->id = next_id_++;
        op->shard = shard;
        if (u.busy || !chance(options.staged_percent)) {
            bool kill = chance(10) && !facts[shard].at.empty();
            uint64_t victim = kill ? 1 + below(facts[shard].at.rbegin()->first) : 0;
            op->data = entry(kill ? 'K' : 'W', op->id, victim, below(300));
            op->body = kill || chance(30) ? "" : body_of(op->id, below(options.body_max));
        } else if (u.index == 0) {
            op->data = entry('R', op->id, 0, 0);
            u.pieces_left = 1 + static_cast<int>(below(4));
            u.busy = true;
            upload_of_[op->id] = shard;
        } else if (u.pieces_left > 0) {
            size_t n = (1 + below(2)) * REPL_BODY_CHUNK_DATA;
            op->staged_index = u.index;
            op->staged_offset = u.have;
            op->body = body_of(u.index, u.have + n).substr(u.have);
            u.busy = true;
            upload_of_[op->id] = shard;
        } else {
            op->data = entry(chance(80) ? 'C' : 'A', op->id, u.index, 0);
            u.index = 0;
        }
        attempt(op);
    }
    for (size_t i = 0; i < retries_.size();) {
        if (retries_[i].first <= now_) {
            OpRef op = retries_[i].second;
            retries_.erase(retries_.begin() + static_cast<long>(i));
            attempt(op);
        } else {
            i++;
        }
    }
}

/* At any of those that believe to lead. */
void World::readers()
{
    read_credit_ += static_cast<uint64_t>(options.reads_per_s);
    for (; read_credit_ >= 1000; read_credit_ -= 1000) {
        uint32_t shard = static_cast<uint32_t>(below(options.shards));
        size_t from = below(nodes.size());
        for (size_t i = 0; i < nodes.size(); i++) {
            Node *n = nodes[(from + i) % nodes.size()].get();
            uint64_t term;
            if (n->alive() && volume_leads(n->volume, shard_id{shard}, &term)) {
                n->read(shard);
                break;
            }
        }
    }
}

/* At whoever leads, or at anybody. */
void World::attempt(const OpRef &op)
{
    Node *n = chance(90) ? leader_of(op->shard) : nullptr;
    if (n == nullptr) {
        n = nodes[below(nodes.size())].get();
    }
    op->tries++;
    if (n->alive()) {
        n->submit(op);
    } else {
        answered(op, ERR_CLOSED, "");
    }
}

void World::answered(const OpRef &op, enum err status, const std::string &result)
{
    Facts &f = facts[op->shard];
    auto upload = upload_of_.find(op->id);
    bool final = status == OK || status == ERR_INVAL || status == ERR_STALE || status == ERR_NOTFOUND;
    if (!final && !quiet_ && op->tries < TRIES_MAX) {
        counts.unknown++;
        retries_.emplace_back(now_ + 50 + below(1000), op);
        return;
    }
    if (upload != upload_of_.end()) {
        Upload &u = uploads_[op->shard];
        u.busy = false;
        if (op->staged_index == 0) {
            u.index = status == OK ? get_be64(reinterpret_cast<const uint8_t *>(result.data())) : 0;
            u.have = 0;
        } else if (status == OK) {
            u.have = op->staged_offset + op->body.size();
            u.pieces_left--;
        } else {
            u.index = 0; /* abandoned */
        }
        upload_of_.erase(upload);
    }
    if (status != OK) {
        counts.refused++;
        return;
    }
    counts.acks++;
    if (op->staged_index != 0) {
        return;
    }
    ASSERT_EQ(result.size(), 8u);
    uint64_t index = get_be64(reinterpret_cast<const uint8_t *>(result.data()));
    f.acked[op->id] = index;
    f.seen = std::max(f.seen, index);
}

/* --- time --- */

void World::step_ms(uint64_t ms)
{
    for (uint64_t i = 0; i < ms && !testing::Test::HasFailure(); i++) {
        now_++;
        if (!quiet_) {
            faults();
            clients();
            readers();
        }
        deliver();
        deliver_frames();
        for (auto &n : nodes) {
            int drift = now_ < n->slow_until ? SLOW_PERMILLE : n->drift_permille;
            bool drifts = below(1000) < static_cast<uint64_t>(std::abs(drift));
            n->clock.mono_ms += 1 + (drifts ? (drift > 0 ? 1 : -1) : 0);
            n->clock.wall_ms++;
            if (n->alive() && kv_mem_crashed(n->kv)) {
                n->stop();
                n->dead_until = now_ + 50 + below(5000);
                counts.crashes++;
            } else if (!n->alive() && now_ >= n->dead_until) {
                n->power_on();
            } else if (n->alive() && now_ >= n->busy_until && now_ >= n->wake_at) {
                n->turn();
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

bool World::agree(std::string *why)
{
    for (auto &n : nodes) {
        if (!n->alive() || kv_mem_crashed(n->kv)) {
            *why = "node " + std::to_string(n->id) + " is down";
            return false;
        }
    }
    for (uint32_t s = 0; s < options.shards; s++) {
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
    }
    return true;
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
            std::map<std::string, std::string> rows;
            struct kv_txn *t;
            struct kv_cursor *c;
            struct slice k;
            struct slice v;
            ASSERT_EQ(kv_begin(n->kv, false, &t), OK);
            ASSERT_EQ(kv_cursor_open(t, &c), OK);
            const uint8_t *prefix = n->machines[s].prefix;
            enum err e = kv_cursor_seek(c, slice_make(prefix, 5), &k, &v);
            for (; e == OK && k.n > 5 && memcmp(k.p, prefix, 5) == 0; e = kv_cursor_next(c, &k, &v)) {
                rows[std::string(reinterpret_cast<const char *>(k.p) + 5, k.n - 5)] =
                    std::string(reinterpret_cast<const char *>(v.p), v.n);
            }
            kv_cursor_close(c);
            kv_abort(t);
            if (i == 0) {
                first = rows;
            } else {
                EXPECT_EQ(first.size(), rows.size()) << "shard " << s << " node " << n->id;
                EXPECT_TRUE(first == rows) << "replicas of shard " << s << " differ on node " << n->id;
            }
        }
        const Facts &f = facts[s];
        std::map<uint64_t, uint64_t> where;
        for (const auto &[index, what] : f.at) {
            EXPECT_TRUE(where.emplace(what.first, index).second) << "operation " << what.first << " happened twice";
        }
        for (const auto &[id, index] : f.acked) {
            auto found = where.find(id);
            ASSERT_NE(found, where.end()) << "acknowledged operation " << id << " of shard " << s << " is lost";
            EXPECT_EQ(found->second, index);
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
    compare_states();
    for (auto &n : nodes) {
        n->check_rows();
    }
}

/* The founder takes the others in, one by one. */
void World::run()
{
    bool was = quiet_;
    quiet_ = true;
    ASSERT_TRUE(wait_for_leaders(10000));
    for (uint32_t s = 0; s < options.shards; s++) {
        std::vector<struct raft_server_info> all = {{node_id{1}, RAFT_ROLE_VOTER}};
        for (unsigned i = 2; i <= options.voters; i++) {
            for (enum raft_server_role role : {RAFT_ROLE_STANDBY, RAFT_ROLE_VOTER}) {
                if (role == RAFT_ROLE_STANDBY) {
                    all.push_back({node_id{i}, role});
                } else {
                    all.back().role = role;
                }
                ASSERT_EQ(volume_change(nodes[0]->volume, shard_id{s}, all.data(), all.size()), OK);
                nodes[0]->wake_at = 0;
                struct volume_status st = {};
                for (int k = 0; k < 100; k++) {
                    step_ms(20);
                    ASSERT_TRUE(nodes[0]->status(s, &st));
                    if (!st.changing && st.match[i - 1] + 1 >= st.log_last) {
                        break;
                    }
                }
                ASSERT_FALSE(st.changing);
            }
        }
    }
    quiet_ = was;
    step_ms(options.ms);
    if (!testing::Test::HasFailure()) {
        end();
    }
}

} // namespace cluster
