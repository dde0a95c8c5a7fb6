/* Handles: how other threads wake a session. A handle outlives its connection; its lock orders a notify against the end
 * of the connection, so that nothing is posted to a loop that may have gone. */
#include <pthread.h>

#include "frontend/net/conn_internal.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

struct conn_handle {
    struct loop_task task;
    pthread_mutex_t lock;
    struct conn *conn; /* under the lock; NULL once the session is gone */
    struct loop *loop;
    unsigned refs; /* atomic */
    bool posted;   /* under the lock: the task is in the loop's queue and holds a reference */
};

static void on_notified(struct loop *l, struct loop_task *t)
{
    (void)l;
    struct conn_handle *h = LIST_ENTRY(t, struct conn_handle, task);
    (void)pthread_mutex_lock(&h->lock); /* cannot fail: not recursive, initialised */
    h->posted = false;
    struct conn *c = h->conn;
    (void)pthread_mutex_unlock(&h->lock);
    if (c != NULL) { /* only this thread ends connections of this loop */
        c->events |= CONN_EVENT_BIT(CONN_EVENT_NOTIFY);
        conn_turn_soon(c);
    }
    conn_handle_unref(h);
}

static struct conn_handle *handle_new(struct conn *c)
{
    struct conn_handle *h = mem_zalloc(sizeof(*h));
    if (h == NULL) {
        return NULL;
    }
    int rc = pthread_mutex_init(&h->lock, NULL);
    ASSERT(rc == 0);
    h->task.fn = on_notified;
    h->conn = c;
    h->loop = c->loop;
    h->refs = 1; /* the connection's */
    return h;
}

struct conn_handle *conn_handle_ref(struct conn *c)
{
    if (c->handle == NULL) {
        c->handle = handle_new(c);
        if (c->handle == NULL) {
            return NULL;
        }
    }
    (void)__atomic_add_fetch(&c->handle->refs, 1, __ATOMIC_RELAXED);
    return c->handle;
}

void conn_handle_unref(struct conn_handle *h)
{
    if (h != NULL && __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        (void)pthread_mutex_destroy(&h->lock); /* nobody holds it: this was the last reference */
        mem_free(h);
    }
}

void conn_notify(struct conn_handle *h)
{
    (void)pthread_mutex_lock(&h->lock);
    if (h->conn != NULL && !h->posted) {
        h->posted = true;
        (void)__atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
        loop_post(h->loop, &h->task);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

void conn_handle_detach(struct conn *c)
{
    struct conn_handle *h = c->handle;
    if (h == NULL) {
        return;
    }
    c->handle = NULL;
    (void)pthread_mutex_lock(&h->lock);
    h->conn = NULL;
    (void)pthread_mutex_unlock(&h->lock);
    conn_handle_unref(h);
}
