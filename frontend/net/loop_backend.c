/* Which I/O backend this process uses: a functional probe, and texts for the operator. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/net/io.h"
#include "frontend/net/loop.h"
#include "frontend/net/net_metrics.h"
#include "proto/base/assert.h"
#include "proto/base/log.h"

#define PROBE_ROUNDS 20
#define PROBE_ROUND_MS 50

struct probe {
    int got; /* the byte that came through the ring, or -errno; 0 = nothing yet */
};

static void probe_received(void *user, const uint8_t *p, int n)
{
    struct probe *probe = user;
    probe->got = n > 0 ? p[0] : n == 0 ? -EIO : n;
}

static const struct io_sink probe_sink = {.received = probe_received};

/* A seccomp profile sees only the system calls and an old kernel may know a flag but not the operation: so one byte
 * really goes through multishot recv and a provided buffer. Returns 0 or an errno. */
static int probe_echo(struct io *io)
{
    int pair[2];
    struct io_sock sock;
    struct probe probe = {.got = 0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return errno;
    }
    if (io_attach(io, pair[0], &probe_sink, &probe, &sock) != OK) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return ENOMEM;
    }
    io_recv_start(io, sock);
    ssize_t n = write(pair[1], "x", 1);
    for (unsigned i = 0; n == 1 && probe.got == 0 && i < PROBE_ROUNDS; i++) {
        io_wait(io, PROBE_ROUND_MS);
        io_report(io);
    }
    (void)close(pair[1]);
    return probe.got == 'x' ? 0 : probe.got < 0 ? -probe.got : EIO;
}

static int probe_io_uring(void)
{
    struct io *io;
    int error = 0;
    if (io_new(IO_BACKEND_IO_URING, &io, &error) != OK) {
        return error == 0 ? EIO : error;
    }
    io_start(io);
    error = probe_echo(io);
    io_finish(io);
    io_free(io);
    return error;
}

static void *probe_main(void *arg)
{
    int *error = arg;
    *error = probe_io_uring();
    return NULL;
}

/* In a thread of its own: a ring that goes away interrupts later system calls of the thread that used it (EINTR). */
static int probe_aside(void)
{
    pthread_t thread;
    int error = 0;
    int rc = pthread_create(&thread, NULL, probe_main, &error);
    if (rc != 0) {
        return rc;
    }
    rc = pthread_join(thread, NULL);
    ASSERT(rc == 0);
    return error;
}

static const char *remedy(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return "denied by the container runtime's seccomp profile (the default of Docker 25 and containerd 2) or by "
               "the sysctl "
               "kernel.io_uring_disabled: allow io_uring_setup, io_uring_enter and io_uring_register in the profile, "
               "or set "
               "io_backend to epoll";
    case ENOSYS:
        return "hidden by the container runtime's seccomp profile (the default of podman and CRI-O) or missing from "
               "this kernel: "
               "allow io_uring_setup, io_uring_enter and io_uring_register in the profile, or set io_backend to epoll";
    case ENOMEM:
        return "over the limit of locked memory, which all processes of this user share: raise memlock (ulimit -l, "
               "LimitMEMLOCK=, or the container runtime's), run fewer threads, or set io_backend to epoll";
    case EINVAL:
    case EOPNOTSUPP:
        return "this kernel is too old for multishot receive (6.0 or newer is needed) or forbids it: set io_backend to "
               "epoll";
    case EMFILE:
    case ENFILE:
        return "out of file descriptors: raise nofile (ulimit -n)";
    default:
        return "set io_backend to epoll";
    }
}

static void publish(enum io_backend backend)
{
    metric_set(&net_metric_backend_io_uring, backend == IO_BACKEND_IO_URING ? 1 : 0);
    metric_set(&net_metric_backend_epoll, backend == IO_BACKEND_EPOLL ? 1 : 0);
}

enum err loop_backend_decide(enum io_backend want, enum io_backend *out_got, struct buf *why)
{
    enum io_backend got = IO_BACKEND_EPOLL;
    if (want != IO_BACKEND_EPOLL) {
        int error = probe_aside();
        if (error == 0) {
            got = IO_BACKEND_IO_URING;
        } else if (want == IO_BACKEND_IO_URING) {
            enum err e = buf_printf(why, "io_backend = io_uring, but io_uring cannot be used: errno %d (%s): %s", error,
                                    strerror(error), remedy(error));
            (void)e; /* the text is an extra; the answer is no either way */
            return ERR_UNSUPPORTED;
        } else {
            log_warn("net.io_backend", "io_uring cannot be used, falling back to epoll", LOG_I64("errno", error),
                     LOG_STR("text", strerror(error)), LOG_STR("remedy", remedy(error)));
        }
    }
    publish(got);
    *out_got = got;
    return OK;
}
