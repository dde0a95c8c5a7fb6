#include "program/ctl_nodes.h"

#include <stdio.h>
#include <stdlib.h>

const char *ctl_node_state(const Pb__NodeRow *row)
{
    if (row->removed) {
        return "removed";
    }
    if (row->claim.len == 0) {
        return "waiting";
    }
    if (row->away) {
        return "away";
    }
    return row->draining ? "draining" : "member";
}

bool ctl_node_id(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    if (*out == 0 || *end != '\0' || text[0] < '0' || text[0] > '9') {
        fprintf(stderr, "pillarbox ctl: %s is no node id (see `pillarbox ctl node list`)\n", text);
        return false;
    }
    return true;
}

int ctl_node_set(struct ctl *c, const char *what, Pb__OpNodeSet *op)
{
    ProtobufCMessage *reply = NULL;
    char name[24];
    snprintf(name, sizeof(name), "%llu", (unsigned long long)op->node);
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_NODE_SET, &op->base, &reply);
    if (e == ERR_PERM) {
        fprintf(stderr, "pillarbox ctl: %s: no other node could take over what node %s holds\n", what, name);
        return 1;
    }
    if (e == ERR_NOTFOUND) {
        fprintf(stderr, "pillarbox ctl: %s: there is no node %s (see `pillarbox ctl node list`)\n", what, name);
        return 1;
    }
    return e == OK ? 0 : ctl_fail(what, name, e);
}

enum err ctl_shard(struct ctl *c, uint32_t shard, const Pb__ReadShardResult **out)
{
    Pb__ReadShard req = PB__READ_SHARD__INIT;
    ProtobufCMessage *reply = NULL;
    req.shard = shard;
    enum err e = ctl_call(c, (struct shard_id){shard}, (struct account_id){0}, METHOD_SHARD, &req.base, &reply);
    *out = (const Pb__ReadShardResult *)(const void *)reply;
    return e;
}

enum err ctl_node_holds(struct ctl *c, uint64_t node, uint32_t *out_shards)
{
    uint32_t last;
    enum err e = ctl_shards(c, &last);
    *out_shards = 0;
    for (uint32_t i = 0; e == OK && i <= last; i++) {
        const Pb__ReadShardResult *s;
        e = ctl_shard(c, i, &s);
        for (size_t j = 0; e == OK && j < s->n_servers; j++) {
            *out_shards += s->servers[j]->node == node && (i != 0 || s->servers[j]->voter);
        }
    }
    return e;
}
