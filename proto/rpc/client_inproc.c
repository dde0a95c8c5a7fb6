#include "proto/rpc/client_internal.h"

/* On the thread that replies, or on the caller's within rpc_client_send. A call that timed out was taken off its slot,
 * but the slot is the server's until this reply. */
static void inproc_done(struct inproc_call *ic, nng_msg *reply)
{
    struct client_slot *s = LIST_ENTRY(ic, struct client_slot, inproc);
    struct rpc_client *c = s->client;
    (void)pthread_mutex_lock(&c->mutex);
    struct u128 id = s->request_id;
    struct rpc_call *call = client_slot_take(s);
    client_slot_release(s);
    c->finishing++;
    (void)pthread_mutex_unlock(&c->mutex);
    client_call_finish(call, reply != NULL ? OK : ERR_NOMEM, &id, reply);
    (void)pthread_mutex_lock(&c->mutex);
    c->unreplied--;
    if (--c->finishing == 0 && c->closing) {
        (void)pthread_cond_signal(&c->wake);
    }
    bool last = c->closed && c->unreplied == 0;
    (void)pthread_mutex_unlock(&c->mutex);
    if (last) {
        client_free(c);
    }
}

void client_inproc_send(struct client_slot *s, nng_msg *m)
{
    s->inproc.done = inproc_done;
    inproc_port_run(s->client->port, &s->inproc, m);
}

void client_inproc_close(struct rpc_client *c)
{
    (void)pthread_mutex_lock(&c->mutex);
    while (c->finishing > 0) {
        (void)pthread_cond_wait(&c->wake, &c->mutex);
    }
    c->closed = true;
    bool last = c->unreplied == 0;
    (void)pthread_mutex_unlock(&c->mutex);
    if (last) {
        client_free(c);
    }
}
