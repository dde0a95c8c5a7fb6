/* Listener addresses as text, and their sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "frontend/net/server_internal.h"

#define BACKLOG 1024
#define HOST_BYTES_MAX 64
#define TAKEN_TRIES 150 /* three seconds */
#define TAKEN_POLL_MS 20

static enum err complain(struct buf *why, const char *what, const char *text, int error)
{
    enum err e = error == 0 ? buf_printf(why, "%s: %s", text, what)
                            : buf_printf(why, "%s: %s: %s (errno %d)", text, what, strerror(error), error);
    (void)e; /* the text is an extra */
    return error == 0 ? ERR_INVAL : ERR_IO;
}

/* --- text --- */

static void add_v4(struct server_listener *l, struct in_addr ip, uint16_t port)
{
    struct server_address *a = &l->addresses[l->n_addresses++];
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&a->addr;
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip};
    a->len = sizeof(*in);
}

static void add_v6(struct server_listener *l, const struct in6_addr *ip, uint16_t port)
{
    struct server_address *a = &l->addresses[l->n_addresses++];
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)(void *)&a->addr;
    *in = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};
    a->len = sizeof(*in);
}

static bool have_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    bool ok = bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0;
    (void)close(fd);
    return ok;
}

/* host:port, where an IPv6 host is in brackets and "*" is every address of both families. */
enum err server_address_parse(const char *text, struct server_listener *out_listener, struct buf *why)
{
    const char *colon = strrchr(text, ':');
    char host[HOST_BYTES_MAX];
    uint64_t port;
    if (colon == NULL || slice_u64(slice_str(colon + 1), &port) != OK || port > UINT16_MAX) {
        return complain(why, "expected address:port", text, 0);
    }
    size_t n = (size_t)(colon - text);
    bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (n >= sizeof(host)) {
        return complain(why, "the address is too long", text, 0);
    }
    memcpy(host, brackets ? text + 1 : text, brackets ? n - 2 : n);
    host[brackets ? n - 2 : n] = '\0';
    struct in_addr v4 = {.s_addr = htonl(INADDR_ANY)};
    struct in6_addr v6 = in6addr_any;
    out_listener->n_addresses = 0;
    if (strcmp(host, "*") == 0) {
        add_v4(out_listener, v4, (uint16_t)port);
        if (have_ipv6()) {
            add_v6(out_listener, &v6, (uint16_t)port);
        }
    } else if (!brackets && inet_pton(AF_INET, host, &v4) == 1) {
        add_v4(out_listener, v4, (uint16_t)port);
    } else if (brackets && inet_pton(AF_INET6, host, &v6) == 1) {
        add_v6(out_listener, &v6, (uint16_t)port);
    } else {
        return complain(why, "not an IPv4 address, an IPv6 address in brackets or *", text, 0);
    }
    return OK;
}

/* --- sockets --- */

static void address_text(const struct server_address *a, char *out, size_t n)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (a->addr.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a->addr;
        (void)inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
        (void)snprintf(out, n, "%s:%u", ip, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)&a->addr;
        (void)inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
        (void)snprintf(out, n, "[%s]:%u", ip, ntohs(in->sin6_port));
    }
}

static bool set_option(int fd, int level, int name)
{
    const int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on)) == 0;
}

static int make_socket(struct server_address *a, bool shared, const char **out_what)
{
    int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *out_what = "socket";
    if (fd < 0) {
        return -1;
    }
    bool ok = set_option(fd, SOL_SOCKET, SO_REUSEADDR) && (!shared || set_option(fd, SOL_SOCKET, SO_REUSEPORT)) &&
              (a->addr.ss_family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
    *out_what = "setsockopt";
    if (ok) {
        *out_what = "bind";
        ok = bind(fd, (const struct sockaddr *)&a->addr, a->len) == 0;
    }
    if (ok) {
        *out_what = "listen";
        ok = listen(fd, BACKLOG) == 0;
    }
    if (ok) {
        *out_what = "getsockname";
        ok = getsockname(fd, (struct sockaddr *)&a->addr, &a->len) == 0;
    }
    if (!ok) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The kernel takes an io_uring apart after its process is gone: the ports of a server that was killed are free a moment
 * later, and the one that takes its place should not die of it. */
static int make_free_socket(struct server_address *a, const char **out_what)
{
    int fd = make_socket(a, false, out_what);
    for (unsigned i = 0; i < TAKEN_TRIES && fd < 0 && errno == EADDRINUSE; i++) {
        const struct timespec ts = {.tv_nsec = TAKEN_POLL_MS * 1000000L};
        (void)nanosleep(&ts, NULL);
        fd = make_socket(a, false, out_what);
    }
    return fd;
}

enum err server_address_listen(struct server_address *a, bool shared, int *out_fd, struct buf *why)
{
    const char *what;
    int fd = shared ? make_socket(a, true, &what) : make_free_socket(a, &what);
    if (fd < 0) {
        int error = errno;
        char text[INET6_ADDRSTRLEN + 16];
        address_text(a, text, sizeof(text));
        return complain(why, what, text, error);
    }
    *out_fd = fd;
    return OK;
}
