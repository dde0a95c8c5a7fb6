#include "proto/rpc/client.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>

#include "proto/base/mem.h"
#include "proto/rpc/redial.h"

#define HINTS_QUEUED 4096

struct rpc_subscriber {
    struct rpc_subscriber_config cfg;
    struct rpc_redial *redial; /* NULL: inproc */
    nng_socket sock;           /* inproc */
    nng_aio *aio;
};

static void hint_deliver(struct rpc_subscriber *s, nng_msg *m)
{
    struct rpc_hint h;
    if (rpc_hint_decode(slice_make(nng_msg_body(m), nng_msg_len(m)), &h) == OK) {
        s->cfg.on_hint(s->cfg.user, &h);
    }
    nng_msg_free(m);
}

/* --- tcp and ipc --- */

static void link_up(void *user)
{
    struct rpc_subscriber *s = user;
    s->cfg.on_link(s->cfg.user, true);
}

static void link_frame(void *user, uint64_t tag, nng_msg *m)
{
    (void)tag;
    hint_deliver(user, m);
}

static void link_down(void *user)
{
    struct rpc_subscriber *s = user;
    s->cfg.on_link(s->cfg.user, false);
}

static const struct rpc_redial_ops link_ops = {.on_up = link_up, .on_frame = link_frame, .on_down = link_down};

/* --- inproc --- */

static void sub_received(void *arg)
{
    struct rpc_subscriber *s = arg;
    int rv = nng_aio_result(s->aio);
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
        return;
    }
    if (rv == 0) {
        nng_msg *m = nng_aio_get_msg(s->aio);
        nng_aio_set_msg(s->aio, NULL);
        hint_deliver(s, m);
    }
    nng_recv_aio(s->sock, s->aio);
}

static void pipe_changed(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct rpc_subscriber *s = arg;
    (void)p;
    s->cfg.on_link(s->cfg.user, ev == NNG_PIPE_EV_ADD_POST);
}

static int sub_start(struct rpc_subscriber *s)
{
    int rv;
    if ((rv = nng_socket_set(s->sock, NNG_OPT_SUB_SUBSCRIBE, "HINT", 4)) != 0 ||
        (rv = nng_socket_set_int(s->sock, NNG_OPT_RECVBUF, HINTS_QUEUED)) != 0 ||
        (rv = rpc_nng_socket_limits(s->sock)) != 0 ||
        (rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_ADD_POST, pipe_changed, s)) != 0 ||
        (rv = nng_pipe_notify(s->sock, NNG_PIPE_EV_REM_POST, pipe_changed, s)) != 0 ||
        (rv = nng_aio_alloc(&s->aio, sub_received, s)) != 0) {
        return rv;
    }
    nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
    nng_recv_aio(s->sock, s->aio);
    return rpc_nng_dial(s->sock, s->cfg.url);
}

static void sub_stop(struct rpc_subscriber *s)
{
    (void)nng_close(s->sock);
    if (s->aio != NULL) {
        nng_aio_stop(s->aio);
        nng_aio_free(s->aio);
    }
}

static enum err sub_open(struct rpc_subscriber *s, struct buf *why)
{
    int rv = nng_sub0_open(&s->sock);
    if (rv == 0 && (rv = sub_start(s)) != 0) {
        sub_stop(s);
    }
    return rv == 0 ? OK : rpc_nng_error(rv, "subscribe", s->cfg.url, why);
}

/* --- life --- */

enum err rpc_subscriber_open(const struct rpc_subscriber_config *cfg, struct rpc_subscriber **out, struct buf *why)
{
    struct rpc_subscriber *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->cfg = *cfg;
    rpc_nng_init();
    struct rpc_redial_config rc = {.url = cfg->url, .ops = &link_ops, .user = s, .tls = cfg->tls};
    enum err e = rpc_url_is_inproc(cfg->url) ? sub_open(s, why) : rpc_redial_open(&rc, &s->redial, why);
    if (e != OK) {
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
    if (s->redial != NULL) {
        rpc_redial_close(s->redial);
    } else {
        sub_stop(s);
    }
    mem_free(s);
}
