#include "proto/rpc/nng_common.h"

#include <pthread.h>
#include <string.h>

#define RECONNECT_MS_MIN 20
#define RECONNECT_MS_MAX 1000
#define NNG_THREADS_MAX 4

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION >= 7
static pthread_once_t init_once = PTHREAD_ONCE_INIT;

static void init_threads(void)
{
    nng_init_set_parameter(NNG_INIT_MAX_TASK_THREADS, NNG_THREADS_MAX);
    nng_init_set_parameter(NNG_INIT_MAX_EXPIRE_THREADS, 1);
    nng_init_set_parameter(NNG_INIT_NUM_RESOLVER_THREADS, 1);
}

void rpc_nng_init(void)
{
    (void)pthread_once(&init_once, init_threads);
}
#else
void rpc_nng_init(void)
{
}
#endif

enum err rpc_nng_error(int rv, const char *what, const char *url, struct buf *why)
{
    if (why != NULL && buf_printf(why, "%s %s: %s", what, url == NULL ? "" : url, nng_strerror(rv)) != OK) {
        buf_reset(why);
    }
    switch (rv) {
    case 0:
        return OK;
    case NNG_ENOMEM:
        return ERR_NOMEM;
    case NNG_EADDRINUSE:
        return ERR_EXISTS;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
    case NNG_ENOTSUP:
        return ERR_INVAL;
    case NNG_EPERM:
        return ERR_PERM;
    case NNG_ETIMEDOUT:
        return ERR_TIMEOUT;
    default:
        return ERR_CLOSED;
    }
}

int rpc_nng_socket_limits(nng_socket s)
{
    return nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, RPC_RECV_BYTES_MAX);
}

int rpc_nng_dial(nng_socket s, const char *url)
{
    nng_dialer d;
    int rv = nng_dialer_create(&d, s, url);
    if (rv != 0) {
        return rv;
    }
    if ((rv = nng_dialer_set_ms(d, NNG_OPT_RECONNMINT, RECONNECT_MS_MIN)) != 0 ||
        (rv = nng_dialer_set_ms(d, NNG_OPT_RECONNMAXT, RECONNECT_MS_MAX)) != 0) {
        return rv;
    }
    return nng_dialer_start(d, NNG_FLAG_NONBLOCK);
}

nng_msg *rpc_nng_msg(const struct rpc_head *h, struct slice meta, struct slice attach)
{
    nng_msg *m = NULL;
    if (nng_msg_alloc(&m, RPC_HEAD_BYTES + meta.n + attach.n) != 0) {
        return NULL;
    }
    uint8_t *p = nng_msg_body(m);
    rpc_head_encode(h, p);
    if (meta.n > 0) {
        memcpy(p + RPC_HEAD_BYTES, meta.p, meta.n);
    }
    if (attach.n > 0) {
        memcpy(p + RPC_HEAD_BYTES + meta.n, attach.p, attach.n);
    }
    return m;
}
