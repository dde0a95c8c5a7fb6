#include "proto/rpc/client_internal.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

/* A slot is in the free list or with nng: then exactly one callback is to come. A call that timed out is taken off its
 * slot, but the slot stays with nng until the reply comes or the link ends: cancelling is where nng 1.5 crashes
 * (#1702). */
static void req_callback(void *arg)
{
    struct client_slot *s = arg;
    struct rpc_client *c = s->client;
    int rv = nng_aio_result(s->aio);
    nng_msg *msg = NULL;
    if (s->sending && rv == 0) {
        s->sending = false;
        nng_ctx_recv(s->ctx, s->aio);
        return;
    }
    if (s->sending || rv == 0) {
        msg = nng_aio_get_msg(s->aio); /* the unsent request, or the reply */
        nng_aio_set_msg(s->aio, NULL);
    }
    struct u128 id = s->request_id;
    (void)pthread_mutex_lock(&c->mutex);
    struct rpc_call *call = client_slot_take(s);
    client_slot_release(s);
    (void)pthread_mutex_unlock(&c->mutex);
    client_call_finish(call, rv == 0 ? OK : rv == NNG_ENOMEM ? ERR_NOMEM : ERR_CLOSED, &id, msg);
}

int client_req_slot_init(struct client_slot *s)
{
    int rv = nng_aio_alloc(&s->aio, req_callback, s);
    if (rv != 0) {
        return rv;
    }
    if ((rv = nng_ctx_open(&s->ctx, s->client->sock)) != 0) {
        nng_aio_free(s->aio);
        return rv;
    }
    nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
    return 0;
}

void client_req_slot_fini(struct client_slot *s)
{
    nng_aio_stop(s->aio);
    nng_aio_free(s->aio);
}

void client_req_send(struct client_slot *s, nng_msg *m)
{
    s->sending = true;
    nng_aio_set_msg(s->aio, m);
    nng_ctx_send(s->ctx, s->aio);
}

/* nng does not order the two callbacks of one pipe, so they are counted: the sum is right in the end. */
static void pipe_changed(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct rpc_client *c = arg;
    (void)p;
    (void)__atomic_add_fetch(&c->pipes, ev == NNG_PIPE_EV_ADD_POST ? 1u : UINT32_MAX, __ATOMIC_ACQ_REL);
}

/* RESENDTIME first: contexts inherit it. With it a cut link fails the request (ECONNRESET) and nothing is ever sent
 * twice. */
int client_req_open(struct rpc_client *c, const char *url)
{
    int rv = nng_req0_open(&c->sock);
    if (rv != 0) {
        return rv;
    }
    if ((rv = nng_socket_set_ms(c->sock, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE)) != 0 ||
        (rv = rpc_nng_socket_limits(c->sock)) != 0 ||
        (rv = nng_pipe_notify(c->sock, NNG_PIPE_EV_ADD_POST, pipe_changed, c)) != 0 ||
        (rv = nng_pipe_notify(c->sock, NNG_PIPE_EV_REM_POST, pipe_changed, c)) != 0 ||
        (rv = rpc_nng_dial(c->sock, url)) != 0) {
        (void)nng_close(c->sock);
    }
    return rv;
}

void client_req_close(struct rpc_client *c)
{
    (void)nng_close(c->sock);
}
