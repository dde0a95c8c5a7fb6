#include <errno.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/rpc/links_internal.h"

/* Room for 65,536 connections a millisecond before an epoch could meet that of a restart. */
#define EPOCH_SHIFT 16
#define SILENCE_MS_DEFAULT 5000

/* --- what we dial: on the redial's thread --- */

static nng_msg *hello_make(struct links_out *o)
{
    struct rpc_links *l = o->node->links;
    uint8_t bytes[RPC_HELLO_BYTES_MAX];
    struct rpc_hello h = {.lane = (uint8_t)o->lane,
                          .cluster = l->cfg.cluster,
                          .from = l->cfg.self,
                          .to = o->to,
                          .epoch = __atomic_add_fetch(&l->epoch, 1, __ATOMIC_RELAXED),
                          .address = slice_str(l->cfg.address)};
    size_t n = rpc_hello_encode(&h, bytes);
    nng_msg *m = NULL;
    if (nng_msg_alloc(&m, n) != 0) {
        return NULL;
    }
    memcpy(nng_msg_body(m), bytes, n);
    return m;
}

static void peer_tell(const struct links_out *o, struct node_id peer, bool up)
{
    const struct rpc_links_config *c = &o->node->links->cfg;
    if (o->lane == RPC_LANE_CONTROL && c->on_peer != NULL) {
        c->on_peer(c->user, peer, up);
    }
}

/* Without memory for the hello the peer ends the connection, and the next one has another chance. */
static void out_up(void *user)
{
    struct links_out *o = user;
    (void)pthread_mutex_lock(&o->mutex);
    o->to.v = __atomic_load_n(&o->node->id, __ATOMIC_ACQUIRE);
    struct node_id to = o->to;
    nng_msg *m = hello_make(o);
    bool ready = m != NULL && rpc_redial_send(o->redial, 0, m) == OK;
    if (m != NULL && !ready) {
        nng_msg_free(m);
    }
    o->ready = ready;
    (void)pthread_mutex_unlock(&o->mutex);
    if (ready) {
        peer_tell(o, to, true);
    }
}

static void out_down(void *user)
{
    struct links_out *o = user;
    (void)pthread_mutex_lock(&o->mutex);
    bool was_ready = o->ready;
    struct node_id to = o->to;
    o->ready = false;
    (void)pthread_mutex_unlock(&o->mutex);
    if (was_ready) {
        peer_tell(o, to, false);
    }
}

static void out_frame(void *user, uint64_t tag, nng_msg *m)
{
    (void)user;
    (void)tag;
    nng_msg_free(m); /* who accepts says nothing */
}

static const struct rpc_redial_ops out_ops = {.on_up = out_up, .on_frame = out_frame, .on_down = out_down};

static enum err out_open(struct links_out *o)
{
    const struct rpc_links_config *c = &o->node->links->cfg;
    struct rpc_redial_config rc = {.ops = &out_ops,
                                   .user = o,
                                   .from = c->listen_url,
                                   .tls = c->tls,
                                   .queued_bytes_max = LINKS_WINDOW_BYTES,
                                   .silence_ms = c->silence_ms};
    return o->redial != NULL ? OK : rpc_redial_open(&rc, &o->redial, NULL);
}

enum err links_dial(struct links_node *n, const char *address)
{
    if (strcmp(n->address, address == NULL ? "" : address) == 0) {
        return OK;
    }
    enum err e = OK;
    for (int i = 0; e == OK && i < RPC_LANES; i++) {
        e = out_open(&n->out[i]);
    }
    for (int i = 0; e == OK && i < RPC_LANES; i++) {
        e = rpc_redial_turn(n->out[i].redial, address);
    }
    n->address[0] = '\0';
    if (e == OK && address != NULL) {
        memcpy(n->address, address, strlen(address) + 1);
    }
    return e;
}

bool links_address_ok(const char *url)
{
    return rpc_url_is_tcp(url) && strlen(url) <= RPC_HELLO_ADDRESS_BYTES_MAX && rpc_socket_check(url) == 0;
}

/* --- the table --- */

struct links_node *links_find(struct rpc_links *l, struct node_id id)
{
    uint32_t n = __atomic_load_n(&l->n_nodes, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < n; i++) {
        if (__atomic_load_n(&l->nodes[i]->id, __ATOMIC_ACQUIRE) == id.v) {
            return l->nodes[i];
        }
    }
    return NULL;
}

static bool out_idle(struct links_out *o)
{
    (void)pthread_mutex_lock(&o->mutex);
    bool idle = !o->ready;
    (void)pthread_mutex_unlock(&o->mutex);
    return idle;
}

/* Of a node that was given up, or that only introduced itself, and that has nothing more to do with us. */
static bool place_is_free(struct links_node *n)
{
    bool is_free = !n->told || n->address[0] == '\0';
    for (int i = 0; i < RPC_LANES; i++) {
        is_free = is_free && n->in[i].conn == NULL && n->in[i].unreleased == 0 && out_idle(&n->out[i]);
    }
    return is_free;
}

static enum err place_reuse(struct rpc_links *l, struct node_id id, struct links_node **out)
{
    for (uint32_t i = 0; i < LINKS_NODES_MAX; i++) {
        struct links_node *n = l->nodes[i];
        if (!place_is_free(n)) {
            continue;
        }
        enum err e = links_dial(n, NULL);
        if (e == OK) {
            memset(n->in, 0, sizeof(n->in));
            n->told = false;
            __atomic_store_n(&n->id, id.v, __ATOMIC_RELEASE);
            *out = n;
        }
        return e;
    }
    return ERR_LIMIT;
}

enum err links_find_or_add(struct rpc_links *l, struct node_id id, struct links_node **out)
{
    if ((*out = links_find(l, id)) != NULL) {
        return OK;
    }
    uint32_t at = l->n_nodes;
    if (at == LINKS_NODES_MAX) {
        return place_reuse(l, id, out);
    }
    struct links_node *n = mem_zalloc(sizeof(*n));
    if (n == NULL) {
        return ERR_NOMEM;
    }
    n->links = l;
    n->id = id.v;
    for (int i = 0; i < RPC_LANES; i++) {
        n->out[i].node = n;
        n->out[i].lane = (enum rpc_lane)i;
        (void)pthread_mutex_init(&n->out[i].mutex, NULL);
    }
    l->nodes[at] = n;
    __atomic_store_n(&l->n_nodes, at + 1, __ATOMIC_RELEASE);
    *out = n;
    return OK;
}

enum err rpc_links_peer(struct rpc_links *l, struct node_id id, const char *address)
{
    if (id.v == 0 || id.v == l->cfg.self.v ||
        (address != NULL && (strlen(address) > RPC_HELLO_ADDRESS_BYTES_MAX || rpc_socket_check(address) != 0))) {
        return ERR_INVAL;
    }
    struct links_node *n = links_find(l, id);
    if (n == NULL && address == NULL) {
        return OK;
    }
    (void)pthread_mutex_lock(&l->mutex);
    enum err e = l->stopping ? ERR_CLOSED : links_find_or_add(l, id, &n);
    if (e == OK) {
        n->told = true;
        e = links_dial(n, address);
    }
    (void)pthread_mutex_unlock(&l->mutex);
    return e;
}

/* --- sending --- */

enum err rpc_links_send(struct rpc_links *l, struct node_id to, enum rpc_lane lane, struct slice bytes)
{
    struct links_node *n = links_find(l, to);
    if (bytes.n > RPC_LINKS_FRAME_BYTES_MAX) {
        return ERR_LIMIT;
    }
    if (n == NULL) {
        return ERR_NOTFOUND;
    }
    nng_msg *m = NULL;
    if (nng_msg_alloc(&m, bytes.n) != 0) {
        return ERR_NOMEM;
    }
    if (bytes.n > 0) {
        memcpy(nng_msg_body(m), bytes.p, bytes.n);
    }
    struct links_out *o = &n->out[lane];
    (void)pthread_mutex_lock(&o->mutex);
    enum err e = o->ready && o->to.v == to.v ? rpc_redial_send(o->redial, 0, m) : ERR_CLOSED;
    (void)pthread_mutex_unlock(&o->mutex);
    if (e != OK) {
        nng_msg_free(m);
    }
    return e;
}

bool rpc_links_is_up(struct rpc_links *l, struct node_id id)
{
    struct links_node *n = links_find(l, id);
    if (n == NULL) {
        return false;
    }
    struct links_out *o = &n->out[RPC_LANE_CONTROL];
    (void)pthread_mutex_lock(&o->mutex);
    bool up = o->ready && o->to.v == id.v;
    (void)pthread_mutex_unlock(&o->mutex);
    return up;
}

/* --- life --- */

static enum err config_copy(struct rpc_links *l, const struct rpc_links_config *cfg)
{
    const char *address = cfg->address == NULL ? "" : cfg->address;
    l->cfg = *cfg;
    l->cfg.silence_ms = cfg->silence_ms == 0 ? SILENCE_MS_DEFAULT : cfg->silence_ms;
    l->cfg.listen_url = mem_strdup(cfg->listen_url);
    l->cfg.address = mem_strdup(address);
    if (l->cfg.listen_url == NULL || l->cfg.address == NULL) {
        return ERR_NOMEM;
    }
    return address[0] == '\0' || links_address_ok(address) ? OK : ERR_INVAL;
}

enum err rpc_links_open(const struct rpc_links_config *cfg, struct rpc_links **out, struct buf *why)
{
    ASSERT(cfg->on_frame != NULL && cfg->self.v != 0);
    struct rpc_links *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    (void)pthread_mutex_init(&l->mutex, NULL);
    l->listen_fd = -1;
    l->poller = (struct rpc_poller){-1, -1};
    l->epoch = clock_wall_ms(clock_system()) << EPOCH_SHIFT;
    list_init(&l->accepted);
    enum err e = config_copy(l, cfg);
    if (e == ERR_INVAL) {
        e = rpc_socket_error(EINVAL, "announce", cfg->address, why);
    }
    if (e == OK) {
        int error = links_in_start(l);
        e = error == 0 ? OK : rpc_socket_error(error, "listen", cfg->listen_url, why);
    }
    if (e != OK) {
        rpc_links_close(l);
        return e;
    }
    *out = l;
    return OK;
}

void rpc_links_stop(struct rpc_links *l)
{
    if (l->stopped) {
        return;
    }
    (void)pthread_mutex_lock(&l->mutex);
    __atomic_store_n(&l->stopping, true, __ATOMIC_RELEASE);
    (void)pthread_mutex_unlock(&l->mutex);
    links_in_stop(l); /* adds no node any more */
    for (uint32_t i = 0; i < l->n_nodes; i++) {
        for (int k = 0; k < RPC_LANES; k++) {
            struct links_out *o = &l->nodes[i]->out[k];
            rpc_redial_close(o->redial);
            o->redial = NULL;
        }
    }
    l->stopped = true;
}

void rpc_links_close(struct rpc_links *l)
{
    if (l == NULL) {
        return;
    }
    rpc_links_stop(l);
    for (uint32_t i = 0; i < l->n_nodes; i++) {
        struct links_node *n = l->nodes[i];
        for (int k = 0; k < RPC_LANES; k++) {
            ASSERT(n->in[k].unreleased == 0);
            (void)pthread_mutex_destroy(&n->out[k].mutex);
        }
        mem_free(n);
    }
    (void)pthread_mutex_destroy(&l->mutex);
    mem_free((void *)(uintptr_t)l->cfg.listen_url); /* our copies */
    mem_free((void *)(uintptr_t)l->cfg.address);
    mem_free(l);
}
