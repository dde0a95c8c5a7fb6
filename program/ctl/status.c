#include <stdio.h>

#include "program/ctl.h"

static int run(struct ctl *c, int argc, char **argv)
{
    (void)argv;
    Pb__ReadStatus req = PB__READ_STATUS__INIT;
    ProtobufCMessage *reply = NULL;
    if (argc != 0) {
        return CTL_USAGE;
    }
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_STATUS, &req.base, &reply);
    if (e != OK) {
        return ctl_fail("status", "", e);
    }
    const Pb__ReadStatusResult *r = (const Pb__ReadStatusResult *)(const void *)reply;
    unsigned long long accounts = 0;
    unsigned long long messages = 0;
    size_t leads = 0;
    for (size_t i = 0; i < r->n_shards; i++) {
        accounts += r->shards[i]->accounts;
        messages += r->shards[i]->messages;
        leads += r->shards[i]->leads ? 1 : 0;
    }
    printf("version   %s\nnode      %llu\nuptime    %llu s\nshards    %zu, leads %zu\naccounts  %llu\nmessages  %llu\n"
           "store     %llu MiB used of %llu MiB, file %llu MiB%s\n",
           r->version, (unsigned long long)r->node, (unsigned long long)r->uptime_ms / 1000, r->n_shards, leads,
           accounts, messages, (unsigned long long)r->used_bytes >> 20, (unsigned long long)r->map_bytes >> 20,
           (unsigned long long)r->file_bytes >> 20, r->read_only ? ", FULL: mail is refused" : "");
    return leads == r->n_shards ? 0 : 1;
}

CTL_CMD(status) = {
    .name = "status",
    .args = "",
    .help = "what the node holds and whether every shard is led (exit status 1 if not)",
    .run = run,
};
