/* `pillarbox ctl`: the operator's tool, an RPC client of a storage node. One command a file in program/ctl/, found by
 * the build.
 *
 * A command gets its own arguments (after its name), prints results on stdout and problems on stderr, and returns the
 * exit status: 0 done, 1 refused or failed, 2 usage. Single-threaded. */
#ifndef PROGRAM_CTL_H
#define PROGRAM_CTL_H

#include <protobuf-c/protobuf-c.h>

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/rpc/client.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"

struct ctl {
    struct rpc_client *client; /* NULL until the first call */
    const char *url;
    struct rpc_tls *tls; /* for tcp; NULL: plain */
    const char *data_dir;
    uint64_t default_shards; /* storage.shards */
    uint32_t shards;         /* of the cluster; read with the first ctl_shards() */
    uint64_t dedupe_ms;      /* storage.dedupe, */
    uint64_t map_bytes;      /* storage.map_size: of stores that are made here */
    bool unanswered;         /* the last call ended without the node's word */
    struct arena arena;
};

struct ctl_cmd {
    const char *name; /* "user add" */
    const char *args; /* "NAME [--quota BYTES]" */
    const char *help;
    int (*run)(struct ctl *c, int argc, char **argv); /* argv[0] is the first argument */
};

/* What run returns for wrong arguments: the caller prints the usage. */
#define CTL_USAGE 2

#define CTL_CMD(n) const struct ctl_cmd ctl_##n

extern const struct ctl_cmd *const ctl_table[];

/* Sends one request and waits, retrying what is temporary with the same request id for 20 s, and in the shard to which
 * the account has moved meanwhile. out_reply (may be NULL)
 * gets the unpacked reply in the arena. Prints nothing. */
MUST_CHECK enum err ctl_call(struct ctl *c, struct shard_id shard, struct account_id account, enum method method,
                             const ProtobufCMessage *message, ProtobufCMessage **out_reply);
/* The same with attachments. */
struct ctl_exchange {
    struct shard_id shard;
    struct account_id account;
    enum method method;
    const ProtobufCMessage *message;
    struct slice attach;
    ProtobufCMessage **out_reply; /* may be NULL */
    struct buf *out_attach;       /* appended to; may be NULL */
};
MUST_CHECK enum err ctl_exchange(struct ctl *c, const struct ctl_exchange *x);
/* The cluster as the node sees it; in the arena. */
MUST_CHECK enum err ctl_map(struct ctl *c, const Pb__ReadMapResult **out);
/* The cluster's number of account shards. */
MUST_CHECK enum err ctl_shards(struct ctl *c, uint32_t *out_shards);
/* Looks an account up by name; prints why it cannot. */
MUST_CHECK enum err ctl_account(struct ctl *c, const char *name, struct shard_id *out_shard,
                                struct account_id *out_account);
/* Says what failed and gives the exit status. */
int ctl_fail(const char *what, const char *name, enum err e);

/* A secret for `what` ("Password"): from a terminal with a prompt, without echo and asked twice, else one line of
 * stdin. Says what was wrong: nothing came, more than 1,024 bytes, or two different ones. The slice lies in the arena.
 */
MUST_CHECK enum err ctl_password(struct ctl *c, const char *what, struct slice *out);
/* Finds "--name" in the arguments and takes it out. */
bool ctl_flag(int *argc, char **argv, const char *name);
/* Finds "--name value" in the arguments and takes it out; NULL when absent. */
const char *ctl_option(int *argc, char **argv, const char *name);
/* Creates or retries one account: name reserved in the directory, then made in its shard. */
MUST_CHECK enum err ctl_account_make(struct ctl *c, const char *name, Pb__Credentials *cred, uint64_t quota_bytes);

#endif /* PROGRAM_CTL_H */
