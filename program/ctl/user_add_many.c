#include <stdio.h>

#include "frontend/session/auth.h"
#include "program/ctl.h"
#include "proto/base/rng.h"

#define BATCH 200
#define COUNT_MAX 1000000

/* Makes the accounts of one batch that fell to one shard. */
static enum err shard_make(struct ctl *c, Pb__OpDirAccountAddManyResult *placed, char **names, uint32_t shard,
                           Pb__Credentials *cred)
{
    Pb__OpAccountCreate rows[BATCH];
    Pb__OpAccountCreate *list[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < placed->n_accounts; i++) {
        if (placed->accounts[i]->shard == shard) {
            pb__op_account_create__init(&rows[n]);
            rows[n].account = placed->accounts[i]->account;
            rows[n].name = names[i];
            rows[n].credentials = cred;
            list[n] = &rows[n];
            n++;
        }
    }
    if (n == 0) {
        return OK;
    }
    Pb__OpAccountCreateMany op = PB__OP_ACCOUNT_CREATE_MANY__INIT;
    op.accounts = list;
    op.n_accounts = n;
    return ctl_call(c, (struct shard_id){shard}, (struct account_id){0}, METHOD_ACCOUNT_CREATE_MANY, &op.base, NULL);
}

static enum err batch_make(struct ctl *c, const char *domain, uint32_t first, uint32_t n, uint32_t shards,
                           Pb__Credentials *cred)
{
    char *names[BATCH];
    ProtobufCMessage *reply = NULL;
    for (uint32_t i = 0; i < n; i++) {
        names[i] = arena_printf(&c->arena, "u%04u@%s", first + i, domain);
        if (names[i] == NULL) {
            return ERR_NOMEM;
        }
    }
    Pb__OpDirAccountAddMany op = PB__OP_DIR_ACCOUNT_ADD_MANY__INIT;
    op.names = names;
    op.n_names = n;
    op.shards = shards;
    enum err e =
        ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_DIR_ACCOUNT_ADD_MANY, &op.base, &reply);
    Pb__OpDirAccountAddManyResult *placed = (Pb__OpDirAccountAddManyResult *)(void *)reply;
    if (e == OK && placed->n_accounts != n) {
        e = ERR_CORRUPT;
    }
    for (uint32_t s = 1; e == OK && s <= shards; s++) {
        e = shard_make(c, placed, names, s, cred);
    }
    return e;
}

static int run(struct ctl *c, int argc, char **argv)
{
    uint64_t count = 0;
    uint32_t shards = 0;
    struct slice password;
    if (argc != 2 || slice_u64(slice_str(argv[1]), &count) != OK || count < 1 || count > COUNT_MAX) {
        return CTL_USAGE;
    }
    if (ctl_password(c, "Password", &password) != OK) {
        return 1;
    }
    Pb__Credentials cred = PB__CREDENTIALS__INIT;
    enum err e = credentials_make(password, rng_system(), &c->arena, &cred);
    if (e == OK) {
        e = ctl_shards(c, &shards);
    }
    for (uint64_t done = 0; e == OK && done < count; done += BATCH) {
        uint64_t left = count - done;
        e = batch_make(c, argv[0], (uint32_t)done + 1, (uint32_t)(left < BATCH ? left : BATCH), shards, &cred);
    }
    if (e != OK) {
        return ctl_fail("user add-many", argv[0], e);
    }
    printf("u0001@%s to u%04llu@%s\n", argv[0], (unsigned long long)count, argv[0]);
    return 0;
}

CTL_CMD(user_add_many) = {
    .name = "user add-many",
    .args = "DOMAIN COUNT",
    .help = "make u0001..uCOUNT sharing one password from stdin (one hash for all: load tests)",
    .run = run,
};
