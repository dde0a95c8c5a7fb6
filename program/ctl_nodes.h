/* What the commands about nodes share. */
#ifndef PROGRAM_CTL_NODES_H
#define PROGRAM_CTL_NODES_H

#include "program/ctl.h"

/* "member", "waiting" (nobody has claimed the row yet) or "removed". */
const char *ctl_node_state(const Pb__NodeRow *row);

#endif /* PROGRAM_CTL_NODES_H */
