#include "frontend/net/server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "frontend/net/net_metrics.h"
#include "frontend/net/server_internal.h"
#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

#define HANDSHAKE_MS_DEFAULT 30000
#define WRITE_STALL_MS_DEFAULT 60000
#define OUT_BYTES_HIGH_DEFAULT (256 * 1024)
#define POLL_MS 5
#define FORCE_MS_MAX 5000 /* for fibers that wait for a backend to come back */

/* --- making --- */

static enum err complain(struct buf *why, const char *text, enum err e)
{
    enum err ignored = buf_printf(why, "%s: %s", text, err_text(e));
    (void)ignored; /* the text is an extra */
    return e;
}

static void apply_defaults(struct server_config *cfg)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    cfg->threads = cfg->threads != 0 ? cfg->threads : cpus > 0 ? (unsigned)cpus : 1;
    cfg->handshake_ms = cfg->handshake_ms != 0 ? cfg->handshake_ms : HANDSHAKE_MS_DEFAULT;
    cfg->write_stall_ms = cfg->write_stall_ms != 0 ? cfg->write_stall_ms : WRITE_STALL_MS_DEFAULT;
    cfg->out_bytes_high = cfg->out_bytes_high != 0 ? cfg->out_bytes_high : OUT_BYTES_HIGH_DEFAULT;
}

static enum err listener_init(struct server *s, struct server_listener *l, const struct listener_config *cfg,
                              struct buf *why)
{
    ASSERT(!cfg->implicit_tls || cfg->tls != NULL);
    l->env = (struct conn_env){
        .proto = cfg->proto,
        .user = cfg->user,
        .tls = cfg->tls,
        .implicit_tls = cfg->implicit_tls,
        .operators = cfg->operators,
        .handshake_ms = s->cfg.handshake_ms,
        .write_stall_ms = s->cfg.write_stall_ms,
        .out_bytes_high = s->cfg.out_bytes_high,
        .released = server_accept_released,
        .owner = s,
    };
    if (cfg->refusal != NULL) {
        l->refusal = mem_strdup(cfg->refusal);
        if (l->refusal == NULL) {
            return complain(why, cfg->address, ERR_NOMEM);
        }
    }
    enum err e = server_address_parse(cfg->address, l, why);
    if (e != OK) {
        return e;
    }
    /* Without SO_REUSEPORT first: otherwise a second server of the same user would silently share the port. */
    for (unsigned i = 0; i < l->n_addresses; i++) {
        int fd;
        e = server_address_listen(&l->addresses[i], false, &fd, why);
        if (e != OK) {
            return e;
        }
        (void)close(fd);
    }
    return OK;
}

static unsigned count_addresses(const struct server *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        n += s->listeners[i].n_addresses;
    }
    return n;
}

static enum err loop_init(struct server *s, unsigned index, struct buf *why)
{
    struct server_loop *sl = &s->loops[index];
    sl->server = s;
    list_init(&sl->conns);
    loop_timer_init(&sl->retry, server_accept_retry);
    sl->task_start.fn = server_accept_start;
    sl->task_drain.fn = server_accept_drain;
    sl->task_force.fn = server_accept_force;
    const struct loop_config cfg = {.backend = s->backend, .fibers_max = s->cfg.fibers_max, .index = index};
    enum err e = loop_new(&cfg, &sl->loop);
    if (e != OK) {
        return complain(why, "an event loop could not be made", e);
    }
    sl->sockets = mem_calloc(count_addresses(s), sizeof(*sl->sockets));
    if (sl->sockets == NULL) {
        return complain(why, "listeners", ERR_NOMEM);
    }
    for (unsigned i = 0; i < s->n_listeners; i++) {
        struct server_listener *l = &s->listeners[i];
        for (unsigned a = 0; a < l->n_addresses; a++) {
            struct server_socket *ss = &sl->sockets[sl->n_sockets];
            e = server_address_listen(&l->addresses[a], true, &ss->fd, why);
            if (e != OK) {
                return e;
            }
            ss->owner = sl;
            ss->listener = l;
            sl->n_sockets++;
        }
    }
    loop_post(sl->loop, &sl->task_start);
    return OK;
}

static void *thread_main(void *arg)
{
    struct server_loop *sl = arg;
    loop_run(sl->loop);
    return NULL;
}

/* Signals are the main thread's. */
static enum err threads_start(struct server *s, struct buf *why)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* cannot fail with a valid pointer, nor can the next */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    enum err e = OK;
    for (unsigned i = 0; e == OK && i < s->n_loops; i++) {
        struct server_loop *sl = &s->loops[i];
        if (pthread_create(&sl->thread, NULL, thread_main, sl) != 0) {
            e = complain(why, "a thread could not be made", ERR_LIMIT);
            break;
        }
        sl->started = true;
        (void)__atomic_add_fetch(&s->accepting, 1, __ATOMIC_RELAXED);
        char name[16];
        (void)snprintf(name, sizeof(name), "pb-loop-%u", i % 1000);
        (void)pthread_setname_np(sl->thread, name); /* for operators' eyes only */
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}

static enum err server_init(struct server *s, const struct listener_config *listeners, size_t n, struct buf *why)
{
    apply_defaults(&s->cfg);
    net_metrics_register();
    enum err e = loop_backend_decide(s->cfg.backend, &s->backend, why);
    if (e == OK) {
        e = ip_limit_new(s->cfg.connections_per_ip_max, &s->ip_limit);
    }
    if (e != OK) {
        return e;
    }
    s->listeners = mem_calloc(n, sizeof(*s->listeners));
    s->loops = mem_calloc(s->cfg.threads, sizeof(*s->loops));
    if (s->listeners == NULL || s->loops == NULL) {
        return complain(why, "server", ERR_NOMEM);
    }
    for (size_t i = 0; e == OK && i < n; i++) {
        s->n_listeners++;
        e = listener_init(s, &s->listeners[i], &listeners[i], why);
    }
    for (unsigned i = 0; e == OK && i < s->cfg.threads; i++) {
        s->n_loops++;
        e = loop_init(s, i, why);
    }
    return e == OK ? threads_start(s, why) : e;
}

/* --- ending --- */

static void thread_stop(struct server_loop *sl)
{
    if (sl->started) {
        loop_stop(sl->loop);
        int rc = pthread_join(sl->thread, NULL);
        ASSERT(rc == 0);
    }
}

static void loop_fini(struct server_loop *sl)
{
    for (unsigned i = 0; i < sl->n_sockets; i++) {
        if (!sl->started) {
            (void)close(sl->sockets[i].fd);
        }
    }
    mem_free(sl->sockets);
    loop_free(sl->loop);
}

static void server_free(struct server *s)
{
    for (unsigned i = 0; i < s->n_loops; i++) {
        thread_stop(&s->loops[i]);
    }
    if (server_connections(s) > 0) {
        return; /* fibers still hang in a backend call: what they and notifiers point to must stay */
    }
    for (unsigned i = 0; i < s->n_loops; i++) {
        loop_fini(&s->loops[i]);
    }
    for (unsigned i = 0; i < s->n_listeners; i++) {
        mem_free(s->listeners[i].refusal);
    }
    mem_free(s->loops);
    mem_free(s->listeners);
    ip_limit_free(s->ip_limit);
    mem_free(s);
}

static void sleep_ms(unsigned ms)
{
    const struct timespec ts = {.tv_sec = 0, .tv_nsec = (long)ms * 1000000};
    (void)nanosleep(&ts, NULL); /* a signal makes it shorter, which is fine for polling */
}

static bool all_gone(const struct server *s)
{
    return __atomic_load_n(&s->accepting, __ATOMIC_ACQUIRE) == 0 && server_connections(s) == 0;
}

static bool wait_gone(const struct server *s, uint64_t limit_ms)
{
    uint64_t start = clock_mono_ms(clock_system());
    while (!all_gone(s)) {
        if (clock_mono_ms(clock_system()) - start >= limit_ms) {
            return false;
        }
        sleep_ms(POLL_MS);
    }
    return true;
}

void server_drain(struct server *s, uint64_t grace_ms)
{
    if (s->drained) {
        return;
    }
    s->drained = true;
    for (unsigned i = 0; i < s->n_loops; i++) {
        loop_post(s->loops[i].loop, &s->loops[i].task_drain);
    }
    if (wait_gone(s, grace_ms)) {
        return;
    }
    for (unsigned i = 0; i < s->n_loops; i++) {
        loop_post(s->loops[i].loop, &s->loops[i].task_force);
    }
    if (!wait_gone(s, FORCE_MS_MAX)) {
        log_warn("net.drain", "sessions did not end", LOG_U64("connections", server_connections(s)));
    }
}

void server_stop(struct server *s)
{
    if (s == NULL) {
        return;
    }
    server_drain(s, 0);
    server_free(s);
}

enum err server_start(const struct server_config *cfg, const struct listener_config *listeners, size_t n,
                      struct server **out_server, struct buf *why)
{
    struct server *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->cfg = *cfg;
    enum err e = server_init(s, listeners, n, why);
    if (e != OK) {
        server_stop(s);
        return e;
    }
    *out_server = s;
    return OK;
}

unsigned server_loops(const struct server *s)
{
    return s->n_loops;
}

struct loop *server_loop(struct server *s, unsigned i)
{
    ASSERT(i < s->n_loops);
    return s->loops[i].loop;
}

unsigned server_connections(const struct server *s)
{
    return __atomic_load_n(&s->connections, __ATOMIC_ACQUIRE);
}

uint16_t server_port(const struct server *s, unsigned listener)
{
    ASSERT(listener < s->n_listeners);
    const struct sockaddr_storage *a = &s->listeners[listener].addresses[0].addr;
    return ntohs(a->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)a)->sin6_port
                                          : ((const struct sockaddr_in *)(const void *)a)->sin_port);
}
