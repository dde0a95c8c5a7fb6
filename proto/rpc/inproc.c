#include "proto/rpc/inproc.h"

#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/mem.h"

struct inproc_port {
    struct list node; /* this and refs: the registry's mutex */
    uint32_t refs;
    bool open; /* atomic: written with the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    struct rpc_server *server; /* until unbind returns */
    uint32_t entered;          /* keep the server there */
    uint32_t running;          /* of them with the handler: at most the server's contexts */
    bool feeding;              /* a thread runs what waits */
    struct list waiting;
    char url[];
};

/* --- names --- */

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct list ports = {&ports, &ports};

static struct inproc_port *port_find(const char *url)
{
    LIST_FOREACH (it, &ports) {
        struct inproc_port *p = LIST_ENTRY(it, struct inproc_port, node);
        if (strcmp(p->url, url) == 0) {
            return p;
        }
    }
    return NULL;
}

static struct inproc_port *port_new(const char *url)
{
    size_t n = strlen(url) + 1;
    struct inproc_port *p = mem_zalloc(sizeof(*p) + n);
    if (p == NULL) {
        return NULL;
    }
    memcpy(p->url, url, n);
    (void)pthread_mutex_init(&p->mutex, NULL);
    (void)pthread_cond_init(&p->idle, NULL);
    list_init(&p->waiting);
    list_push_back(&ports, &p->node);
    return p;
}

enum err inproc_port_get(const char *url, struct inproc_port **out)
{
    (void)pthread_mutex_lock(&registry);
    struct inproc_port *p = port_find(url);
    if (p == NULL) {
        p = port_new(url);
    }
    if (p != NULL) {
        p->refs++;
        *out = p;
    }
    (void)pthread_mutex_unlock(&registry);
    return p != NULL ? OK : ERR_NOMEM;
}

void inproc_port_put(struct inproc_port *p)
{
    (void)pthread_mutex_lock(&registry);
    bool last = --p->refs == 0;
    if (last) {
        list_remove(&p->node);
    }
    (void)pthread_mutex_unlock(&registry);
    if (last) {
        (void)pthread_cond_destroy(&p->idle);
        (void)pthread_mutex_destroy(&p->mutex);
        mem_free(p);
    }
}

/* --- the server's side --- */

enum err inproc_port_bind(struct inproc_port *p, struct rpc_server *srv)
{
    (void)pthread_mutex_lock(&p->mutex);
    enum err e = p->server == NULL ? OK : ERR_EXISTS;
    if (e == OK) {
        p->server = srv;
        __atomic_store_n(&p->open, true, __ATOMIC_RELEASE);
    }
    (void)pthread_mutex_unlock(&p->mutex);
    return e;
}

void inproc_port_unbind(struct inproc_port *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    __atomic_store_n(&p->open, false, __ATOMIC_RELEASE);
    while (p->entered > 0) {
        (void)pthread_cond_wait(&p->idle, &p->mutex);
    }
    p->server = NULL;
    (void)pthread_mutex_unlock(&p->mutex);
}

bool inproc_port_bound(const struct inproc_port *p)
{
    return __atomic_load_n(&p->open, __ATOMIC_ACQUIRE);
}

/* --- calls --- */

bool inproc_port_enter(struct inproc_port *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    bool open = p->open;
    p->entered += open ? 1 : 0;
    (void)pthread_mutex_unlock(&p->mutex);
    return open;
}

/* Ends with the mutex unlocked; then the port may be gone. */
static void leave_and_unlock(struct inproc_port *p)
{
    if (--p->entered == 0 && !p->open) {
        (void)pthread_cond_signal(&p->idle);
    }
    (void)pthread_mutex_unlock(&p->mutex);
}

void inproc_port_leave(struct inproc_port *p)
{
    (void)pthread_mutex_lock(&p->mutex);
    leave_and_unlock(p);
}

/* With the mutex held, which it gives up meanwhile. A handler that answers at once comes back to call_replied, which
 * leaves what waits to this loop: the depth of the stack is bounded, whatever the length of the line. */
static void waiting_feed(struct inproc_port *p)
{
    p->feeding = true;
    while (p->running < p->server->contexts && !list_empty(&p->waiting)) {
        struct inproc_call *c = LIST_ENTRY(list_pop_front(&p->waiting), struct inproc_call, waiting);
        p->running++;
        (void)pthread_mutex_unlock(&p->mutex);
        server_request_run(&c->r);
        (void)pthread_mutex_lock(&p->mutex);
    }
    p->feeding = false;
}

static void call_replied(struct server_request *r, nng_msg *m)
{
    struct inproc_call *c = (struct inproc_call *)r;
    struct inproc_port *p = c->port;
    c->done(c, m); /* c may be another call's already */
    (void)pthread_mutex_lock(&p->mutex);
    p->running--;
    if (!p->feeding) {
        waiting_feed(p);
    }
    leave_and_unlock(p);
}

void inproc_port_run(struct inproc_port *p, struct inproc_call *c, nng_msg *m)
{
    c->r.req.server = p->server;
    c->r.msg = m;
    c->r.send = call_replied;
    c->port = p;
    (void)pthread_mutex_lock(&p->mutex);
    bool room = p->running < p->server->contexts && list_empty(&p->waiting);
    if (room) {
        p->running++;
    } else {
        list_push_back(&p->waiting, &c->waiting);
    }
    (void)pthread_mutex_unlock(&p->mutex);
    if (room) {
        server_request_run(&c->r);
    }
}
