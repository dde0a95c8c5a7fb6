#include <stdio.h>
#include <time.h>

#include "program/ctl_nodes.h"

#define POLL_MS 500

/* Prints what is left whenever that changes. */
static int wait_drained(struct ctl *c, uint64_t node)
{
    uint32_t before = UINT32_MAX;
    for (;;) {
        uint32_t left;
        enum err e = ctl_node_holds(c, node, &left);
        if (e != OK) {
            return ctl_fail("node drain", "", e);
        }
        if (left == 0) {
            return 0;
        }
        if (left != before) {
            printf("node %llu still has %u shards\n", (unsigned long long)node, left);
            fflush(stdout);
        }
        before = left;
        arena_reset(&c->arena);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

static int run(struct ctl *c, int argc, char **argv)
{
    Pb__OpNodeSet op = PB__OP_NODE_SET__INIT;
    bool undo = ctl_flag(&argc, argv, "--undo");
    bool no_wait = ctl_flag(&argc, argv, "--no-wait");
    if (argc != 1) {
        return CTL_USAGE;
    }
    if (!ctl_node_id(argv[0], &op.node)) {
        return 1;
    }
    op.drain = undo ? PB__NODE_MARK__MARK_OFF : PB__NODE_MARK__MARK_ON;
    int status = ctl_node_set(c, "node drain", &op);
    return status != 0 || undo || no_wait ? status : wait_drained(c, op.node);
}

CTL_CMD(node_drain) = {
    .name = "node drain",
    .args = "NODE [--undo] [--no-wait]",
    .help = "let other nodes take over all that a node holds, and wait for it; mail goes on meanwhile",
    .run = run,
};
