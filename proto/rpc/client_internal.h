/* The client's parts: calls and their deadlines (client.c), nng's REQ for inproc (client_req.c); tcp and ipc go through
 * redial.h. */
#ifndef PROTO_RPC_CLIENT_INTERNAL_H
#define PROTO_RPC_CLIENT_INTERNAL_H

#include <pthread.h>

#include "proto/rpc/client.h"
#include "proto/rpc/redial.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for one call in flight. */
struct client_slot {
    struct rpc_client *client;
    struct client_slot *next_free;
    struct rpc_call *call; /* NULL: free, or (inproc) waiting for the reply of a call that timed out */
    struct u128 request_id;
    uint64_t deadline_ms;
    uint32_t index;
    uint32_t generation; /* streams: a late reply does not find the slot's next call */
    /* inproc only */
    nng_ctx ctx;
    nng_aio *aio;
    bool sending; /* the aio runs the send; else the receive */
};

struct rpc_client {
    bool inproc;
    struct rpc_redial *redial; /* tcp and ipc */
    nng_socket sock;           /* inproc */
    uint32_t pipes;            /* inproc, atomic */
    uint32_t slots_max;
    pthread_mutex_t mutex; /* all below, and the slots' calls */
    pthread_cond_t wake;
    struct client_slot **slots; /* made as the load asks for them */
    uint32_t n_slots;
    struct client_slot *free;
    uint32_t waiting; /* slots with a call */
    bool closing;
    bool timer_asleep;
    pthread_t timer;
};

/* With the mutex held. */
struct rpc_call *client_slot_take(struct client_slot *s);
void client_slot_release(struct client_slot *s);
/* Completes a call that was taken off its slot. Takes msg (may be NULL). */
void client_call_finish(struct rpc_call *call, enum err status, const struct u128 *id, nng_msg *msg);

/* --- client_req.c --- */
MUST_CHECK int client_req_open(struct rpc_client *c, const char *url);
void client_req_close(struct rpc_client *c);
MUST_CHECK int client_req_slot_init(struct client_slot *s);
void client_req_slot_fini(struct client_slot *s);
void client_req_send(struct client_slot *s, nng_msg *m);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_RPC_CLIENT_INTERNAL_H */
