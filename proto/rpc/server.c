#include "proto/rpc/server.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/rpc/nng_common.h"

#define CONTEXTS_DEFAULT 1024
#define HINTS_QUEUED 1024 /* a subscriber */
#define CLOSE_WAIT_MS 500 /* for replies that are being sent */

/* One context of nng runs receive -> handle -> send -> receive ... with one aio. */
enum slot_state { SLOT_RECEIVE, SLOT_HANDLE, SLOT_SEND, SLOT_RETIRED };

struct slot {
    struct rpc_request req; /* first: a request is its slot */
    nng_ctx ctx;
    nng_aio *aio;
    nng_msg *msg;   /* the request, while it is handled */
    nng_msg *reply; /* between reply_begin and reply_end */
    int state;      /* atomic: close looks at it */
};

struct rpc_server {
    nng_socket rep;
    nng_socket pub;
    bool has_pub;
    struct rpc_server_config cfg; /* the url arrays are not kept */
    struct slot *slots;
    uint32_t n_slots;
    pthread_rwlock_t gate; /* on_request runs with it read-locked; stop takes it to write `stopped` */
    bool stopped;
    uint32_t outstanding; /* atomic */
};

static void slot_state_set(struct slot *s, enum slot_state state)
{
    __atomic_store_n(&s->state, (int)state, __ATOMIC_RELEASE);
}

static void slot_receive(struct slot *s)
{
    slot_state_set(s, SLOT_RECEIVE);
    nng_ctx_recv(s->ctx, s->aio);
}

static void slot_send(struct slot *s, nng_msg *m)
{
    slot_state_set(s, SLOT_SEND);
    nng_aio_set_msg(s->aio, m);
    nng_ctx_send(s->ctx, s->aio);
}

/* --- replies --- */

static void reply_head(const struct slot *s, enum err status, uint64_t hint, size_t meta_n, size_t attach_n,
                       uint8_t *out)
{
    struct rpc_head h = s->req.head;
    h.reply = true;
    h.status = status;
    h.hint = hint;
    h.budget_ms = 0;
    h.meta_bytes = (uint32_t)meta_n;
    h.attach_bytes = (uint32_t)attach_n;
    rpc_head_encode(&h, out);
}

/* The request's own message serves when there is nothing but a head to send: no memory needed to say no. */
static void reply_bare(struct slot *s, enum err status, uint64_t hint)
{
    nng_msg *m = s->msg;
    s->msg = NULL;
    (void)nng_msg_chop(m, nng_msg_len(m) - RPC_HEAD_BYTES);
    reply_head(s, status, hint, 0, 0, nng_msg_body(m));
    slot_send(s, m);
}

enum err rpc_request_reply_begin(struct rpc_request *r, size_t bytes, uint8_t **out_p)
{
    struct slot *s = (struct slot *)r;
    ASSERT(s->reply == NULL);
    if (bytes > RPC_FRAME_BYTES_MAX - RPC_HEAD_BYTES) {
        return ERR_LIMIT;
    }
    if (nng_msg_alloc(&s->reply, RPC_HEAD_BYTES + bytes) != 0) {
        s->reply = NULL;
        return ERR_NOMEM;
    }
    *out_p = (uint8_t *)nng_msg_body(s->reply) + RPC_HEAD_BYTES;
    return OK;
}

void rpc_request_reply_end(struct rpc_request *r, enum err status, uint64_t hint, size_t meta_bytes,
                           size_t attach_bytes)
{
    struct slot *s = (struct slot *)r;
    nng_msg *m = s->reply;
    size_t bytes = RPC_HEAD_BYTES + meta_bytes + attach_bytes;
    ASSERT(m != NULL && bytes <= nng_msg_len(m));
    s->reply = NULL;
    (void)nng_msg_chop(m, nng_msg_len(m) - bytes);
    reply_head(s, status, hint, meta_bytes, attach_bytes, nng_msg_body(m));
    nng_msg_free(s->msg);
    s->msg = NULL;
    (void)__atomic_sub_fetch(&r->server->outstanding, 1, __ATOMIC_ACQ_REL);
    slot_send(s, m);
}

void rpc_request_reply(struct rpc_request *r, enum err status, uint64_t hint, struct slice meta, struct slice attach)
{
    uint8_t *p;
    enum err e = OK;
    if (meta.n + attach.n > 0) {
        e = meta.n > RPC_FRAME_BYTES_MAX ? ERR_LIMIT : rpc_request_reply_begin(r, meta.n + attach.n, &p);
    }
    if (e != OK || meta.n + attach.n == 0) {
        (void)__atomic_sub_fetch(&r->server->outstanding, 1, __ATOMIC_ACQ_REL);
        reply_bare((struct slot *)r, e != OK ? e : status, hint);
        return;
    }
    if (meta.n > 0) {
        memcpy(p, meta.p, meta.n);
    }
    if (attach.n > 0) {
        memcpy(p + meta.n, attach.p, attach.n);
    }
    rpc_request_reply_end(r, status, hint, meta.n, attach.n);
}

/* --- requests --- */

/* As much of the head as can be trusted to find the caller again: the id lets it tell this refusal from somebody else's
 * reply. */
static void request_refuse_corrupt(struct slot *s)
{
    nng_msg *m = s->msg;
    memset(&s->req.head, 0, sizeof(s->req.head));
    if (nng_msg_len(m) < RPC_HEAD_BYTES) {
        nng_msg_free(m);
        s->msg = NULL;
        m = rpc_nng_msg(&s->req.head, slice_make(NULL, 0), slice_make(NULL, 0));
        if (m == NULL) {
            slot_receive(s); /* nng drops the request */
            return;
        }
        s->msg = m;
    } else {
        const uint8_t *p = nng_msg_body(m);
        s->req.head.method = get_le16(p + 6);
        memcpy(s->req.head.request_id.b, p + 16, 16);
    }
    reply_bare(s, ERR_CORRUPT, 0);
}

static void request_received(struct slot *s)
{
    struct rpc_request *r = &s->req;
    struct rpc_server *srv = r->server;
    if (rpc_frame_decode(slice_make(nng_msg_body(s->msg), nng_msg_len(s->msg)), &r->head, &r->meta, &r->attach) != OK ||
        r->head.reply) {
        request_refuse_corrupt(s);
        return;
    }
    r->deadline_ms = clock_mono_ms(clock_system()) + r->head.budget_ms;
    r->user = NULL;
    (void)pthread_rwlock_rdlock(&srv->gate);
    if (srv->stopped) {
        reply_bare(s, ERR_UNAVAILABLE, 0);
    } else {
        slot_state_set(s, SLOT_HANDLE);
        (void)__atomic_add_fetch(&srv->outstanding, 1, __ATOMIC_ACQ_REL);
        srv->cfg.on_request(srv->cfg.user, r);
    }
    (void)pthread_rwlock_unlock(&srv->gate);
}

static void slot_callback(void *arg)
{
    struct slot *s = arg;
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
    s->msg = nng_aio_get_msg(s->aio);
    nng_aio_set_msg(s->aio, NULL);
    request_received(s);
}

/* --- life --- */

static int slots_open(struct rpc_server *srv)
{
    uint32_t n = srv->cfg.contexts == 0 ? CONTEXTS_DEFAULT : srv->cfg.contexts;
    srv->slots = mem_calloc(n, sizeof(struct slot));
    if (srv->slots == NULL) {
        return NNG_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct slot *s = &srv->slots[i];
        s->req.server = srv;
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

static int listen_all(nng_socket sock, const char *const *urls, size_t n, const char **out_url)
{
    for (size_t i = 0; i < n; i++) {
        *out_url = urls[i];
        int rv = rpc_nng_listen(sock, urls[i]);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static int pub_open(struct rpc_server *srv, const struct rpc_server_config *cfg, const char **out_url)
{
    if (cfg->n_pub_urls == 0) {
        return 0;
    }
    int rv = nng_pub0_open(&srv->pub);
    if (rv != 0) {
        return rv;
    }
    srv->has_pub = true;
    if ((rv = nng_socket_set_int(srv->pub, NNG_OPT_SENDBUF, HINTS_QUEUED)) != 0 ||
        (rv = rpc_nng_socket_limits(srv->pub)) != 0) {
        return rv;
    }
    return listen_all(srv->pub, cfg->pub_urls, cfg->n_pub_urls, out_url);
}

static int server_start(struct rpc_server *srv, const struct rpc_server_config *cfg, const char **out_url)
{
    int rv;
    if ((rv = rpc_nng_socket_limits(srv->rep)) != 0 || (rv = slots_open(srv)) != 0 ||
        (rv = pub_open(srv, cfg, out_url)) != 0) {
        return rv;
    }
    return listen_all(srv->rep, cfg->urls, cfg->n_urls, out_url);
}

enum err rpc_server_open(const struct rpc_server_config *cfg, struct rpc_server **out, struct buf *why)
{
    ASSERT(cfg->on_request != NULL);
    struct rpc_server *srv = mem_zalloc(sizeof(*srv));
    if (srv == NULL) {
        return ERR_NOMEM;
    }
    srv->cfg = *cfg;
    (void)pthread_rwlock_init(&srv->gate, NULL);
    rpc_nng_init();
    int rv = nng_rep0_open(&srv->rep);
    if (rv != 0) {
        enum err e = rpc_nng_error(rv, "open", NULL, why);
        (void)pthread_rwlock_destroy(&srv->gate);
        mem_free(srv);
        return e;
    }
    const char *url = NULL;
    rv = server_start(srv, cfg, &url);
    if (rv != 0) {
        enum err e = rpc_nng_error(rv, "listen", url, why);
        rpc_server_close(srv);
        return e;
    }
    *out = srv;
    return OK;
}

void rpc_server_stop(struct rpc_server *srv)
{
    (void)pthread_rwlock_wrlock(&srv->gate);
    srv->stopped = true;
    (void)pthread_rwlock_unlock(&srv->gate);
}

static bool server_busy(struct rpc_server *srv)
{
    for (uint32_t i = 0; i < srv->n_slots; i++) {
        if (__atomic_load_n(&srv->slots[i].state, __ATOMIC_ACQUIRE) == SLOT_SEND) {
            return true;
        }
    }
    return false;
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
    for (int i = 0; i < CLOSE_WAIT_MS && server_busy(srv); i++) {
        pause_ms(1);
    }
    (void)nng_close(srv->rep);
    if (srv->has_pub) {
        (void)nng_close(srv->pub);
    }
    for (uint32_t i = 0; i < srv->n_slots; i++) {
        nng_aio_stop(srv->slots[i].aio);
        nng_aio_free(srv->slots[i].aio);
    }
    (void)pthread_rwlock_destroy(&srv->gate);
    mem_free(srv->slots);
    mem_free(srv);
}

void rpc_server_publish(struct rpc_server *srv, const struct rpc_hint *h)
{
    nng_msg *m = NULL;
    if (!srv->has_pub || nng_msg_alloc(&m, RPC_HINT_BYTES) != 0) {
        return;
    }
    rpc_hint_encode(h, nng_msg_body(m));
    if (nng_sendmsg(srv->pub, m, NNG_FLAG_NONBLOCK) != 0) {
        nng_msg_free(m);
    }
}
