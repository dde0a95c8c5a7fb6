#include "toy.h"

#include <algorithm>

#include "proto/base/bytes.h"

namespace cluster
{

constexpr int TRIES_MAX = 40;

Toy::Toy(uint64_t seed, const Options &o)
    : World(seed, o), machines_(o.nodes), acked_(o.shards), floors_(o.shards), uploads_(o.shards)
{
    for (auto &m : machines_) {
        m.resize(o.shards);
    }
}

Toy::~Toy()
{
    close();
}

struct repl_fsm Toy::open(Node *n, uint32_t shard)
{
    Machine &m = machines_[n->id - 1][shard];
    m = Machine();
    m.world = this;
    m.node = n;
    m.shard = shard;
    return m.fsm();
}

void Toy::opened(Node *n, uint32_t shard, const uint8_t *prefix)
{
    memcpy(machines_[n->id - 1][shard].prefix, prefix, 5);
}

void Toy::propose()
{
    load_credit_ += static_cast<uint64_t>(options.ops_per_s);
    for (; load_credit_ >= 1000; load_credit_ -= 1000) {
        uint32_t shard = static_cast<uint32_t>(below(options.shards));
        Upload &u = uploads_[shard];
        OpRef op = std::make_shared<Op>();
        op->id = next_id_++;
        op->p.shard = shard;
        if (u.busy || !chance(options.staged_percent)) {
            bool kill = chance(10) && !seen[shard].empty();
            uint64_t victim = kill ? 1 + below(seen[shard].rbegin()->first) : 0;
            op->p.data = entry(kill ? 'K' : 'W', op->id, victim, below(300));
            op->p.body = kill || chance(30) ? "" : body_of(op->id, below(options.body_max));
        } else if (u.index == 0) {
            op->p.data = entry('R', op->id, 0, 0);
            u.pieces_left = 1 + static_cast<int>(below(4));
            u.busy = true;
            upload_of_[op->id] = shard;
        } else if (u.pieces_left > 0) {
            size_t n = (1 + below(2)) * REPL_BODY_CHUNK_DATA;
            op->p.staged_index = u.index;
            op->p.staged_offset = u.have;
            op->p.body = body_of(u.index, u.have + n).substr(u.have);
            u.busy = true;
            upload_of_[op->id] = shard;
        } else {
            op->p.data = entry(chance(80) ? 'C' : 'A', op->id, u.index, 0);
            u.index = 0;
        }
        attempt(op);
    }
}

void Toy::clients()
{
    if (quiet()) {
        return;
    }
    propose();
    readers();
    for (size_t i = 0; i < retries_.size();) {
        if (retries_[i].first <= now()) {
            OpRef op = retries_[i].second;
            retries_.erase(retries_.begin() + static_cast<long>(i));
            attempt(op);
        } else {
            i++;
        }
    }
}

/* At any of those that believe to lead. */
void Toy::readers()
{
    read_credit_ += static_cast<uint64_t>(options.reads_per_s);
    for (; read_credit_ >= 1000; read_credit_ -= 1000) {
        uint32_t shard = static_cast<uint32_t>(below(options.shards));
        size_t from = below(nodes.size());
        for (size_t i = 0; i < nodes.size(); i++) {
            Node *n = nodes[(from + i) % nodes.size()].get();
            uint64_t term;
            if (n->alive() && volume_leads(n->volume, shard_id{shard}, &term)) {
                uint64_t floor = floors_[shard];
                n->read(shard, 1000 + below(2000), [=](enum err status) { look(n, shard, floor, status); });
                break;
            }
        }
    }
}

/* The read itself: the last entry that the state knows. floor: what it must see. */
void Toy::look(Node *n, uint32_t shard, uint64_t floor, enum err status)
{
    struct kv_txn *t;
    counts.reads_refused += status == ERR_NOT_LEADER;
    counts.reads_late += status == ERR_UNAVAILABLE;
    if (status != OK || kv_mem_crashed(n->kv)) {
        return;
    }
    ASSERT_EQ(kv_begin(n->kv, false, &t), OK);
    uint64_t index = machines_[n->id - 1][shard].last_index(t);
    kv_abort(t);
    counts.reads++;
    counts.reads_stale += index < floor;
    if (options.complain) {
        EXPECT_GE(index, floor) << "at " << now() << " node " << n->id << " read an old state of shard " << shard;
    }
    floors_[shard] = std::max(floors_[shard], index);
}

/* At whoever leads, or at anybody. */
void Toy::attempt(const OpRef &op)
{
    Node *n = chance(90) ? leader_of(op->p.shard) : nullptr;
    if (n == nullptr) {
        n = nodes[below(nodes.size())].get();
    }
    op->tries++;
    if (n->alive()) {
        op->p.done = [this, op](enum err status, const std::string &result) {
            OpRef mine = op;
            mine->p.done = nullptr;
            answered(mine, status, result);
        };
        n->submit(op->p);
    } else {
        answered(op, ERR_CLOSED, "");
    }
}

void Toy::upload_answered(const OpRef &op, Upload *u, enum err status, const std::string &result)
{
    u->busy = false;
    if (op->p.staged_index == 0) {
        u->index = status == OK ? get_be64(reinterpret_cast<const uint8_t *>(result.data())) : 0;
        u->have = 0;
    } else if (status == OK) {
        u->have = op->p.staged_offset + op->p.body.size();
        u->pieces_left--;
    } else {
        u->index = 0; /* abandoned */
    }
}

void Toy::answered(const OpRef &op, enum err status, const std::string &result)
{
    auto upload = upload_of_.find(op->id);
    bool final = status == OK || status == ERR_INVAL || status == ERR_STALE || status == ERR_NOTFOUND;
    if (!final && !quiet() && op->tries < TRIES_MAX) {
        counts.unknown++;
        retries_.emplace_back(now() + 50 + below(1000), op);
        return;
    }
    if (upload != upload_of_.end()) {
        upload_answered(op, &uploads_[op->p.shard], status, result);
        upload_of_.erase(upload);
    }
    if (status != OK) {
        counts.refused++;
        return;
    }
    counts.acks++;
    if (op->p.staged_index != 0) {
        return;
    }
    ASSERT_EQ(result.size(), 8u);
    uint64_t index = get_be64(reinterpret_cast<const uint8_t *>(result.data()));
    acked_[op->p.shard][op->id] = index;
    floors_[op->p.shard] = std::max(floors_[op->p.shard], index);
}

void Toy::check_rows(Node *n, struct kv_txn *t, bool)
{
    for (Machine &m : machines_[n->id - 1]) {
        m.check_entries(t);
        m.check_bodies(t);
    }
}

void Toy::check_end()
{
    for (uint32_t s = 0; s < options.shards; s++) {
        std::map<uint64_t, uint64_t> where;
        for (const auto &[index, what] : seen[s]) {
            EXPECT_TRUE(where.emplace(what.id, index).second) << "operation " << what.id << " happened twice";
        }
        for (const auto &[id, index] : acked_[s]) {
            auto found = where.find(id);
            ASSERT_NE(found, where.end()) << "acknowledged operation " << id << " of shard " << s << " is lost";
            EXPECT_EQ(found->second, index);
        }
    }
}

} // namespace cluster
