/* The node table and the leaders that follow it: storage/node/placement.c as it is, on simulated time. Each node has
 * its own copy of the table, up to two seconds old. Nodes drain and come back, are thought to be dead, are removed;
 * shards are pinned, led by whom the operator wants, have more replicas and fewer. When the faults stop, every group
 * must become what the table says, and nobody may hold what is not its own. */
#include "table.h"

#include <algorithm>

#include "node.h"

namespace cluster
{

namespace
{

constexpr uint64_t LOOK_MS = 500;
constexpr uint64_t TRANSFER_MS = 10000;
constexpr uint64_t BEHIND_MS = 2000;

} // namespace

Table::Table(unsigned nodes, uint32_t shards) : pins(shards)
{
    for (uint64_t id = 1; id <= nodes; id++) {
        rows.push_back({{id}, true, true, false, false, id});
    }
}

size_t Table::holders() const
{
    return static_cast<size_t>(std::count_if(rows.begin(), rows.end(), [](const auto &r) { return !r.draining; }));
}

placement_node *Table::any(uint64_t draw)
{
    return &rows[draw % rows.size()];
}

/* --- what the operator does --- */

void World::pin_something()
{
    node_table_pin *pin = &table_.pins[below(options.shards)];
    if (chance(30)) {
        *pin = {};
    } else if (chance(40)) {
        pin->leader = table_.any(below(64))->id.v;
    } else {
        std::set<uint64_t> nodes;
        const size_t want = std::min<size_t>(1 + 2 * below(3), table_.rows.size());
        while (nodes.size() < (want % 2 == 1 ? want : want - 1)) {
            nodes.insert(table_.any(below(64))->id.v);
        }
        pin->n = 0;
        for (uint64_t id : nodes) {
            pin->nodes[pin->n++] = id;
        }
    }
}

void World::change_table()
{
    placement_node *row = table_.any(below(64));
    const uint64_t what = below(10);
    if (what < 4) {
        row->draining = !row->draining && table_.holders() > 1;
    } else if (what < 5) {
        row->away = !row->away;
    } else if (what < 6) {
        table_.replicas = 1 + 2 * below(3);
    } else if (what < 7 && table_.rows.size() > 3 && (row->draining || table_.holders() > 1)) {
        table_.rows.erase(table_.rows.begin() + (row - table_.rows.data()));
    } else {
        pin_something();
    }
    counts.changes++;
}

/* --- what each node does twice a second --- */

bool World::link_is_up(const Node *a, uint64_t b)
{
    return nodes[b - 1]->alive() && links_[a->id - 1][b - 1].blocked_until <= now_ &&
           links_[b - 1][a->id - 1].blocked_until <= now_;
}

static void obey(Node *n, uint32_t shard, const placement_step &step, uint64_t now,
                 std::map<uint32_t, uint64_t> *handed)
{
    enum err e = OK; /* what is refused now is decided again */
    if (step.act == PLACEMENT_CHANGE) {
        e = volume_change(n->volume, shard_id{shard}, step.servers, step.n_servers);
    } else if (step.act == PLACEMENT_TRANSFER && now - (*handed)[shard] >= TRANSFER_MS) {
        (*handed)[shard] = now;
        e = volume_transfer(n->volume, shard_id{shard}, step.to);
    }
    if (e == OK) {
        n->wake_at = 0;
    }
}

placement_step World::place(Node *n, uint32_t shard, const struct volume_status &st)
{
    const Table &own = quiet_ ? table_ : tables_[n->id].table;
    std::vector<placement_node> rows = own.rows;
    for (placement_node &row : rows) {
        row.up = row.id.v == n->id || link_is_up(n, row.id.v);
        row.steady = row.up;
    }
    const placement_table t = {rows.data(), rows.size(), {options.nodes}, own.replicas, own.pins.data()};
    placement_step step;
    placement_decide(&st, n->nid(), shard_id{shard}, &t, &step);
    return step;
}

void World::follow_table(Node *n)
{
    Follows *f = &tables_[n->id];
    if (now_ >= f->heard_at) {
        f->table = table_;
        f->heard_at = now_ + below(BEHIND_MS);
    }
    if (now_ < f->looked_at + LOOK_MS) {
        return;
    }
    f->looked_at = now_;
    for (uint32_t s = 0; s < options.shards; s++) {
        struct volume_status st;
        uint64_t term;
        if (volume_leads(n->volume, shard_id{s}, &term) && n->status(s, &st)) {
            obey(n, s, place(n, s, st), now_, &f->handed);
        }
    }
}

/* --- the end --- */

bool World::obeys_table(uint32_t s, std::string *why)
{
    Node *leader = leader_of(s);
    struct volume_status st;
    *why = "shard " + std::to_string(s) + " is not as the table says";
    if (leader == nullptr || !leader->status(s, &st) || !place(leader, s, st).settled) {
        return false;
    }
    for (auto &n : nodes) {
        struct volume_status own;
        const auto last = st.servers + st.n_servers;
        bool member = std::any_of(st.servers, last, [&](const auto &server) { return server.node.v == n->id; });
        if (!member && n->status(s, &own) && own.log_last != 0) {
            *why = "node " + std::to_string(n->id) + " still holds shard " + std::to_string(s);
            return false;
        }
    }
    return true;
}

} // namespace cluster
