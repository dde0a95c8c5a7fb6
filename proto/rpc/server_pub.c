#include "proto/rpc/server_internal.h"

#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>

#define HINTS_QUEUED 1024 /* a subscriber */

int server_pub_listen(struct rpc_server *srv, const char *url)
{
    int rv;
    if (!srv->has_pub) {
        if ((rv = nng_pub0_open(&srv->pub)) != 0) {
            return rv;
        }
        srv->has_pub = true;
        if ((rv = nng_socket_set_int(srv->pub, NNG_OPT_SENDBUF, HINTS_QUEUED)) != 0 ||
            (rv = rpc_nng_socket_limits(srv->pub)) != 0) {
            return rv;
        }
    }
    return nng_listen(srv->pub, url, NULL, 0);
}

void server_pub_publish(struct rpc_server *srv, const uint8_t *p, size_t n)
{
    nng_msg *m = NULL;
    if (!srv->has_pub || nng_msg_alloc(&m, n) != 0) {
        return;
    }
    memcpy(nng_msg_body(m), p, n);
    if (nng_sendmsg(srv->pub, m, NNG_FLAG_NONBLOCK) != 0) {
        nng_msg_free(m);
    }
}

void server_pub_close(struct rpc_server *srv)
{
    if (srv->has_pub) {
        (void)nng_close(srv->pub);
    }
}
