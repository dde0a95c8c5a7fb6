/* The server's parts: requests and their replies (server.c), nng's REP and PUB for inproc (server_rep.c), tcp and ipc
 * (server_stream.c). */
#ifndef PROTO_RPC_SERVER_INTERNAL_H
#define PROTO_RPC_SERVER_INTERNAL_H

#include <pthread.h>

#include "proto/rpc/nng_common.h"
#include "proto/rpc/server.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rep_slot;
struct stream_server;

/* A request on its way through the handler. The carrier embeds it. */
struct server_request {
    struct rpc_request req; /* first */
    nng_msg *msg;           /* while it is handled */
    nng_msg *reply;         /* between reply_begin and reply_end */
    void (*send)(struct server_request *r,
                 nng_msg *m); /* takes m; NULL: nothing to send (out of memory). Ends the request. */
};

struct rpc_server {
    struct rpc_server_config cfg; /* its url arrays are not kept */
    uint32_t contexts;
    pthread_rwlock_t gate; /* on_request runs with it read-locked; stop takes it to write `stopped` */
    bool stopped;
    uint32_t outstanding; /* atomic: requests with the handler */

    /* inproc */
    nng_socket rep, pub;
    bool has_rep, has_pub;
    struct rep_slot *slots;
    uint32_t n_slots;

    struct stream_server *streams; /* NULL: no tcp or ipc url */
};

/* Decodes r->msg and hands it to the handler, or refuses it. `send` is called sooner or later. */
void server_request_run(struct server_request *r);

/* --- server_rep.c --- nng's errors */
MUST_CHECK int server_rep_listen(struct rpc_server *srv, const char *url);
MUST_CHECK int server_pub_listen(struct rpc_server *srv, const char *url);
bool server_rep_sending(struct rpc_server *srv);
void server_rep_close(struct rpc_server *srv);

/* --- server_stream.c --- errno */
MUST_CHECK int server_stream_listen(struct rpc_server *srv, const char *url, bool pub);
/* Once, after the last server_stream_listen. */
MUST_CHECK int server_stream_start(struct rpc_server *srv);
void server_stream_publish(struct rpc_server *srv, const uint8_t *p, size_t n);
bool server_stream_sending(struct rpc_server *srv);
void server_stream_close(struct rpc_server *srv);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_SERVER_INTERNAL_H */
