#include "bench/load/run.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/load/delivered.h"
#include "bench/load/die.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

enum { EVENTS_MAX = 256, SECOND_US = 1000000 };

static uint64_t own_cpu_us(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * SECOND_US +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void raise_fd_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

static bool sends_mail(const struct work *w)
{
    for (const struct step *s = w->op; s->reply != REPLY_NONE; s++) {
        if (s->message != MESSAGE_NO) {
            return true;
        }
    }
    return false;
}

void run_init(struct run *r, const struct options *o)
{
    memset(r, 0, sizeof(*r));
    raise_fd_limit();
    r->o = o;
    r->stat = (struct server_stat){.cgroup = o->cgroup, .pid = (int)o->pid};
    r->conns_n = o->connections + o->watchers;
    r->conns = mem_calloc((size_t)r->conns_n, sizeof(*r->conns));
    r->sent_us = mem_calloc((size_t)o->users, sizeof(*r->sent_us));
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r->conns == NULL || r->sent_us == NULL || r->epoll < 0) {
        die("no memory for %llu connections", (unsigned long long)r->conns_n);
    }
    rng_seeded_init(&r->rng, o->seed);
    for (uint64_t i = 0; i < r->conns_n; i++) {
        bool watcher = i >= o->connections;
        conn_init(&r->conns[i], r, watcher ? i - o->connections : i, (uint16_t)(watcher ? o->watch_port : o->port),
                  watcher ? steps_imap_idle : o->work->setup);
        if (!watcher && sends_mail(o->work)) {
            mail_init(&r->conns[i].mail, (size_t)o->size, o->seed * 1000 + i);
        }
    }
}

void run_fini(struct run *r)
{
    for (uint64_t i = 0; i < r->conns_n; i++) {
        conn_fini(&r->conns[i]);
    }
    mem_free(r->conns);
    mem_free(r->sent_us);
    close(r->epoll);
}

/* --- phases --- */

static bool ops_bounded(const struct run *r)
{
    return r->o->ops > 0;
}

static void enter_measure(struct run *r, uint64_t now_us)
{
    r->phase = RUN_MEASURE;
    r->cpu_us = server_stat_cpu_us(&r->stat);
    r->own_cpu_us = own_cpu_us();
    r->measure_us = now_us;
    gap_begin(&r->gap, now_us);
}

static void note_longest(struct run *r, uint64_t now_us)
{
    r->longest_us = r->latency.max_us;
    for (uint64_t i = 0; i < r->o->connections; i++) {
        const struct conn *c = &r->conns[i];
        if (c->state == CONN_BUSY && now_us - c->op_start_us > r->longest_us) {
            r->longest_us = now_us - c->op_start_us;
        }
    }
}

static void enter_done(struct run *r, uint64_t now_us)
{
    gap_end(&r->gap, now_us);
    note_longest(r, now_us);
    if (r->o->delivered_port != 0) {
        delivered_wait(r->o, r->delivered_before + r->accepted);
        r->ops = r->accepted;
        now_us = clock_perf_us();
    }
    r->phase = RUN_DONE;
    r->end_us = now_us;
    r->cpu_us = server_stat_cpu_us(&r->stat) - r->cpu_us;
    r->own_cpu_us = own_cpu_us() - r->own_cpu_us;
    r->pss_kib = server_stat_pss_kib(&r->stat);
}

static void next_op(struct run *r, struct conn *c, uint64_t now_us)
{
    bool more = r->phase != RUN_DONE && (!ops_bounded(r) || r->started < r->o->ops) &&
                (r->o->ops_each == 0 || c->ops < r->o->ops_each);
    c->state = CONN_READY;
    if (!more) {
        c->due_us = UINT64_MAX;
    } else if (c->due_us > now_us) {
        return;
    } else {
        conn_enter_busy(c, now_us);
    }
}

static void enter_warm(struct run *r, uint64_t now_us)
{
    r->phase = RUN_WARM;
    if (r->o->delivered_port != 0) {
        r->delivered_before = delivered_count(r->o);
    }
    if (ops_bounded(r) || r->o->warm_seconds == 0 || r->o->delivered_port != 0) {
        enter_measure(r, clock_perf_us());
    }
    r->begun_us = now_us;
    for (uint64_t i = 0; i < r->o->connections; i++) {
        next_op(r, &r->conns[i], clock_perf_us());
    }
}

/* Logins are set up a few at a time: a storm of them is a work of its own. */
static void set_up_more(struct run *r)
{
    uint64_t from = r->phase == RUN_WATCHERS ? r->o->connections : 0;
    uint64_t to = r->phase == RUN_WATCHERS ? r->conns_n : r->o->connections;
    if (r->setup_next < from) {
        r->setup_next = from;
    }
    while (r->setup_next < to && r->setups_running < RUN_SETUPS_MAX) {
        r->setups_running++;
        conn_enter_setup(&r->conns[r->setup_next++]);
    }
}

static void advance(struct run *r, uint64_t now_us)
{
    if (r->phase == RUN_WATCHERS || r->phase == RUN_SETUP) {
        set_up_more(r);
    }
    if (r->phase == RUN_WATCHERS && r->setups_running == 0) {
        r->pss_watchers_kib = r->o->watchers > 0 ? server_stat_pss_kib(&r->stat) : 0;
        r->phase = RUN_SETUP;
        r->setup_next = 0;
        set_up_more(r);
    }
    if (r->phase == RUN_SETUP && r->setups_running == 0) {
        enter_warm(r, now_us);
    } else if (r->phase == RUN_WARM && now_us - r->begun_us >= r->o->warm_seconds * SECOND_US) {
        enter_measure(r, now_us);
    } else if (r->phase == RUN_MEASURE && !ops_bounded(r) && now_us - r->measure_us >= r->o->seconds * SECOND_US) {
        enter_done(r, now_us);
    }
}

static void wake_paused(struct run *r, uint64_t now_us)
{
    for (uint64_t i = 0; r->o->interval_ms > 0 && i < r->o->connections; i++) {
        if (r->phase >= RUN_WARM && r->conns[i].state == CONN_READY && r->conns[i].due_us <= now_us) {
            next_op(r, &r->conns[i], now_us);
        }
    }
}

void run_all(struct run *r)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t start_us = clock_perf_us();
    r->pss_before_kib = r->o->watchers > 0 ? server_stat_pss_kib(&r->stat) : 0;
    while (r->phase != RUN_DONE) {
        int n = epoll_wait(r->epoll, events, EVENTS_MAX, r->o->interval_ms > 0 ? 1 : 50);
        if (n < 0 && errno != EINTR) {
            die("epoll_wait: %s", strerror(errno));
        }
        for (int i = 0; i < n && r->phase != RUN_DONE; i++) {
            conn_on_event(events[i].data.ptr, events[i].events, clock_perf_us());
        }
        if (r->phase == RUN_DONE) {
            return;
        }
        uint64_t now_us = clock_perf_us();
        wake_paused(r, now_us);
        advance(r, now_us);
        if (now_us - start_us > r->o->deadline_seconds * SECOND_US) {
            die("%s: not done after %llu s", r->o->work->name, (unsigned long long)r->o->deadline_seconds);
        }
    }
}

/* --- what connections tell --- */

void run_setup_done(struct run *r, struct conn *c, uint64_t now_us)
{
    (void)now_us;
    r->setups_running--;
    c->state = r->phase == RUN_WATCHERS ? CONN_WATCH : CONN_READY;
}

void run_op_done(struct run *r, struct conn *c, uint64_t now_us)
{
    r->accepted++;
    if (r->phase == RUN_MEASURE) {
        r->ops++;
        r->op_bytes += c->op_bytes;
        hist_add(&r->latency, now_us - c->op_start_us);
        gap_end(&r->gap, now_us);
    }
    if (ops_bounded(r) && r->accepted == r->o->ops) {
        enter_done(r, now_us);
        return;
    }
    c->due_us = now_us + r->o->interval_ms * 1000;
    next_op(r, c, now_us);
}

void run_sent(struct run *r, const struct conn *c, uint64_t now_us)
{
    r->sent_us[c->recipient - r->o->user_first] = now_us;
}

void run_noticed(struct run *r, const struct conn *c, uint64_t now_us)
{
    uint64_t sent_us = r->sent_us[c->user - r->o->user_first];
    if (r->phase == RUN_MEASURE && sent_us >= r->measure_us) {
        r->notices++;
        hist_add(&r->notice, now_us - sent_us);
    }
}
