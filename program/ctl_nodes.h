/* What the commands about nodes and shards share. */
#ifndef PROGRAM_CTL_NODES_H
#define PROGRAM_CTL_NODES_H

#include "program/ctl.h"

/* "member", "draining", "away" (not reached for long), "waiting" (nobody has claimed the row yet) or "removed". */
const char *ctl_node_state(const Pb__NodeRow *row);
/* A node id as an argument; says what is wrong. false: none. */
bool ctl_node_id(const char *text, uint64_t *out);
/* Changes a row of the node table; explains a refusal and gives the exit status. */
int ctl_node_set(struct ctl *c, const char *what, Pb__OpNodeSet *op);
/* Explains that a version is missing, or as ctl_fail; the exit status. */
int ctl_level_fail(const char *what, const char *name, enum err e);
/* A shard's group, asked of its leader; in the arena. */
MUST_CHECK enum err ctl_shard(struct ctl *c, uint32_t shard, const Pb__ReadShardResult **out);
/* A shard's number as an argument; says what is wrong. false: none. */
bool ctl_shard_number(struct ctl *c, const char *text, uint32_t *out);
/* Pins a shard; explains a refusal and gives the exit status. */
int ctl_shard_set(struct ctl *c, const char *what, const Pb__OpShardSet *op);
/* Waits until the shard's leader says that the group is as wanted and done(group, arg), printing what changes. */
int ctl_shard_wait(struct ctl *c, const char *what, uint32_t shard,
                   bool (*done)(const Pb__ReadShardResult *s, uint64_t arg), uint64_t arg);
/* One line of `shard status`. */
void ctl_shard_print(const Pb__ReadShardResult *s);
/* How many shards the node has a replica of that counts: all but the directory's standby, which every node has. */
MUST_CHECK enum err ctl_node_holds(struct ctl *c, uint64_t node, uint32_t *out_shards);

#endif /* PROGRAM_CTL_NODES_H */
