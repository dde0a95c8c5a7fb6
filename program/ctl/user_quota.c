#include <stdio.h>

#include "program/config.h"
#include "program/ctl.h"

static int show(struct ctl *c, const char *name, struct shard_id shard, struct account_id account)
{
    Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
    ProtobufCMessage *reply = NULL;
    req.account = account.v;
    enum err e = ctl_call(c, shard, account, METHOD_ACCOUNT, &req.base, &reply);
    if (e != OK) {
        return ctl_fail("user quota", name, e);
    }
    Pb__ReadAccountResult *r = (Pb__ReadAccountResult *)(void *)reply;
    printf("bytes\t%llu of %llu\nmessages\t%llu of %llu\n(0 = no limit)\n", (unsigned long long)r->used_bytes,
           (unsigned long long)r->quota_bytes, (unsigned long long)r->used_messages,
           (unsigned long long)r->quota_messages);
    if (r->kept_messages > 0) {
        printf("expunged\t%llu bytes in %llu messages that can be brought back (not counted)\n",
               (unsigned long long)r->kept_bytes, (unsigned long long)r->kept_messages);
    }
    return 0;
}

static int run(struct ctl *c, int argc, char **argv)
{
    struct shard_id shard;
    struct account_id account;
    Pb__OpQuotaSet op = PB__OP_QUOTA_SET__INIT;
    if (argc < 1 || argc > 3 || (argc > 1 && config_bytes_parse(argv[1], &op.quota_bytes) != OK) ||
        (argc > 2 && slice_u64(slice_str(argv[2]), &op.quota_messages) != OK)) {
        return CTL_USAGE;
    }
    enum err e = ctl_account(c, argv[0], &shard, &account);
    if (e == OK && argc > 1) {
        op.account = account.v;
        e = ctl_call(c, shard, account, METHOD_QUOTA_SET, &op.base, NULL);
    }
    return e == OK ? show(c, argv[0], shard, account) : ctl_fail("user quota", argv[0], e);
}

CTL_CMD(user_quota) = {
    .name = "user quota",
    .args = "ADDRESS [BYTES [MESSAGES]]",
    .help = "show or set an account's quota: bytes (or 5GiB) and messages, 0 = none",
    .run = run,
};
