/* The client's parts: calls and their deadlines (client.c), calls within the process (client_inproc.c); tcp and ipc go
 * through redial.h. */
#ifndef PROTO_RPC_CLIENT_INTERNAL_H
#define PROTO_RPC_CLIENT_INTERNAL_H

#include <pthread.h>

#include "proto/rpc/client.h"
#include "proto/rpc/inproc.h"
#include "proto/rpc/redial.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for one call in flight. Over a stream it is free when the call ends, within the process when the reply came. */
struct client_slot {
    struct rpc_client *client;
    struct client_slot *next_free;
    struct rpc_call *call; /* NULL: free, or (inproc) waiting for the reply of a call that was failed */
    struct u128 request_id;
    uint64_t deadline_ms;
    uint32_t index;
    uint32_t generation;       /* streams: a late reply does not find the slot's next call */
    struct inproc_call inproc; /* inproc only */
};

struct rpc_client {
    struct rpc_redial *redial; /* tcp and ipc; else NULL */
    struct inproc_port *port;  /* inproc; else NULL */
    uint32_t slots_max;
    pthread_mutex_t mutex; /* all below, and the slots' calls */
    pthread_cond_t wake;
    struct client_slot **slots; /* made as the load asks for them */
    uint32_t n_slots;
    struct client_slot *free;
    uint32_t waiting;   /* slots with a call */
    uint32_t unreplied; /* inproc: slots the server's reply is to come for, or being handled: they keep the client */
    uint32_t finishing; /* inproc: replies whose done may be running */
    bool closing;
    bool closed; /* the last reply frees the client */
    pthread_t timer;
    uint64_t look_at_ms; /* when the timer thread looks at the deadlines next; UINT64_MAX: when there is one */
};

/* With the mutex held. */
struct rpc_call *client_slot_take(struct client_slot *s);
void client_slot_release(struct client_slot *s);
/* Completes a call that was taken off its slot. Takes msg (may be NULL). */
void client_call_finish(struct rpc_call *call, enum err status, const struct u128 *id, nng_msg *msg);
void client_free(struct rpc_client *c);

/* --- client_inproc.c --- */

/* The port was entered; the slot is assigned and counted as unreplied. Takes m. */
void client_inproc_send(struct client_slot *s, nng_msg *m);
/* All calls were failed: waits for callbacks that run, and leaves the client to the replies that are still to come. */
void client_inproc_close(struct rpc_client *c);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_CLIENT_INTERNAL_H */
