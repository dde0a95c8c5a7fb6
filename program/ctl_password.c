#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "program/ctl.h"

#define PASSWORD_BYTES_MAX 1024

static volatile sig_atomic_t interrupted; /* the signal that came while the terminal did not echo */
static int wake[2]; /* a pipe: the handler may run on any thread, and the one that waits must know */

static void on_signal(int sig)
{
    interrupted = sig;
    ssize_t ignored = write(wake[1], "", 1); /* full: it is readable */
    (void)ignored;
}

/* Reads one line without its end; n bytes of `line` at most. */
static enum err line_read(char *line, size_t n, size_t *out_n)
{
    char *got = fgets(line, (int)n, stdin);
    *out_n = got == NULL ? 0 : strcspn(line, "\r\n");
    return *out_n == 0 || *out_n > PASSWORD_BYTES_MAX ? ERR_INVAL : OK;
}

/* Waits for a line or a signal. */
static enum err line_wait(char *line, size_t n, size_t *out_n)
{
    struct pollfd in[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
    while (poll(in, 2, -1) < 0 && errno == EINTR) {
    }
    return in[1].revents != 0 ? ERR_CLOSED : line_read(line, n, out_n);
}

/* As line_read, without echo. A signal ends it, but not before the terminal echoes again. */
static enum err quiet_read(const char *prompt, char *line, size_t n, size_t *out_n)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP};
    struct sigaction before[sizeof(signals) / sizeof(signals[0])];
    struct sigaction catch = {.sa_handler = on_signal};
    struct termios old;
    if (tcgetattr(STDIN_FILENO, &old) != 0 || pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) {
        return ERR_IO;
    }
    struct termios quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    sigemptyset(&catch.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &catch, &before[i]);
    }
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    fputs(prompt, stderr);
    enum err e = line_wait(line, n, out_n);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
    fputc('\n', stderr);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &before[i], NULL);
    }
    close(wake[0]);
    close(wake[1]);
    if (interrupted != 0) {
        raise(interrupted);
        return ERR_CLOSED;
    }
    return e;
}

static enum err asked_twice(const char *what, char *line, size_t n, size_t *out_n)
{
    char prompt[64];
    char again[PASSWORD_BYTES_MAX + 2];
    size_t again_n = 0;
    snprintf(prompt, sizeof(prompt), "%s: ", what);
    enum err e = quiet_read(prompt, line, n, out_n);
    if (e == OK) {
        snprintf(prompt, sizeof(prompt), "%s again: ", what);
        e = quiet_read(prompt, again, sizeof(again), &again_n);
    }
    if (e == OK && (again_n != *out_n || memcmp(line, again, again_n) != 0)) {
        fputs("pillarbox ctl: the two differ\n", stderr);
        e = ERR_INVAL;
    }
    explicit_bzero(again, sizeof(again));
    return e;
}

enum err ctl_password(struct ctl *c, const char *what, struct slice *out)
{
    char line[PASSWORD_BYTES_MAX + 2];
    size_t n = 0;
    enum err e = isatty(STDIN_FILENO) ? asked_twice(what, line, sizeof(line), &n) : line_read(line, sizeof(line), &n);
    if (e == ERR_INVAL && n == 0) {
        fprintf(stderr, "pillarbox ctl: %s: expected on the first line of standard input\n", what);
    } else if (e == ERR_INVAL && n > PASSWORD_BYTES_MAX) {
        fprintf(stderr, "pillarbox ctl: %s: longer than %d bytes\n", what, PASSWORD_BYTES_MAX);
    }
    uint8_t *copy = e == OK ? arena_dup(&c->arena, line, n) : NULL;
    explicit_bzero(line, sizeof(line));
    if (e == OK && copy == NULL) {
        return ERR_NOMEM;
    }
    if (e == OK) {
        *out = slice_make(copy, n);
    }
    return e;
}
