#include "program/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "proto/base/rng.h"

#define CALL_MS 20000
#define RETRY_MS 200

static void *arena_proto_alloc(void *ctx, size_t n)
{
    return arena_alloc(ctx, n);
}

static void arena_proto_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

static enum err client_open(struct ctl *c)
{
    struct buf why;
    if (c->client != NULL) {
        return OK;
    }
    /* A node that is not there at all is said at once, instead of waiting for it. */
    static const char ipc[] = "ipc://";
    if (strncmp(c->url, ipc, sizeof(ipc) - 1) == 0 && access(c->url + sizeof(ipc) - 1, R_OK | W_OK) != 0) {
        fprintf(stderr, "pillarbox ctl: %s: %s%s\n", c->url + sizeof(ipc) - 1, strerror(errno),
                errno == ENOENT ? " (no node runs on this data directory)" : "");
        return ERR_UNAVAILABLE;
    }
    buf_init(&why, 4096);
    struct rpc_client_config cfg = {.url = c->url, .inflight_max = 16, .tls = c->tls};
    enum err e = rpc_client_open(&cfg, &c->client, &why);
    if (e != OK) {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: %s: %.*s\n", c->url, (int)w.n, (const char *)w.p);
    }
    buf_fini(&why);
    return e;
}

static bool temporary(enum err e)
{
    return e == ERR_UNAVAILABLE || e == ERR_NOT_LEADER || e == ERR_CLOSED || e == ERR_TIMEOUT || e == ERR_OVERLOAD;
}

static enum err unpack(struct ctl *c, enum method method, struct slice meta, ProtobufCMessage **out)
{
    const struct method_info *info = method_info(method);
    ProtobufCAllocator alloc = {arena_proto_alloc, arena_proto_free, &c->arena};
    if (out == NULL || info == NULL || info->reply == NULL) {
        return OK;
    }
    *out = protobuf_c_message_unpack(info->reply, &alloc, meta.n, meta.p);
    return *out == NULL ? ERR_CORRUPT : OK;
}

static void pause_ms(uint64_t ms)
{
    struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL);
}

static enum err take_reply(struct ctl *c, const struct ctl_exchange *x, const struct rpc_reply *reply)
{
    enum err e = reply->head.status;
    if (e == OK) {
        e = unpack(c, x->method, reply->meta, x->out_reply);
    }
    if (e == OK && x->out_attach != NULL) {
        e = buf_append_slice(x->out_attach, reply->attach);
    }
    return e;
}

enum err ctl_call(struct ctl *c, struct shard_id shard, struct account_id account, enum method method,
                  const ProtobufCMessage *message, ProtobufCMessage **out_reply)
{
    const struct ctl_exchange x = {
        .shard = shard, .account = account, .method = method, .message = message, .out_reply = out_reply};
    return ctl_exchange(c, &x);
}

enum err ctl_exchange(struct ctl *c, const struct ctl_exchange *x)
{
    enum err e = client_open(c);
    if (e != OK) {
        return e;
    }
    const ProtobufCMessage *message = x->message;
    size_t n = message == NULL ? 0 : protobuf_c_message_get_packed_size(message);
    uint8_t *meta = arena_alloc(&c->arena, n + 1);
    if (meta == NULL) {
        return ERR_NOMEM;
    }
    if (message != NULL) {
        protobuf_c_message_pack(message, meta);
    }
    uint64_t deadline = clock_mono_ms(clock_system()) + CALL_MS;
    struct shard_id shard = x->shard;
    struct u128 id = rng_u128(rng_system());
    uint64_t issue = clock_wall_ms(clock_system());
    for (;;) {
        struct rpc_call call = {.head = {.method = (uint16_t)x->method,
                                         .forward = true,
                                         .shard = shard,
                                         .account = x->account,
                                         .request_id = id,
                                         .issue_ms = issue,
                                         .budget_ms = CALL_MS},
                                .meta = slice_make(meta, n),
                                .attach = x->attach,
                                .timeout_ms = CALL_MS};
        e = rpc_client_call(c->client, &call);
        if (e == OK) {
            e = call.status;
        }
        if (e == OK) {
            if (call.reply.head.status == ERR_MOVED && call.reply.head.hint != 0) { /* asked again there */
                shard.v = (uint32_t)call.reply.head.hint;
                e = ERR_UNAVAILABLE;
            } else {
                e = take_reply(c, x, &call.reply);
            }
            rpc_reply_fini(&call.reply);
        }
        c->unanswered = temporary(e);
        if (!temporary(e) || clock_mono_ms(clock_system()) + RETRY_MS > deadline) {
            return e;
        }
        pause_ms(RETRY_MS);
    }
}

enum err ctl_map(struct ctl *c, const Pb__ReadMapResult **out)
{
    Pb__ReadMap req = PB__READ_MAP__INIT;
    ProtobufCMessage *reply = NULL;
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_MAP, &req.base, &reply);
    if (e == OK) {
        *out = (const Pb__ReadMapResult *)(const void *)reply;
    }
    return e;
}

enum err ctl_shards(struct ctl *c, uint32_t *out_shards)
{
    if (c->shards == 0) {
        const Pb__ReadMapResult *map;
        enum err e = ctl_map(c, &map);
        if (e != OK) {
            return e;
        }
        c->shards = map->shards;
    }
    *out_shards = c->shards;
    return OK;
}

enum err ctl_account(struct ctl *c, const char *name, struct shard_id *out_shard, struct account_id *out_account)
{
    Pb__ReadResolve req = PB__READ_RESOLVE__INIT;
    req.address = (char *)(uintptr_t)name;
    ProtobufCMessage *reply = NULL;
    enum err e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_RESOLVE, &req.base, &reply);
    if (e != OK) {
        return e;
    }
    Pb__ReadResolveResult *r = (Pb__ReadResolveResult *)(void *)reply;
    for (size_t i = 0; i < r->n_targets; i++) {
        if (strcasecmp(r->targets[i]->name, name) == 0) {
            out_shard->v = r->targets[i]->shard;
            out_account->v = r->targets[i]->account;
            return OK;
        }
    }
    return ERR_NOTFOUND;
}

enum err ctl_account_make(struct ctl *c, const char *name, Pb__Credentials *cred, uint64_t quota_bytes)
{
    uint32_t shards;
    enum err e = ctl_shards(c, &shards);
    if (e != OK) {
        return e;
    }
    Pb__OpDirAccountAdd add = PB__OP_DIR_ACCOUNT_ADD__INIT;
    add.name = (char *)(uintptr_t)name;
    add.shards = shards;
    ProtobufCMessage *reply = NULL;
    e = ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_DIR_ACCOUNT_ADD, &add.base, &reply);
    struct shard_id shard;
    struct account_id account;
    if (e == OK) {
        Pb__OpDirAccountAddResult *r = (Pb__OpDirAccountAddResult *)(void *)reply;
        shard.v = r->shard;
        account.v = r->account;
    } else if (e != ERR_EXISTS || ctl_account(c, name, &shard, &account) != OK) {
        return e;
    }
    /* The name may have been reserved by an attempt that died before this step: making the account is what decides. */
    Pb__OpAccountCreate create = PB__OP_ACCOUNT_CREATE__INIT;
    create.account = account.v;
    create.name = (char *)(uintptr_t)name;
    create.credentials = cred;
    create.quota_bytes = quota_bytes;
    return ctl_call(c, shard, account, METHOD_ACCOUNT_CREATE, &create.base, NULL);
}

int ctl_fail(const char *what, const char *name, enum err e)
{
    fprintf(stderr, "pillarbox ctl: %s%s%s: %s\n", what, name[0] != '\0' ? " " : "", name, err_text(e));
    return 1;
}

bool ctl_flag(int *argc, char **argv, const char *name)
{
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i - 1) * sizeof(argv[0]));
            *argc -= 1;
            return true;
        }
    }
    return false;
}

const char *ctl_option(int *argc, char **argv, const char *name)
{
    for (int i = 0; i + 1 < *argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            const char *value = argv[i + 1];
            memmove(&argv[i], &argv[i + 2], (size_t)(*argc - i - 2) * sizeof(argv[0]));
            *argc -= 2;
            return value;
        }
    }
    return NULL;
}
