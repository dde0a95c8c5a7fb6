#include "proto/rpc/stream.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/rpc/tls_session.h"

#define GREETING "PBXRPC1\n"
#define GREETING_BYTES 8
#define PREFIX_BYTES 16
#define IN_BYTES (64 * 1024)
#define OUT_BYTES (64 * 1024)
#define COPY_BYTES_MAX (8 * 1024) /* frames up to this are gathered by copying: many of them are one write */
#define FRAME_COST 64             /* of a frame that waits, besides its bytes */
#define READS_A_RUN 8             /* then other streams have their turn */

struct out_frame {
    struct out_frame *next;
    uint64_t tag;
    nng_msg *msg;
};

struct rpc_stream {
    int fd;
    struct rpc_poller *poller;
    void *source;
    struct rpc_stream_ops ops;
    void *user;

    /* receiving: the I/O thread only */
    uint8_t *in;
    size_t in_from, in_to;
    bool greeted;
    uint64_t tag;
    nng_msg *msg; /* being filled */
    size_t msg_have;

    bool secured; /* the TLS handshake is done, or there is none to do */

    pthread_mutex_t mutex;       /* all below */
    struct rpc_tls_session *tls; /* NULL: plain. The pointer itself is set before the first run. */
    bool broken;
    bool paused;
    struct out_frame *queue_first, **queue_last;
    uint32_t queued;
    size_t queued_bytes, queued_bytes_max; /* 0: no bound */
    uint8_t *out;
    size_t out_from, out_to;
    uint32_t batch; /* frames in it */
    nng_msg *big;   /* written after `out`, without a copy */
    size_t big_from;
};

static bool stream_flag(struct rpc_stream *s, const bool *flag)
{
    (void)pthread_mutex_lock(&s->mutex);
    bool v = *flag;
    (void)pthread_mutex_unlock(&s->mutex);
    return v;
}

/* --- receiving --- */

/* Takes n bytes off the input when they are there. */
static const uint8_t *in_take(struct rpc_stream *s, size_t n)
{
    if (s->in_to - s->in_from < n) {
        return NULL;
    }
    const uint8_t *p = s->in + s->in_from;
    s->in_from += n;
    return p;
}

static bool prefix_parse(struct rpc_stream *s, const uint8_t *p)
{
    uint32_t n = get_le32(p);
    s->tag = get_le64(p + 8);
    s->msg_have = 0;
    return n <= RPC_RECV_BYTES_MAX && nng_msg_alloc(&s->msg, n) == 0;
}

static void msg_fill(struct rpc_stream *s)
{
    size_t n = nng_msg_len(s->msg) - s->msg_have;
    size_t have = s->in_to - s->in_from;
    n = n < have ? n : have;
    if (n > 0) {
        memcpy((uint8_t *)nng_msg_body(s->msg) + s->msg_have, s->in + s->in_from, n);
    }
    s->in_from += n;
    s->msg_have += n;
}

/* False: not ours. */
static bool greeting_parse(struct rpc_stream *s)
{
    const uint8_t *p = in_take(s, GREETING_BYTES);
    if (p == NULL) {
        return true;
    }
    s->greeted = memcmp(p, GREETING, GREETING_BYTES) == 0;
    if (s->greeted && s->ops.on_open != NULL) {
        s->ops.on_open(s->user);
    }
    return s->greeted;
}

/* Delivers every frame that is complete. False: the peer talks nonsense. */
static bool in_parse(struct rpc_stream *s)
{
    if (!s->greeted && !greeting_parse(s)) {
        return false;
    }
    while (s->greeted && !stream_flag(s, &s->paused)) {
        if (s->msg == NULL) {
            const uint8_t *p = in_take(s, PREFIX_BYTES);
            if (p == NULL) {
                return true;
            }
            if (!prefix_parse(s, p)) {
                return false;
            }
        }
        msg_fill(s);
        if (s->msg_have < nng_msg_len(s->msg)) {
            return true;
        }
        nng_msg *m = s->msg;
        s->msg = NULL;
        s->ops.on_frame(s->user, s->tag, m);
    }
    return true;
}

/* As readv: one of the pieces is enough. */
static ssize_t tls_read(struct rpc_stream *s, const struct iovec *iov)
{
    (void)pthread_mutex_lock(&s->mutex);
    ssize_t got = rpc_tls_session_read(s->tls, iov->iov_base, iov->iov_len);
    (void)pthread_mutex_unlock(&s->mutex);
    return got;
}

/* The rest of a long message is read into it; whatever follows goes to the buffer in the same read. recv's results: >
 * 0, 0 at the end, < 0 with errno. */
static ssize_t in_read(struct rpc_stream *s)
{
    struct iovec iov[2];
    int n = 0;
    if (s->in_from > 0) {
        memmove(s->in, s->in + s->in_from, s->in_to - s->in_from);
        s->in_to -= s->in_from;
        s->in_from = 0;
    }
    size_t direct = s->msg == NULL ? 0 : nng_msg_len(s->msg) - s->msg_have;
    if (direct > 0) {
        iov[n].iov_base = (uint8_t *)nng_msg_body(s->msg) + s->msg_have;
        iov[n++].iov_len = direct;
    }
    iov[n].iov_base = s->in + s->in_to;
    iov[n++].iov_len = IN_BYTES - s->in_to;
    ssize_t got = s->tls == NULL ? readv(s->fd, iov, n) : tls_read(s, iov);
    if (got > 0) {
        size_t to_msg = (size_t)got < direct ? (size_t)got : direct;
        s->msg_have += to_msg;
        s->in_to += (size_t)got - to_msg;
    }
    return got;
}

/* False: the connection has ended. */
static bool in_run(struct rpc_stream *s)
{
    if (!in_parse(s)) {
        return false; /* what a pause left over */
    }
    for (int i = 0; i < READS_A_RUN; i++) {
        if (stream_flag(s, &s->paused)) {
            return true;
        }
        ssize_t n = in_read(s);
        if (n < 0 && errno == EAGAIN) {
            return true;
        }
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        if (!in_parse(s)) {
            return false;
        }
    }
    rpc_poller_rearm(s->poller, s->fd, s->source);
    return true;
}

void rpc_stream_pause(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->paused = true;
    (void)pthread_mutex_unlock(&s->mutex);
}

/* The socket is writable, if nothing else: re-arming brings an event, and with it a run, in any case. A full socket
 * brings one as soon as it drains. */
void rpc_stream_resume(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->paused = false;
    (void)pthread_mutex_unlock(&s->mutex);
    rpc_poller_rearm(s->poller, s->fd, s->source);
}

/* --- sending, with the mutex held --- */

static void prefix_put(uint8_t *p, uint64_t tag, size_t bytes)
{
    put_le32(p, (uint32_t)bytes);
    put_le32(p + 4, 0);
    put_le64(p + 8, tag);
}

/* Moves frames from the queue to `out` and `big` until something does not fit. */
static void out_gather(struct rpc_stream *s)
{
    while (s->queue_first != NULL && s->big == NULL) {
        struct out_frame *f = s->queue_first;
        size_t n = nng_msg_len(f->msg);
        bool copy = n <= COPY_BYTES_MAX;
        if (OUT_BYTES - s->out_to < PREFIX_BYTES + (copy ? n : 0)) {
            return;
        }
        prefix_put(s->out + s->out_to, f->tag, n);
        s->out_to += PREFIX_BYTES;
        if (copy) {
            memcpy(s->out + s->out_to, nng_msg_body(f->msg), n);
            s->out_to += n;
            nng_msg_free(f->msg);
        } else {
            s->big = f->msg;
            s->big_from = 0;
        }
        s->queue_first = f->next;
        if (f->next == NULL) {
            s->queue_last = &s->queue_first;
        }
        s->queued--;
        s->queued_bytes -= n + FRAME_COST;
        s->batch++;
        mem_free(f);
    }
}

/* One of the pieces. What was refused comes again unchanged: nothing is gathered before the batch is out. */
static ssize_t tls_write(struct rpc_stream *s)
{
    if (s->out_to > s->out_from || s->big == NULL) {
        return rpc_tls_session_write(s->tls, s->out + s->out_from, s->out_to - s->out_from);
    }
    return rpc_tls_session_write(s->tls, (uint8_t *)nng_msg_body(s->big) + s->big_from,
                                 nng_msg_len(s->big) - s->big_from);
}

static ssize_t out_write(struct rpc_stream *s)
{
    if (s->tls != NULL) {
        return tls_write(s);
    }
    struct iovec iov[2];
    struct msghdr h;
    memset(&h, 0, sizeof(h));
    h.msg_iov = iov;
    if (s->out_to > s->out_from) {
        iov[h.msg_iovlen].iov_base = s->out + s->out_from;
        iov[h.msg_iovlen++].iov_len = s->out_to - s->out_from;
    }
    if (s->big != NULL) {
        iov[h.msg_iovlen].iov_base = (uint8_t *)nng_msg_body(s->big) + s->big_from;
        iov[h.msg_iovlen++].iov_len = nng_msg_len(s->big) - s->big_from;
    }
    return sendmsg(s->fd, &h, MSG_NOSIGNAL);
}

/* True when all of the batch is out. */
static bool out_account(struct rpc_stream *s, size_t n)
{
    size_t head = s->out_to - s->out_from;
    head = n < head ? n : head;
    s->out_from += head;
    s->big_from += n - head;
    if (s->out_from < s->out_to || (s->big != NULL && s->big_from < nng_msg_len(s->big))) {
        return false;
    }
    if (s->big != NULL) {
        nng_msg_free(s->big);
        s->big = NULL;
    }
    s->out_from = s->out_to = 0;
    return true;
}

/* Writes until the socket is full; the number of frames that went. A failure breaks the stream: the I/O thread is told
 * by the shutdown. */
static uint32_t out_run(struct rpc_stream *s)
{
    uint32_t sent = 0;
    while (!s->broken) {
        if (s->out_to == 0) {
            out_gather(s);
        }
        if (s->out_to == 0) {
            break;
        }
        ssize_t n = out_write(s);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            s->broken = true;
            (void)shutdown(s->fd, SHUT_RDWR);
        }
        if (n > 0 && out_account(s, (size_t)n)) {
            sent += s->batch;
            s->batch = 0;
        }
    }
    return sent;
}

static void told_sent(struct rpc_stream *s, uint32_t n)
{
    if (n > 0 && s->ops.on_sent != NULL) {
        s->ops.on_sent(s->user, n);
    }
}

enum err rpc_stream_send(struct rpc_stream *s, uint64_t tag, nng_msg *m, uint32_t queued_max)
{
    struct out_frame *f = mem_alloc(sizeof(*f));
    if (f == NULL) {
        return ERR_NOMEM;
    }
    f->next = NULL;
    f->tag = tag;
    f->msg = m;
    (void)pthread_mutex_lock(&s->mutex);
    if (s->broken || (queued_max > 0 && s->queued >= queued_max) ||
        (s->queued_bytes_max > 0 && s->queued_bytes + nng_msg_len(m) + FRAME_COST > s->queued_bytes_max)) {
        enum err e = s->broken ? ERR_CLOSED : ERR_OVERLOAD;
        (void)pthread_mutex_unlock(&s->mutex);
        mem_free(f);
        return e;
    }
    *s->queue_last = f;
    s->queue_last = &f->next;
    s->queued++;
    s->queued_bytes += nng_msg_len(m) + FRAME_COST;
    uint32_t sent = s->out_to == 0 ? out_run(s) : 0; /* else the socket is full: its event goes on */
    (void)pthread_mutex_unlock(&s->mutex);
    told_sent(s, sent);
    return OK;
}

bool rpc_stream_sending(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    bool sending = !s->broken && (s->out_to > 0 || s->queue_first != NULL);
    (void)pthread_mutex_unlock(&s->mutex);
    return sending;
}

/* --- TLS --- */

enum err rpc_stream_secure(struct rpc_stream *s, const struct rpc_tls *tls, bool accepted)
{
    s->secured = false;
    return rpc_tls_session_new(tls, s->fd, accepted, &s->tls);
}

const char *rpc_stream_tls_failure(struct rpc_stream *s)
{
    if (s->tls == NULL) {
        return NULL;
    }
    (void)pthread_mutex_lock(&s->mutex);
    const char *why = rpc_tls_session_failure(s->tls);
    (void)pthread_mutex_unlock(&s->mutex);
    return why;
}

/* OK, ERR_TIMEOUT: not yet, else over. */
static enum err secure_run(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    enum err e = s->broken ? ERR_CLOSED : rpc_tls_session_handshake(s->tls);
    (void)pthread_mutex_unlock(&s->mutex);
    s->secured = e == OK;
    return e;
}

/* --- life --- */

void rpc_stream_limit(struct rpc_stream *s, size_t queued_bytes_max)
{
    s->queued_bytes_max = queued_bytes_max;
}

bool rpc_stream_run(struct rpc_stream *s, bool hangup)
{
    if (!s->secured) {
        enum err e = secure_run(s);
        if (e != OK && (hangup || e != ERR_TIMEOUT)) {
            rpc_stream_shut(s);
            return false;
        }
        if (e != OK) {
            return true;
        }
    }
    (void)pthread_mutex_lock(&s->mutex);
    uint32_t sent = out_run(s);
    (void)pthread_mutex_unlock(&s->mutex);
    told_sent(s, sent);
    bool alive = !hangup && in_run(s);
    if (hangup && !stream_flag(s, &s->paused)) {
        (void)in_run(s); /* what came before it */
    }
    if (!alive) {
        rpc_stream_shut(s);
    }
    return alive;
}

void rpc_stream_shut(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->broken = true;
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_mutex_unlock(&s->mutex);
}

enum err rpc_stream_open(int fd, struct rpc_poller *poller, void *source, const struct rpc_stream_ops *ops, void *user,
                         struct rpc_stream **out)
{
    struct rpc_stream *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->fd = -1;
    s->poller = poller;
    s->source = source;
    s->ops = *ops;
    s->user = user;
    s->queue_last = &s->queue_first;
    s->secured = true;
    (void)pthread_mutex_init(&s->mutex, NULL);
    s->in = mem_alloc(IN_BYTES);
    s->out = mem_alloc(OUT_BYTES);
    if (s->in == NULL || s->out == NULL || rpc_poller_add(poller, fd, source) != 0) {
        rpc_stream_free(s);
        return ERR_NOMEM;
    }
    s->fd = fd;
    memcpy(s->out, GREETING, GREETING_BYTES); /* goes with the first event: the socket is writable */
    s->out_to = GREETING_BYTES;
    *out = s;
    return OK;
}

void rpc_stream_free(struct rpc_stream *s)
{
    if (s == NULL) {
        return;
    }
    for (struct out_frame *f = s->queue_first, *next; f != NULL; f = next) {
        next = f->next;
        nng_msg_free(f->msg);
        mem_free(f);
    }
    if (s->big != NULL) {
        nng_msg_free(s->big);
    }
    if (s->msg != NULL) {
        nng_msg_free(s->msg);
    }
    rpc_tls_session_free(s->tls);
    if (s->fd >= 0) {
        rpc_poller_remove(s->poller, s->fd);
        (void)close(s->fd);
    }
    (void)pthread_mutex_destroy(&s->mutex);
    mem_free(s->in);
    mem_free(s->out);
    mem_free(s);
}
