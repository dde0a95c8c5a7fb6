#include "program/ctl_nodes.h"

const char *ctl_node_state(const Pb__NodeRow *row)
{
    if (row->removed) {
        return "removed";
    }
    return row->claim.len > 0 ? "member" : "waiting";
}
