#include "proto/rpc/client.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>

#include "proto/base/mem.h"
#include "proto/rpc/nng_common.h"

#define HINTS_QUEUED 4096

struct rpc_subscriber {
    nng_socket sock;
    nng_aio *aio;
    int pipe; /* atomic: id of the live pipe */
    struct rpc_subscriber_config cfg;
};

static void hint_received(void *arg)
{
    struct rpc_subscriber *s = arg;
    int rv = nng_aio_result(s->aio);
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
        return;
    }
    if (rv == 0) {
        nng_msg *m = nng_aio_get_msg(s->aio);
        struct rpc_hint h;
        if (rpc_hint_decode(slice_make(nng_msg_body(m), nng_msg_len(m)), &h) == OK) {
            s->cfg.on_hint(s->cfg.user, &h);
        }
        nng_msg_free(m);
    }
    nng_recv_aio(s->sock, s->aio);
}

static void pipe_added(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct rpc_subscriber *s = arg;
    (void)ev;
    __atomic_store_n(&s->pipe, nng_pipe_id(p), __ATOMIC_RELEASE);
    s->cfg.on_link(s->cfg.user, true);
}

static void pipe_removed(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct rpc_subscriber *s = arg;
    int id = nng_pipe_id(p);
    (void)ev;
    if (__atomic_compare_exchange_n(&s->pipe, &id, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        s->cfg.on_link(s->cfg.user, false);
    }
}

static int subscriber_start(struct rpc_subscriber *s, const char *url)
{
    int rv;
    if ((rv = nng_sub0_open(&s->sock)) != 0) {
        return rv;
    }
    if ((rv = nng_socket_set(s->sock, NNG_OPT_SUB_SUBSCRIBE, "HINT", 4)) != 0 ||
        (rv = nng_socket_set_int(s->sock, NNG_OPT_RECVBUF, HINTS_QUEUED)) != 0 ||
        (rv = rpc_nng_socket_limits(s->sock)) != 0 ||
        (rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_POST, pipe_added, s)) != 0 ||
        (rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_REM_POST, pipe_removed, s)) != 0 ||
        (rv = nng_aio_alloc(&s->aio, hint_received, s)) != 0) {
        (void)nng_close(s->sock);
        return rv;
    }
    nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
    nng_recv_aio(s->sock, s->aio);
    if ((rv = rpc_nng_dial(s->sock, url)) != 0) {
        (void)nng_close(s->sock);
        nng_aio_stop(s->aio);
        nng_aio_free(s->aio);
    }
    return rv;
}

enum err rpc_subscriber_open(const struct rpc_subscriber_config *cfg, struct rpc_subscriber **out, struct buf *why)
{
    struct rpc_subscriber *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->cfg = *cfg;
    rpc_nng_init();
    int rv = subscriber_start(s, cfg->url);
    if (rv != 0) {
        enum err e = rpc_nng_error(rv, "subscribe", cfg->url, why);
        mem_free(s);
        return e;
    }
    *out = s;
    return OK;
}

void rpc_subscriber_close(struct rpc_subscriber *s)
{
    if (s == NULL) {
        return;
    }
    (void)nng_close(s->sock);
    nng_aio_stop(s->aio);
    nng_aio_free(s->aio);
    mem_free(s);
}
