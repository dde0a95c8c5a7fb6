#include <stdio.h>

#include "program/ctl.h"

static char *text(const char *option)
{
    static char none[] = "";
    return option == NULL ? none : (char *)(uintptr_t)option;
}

static int explain(const char *peer, bool replace, enum err e)
{
    if (e == ERR_EXISTS) {
        fprintf(stderr, "pillarbox ctl: node add: a node has %s already; if its data directory is lost: --replace\n",
                peer);
        return 1;
    }
    if (e == ERR_NOTFOUND && replace) {
        fprintf(stderr, "pillarbox ctl: node add --replace: no node has %s\n", peer);
        return 1;
    }
    return ctl_fail("node add", peer, e);
}

static int run(struct ctl *c, int argc, char **argv)
{
    Pb__OpNodeSet op = PB__OP_NODE_SET__INIT;
    ProtobufCMessage *reply = NULL;
    op.rpc = text(ctl_option(&argc, argv, "--rpc"));
    op.events = text(ctl_option(&argc, argv, "--events"));
    op.zone = text(ctl_option(&argc, argv, "--zone"));
    op.replace = ctl_flag(&argc, argv, "--replace");
    bool once = ctl_flag(&argc, argv, "--once");
    if (argc != 1 || argv[0][0] == '-' || (once && op.replace)) {
        return CTL_USAGE;
    }
    op.peer = argv[0];
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_NODE_SET, &op.base, &reply);
    if (e == ERR_EXISTS && once) {
        return 0;
    }
    if (e != OK) {
        return explain(argv[0], op.replace, e);
    }
    printf("%llu\n", (unsigned long long)((const Pb__OpNodeSetResult *)(const void *)reply)->node);
    return 0;
}

CTL_CMD(node_add) = {
    .name = "node add",
    .args = "PEER-ADDRESS [--rpc A] [--events A] [--zone Z] [--replace | --once]",
    .help = "let the node with this cluster.peer_address join; prints its id. --replace: its data directory was lost; "
            "--once: no error if it has been added",
    .run = run,
};
