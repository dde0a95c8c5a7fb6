/* A call within the process, there and back: 4 KiB with the request, a short reply that the handler gives at once. What
 * the hand-over to the handler's and the caller's threads costs is theirs. */
#include "bench/micro/mail.h"
#include "bench/micro/micro.h"
#include "proto/base/mem.h"
#include "proto/rpc/client.h"
#include "proto/rpc/method.h"
#include "proto/rpc/server.h"

#define URL "inproc://micro"
#define BYTES_MAX ((size_t)RPC_FRAME_BYTES_MAX)

struct inproc {
    struct buf mail;
    struct rpc_server *server;
    struct rpc_client *client;
    unsigned done;
};

static void on_request(void *user, struct rpc_request *r)
{
    (void)user;
    rpc_request_reply(r, OK, 0, r->meta, slice_str(""));
}

static void *inproc_open(void)
{
    static const char *const urls[] = {URL};
    struct rpc_server_config sc = {.urls = urls, .n_urls = 1, .on_request = on_request};
    struct rpc_client_config cc = {.url = URL};
    struct inproc *c = mem_zalloc(sizeof(*c));
    MICRO_MUST(c != NULL);
    buf_init(&c->mail, BYTES_MAX);
    mail_plain(&c->mail);
    MICRO_OK(rpc_server_open(&sc, &c->server, NULL));
    MICRO_OK(rpc_client_open(&cc, &c->client, NULL));
    return c;
}

static void call_done(struct rpc_call *call)
{
    struct inproc *c = call->user;
    MICRO_OK(call->status);
    rpc_reply_fini(&call->reply);
    c->done++;
}

static void inproc_run(void *state)
{
    struct inproc *c = state;
    struct rpc_call call = {.head = {.method = METHOD_DELIVER, .shard = {1}, .account = {11}, .budget_ms = 30000},
                            .meta = slice_str("a small reply, as most are"),
                            .attach = buf_slice(&c->mail),
                            .timeout_ms = 30000,
                            .done = call_done,
                            .user = c};
    unsigned before = c->done;
    MICRO_OK(rpc_client_send(c->client, &call));
    MICRO_MUST(c->done == before + 1);
}

static void inproc_close(void *state)
{
    struct inproc *c = state;
    rpc_client_close(c->client);
    rpc_server_close(c->server);
    buf_fini(&c->mail);
    mem_free(c);
}

MICRO(rpc_inproc) = {
    .name = "rpc_inproc",
    .op = "a call of 4 KiB within the process, answered at once",
    .iterations = 100,
    .open = inproc_open,
    .run = inproc_run,
    .close = inproc_close,
};
