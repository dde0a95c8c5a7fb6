#include "bench/load/delivered.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load/die.h"
#include "bench/load/reply.h"
#include "proto/base/clock.h"

enum { USERS_MAX = 64, POLL_US = 50000 };

static int fds[USERS_MAX];
static int opened;

/* One command and its answer on a blocking socket; the answer's tail stays in r. */
static void ask(int fd, const char *command, enum reply_kind kind, struct reply *r)
{
    char input[4096];
    enum reply_state state = REPLY_MORE;
    size_t n = strlen(command);
    if (send(fd, command, n, MSG_NOSIGNAL) != (ssize_t)n) {
        die("cannot ask for what was delivered");
    }
    for (reply_begin(r, kind, 1); state == REPLY_MORE;) {
        ssize_t got = recv(fd, input, sizeof(input), 0);
        if (got <= 0) {
            die("no answer about what was delivered");
        }
        state = reply_feed(r, input, (size_t)got);
    }
    if (state == REPLY_BAD) {
        die("refused: %s", command);
    }
}

static int log_in(const struct options *o, uint64_t user)
{
    char command[512];
    struct reply r;
    struct timeval limit = {.tv_sec = 30};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->delivered_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        die("cannot connect to port %u", (unsigned)o->delivered_port);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ask(fd, "", REPLY_LINE, &r);
    (void)snprintf(command, sizeof(command), REPLY_TAG "LOGIN u%04llu@%s %s\r\n", (unsigned long long)user, o->domain,
                   o->password);
    ask(fd, command, REPLY_TAGGED, &r);
    return fd;
}

uint64_t delivered_count(const struct options *o)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < o->users; i++) {
        struct reply r;
        if ((uint64_t)opened == i) {
            fds[opened++] = log_in(o, o->user_first + i);
        }
        ask(fds[i], REPLY_TAG "STATUS INBOX (MESSAGES)\r\n", REPLY_TAGGED, &r);
        r.tail[r.tail_n < REPLY_TAIL_BYTES ? r.tail_n : REPLY_TAIL_BYTES - 1] = '\0';
        const char *p = strstr(r.tail, "MESSAGES ");
        sum += p == NULL ? 0 : strtoull(p + strlen("MESSAGES "), NULL, 10);
    }
    return sum;
}

void delivered_wait(const struct options *o, uint64_t want)
{
    uint64_t start_us = clock_perf_us();
    while (delivered_count(o) < want) {
        if (clock_perf_us() - start_us > o->deadline_seconds * 1000000) {
            die("what was accepted did not arrive");
        }
        (void)usleep(POLL_US);
    }
}
