/* The server's parts: requests and their replies (server.c), calls within the process (inproc.h), nng's PUB for hints
 * within it (server_pub.c), tcp and ipc (server_stream.c). */
#ifndef PROTO_RPC_SERVER_INTERNAL_H
#define PROTO_RPC_SERVER_INTERNAL_H

#include <pthread.h>

#include "proto/rpc/nng_common.h"
#include "proto/rpc/server.h"

#ifdef __cplusplus
extern "C" {
#endif

struct inproc_port;
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
    bool stopped;          /* atomic */
    uint32_t outstanding;  /* atomic: requests with the handler */

    /* inproc */
    struct inproc_port *port; /* NULL: no inproc url */
    nng_socket pub;
    bool has_pub;

    struct stream_server *streams; /* NULL: no tcp or ipc url */
};

/* Decodes r->msg and hands it to the handler, or refuses it. `send` is called sooner or later, maybe before it returns.
 */
void server_request_run(struct server_request *r);

/* --- server_pub.c --- nng's errors */
MUST_CHECK int server_pub_listen(struct rpc_server *srv, const char *url);
void server_pub_publish(struct rpc_server *srv, const uint8_t *p, size_t n);
void server_pub_close(struct rpc_server *srv);

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
