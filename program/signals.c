#include <signal.h>
#include <time.h>

#include "program/roles.h"

static void signals_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void signals_block(void)
{
    sigset_t set;
    signals_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool signals_wait(void)
{
    sigset_t set;
    int sig = 0;
    signals_set(&set);
    while (sigwait(&set, &sig) != 0) {
    }
    return sig == SIGHUP;
}

enum signals_seen signals_poll(unsigned ms)
{
    sigset_t set;
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    signals_set(&set);
    int sig = sigtimedwait(&set, NULL, &ts);
    if (sig < 0) {
        return SIGNAL_NONE;
    }
    return sig == SIGHUP ? SIGNAL_RELOAD : SIGNAL_STOP;
}
