#include "frontend/session/auth_pool.h"

#include <pthread.h>

#include "frontend/net/fiber.h"
#include "frontend/net/loop.h"
#include "proto/base/assert.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"

METRIC_COUNTER(metric_hashes, "pillarbox_auth_hashes_total", "Password hashes computed");
METRIC_GAUGE(metric_waiting, "pillarbox_auth_queue", "Logins waiting for a hash");

struct auth_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list jobs;
    uint32_t n_jobs;
    uint32_t queue_max;
    bool stop;
    uint32_t n_threads;
    pthread_t threads[];
};

struct auth_job {
    struct loop_task task; /* first: posted to the fiber's loop when done */
    struct list node;
    const Pb__Credentials *verify; /* NULL: make */
    const struct auth_pool_guard *guard;
    struct slice password;
    struct arena *arena;
    Pb__Credentials *made;
    enum err result;
    bool done;
    struct fiber *fiber;
    struct loop *loop;
};

static void job_done(struct loop *l, struct loop_task *t)
{
    struct auth_job *j = (struct auth_job *)(void *)t;
    (void)l;
    j->done = true;
    fiber_wake(j->fiber);
}

static void job_run(struct auth_job *j)
{
    if (j->guard != NULL && j->guard->closed(j->guard->user)) {
        j->result = ERR_AUTH;
        loop_post(j->loop, &j->task);
        return;
    }
    j->result = j->verify != NULL ? credentials_verify(j->verify, j->password)
                                  : credentials_make(j->password, rng_system(), j->arena, j->made);
    metric_inc(&metric_hashes);
    loop_post(j->loop, &j->task);
}

static void *worker(void *arg)
{
    struct auth_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop || !list_empty(&p->jobs)) {
        struct list *n = list_pop_front(&p->jobs);
        if (n == NULL) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        p->n_jobs--;
        pthread_mutex_unlock(&p->lock);
        metric_add(&metric_waiting, -1);
        job_run(LIST_ENTRY(n, struct auth_job, node));
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err auth_pool_open(uint32_t threads, uint32_t queue_max, struct auth_pool **out)
{
    struct auth_pool *p = mem_zalloc(sizeof(*p) + threads * sizeof(p->threads[0]));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    list_init(&p->jobs);
    p->queue_max = queue_max;
    for (; p->n_threads < threads; p->n_threads++) {
        if (pthread_create(&p->threads[p->n_threads], NULL, worker, p) != 0) {
            auth_pool_close(p);
            return ERR_NOMEM;
        }
    }
    *out = p;
    return OK;
}

void auth_pool_close(struct auth_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_threads; i++) {
        pthread_join(p->threads[i], NULL);
    }
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

static enum err submit(struct auth_pool *p, struct auth_job *j)
{
    j->task.fn = job_done;
    j->fiber = fiber_self();
    j->loop = fiber_loop();
    ASSERT(j->fiber != NULL);
    pthread_mutex_lock(&p->lock);
    bool full = p->n_jobs >= p->queue_max;
    if (!full) {
        list_push_back(&p->jobs, &j->node);
        p->n_jobs++;
        metric_add(&metric_waiting, 1);
        pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    if (full) {
        return ERR_OVERLOAD;
    }
    while (!j->done) {
        fiber_park();
    }
    return j->result;
}

enum err auth_pool_verify(struct auth_pool *p, const Pb__Credentials *c, struct slice password,
                          const struct auth_pool_guard *guard)
{
    struct auth_job j = {.verify = c, .password = password, .guard = guard};
    return submit(p, &j);
}

enum err auth_pool_make(struct auth_pool *p, struct slice password, struct arena *arena, Pb__Credentials *out)
{
    struct auth_job j = {.password = password, .arena = arena, .made = out};
    return submit(p, &j);
}
