/* Who should be in a group, and who should lead it: each leader's decisions, one step at a time. Pure: what is known
 * goes in, the next step comes out (deploy/docs/CLUSTER.md, Placement). */
#ifndef STORAGE_NODE_PLACEMENT_H
#define STORAGE_NODE_PLACEMENT_H

#include "replication/volume.h"
#include "storage/node/node_table.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLACEMENT_VOTERS_MAX DIR_REPLICAS_MAX
/* A standby, or a preferred leader, that lacks no more entries than this has caught up: the rest is on its way. */
#define PLACEMENT_BEHIND_MAX 256

struct placement_node {
    struct node_id id;
    bool up;       /* a link to it is up, since long enough to be relied on; true for the node itself */
    bool steady;   /* up for so long that leadership may go there without need */
    bool draining; /* the operator wants it to hold nothing */
    bool away;     /* dead for long: others take its place, if there are any */
    uint64_t zone; /* of equal ones a group takes as few as it can */
};

enum placement_act { PLACEMENT_NOTHING, PLACEMENT_CHANGE, PLACEMENT_TRANSFER };

struct placement_step {
    enum placement_act act;
    struct raft_server_info servers[RAFT_SERVERS_MAX]; /* CHANGE: the group from now on */
    size_t n_servers;
    struct node_id to; /* TRANSFER; 0: to whom it may concern */
    size_t voters;     /* now */
    bool settled;      /* the group is what the table wants, and all of it has caught up */
};

/* The node table as this node has it, which may be behind. */
struct placement_table {
    const struct placement_node *nodes; /* the live ones */
    size_t n;                           /* 0: nothing is known, nothing is done */
    struct node_id highest;             /* what is above it and not there is news, not gone */
    size_t replicas;                    /* of a shard that is not pinned: 1, 3 or 5 */
    const struct node_table_pin *pins;  /* by shard; NULL: none */
};

/* Which nodes the shard belongs on, a function of the table alone: those that it is pinned to and that can hold it; for
 * the rest, up to `replicas` (a pinned one: as many as it is pinned to), those that the shard's number draws, one a
 * zone as far as there are zones, those that are away last. A node that comes or goes changes only what it draws
 * itself. */
struct placement_wanted {
    struct node_id nodes[PLACEMENT_VOTERS_MAX];
    size_t n;
    size_t voters; /* odd, or none */
    size_t here;   /* of `nodes`, those that are not away: they come first */
};
void placement_wanted(const struct placement_table *t, struct shard_id shard, struct placement_wanted *out);

/* `st` is what the group's leader says of itself. */
void placement_decide(const struct volume_status *st, struct node_id self, struct shard_id shard,
                      const struct placement_table *t, struct placement_step *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_NODE_PLACEMENT_H */
