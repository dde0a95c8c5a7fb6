/* The inside of a connection, for conn*.c and server*.c only.
 *
 * All decisions are made in one place, conn_turn (conn.c), on the loop's stack: completions, timers and fibers only
 * note what happened and defer a turn. */
#ifndef FRONTEND_NET_CONN_INTERNAL_H
#define FRONTEND_NET_CONN_INTERNAL_H

#include <pthread.h>

#include "frontend/net/conn.h"
#include "frontend/net/loop_internal.h"
#include "frontend/net/tls_session.h"
#include "proto/base/buf.h"
#include "proto/base/list.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What connections of one listener share; outlives them. */
struct conn_env {
    const struct conn_proto *proto;
    void *user;
    struct tls_context *tls; /* NULL: none */
    bool implicit_tls;
    bool operators; /* outside the limits */
    uint64_t handshake_ms;
    uint64_t write_stall_ms;
    size_t out_bytes_high;
    /* The connection is gone: give its place back. On the loop's thread. */
    void (*released)(void *owner, const struct conn_env *env, const struct sockaddr_storage *peer);
    void *owner;
};

enum conn_state {
    CONN_HANDSHAKE, /* implicit TLS */
    CONN_OPEN,      /* the protocol has it */
    CONN_CLOSING,   /* the session is gone; queued output leaves */
    CONN_LINGER     /* FIN sent; waits for the peer's, so that a reset does not destroy our last reply on its way */
};

/* Why the fiber is parked in a conn_* call. */
enum conn_wait { CONN_WAIT_INPUT = 1, CONN_WAIT_OUTPUT = 2 };
#define CONN_WAIT_ANY (CONN_WAIT_INPUT | CONN_WAIT_OUTPUT)

#define CONN_EVENT_BIT(ev) (1U << (ev))

struct conn {
    struct loop *loop;
    const struct conn_env *env;
    struct list node; /* all connections of the loop's owner */
    struct loop_defer turn;
    struct io_sock sock;
    int fd;
    enum conn_state state;
    unsigned events;  /* CONN_EVENT_BIT of those to be delivered */
    unsigned waiting; /* enum conn_wait; 0: the fiber is not parked in a conn_* call */

    bool opened : 1;       /* proto->open was called: proto->close will be */
    bool fresh : 1;        /* input came since proto->input was called last */
    bool eof : 1;          /* the peer sent FIN or close_notify */
    bool dead : 1;         /* reset, evicted or out of memory: nothing can be sent or received */
    bool close_wanted : 1; /* the session ends with the current callback */
    bool in_input : 1;     /* proto->input runs */
    bool draining : 1;     /* CONN_EVENT_DRAIN was sent */
    bool forced : 1;       /* the grace is over */
    bool securing : 1;     /* STARTTLS began: input is ciphertext from here on */
    bool tls_up : 1;       /* handshake done */
    bool tls_failed : 1;   /* never send plaintext again */
    bool notify_sent : 1;  /* close_notify is queued */
    bool sending : 1;      /* wire belongs to the kernel */
    bool reading : 1;      /* receive is armed */
    bool starved : 1;      /* its turn waits for a free fiber */

    struct fiber *fiber;
    struct conn_handle *handle;
    struct tls_session *tls;
    struct buf raw;  /* received, not yet decrypted or not yet fitting into in */
    struct buf in;   /* plain input, at most in_bytes_max */
    struct buf out;  /* plain output */
    struct buf wire; /* what is being sent */
    size_t lingered_bytes;

    struct loop_timer timer; /* handshake, idle, linger: by state */
    struct loop_timer stall;
    uint64_t id;
    uint64_t idle_ms;
    uint64_t active_ms;   /* last input, or end of a command */
    uint64_t progress_ms; /* the peer took bytes */
    int kernel_queue;     /* bytes that the peer had not acknowledged when the stall timer looked last */

    struct sockaddr_storage peer;
    char peer_ip[INET6_ADDRSTRLEN];
    char local_ip[INET6_ADDRSTRLEN];
    void *session; /* behind the connection, in the same block */
};

/* Takes fd and runs the connection; released() is called when it ends. ERR_NOMEM: fd is still the caller's. On the
 * loop's stack. all: the list of its connections. */
MUST_CHECK enum err conn_new(struct loop *l, const struct conn_env *env, int fd, const struct sockaddr_storage *peer,
                             struct list *all);
/* Sends CONN_EVENT_DRAIN once. */
void conn_drain(struct conn *c);
/* Ends it without grace: parked conn_read and conn_write calls fail. */
void conn_force(struct conn *c);

/* conn.c */
void conn_turn_soon(struct conn *c);
/* The connection is broken: nothing more can be exchanged. */
void conn_abort(struct conn *c);
/* Wakes the fiber if it is parked for one of these reasons (enum conn_wait). */
void conn_wake(struct conn *c, unsigned reasons);
/* Parks the fiber; returns after a conn_wake, or without a reason. */
void conn_park(struct conn *c, enum conn_wait reason);

/* conn_in.c */
void conn_in_received(struct conn *c, const uint8_t *p, int n);
/* Moves raw input into the plain input as far as it fits; notes end of file and errors. */
void conn_in_refill(struct conn *c);
/* Starts or stops receiving as the buffers demand. */
void conn_in_pace(struct conn *c);

/* conn_out.c */
/* Starts sending if nothing is under way. */
void conn_out_push(struct conn *c);
void conn_out_sent(struct conn *c, int n);
void conn_out_stalled(struct loop *l, struct loop_timer *t);

/* conn_tls.c */
/* Advances the handshake with what has arrived. */
void conn_tls_step(struct conn *c);

/* conn_handle.c: the connection goes away, its handle stays behind. */
void conn_handle_detach(struct conn *c);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_CONN_INTERNAL_H */
