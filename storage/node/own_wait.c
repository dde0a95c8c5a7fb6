#include "storage/node/own_wait.h"

#include "proto/base/mem.h"

void own_wait_init(struct own_wait *w)
{
    w->pending = 0;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->done, NULL);
}

void own_wait_fini(struct own_wait *w)
{
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
}

void own_wait_all(struct own_wait *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->pending > 0) {
        pthread_cond_wait(&w->done, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
}

static void own_done(struct node_write *w, enum err status, struct slice result)
{
    struct own_step *s = w->user;
    struct own_wait *wait = s->wait;
    s->status = status;
    if (s->result != NULL && buf_append_slice(s->result, result) != OK) {
        s->status = ERR_NOMEM;
    }
    mem_free(w);
    pthread_mutex_lock(&wait->lock);
    if (--wait->pending == 0) {
        pthread_cond_signal(&wait->done);
    }
    pthread_mutex_unlock(&wait->lock);
}

/* What the spec points to must stay until wait_all; then the step has its status. */
void own_propose(struct node *n, struct proposal_spec *spec, struct own_wait *wait, struct own_step *s,
                 struct buf *result)
{
    *s = (struct own_step){.wait = wait, .result = result};
    spec->done = own_done;
    spec->user = s;
    pthread_mutex_lock(&wait->lock);
    wait->pending++;
    pthread_mutex_unlock(&wait->lock);
    enum err e = propose_own(n, spec);
    if (e != OK) {
        s->status = e;
        pthread_mutex_lock(&wait->lock);
        wait->pending--;
        pthread_mutex_unlock(&wait->lock);
    }
}

enum err own_propose_wait(struct node *n, struct proposal_spec *spec, struct buf *result)
{
    struct own_wait w;
    struct own_step s;
    own_wait_init(&w);
    own_propose(n, spec, &w, &s, result);
    own_wait_all(&w);
    own_wait_fini(&w);
    return s.status;
}
