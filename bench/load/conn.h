/* One client: runs steps against a socket. Everything it needs is allocated when it is made. */
#ifndef BENCH_LOAD_CONN_H
#define BENCH_LOAD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/mail.h"
#include "bench/load/reply.h"
#include "bench/load/work.h"

#ifdef __cplusplus
extern "C" {
#endif

struct run;

enum conn_state {
    CONN_NEW,
    CONN_SETUP, /* runs the work's setup */
    CONN_READY, /* waits for its next operation */
    CONN_BUSY,  /* runs an operation */
    CONN_WATCH, /* idles; what arrives is news */
};

enum { CONN_HEAD_BYTES = 512 };

struct conn {
    struct run *run;
    const struct step *setup;
    const struct step *step;
    enum conn_state state;
    int fd;
    uint16_t port;
    bool wants_out; /* registered for EPOLLOUT */
    uint64_t index;
    uint64_t user;
    uint64_t recipient;
    uint64_t sequence;
    uint64_t repetition;
    uint64_t ops;
    uint64_t number; /* of the operation among all */
    uint64_t op_start_us;
    uint64_t due_us;   /* CONN_READY: not before */
    uint64_t op_bytes; /* answers of this operation */
    uint64_t reply_bytes_last;
    size_t head_n;
    size_t sent; /* of head, message and end together */
    struct reply reply;
    struct mail mail; /* bytes NULL when the work sends none */
    char head[CONN_HEAD_BYTES];
};

void conn_init(struct conn *c, struct run *run, uint64_t index, uint16_t port, const struct step *setup);
void conn_fini(struct conn *c);
/* Connects and runs the setup, if there is one; else the connection is ready. */
void conn_enter_setup(struct conn *c);
void conn_enter_busy(struct conn *c, uint64_t now_us);
void conn_on_event(struct conn *c, uint32_t events, uint64_t now_us);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_CONN_H */
