#include "proto/rpc/client.h"

#include <semaphore.h>
#include <time.h>

#include "proto/base/clock.h"

static void call_done(struct rpc_call *call)
{
    (void)sem_post((sem_t *)call->user);
}

static enum err link_wait(const struct rpc_client *c, uint64_t until_ms)
{
    while (!rpc_client_connected(c)) {
        if (clock_mono_ms(clock_system()) >= until_ms) {
            return ERR_UNAVAILABLE;
        }
        struct timespec ts = {0, 5000000};
        (void)nanosleep(&ts, NULL);
    }
    return OK;
}

enum err rpc_client_call(struct rpc_client *c, struct rpc_call *call)
{
    uint64_t until_ms = clock_mono_ms(clock_system()) + call->timeout_ms;
    enum err e = link_wait(c, until_ms);
    if (e != OK) {
        return e;
    }
    sem_t sem;
    if (sem_init(&sem, 0, 0) != 0) {
        return ERR_NOMEM;
    }
    call->done = call_done;
    call->user = &sem;
    e = rpc_client_send(c, call);
    if (e == OK) {
        while (sem_wait(&sem) != 0) {
        }
        e = call->status;
    }
    (void)sem_destroy(&sem);
    return e;
}
