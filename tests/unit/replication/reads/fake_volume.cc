#include "fake_volume.h"

bool volume_read_begin(struct volume *v, struct shard_id shard, struct volume_read *out)
{
    std::lock_guard<std::mutex> hold(v->lock);
    const FakeShard &s = v->shards[shard.v];
    out->term = s.leads_term;
    out->index = s.commit;
    out->alone = s.alone;
    out->configuration = s.configuration;
    out->lease_ms = s.lease_ms;
    out->n_voters = s.voters.size();
    for (size_t i = 0; i < s.voters.size(); i++) {
        out->voters[i].v = s.voters[i];
    }
    return out->term != 0;
}

uint64_t volume_applied(struct volume *v, struct shard_id shard)
{
    std::lock_guard<std::mutex> hold(v->lock);
    return v->shards[shard.v].applied;
}

uint64_t volume_term(struct volume *v, struct shard_id shard)
{
    std::lock_guard<std::mutex> hold(v->lock);
    return v->shards[shard.v].term;
}

bool volume_leads(struct volume *v, struct shard_id shard, uint64_t *out_term)
{
    std::lock_guard<std::mutex> hold(v->lock);
    *out_term = v->shards[shard.v].leads_term;
    return *out_term != 0;
}
