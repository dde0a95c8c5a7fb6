#include "proto/rpc/server_internal.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>

#include "proto/base/mem.h"

#define HINTS_QUEUED 1024 /* a subscriber */

/* One context of nng runs receive -> handle -> send -> receive ... with one aio. */
enum slot_state { SLOT_RECEIVE, SLOT_SEND, SLOT_RETIRED };

struct rep_slot {
    struct server_request r; /* first */
    nng_ctx ctx;
    nng_aio *aio;
    int state; /* atomic: close looks at it */
};

static void slot_state_set(struct rep_slot *s, enum slot_state state)
{
    __atomic_store_n(&s->state, (int)state, __ATOMIC_RELEASE);
}

static void slot_receive(struct rep_slot *s)
{
    slot_state_set(s, SLOT_RECEIVE);
    nng_ctx_recv(s->ctx, s->aio);
}

static void slot_send(struct server_request *r, nng_msg *m)
{
    struct rep_slot *s = (struct rep_slot *)r;
    if (m == NULL) {
        slot_receive(s); /* nng drops the request */
        return;
    }
    slot_state_set(s, SLOT_SEND);
    nng_aio_set_msg(s->aio, m);
    nng_ctx_send(s->ctx, s->aio);
}

static void slot_callback(void *arg)
{
    struct rep_slot *s = arg;
    int rv = nng_aio_result(s->aio);
    bool sending = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == SLOT_SEND;
    if (sending && rv != 0 && nng_aio_get_msg(s->aio) != NULL) {
        nng_msg_free(nng_aio_get_msg(s->aio));
        nng_aio_set_msg(s->aio, NULL);
    }
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
        slot_state_set(s, SLOT_RETIRED);
        return;
    }
    if (sending || rv != 0) {
        slot_receive(s);
        return;
    }
    s->r.msg = nng_aio_get_msg(s->aio);
    nng_aio_set_msg(s->aio, NULL);
    server_request_run(&s->r);
}

static int slots_open(struct rpc_server *srv)
{
    srv->slots = mem_calloc(srv->contexts, sizeof(struct rep_slot));
    if (srv->slots == NULL) {
        return NNG_ENOMEM;
    }
    for (uint32_t i = 0; i < srv->contexts; i++) {
        struct rep_slot *s = &srv->slots[i];
        s->r.req.server = srv;
        s->r.send = slot_send;
        int rv = nng_aio_alloc(&s->aio, slot_callback, s);
        if (rv == 0 && (rv = nng_ctx_open(&s->ctx, srv->rep)) != 0) {
            nng_aio_free(s->aio);
        }
        if (rv != 0) {
            return rv;
        }
        srv->n_slots++;
        nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
        slot_receive(s);
    }
    return 0;
}

int server_rep_listen(struct rpc_server *srv, const char *url)
{
    int rv;
    if (!srv->has_rep) {
        if ((rv = nng_rep0_open(&srv->rep)) != 0) {
            return rv;
        }
        srv->has_rep = true;
        if ((rv = rpc_nng_socket_limits(srv->rep)) != 0 || (rv = slots_open(srv)) != 0) {
            return rv;
        }
    }
    return nng_listen(srv->rep, url, NULL, 0);
}

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

bool server_rep_sending(struct rpc_server *srv)
{
    for (uint32_t i = 0; i < srv->n_slots; i++) {
        if (__atomic_load_n(&srv->slots[i].state, __ATOMIC_ACQUIRE) == SLOT_SEND) {
            return true;
        }
    }
    return false;
}

void server_rep_close(struct rpc_server *srv)
{
    if (srv->has_rep) {
        (void)nng_close(srv->rep);
    }
    if (srv->has_pub) {
        (void)nng_close(srv->pub);
    }
    for (uint32_t i = 0; i < srv->n_slots; i++) {
        nng_aio_stop(srv->slots[i].aio);
        nng_aio_free(srv->slots[i].aio);
    }
    mem_free(srv->slots);
}
