#include "proto/rpc/server_internal.h"

#include <string.h>
#include <time.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/rpc/inproc.h"
#include "proto/rpc/stream.h"

#define CONTEXTS_DEFAULT 1024
#define CLOSE_WAIT_MS 500 /* for replies that are being sent */

/* --- replies --- */

static void reply_head(const struct server_request *r, enum err status, uint64_t hint, size_t meta_n, size_t attach_n,
                       uint8_t *out)
{
    struct rpc_head h = r->req.head;
    h.reply = true;
    h.status = status;
    h.hint = hint;
    h.budget_ms = 0;
    h.meta_bytes = (uint32_t)meta_n;
    h.attach_bytes = (uint32_t)attach_n;
    rpc_head_encode(&h, out);
}

/* The request's own message serves when there is nothing but a head to send: no memory needed to say no. */
static void reply_bare(struct server_request *r, enum err status, uint64_t hint)
{
    nng_msg *m = r->msg;
    r->msg = NULL;
    (void)nng_msg_chop(m, nng_msg_len(m) - RPC_HEAD_BYTES);
    reply_head(r, status, hint, 0, 0, nng_msg_body(m));
    r->send(r, m);
}

enum err rpc_request_reply_begin(struct rpc_request *req, size_t bytes, uint8_t **out_p)
{
    struct server_request *r = (struct server_request *)req;
    ASSERT(r->reply == NULL);
    if (bytes > RPC_FRAME_BYTES_MAX - RPC_HEAD_BYTES) {
        return ERR_LIMIT;
    }
    if (nng_msg_alloc(&r->reply, RPC_HEAD_BYTES + bytes) != 0) {
        r->reply = NULL;
        return ERR_NOMEM;
    }
    *out_p = (uint8_t *)nng_msg_body(r->reply) + RPC_HEAD_BYTES;
    return OK;
}

void rpc_request_reply_end(struct rpc_request *req, enum err status, uint64_t hint, size_t meta_bytes,
                           size_t attach_bytes)
{
    struct server_request *r = (struct server_request *)req;
    nng_msg *m = r->reply;
    size_t bytes = RPC_HEAD_BYTES + meta_bytes + attach_bytes;
    ASSERT(m != NULL && bytes <= nng_msg_len(m));
    r->reply = NULL;
    (void)nng_msg_chop(m, nng_msg_len(m) - bytes);
    reply_head(r, status, hint, meta_bytes, attach_bytes, nng_msg_body(m));
    nng_msg_free(r->msg);
    r->msg = NULL;
    struct rpc_server *srv = req->server;
    r->send(r, m);
    (void)__atomic_sub_fetch(&srv->outstanding, 1, __ATOMIC_ACQ_REL);
}

void rpc_request_reply(struct rpc_request *req, enum err status, uint64_t hint, struct slice meta, struct slice attach)
{
    struct rpc_server *srv = req->server;
    uint8_t *p;
    enum err e = OK;
    if (meta.n + attach.n > 0) {
        e = meta.n > RPC_FRAME_BYTES_MAX ? ERR_LIMIT : rpc_request_reply_begin(req, meta.n + attach.n, &p);
    }
    if (e != OK || meta.n + attach.n == 0) {
        reply_bare((struct server_request *)req, e != OK ? e : status, hint);
        (void)__atomic_sub_fetch(&srv->outstanding, 1, __ATOMIC_ACQ_REL);
        return;
    }
    if (meta.n > 0) {
        memcpy(p, meta.p, meta.n);
    }
    if (attach.n > 0) {
        memcpy(p + meta.n, attach.p, attach.n);
    }
    rpc_request_reply_end(req, status, hint, meta.n, attach.n);
}

/* --- requests --- */

/* As much of the head as can be trusted to find the caller again: the id lets it tell this refusal from somebody else's
 * reply. */
static void request_refuse_corrupt(struct server_request *r)
{
    nng_msg *m = r->msg;
    memset(&r->req.head, 0, sizeof(r->req.head));
    if (nng_msg_len(m) < RPC_HEAD_BYTES) {
        nng_msg_free(m);
        r->msg = NULL;
        struct rpc_head h;
        memset(&h, 0, sizeof(h));
        h.reply = true;
        h.status = ERR_CORRUPT;
        r->send(r, rpc_nng_msg(&h, slice_make(NULL, 0), slice_make(NULL, 0)));
        return;
    }
    const uint8_t *p = nng_msg_body(m);
    r->req.head.method = get_le16(p + 6);
    memcpy(r->req.head.request_id.b, p + 16, 16);
    reply_bare(r, ERR_CORRUPT, 0);
}

void server_request_run(struct server_request *r)
{
    struct rpc_request *q = &r->req;
    struct rpc_server *srv = q->server;
    if (rpc_frame_decode(slice_make(nng_msg_body(r->msg), nng_msg_len(r->msg)), &q->head, &q->meta, &q->attach) != OK ||
        q->head.reply) {
        request_refuse_corrupt(r);
        return;
    }
    q->deadline_ms = clock_mono_ms(clock_system()) + q->head.budget_ms;
    q->user = NULL;
    (void)pthread_rwlock_rdlock(&srv->gate);
    bool stopped = __atomic_load_n(&srv->stopped, __ATOMIC_RELAXED);
    if (!stopped) {
        (void)__atomic_add_fetch(&srv->outstanding, 1, __ATOMIC_ACQ_REL);
        srv->cfg.on_request(srv->cfg.user, q);
    }
    (void)pthread_rwlock_unlock(&srv->gate);
    if (stopped) {
        reply_bare(r, ERR_UNAVAILABLE, 0); /* last: no outstanding request keeps the server there */
    }
}

/* --- life --- */

static enum err inproc_listen(struct rpc_server *srv, const char *url, struct buf *why)
{
    struct inproc_port *p = NULL;
    enum err e = srv->port == NULL ? inproc_port_get(url, &p) : ERR_INVAL;
    if (e == OK && (e = inproc_port_bind(p, srv)) != OK) {
        inproc_port_put(p);
    }
    if (e == OK) {
        srv->port = p;
    } else if (why != NULL && buf_printf(why, "listen %s: %s", url, err_text(e)) != OK) {
        buf_reset(why);
    }
    return e;
}

static enum err listen_one(struct rpc_server *srv, const char *url, bool pub, struct buf *why)
{
    if (!rpc_url_is_inproc(url)) {
        int error = server_stream_listen(srv, url, pub);
        return error == 0 ? OK : rpc_socket_error(error, "listen", url, why);
    }
    if (!pub) {
        return inproc_listen(srv, url, why);
    }
    int rv = server_pub_listen(srv, url);
    return rv == 0 ? OK : rpc_nng_error(rv, "listen", url, why);
}

static enum err listen_all(struct rpc_server *srv, const struct rpc_server_config *cfg, struct buf *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < cfg->n_pub_urls; i++) {
        e = listen_one(srv, cfg->pub_urls[i], true, why);
    }
    for (size_t i = 0; e == OK && i < cfg->n_urls; i++) {
        e = listen_one(srv, cfg->urls[i], false, why);
    }
    if (e == OK && server_stream_start(srv) != 0) {
        e = ERR_NOMEM;
    }
    return e;
}

enum err rpc_server_open(const struct rpc_server_config *cfg, struct rpc_server **out, struct buf *why)
{
    ASSERT(cfg->on_request != NULL);
    struct rpc_server *srv = mem_zalloc(sizeof(*srv));
    if (srv == NULL) {
        return ERR_NOMEM;
    }
    srv->cfg = *cfg;
    srv->contexts = cfg->contexts == 0 ? CONTEXTS_DEFAULT : cfg->contexts;
    (void)pthread_rwlock_init(&srv->gate, NULL);
    rpc_nng_init();
    enum err e = listen_all(srv, cfg, why);
    if (e != OK) {
        rpc_server_close(srv);
        return e;
    }
    *out = srv;
    return OK;
}

void rpc_server_stop(struct rpc_server *srv)
{
    __atomic_store_n(&srv->stopped, true, __ATOMIC_RELAXED); /* first: no stream of newcomers keeps the writer out */
    (void)pthread_rwlock_wrlock(&srv->gate);
    (void)pthread_rwlock_unlock(&srv->gate);
}

static void pause_ms(long ms)
{
    struct timespec ts = {0, ms * 1000000L};
    (void)nanosleep(&ts, NULL);
}

void rpc_server_close(struct rpc_server *srv)
{
    if (srv == NULL) {
        return;
    }
    rpc_server_stop(srv);
    while (__atomic_load_n(&srv->outstanding, __ATOMIC_ACQUIRE) != 0) {
        pause_ms(1);
    }
    for (int i = 0; i < CLOSE_WAIT_MS && server_stream_sending(srv); i++) {
        pause_ms(1);
    }
    if (srv->port != NULL) {
        inproc_port_unbind(srv->port);
        inproc_port_put(srv->port);
    }
    server_stream_close(srv);
    server_pub_close(srv);
    (void)pthread_rwlock_destroy(&srv->gate);
    mem_free(srv);
}

void rpc_server_publish(struct rpc_server *srv, const struct rpc_hint *h)
{
    uint8_t p[RPC_HINT_BYTES];
    rpc_hint_encode(h, p);
    if (srv->streams != NULL) {
        server_stream_publish(srv, p, sizeof(p));
    }
    server_pub_publish(srv, p, sizeof(p));
}
