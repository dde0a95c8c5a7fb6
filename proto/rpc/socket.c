#include "proto/rpc/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

struct address {
    int family;
    socklen_t n;
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } a;
};

bool rpc_url_is_inproc(const char *url)
{
    return strncmp(url, "inproc:", 7) == 0;
}

bool rpc_url_is_tcp(const char *url)
{
    return strncmp(url, "tcp://", 6) == 0;
}

enum err rpc_socket_error(int error, const char *what, const char *url, struct buf *why)
{
    if (why != NULL && buf_printf(why, "%s %s: %s", what, url, strerror(error)) != OK) {
        buf_reset(why);
    }
    switch (error) {
    case 0:
        return OK;
    case EADDRINUSE:
        return ERR_EXISTS;
    case EACCES:
        return ERR_PERM;
    case EINVAL:
        return ERR_INVAL;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

/* --- addresses --- */

static int address_ipc(const char *path, struct address *out)
{
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(out->a.un.sun_path)) {
        return EINVAL;
    }
    out->family = AF_UNIX;
    out->n = sizeof(out->a.un);
    out->a.un.sun_family = AF_UNIX;
    memcpy(out->a.un.sun_path, path, n + 1);
    return 0;
}

/* host:port, [v6]:port; "*" and "" are every address. */
static int address_split(const char *text, char *host, size_t host_n, const char **out_port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0') {
        return EINVAL;
    }
    size_t n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n >= host_n) {
        return EINVAL;
    }
    memcpy(host, text, n);
    host[n] = '\0';
    *out_port = colon + 1;
    return 0;
}

static int address_tcp(const char *text, bool passive, struct address *out)
{
    char host[256];
    const char *port;
    struct addrinfo hints, *ai = NULL;
    if (address_split(text, host, sizeof(host), &port) != 0) {
        return EINVAL;
    }
    bool any = host[0] == '\0' || strcmp(host, "*") == 0;
    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
    if (getaddrinfo(any ? NULL : host, port, &hints, &ai) != 0) {
        return EINVAL;
    }
    out->family = ai->ai_family;
    out->n = ai->ai_addrlen;
    memcpy(&out->a.storage, ai->ai_addr, ai->ai_addrlen);
    freeaddrinfo(ai);
    return 0;
}

static int address_parse(const char *url, bool passive, struct address *out)
{
    memset(out, 0, sizeof(*out));
    if (strncmp(url, "ipc://", 6) == 0) {
        return address_ipc(url + 6, out);
    }
    if (strncmp(url, "tcp://", 6) == 0) {
        return address_tcp(url + 6, passive, out);
    }
    return EINVAL;
}

int rpc_socket_check(const char *url)
{
    char host[256];
    const char *port;
    if (strncmp(url, "tcp://", 6) == 0) {
        return address_split(url + 6, host, sizeof(host), &port);
    }
    struct address a;
    return address_parse(url, false, &a);
}

/* --- sockets --- */

void rpc_socket_close(int fd)
{
    (void)close(fd);
}

static int socket_new(const struct address *a, int *out_fd)
{
    int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *out_fd = fd;
    return fd < 0 ? errno : 0;
}

struct tcp_option {
    int level, name, value;
};

static void options_set(int fd, const struct tcp_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    }
}

/* A peer host that vanished is noticed after about a minute, an unacknowledged write likewise. */
static void socket_tcp_options(int fd)
{
    static const struct tcp_option options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 20},
        {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 4}, {IPPROTO_TCP, TCP_USER_TIMEOUT, 60000}};
    options_set(fd, options, sizeof(options) / sizeof(options[0]));
}

void rpc_socket_hurry(int fd, uint32_t silence_ms)
{
    const struct tcp_option options[] = {{IPPROTO_TCP, TCP_KEEPIDLE, 2},
                                         {IPPROTO_TCP, TCP_KEEPINTVL, 1},
                                         {IPPROTO_TCP, TCP_KEEPCNT, 3},
                                         {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)silence_ms}};
    options_set(fd, options, sizeof(options) / sizeof(options[0]));
}

/* A socket file of a process that is gone refuses connections. */
static bool ipc_is_stale(const struct address *a)
{
    int fd;
    if (socket_new(a, &fd) != 0) {
        return false;
    }
    bool stale = connect(fd, &a->a.any, a->n) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return stale;
}

static int bind_listen(int fd, const struct address *a)
{
    int one = 1;
    if (a->family != AF_UNIX) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    } else if (ipc_is_stale(a)) {
        (void)unlink(a->a.un.sun_path);
    }
    if (bind(fd, &a->a.any, a->n) != 0 || (a->family == AF_UNIX && chmod(a->a.un.sun_path, 0600) != 0) ||
        listen(fd, BACKLOG) != 0) {
        return errno;
    }
    return 0;
}

int rpc_socket_listen(const char *url, int *out_fd)
{
    struct address a;
    int fd, error = address_parse(url, true, &a);
    if (error != 0 || (error = socket_new(&a, &fd)) != 0) {
        return error;
    }
    if ((error = bind_listen(fd, &a)) != 0) {
        (void)close(fd);
        return error;
    }
    *out_fd = fd;
    return 0;
}

int rpc_socket_accept(int listen_fd, int *out_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return errno;
    }
    socket_tcp_options(fd); /* an ipc socket refuses them */
    *out_fd = fd;
    return 0;
}

static int connect_finish(int fd, int timeout_ms, int cancel)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLOUT}, {.fd = cancel, .events = POLLIN}};
    int n = poll(p, 2, timeout_ms);
    if (n <= 0) {
        return n == 0 ? ETIMEDOUT : errno;
    }
    if (p[1].revents != 0) {
        return ECANCELED;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 ? errno : error;
}

/* Packet filters and routes can tell a node by its address, whichever way a connection was dialed. A failure is left to
 * connect. */
static void leave_from(int fd, const struct address *to, const char *from)
{
    struct address a;
    int one = 1;
    if (from == NULL || to->family == AF_UNIX || strncmp(from, "tcp://*", 7) == 0 ||
        address_parse(from, false, &a) != 0 || a.family != to->family) {
        return;
    }
    if (a.family == AF_INET) {
        ((struct sockaddr_in *)(void *)&a.a.storage)->sin_port = 0;
    } else {
        ((struct sockaddr_in6 *)(void *)&a.a.storage)->sin6_port = 0;
    }
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    (void)bind(fd, &a.a.any, a.n);
}

int rpc_socket_connect(const char *url, const char *from, int timeout_ms, int cancel, int *out_fd)
{
    struct address a;
    int fd, error = address_parse(url, false, &a);
    if (error != 0 || (error = socket_new(&a, &fd)) != 0) {
        return error;
    }
    leave_from(fd, &a, from);
    if (connect(fd, &a.a.any, a.n) != 0) {
        error = errno == EINPROGRESS ? connect_finish(fd, timeout_ms, cancel) : errno;
    }
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    socket_tcp_options(fd);
    *out_fd = fd;
    return 0;
}
