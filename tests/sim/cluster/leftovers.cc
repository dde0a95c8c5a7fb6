/* What storage/node/leftovers.c does, on simulated time: a replica that hears no leader for long asks who is in its
 * group, and is thrown away when a leader says that it is not. The leader may be one that is none any more, its answer
 * half a second old when it is given, and late when it comes. */
#include "cluster.h"
#include "node.h"

namespace cluster
{

namespace
{

constexpr uint64_t LOOKED_MS = 500; /* ago, at most: what a leader answers from */
constexpr uint64_t VALID_MS = 4000;

bool has(const struct volume_status &st, uint64_t id)
{
    for (size_t i = 0; i < st.n_servers; i++) {
        if (st.servers[i].node.v == id) {
            return true;
        }
    }
    return false;
}

} // namespace

/* Any node that believes to lead; what it knows now is used up to LOOKED_MS later. */
void World::ask_members(Node *n, uint32_t shard, Leftover *o)
{
    Node *other = nodes[below(nodes.size())].get();
    struct volume_status st;
    if (other == n || !other->status(shard, &st) || !st.serves) {
        return;
    }
    o->answer_at = now_ + below(LOOKED_MS + VALID_MS);
    o->gone = !st.changing && !has(st, n->id);
    o->term = st.term;
}

void World::leftovers(Node *n)
{
    for (uint32_t s = 0; s < options.shards; s++) {
        Leftover *o = &leftovers_[{n->id, s}];
        struct volume_status st;
        if (!n->status(s, &st) || st.silent_ms < 1000 || (st.log_last == 0 && st.applied == 0)) {
            *o = {};
            continue;
        }
        o->quiet_since = o->quiet_since == 0 ? now_ : o->quiet_since;
        if (now_ - o->quiet_since < options.quiet_ms) {
            continue;
        }
        if (o->answer_at == 0) {
            ask_members(n, s, o);
        } else if (now_ >= o->answer_at) {
            if (o->gone && volume_replica_empty(n->volume, shard_id{s}, o->term) == OK) {
                counts.emptied++;
                n->wake_at = 0;
            }
            *o = {o->quiet_since, 0, 0, false};
        }
    }
}

} // namespace cluster
