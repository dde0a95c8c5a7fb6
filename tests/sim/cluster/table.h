/* The node table of a simulated cluster (table.cc). */
#ifndef TESTS_SIM_CLUSTER_TABLE_H
#define TESTS_SIM_CLUSTER_TABLE_H

#include <map>
#include <vector>

#include "storage/node/placement.h"

namespace cluster
{

struct Table {
    Table(unsigned nodes = 0, uint32_t shards = 0);
    size_t holders() const; /* rows that may hold something */
    placement_node *any(uint64_t draw);
    std::vector<placement_node> rows;
    std::vector<node_table_pin> pins;
    size_t replicas = 5;
};

/* A node's copy, and when it last acted on it. */
struct Follows {
    Table table;
    uint64_t heard_at = 0;
    uint64_t looked_at = 0;
    std::map<uint32_t, uint64_t> handed; /* leadership, by shard: when */
};

} // namespace cluster

#endif /* TESTS_SIM_CLUSTER_TABLE_H */
