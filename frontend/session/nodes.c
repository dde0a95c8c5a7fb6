#include <string.h>

#include "frontend/session/nodes_internal.h"
#include "proto/base/mem.h"

#define URL_BYTES_MAX 512

/* --- slots --- */

uint32_t node_state(const struct node *n)
{
    return __atomic_load_n(&n->state, __ATOMIC_SEQ_CST);
}

unsigned nodes_used(const struct nodes *m)
{
    return __atomic_load_n(&m->n_slots, __ATOMIC_ACQUIRE);
}

bool node_routable(const struct node *n)
{
    return __atomic_load_n(&n->listed, __ATOMIC_ACQUIRE) || !__atomic_load_n(&n->map->rows, __ATOMIC_ACQUIRE);
}

uint32_t nodes_slot_of(const struct nodes *m, uint64_t id)
{
    unsigned used = nodes_used(m);
    for (unsigned i = 0; id != 0 && i < used; i++) {
        const struct node *n = &m->nodes[i];
        if (__atomic_load_n(&n->id, __ATOMIC_ACQUIRE) == id && node_state(n) == NODE_LIVE && node_routable(n)) {
            return i;
        }
    }
    return SLOT_NONE;
}

bool node_is_inproc(const struct node *n)
{
    return strncmp(n->rpc, "inproc://", 9) == 0;
}

static struct node *slot_free(struct nodes *m)
{
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (node_state(&m->nodes[i]) == NODE_FREE) {
            return &m->nodes[i];
        }
    }
    return NULL;
}

enum err node_open(struct nodes *m, const char *rpc, struct node **out, struct buf *why)
{
    struct node *n = slot_free(m);
    if (n == NULL) {
        return ERR_LIMIT;
    }
    n->map = m;
    n->slot = (unsigned)(n - m->nodes);
    n->rpc = mem_strdup(rpc);
    if (n->rpc == NULL) {
        return ERR_NOMEM;
    }
    struct rpc_client_config cfg = {.url = n->rpc, .inflight_max = m->cfg.inflight_max, .tls = m->cfg.tls};
    enum err e = rpc_client_open(&cfg, &n->client, why);
    if (e != OK) {
        mem_free(n->rpc);
        n->rpc = NULL;
        return e;
    }
    __atomic_store_n(&n->state, NODE_LIVE, __ATOMIC_SEQ_CST);
    if (n->slot >= nodes_used(m)) {
        __atomic_store_n(&m->n_slots, n->slot + 1, __ATOMIC_RELEASE);
    }
    *out = n;
    return OK;
}

static void sub_hint(void *user, const struct rpc_hint *h)
{
    struct node *n = user;
    n->map->cfg.ops->on_hint(n->map->cfg.user, n->slot, h);
}

static void sub_link(void *user, bool up)
{
    struct node *n = user;
    n->map->cfg.ops->on_link(n->map->cfg.user, n->slot, up);
}

static void events_end(struct node *n)
{
    rpc_subscriber_close(n->sub);
    n->map->cfg.ops->on_source(n->map->cfg.user, n->slot, false);
    mem_free(n->events);
    n->sub = NULL;
    n->events = NULL;
}

enum err node_subscribe(struct node *n, const char *url, struct buf *why)
{
    if (n->events != NULL && (strcmp(n->events, url) == 0 || node_is_inproc(n))) {
        return OK;
    }
    node_unsubscribe(n);
    n->events = mem_strdup(url);
    if (n->events == NULL) {
        return ERR_NOMEM;
    }
    n->map->cfg.ops->on_source(n->map->cfg.user, n->slot, true);
    struct rpc_subscriber_config cfg = {
        .url = n->events, .user = n, .on_hint = sub_hint, .on_link = sub_link, .tls = n->map->cfg.tls};
    enum err e = rpc_subscriber_open(&cfg, &n->sub, why);
    if (e != OK) {
        events_end(n);
    }
    return e;
}

void node_unsubscribe(struct node *n)
{
    if (n->events != NULL && !node_is_inproc(n)) {
        events_end(n);
    }
}

void node_retire(struct node *n)
{
    __atomic_store_n(&n->state, NODE_RETIRED, __ATOMIC_SEQ_CST);
}

void node_close(struct node *n)
{
    if (n->events != NULL) {
        events_end(n);
    }
    rpc_client_close(n->client); /* ends the probe */
    if (n->probing) {
        rpc_reply_fini(&n->probe.reply);
    }
    mem_free(n->rpc);
    n->client = NULL;
    n->rpc = NULL;
    n->probing = n->probed = n->was_up = false;
    __atomic_store_n(&n->id, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&n->listed, false, __ATOMIC_RELEASE);
    __atomic_store_n(&n->circuit, false, __ATOMIC_RELEASE);
    __atomic_store_n(&n->knows_leader, false, __ATOMIC_RELEASE);
    __atomic_store_n(&n->state, NODE_FREE, __ATOMIC_SEQ_CST);
}

/* --- life --- */

static bool seed_known(const struct nodes *m, const char *url)
{
    for (unsigned i = 0; i < nodes_used(m); i++) {
        if (strcmp(m->nodes[i].rpc, url) == 0) {
            return true;
        }
    }
    return false;
}

static enum err seeds_open(struct nodes *m, struct buf *why)
{
    char url[URL_BYTES_MAX];
    enum err e = OK;
    for (const char *p = m->cfg.seeds; e == OK && *p != '\0';) {
        p += strspn(p, ", ");
        size_t n = strcspn(p, ", ");
        if (n >= sizeof(url)) {
            return ERR_LIMIT;
        }
        memcpy(url, p, n);
        url[n] = '\0';
        p += n;
        if (n > 0 && !seed_known(m, url)) {
            struct node *node;
            e = node_open(m, url, &node, why);
        }
    }
    return e == OK && nodes_used(m) == 0 ? ERR_INVAL : e;
}

enum err nodes_open(const struct nodes_config *cfg, struct nodes **out, struct buf *why)
{
    struct nodes *m = mem_zalloc(sizeof(*m));
    if (m == NULL) {
        return ERR_NOMEM;
    }
    m->cfg = *cfg;
    m->poked = true;
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_cond_init(&m->wake, NULL);
    m->events_url = mem_strdup(cfg->events_url);
    enum err e = m->events_url == NULL ? ERR_NOMEM : seeds_open(m, why);
    if (e == OK) {
        e = node_subscribe(&m->nodes[0], m->events_url, why);
    }
    if (e == OK) {
        e = nodes_refresh_start(m);
    }
    if (e != OK) {
        nodes_close(m);
        return e;
    }
    *out = m;
    return OK;
}

void nodes_close(struct nodes *m)
{
    nodes_refresh_stop(m);
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (node_state(&m->nodes[i]) != NODE_FREE) {
            node_close(&m->nodes[i]);
        }
    }
    (void)pthread_cond_destroy(&m->wake);
    (void)pthread_mutex_destroy(&m->lock);
    mem_free(m->table);
    mem_free(m->events_url);
    mem_free(m);
}
