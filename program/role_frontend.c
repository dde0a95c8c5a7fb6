#include <stdio.h>
#include <string.h>

#include "frontend/admin/admin.h"
#include "frontend/imap/imap.h"
#include "frontend/net/server.h"
#include "frontend/pop3/pop3.h"
#include "frontend/session/auth.h"
#include "frontend/session/backend.h"
#include "frontend/smtp/smtp.h"
#include "program/cluster_tls.h"
#include "program/roles.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

#define LISTENERS_MAX 64
#define CERTIFICATES_MAX 64
#define TEXT_BYTES_MAX 8192
#define FILES_RESERVED 512 /* listeners of all loops, storage, logs, operators' connections */

/* A frontend's parts, in the order in which they start; stopped in reverse. */
struct frontend {
    const struct config *config;
    struct tls_context *tls;     /* NULL: none configured */
    struct rpc_tls *storage_tls; /* NULL: plain */
    struct backend *backend;
    struct auth *auth;
    struct server *server;
    struct smtp_server_config smtp;
    struct imap_server_config imap;
    struct pop3_server_config pop3;
    struct admin_config admin;
    struct listener_config listeners[LISTENERS_MAX];
    size_t n_listeners;
    char text[TEXT_BYTES_MAX]; /* listener addresses and certificate paths, NUL-separated */
    size_t text_used;
};

/* Copies a comma-separated list into f->text and calls add for each piece. */
static enum err each_piece(struct frontend *f, const char *list,
                           enum err (*add)(struct frontend *f, char *piece, void *arg), void *arg)
{
    size_t n = strlen(list) + 1;
    if (n > sizeof(f->text) - f->text_used) {
        return ERR_LIMIT;
    }
    char *copy = memcpy(f->text + f->text_used, list, n);
    f->text_used += n;
    char *save = NULL;
    enum err e = OK;
    for (char *p = strtok_r(copy, ", ", &save); e == OK && p != NULL; p = strtok_r(NULL, ", ", &save)) {
        e = add(f, p, arg);
    }
    return e;
}

/* --- TLS --- */

struct certificates {
    struct tls_certificate list[CERTIFICATES_MAX];
    size_t n;
};

static enum err certificate_add(struct frontend *f, char *piece, void *arg)
{
    (void)f;
    struct certificates *c = arg;
    char *colon = strchr(piece, ':');
    if (colon == NULL || c->n == CERTIFICATES_MAX) {
        return ERR_INVAL;
    }
    *colon = '\0';
    c->list[c->n++] = (struct tls_certificate){.chain_pem = piece, .key_pem = colon + 1};
    return OK;
}

static enum err tls_start(struct frontend *f, struct buf *why)
{
    const struct config *c = f->config;
    struct certificates certs = {.n = 0};
    if (c->tls_certificate[0] == '\0') {
        return OK;
    }
    certs.list[certs.n++] = (struct tls_certificate){.chain_pem = c->tls_certificate, .key_pem = c->tls_key};
    enum err e = each_piece(f, c->tls_more, certificate_add, &certs);
    if (e != OK) {
        (void)!buf_append_str(why, "tls.more must be chain:key pairs separated by commas");
        return e;
    }
    struct tls_config cfg = {.certificates = certs.list, .n_certificates = certs.n};
    return tls_context_new(&cfg, &f->tls, why);
}

/* --- listeners --- */

struct listener_kind {
    const struct conn_proto *proto;
    void *user;
    bool implicit_tls;
    const char *refusal;
    bool operators;
};

static enum err listener_add(struct frontend *f, char *address, void *arg)
{
    const struct listener_kind *k = arg;
    if (f->n_listeners == LISTENERS_MAX) {
        return ERR_LIMIT;
    }
    f->listeners[f->n_listeners++] = (struct listener_config){
        .address = address,
        .proto = k->proto,
        .user = k->user,
        .tls = f->tls,
        .implicit_tls = k->implicit_tls,
        .refusal = k->refusal,
        .operators = k->operators,
    };
    return OK;
}

#define REFUSAL_SMTP "421 4.7.0 too many connections\r\n"
#define REFUSAL_IMAP "* BYE [LIMIT] too many connections\r\n"
#define REFUSAL_POP3 "-ERR [SYS/TEMP] too many connections\r\n"

static enum err listeners_make(struct frontend *f, struct buf *why)
{
    const struct config *c = f->config;
    const struct {
        const char *key;
        const char *list;
        struct listener_kind kind;
    } all[] = {
        {"smtp.listen", c->smtp_listen, {&smtp_proto, &f->smtp, false, REFUSAL_SMTP, false}},
        {"submission.listen", c->submission_listen, {&submission_proto, &f->smtp, false, REFUSAL_SMTP, false}},
        {"submissions.listen", c->submissions_listen, {&submission_proto, &f->smtp, true, NULL, false}},
        {"lmtp.listen", c->lmtp_listen, {&lmtp_proto, &f->smtp, false, REFUSAL_SMTP, false}},
        {"pop3.listen", c->pop3_listen, {&pop3_proto, &f->pop3, false, REFUSAL_POP3, false}},
        {"pop3s.listen", c->pop3s_listen, {&pop3_proto, &f->pop3, true, NULL, false}},
        {"imap.listen", c->imap_listen, {&imap_proto, &f->imap, false, REFUSAL_IMAP, false}},
        {"imaps.listen", c->imaps_listen, {&imap_proto, &f->imap, true, NULL, false}},
        {"admin.listen", c->admin_listen, {&admin_proto, &f->admin, false, NULL, true}},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct listener_kind kind = all[i].kind;
        if (kind.implicit_tls && f->tls == NULL) {
            if (all[i].list[0] != '\0') {
                log_warn("frontend.no_tls", "listener left out: no certificate is configured",
                         LOG_STR("key", all[i].key));
            }
            continue;
        }
        size_t first = f->n_listeners;
        enum err e = each_piece(f, all[i].list, listener_add, &kind);
        if (e != OK) {
            (void)!buf_printf(why, "%s: too many addresses", all[i].key);
            return e;
        }
        if (kind.proto == &admin_proto) {
            for (; first < f->n_listeners; first++) {
                f->listeners[first].tls = NULL;
            }
        }
    }
    return OK;
}

/* --- protocols --- */

static enum smtp_bare bare_policy(const char *text)
{
    return strcmp(text, "normalize") == 0 ? SMTP_BARE_NORMALIZE : SMTP_BARE_REJECT;
}

static void smtp_make(struct frontend *f)
{
    const struct config *c = f->config;
    smtp_server_config_init(&f->smtp);
    f->smtp.backend = f->backend;
    f->smtp.auth = f->auth;
    f->smtp.hostname = c->hostname;
    f->smtp.recipients_max = (uint32_t)c->smtp_recipients_max;
    f->smtp.message_bytes_max = c->message_bytes_max;
    f->smtp.body_budget_bytes = c->smtp_body_budget_bytes;
    f->smtp.errors_hard = (uint32_t)c->smtp_errors_max;
    f->smtp.errors_soft = (uint32_t)(c->smtp_errors_max + 1) / 2;
    f->smtp.greet_delay_ms = (uint32_t)c->smtp_greet_delay_ms;
    f->smtp.command_ms = c->smtp_timeout_ms;
    f->smtp.data_read_ms = c->smtp_timeout_ms;
    f->smtp.data_deadline_ms = c->smtp_data_ms;
    f->smtp.data_rate_min = (uint32_t)c->smtp_data_rate_min;
    f->smtp.received_max = (uint32_t)c->smtp_received_max;
    f->smtp.bare_mx = bare_policy(c->smtp_bare_line_ends);
    f->smtp.detail_folders = c->smtp_detail_folders;
    f->smtp.quota_permanent = c->smtp_quota_permanent;
}

static void protocols_make(struct frontend *f)
{
    const struct config *c = f->config;
    smtp_make(f);
    f->imap = (struct imap_server_config){
        .backend = f->backend, .auth = f->auth, .login_ms = c->imap_login_ms, .idle_ms = c->imap_idle_ms};
    f->imap.limits.line_bytes_max = c->imap_line_bytes_max;
    f->imap.limits.message_bytes_max = c->message_bytes_max;
    f->imap.limits.errors_max = (uint32_t)c->imap_errors_max;
    imap_server_config_defaults(&f->imap);
    pop3_server_config_init(&f->pop3);
    f->pop3.backend = f->backend;
    f->pop3.auth = f->auth;
    f->pop3.hostname = c->hostname;
    f->pop3.login_ms = c->pop3_login_ms;
    f->pop3.idle_ms = c->pop3_idle_ms;
}

static bool ready(void *user)
{
    struct frontend *f = user;
    return backend_ready(f->backend);
}

static enum err backend_start(struct frontend *f, const char *rpc_urls, const char *pub_url, struct buf *why)
{
    const struct config *c = f->config;
    enum err e = cluster_tls_open(c, CLUSTER_SIDE_FRONTEND, &f->storage_tls, why);
    if (e != OK) {
        return e;
    }
    struct backend_config bc = {.rpc_urls = rpc_urls,
                                .pub_url = pub_url,
                                .inflight_max = (uint32_t)c->rpc_inflight_max,
                                .timeout_ms = (uint32_t)c->rpc_timeout_ms,
                                .upload_bytes_max = (uint32_t)c->message_bytes_max,
                                .tls = f->storage_tls};
    e = backend_open(&bc, &f->backend, why);
    if (e != OK) {
        return e;
    }
    struct auth_config ac = {.backend = f->backend,
                             .threads = (uint32_t)c->auth_threads,
                             .queue_max = (uint32_t)c->auth_queue_max,
                             .cache_entries = (uint32_t)c->auth_cache_entries,
                             .cache_ms = (uint32_t)c->auth_cache_ms,
                             .failures_per_minute_ip = (uint32_t)c->auth_failures_ip,
                             .failures_per_minute_user = (uint32_t)c->auth_failures_user,
                             .insecure_auth = c->insecure_auth};
    return auth_open(&ac, &f->auth, why);
}

static enum io_backend io_backend_parse(const char *text)
{
    return strcmp(text, "io_uring") == 0 ? IO_BACKEND_IO_URING
           : strcmp(text, "epoll") == 0  ? IO_BACKEND_EPOLL
                                         : IO_BACKEND_AUTO;
}

/* As many connections as configured, if there are files for them: a client over the limit hears so, one that finds no
 * file left would only hang. */
static unsigned connections_max(const struct config *c)
{
    uint64_t files = files_limit_raise();
    uint64_t room = files > 2 * FILES_RESERVED ? files - FILES_RESERVED : files / 2;
    if (c->connections_max <= room) {
        return (unsigned)c->connections_max;
    }
    log_warn("frontend.files", "the limit of open files allows fewer connections than frontend.connections_max",
             LOG_U64("files", files), LOG_U64("connections", room),
             LOG_STR("remedy", "raise the hard limit of open files (LimitNOFILE=, ulimit -Hn)"));
    return (unsigned)room;
}

static enum err server_up(struct frontend *f, struct buf *why)
{
    const struct config *c = f->config;
    enum io_backend io;
    enum err e = loop_backend_decide(io_backend_parse(c->io_backend), &io, why);
    if (e != OK) {
        return e;
    }
    e = listeners_make(f, why);
    if (e != OK) {
        return e;
    }
    struct server_config sc = {.backend = io,
                               .threads = (unsigned)c->frontend_threads,
                               .connections_max = connections_max(c),
                               .connections_per_ip_max = (unsigned)c->connections_per_ip_max,
                               .fibers_max = (unsigned)c->fibers_max,
                               .handshake_ms = c->handshake_ms,
                               .write_stall_ms = c->write_stall_ms,
                               .out_bytes_high = c->out_bytes_high};
    return server_start(&sc, f->listeners, f->n_listeners, &f->server, why);
}

static void frontend_free(struct frontend *f)
{
    if (f->server != NULL) {
        server_stop(f->server);
    }
    if (f->auth != NULL) {
        auth_close(f->auth);
    }
    if (f->backend != NULL) {
        backend_close(f->backend);
    }
    rpc_tls_close(f->storage_tls);
    if (f->tls != NULL) {
        tls_context_free(f->tls);
    }
    mem_free(f);
}

enum err frontend_start(const struct config *c, const char *rpc_urls, const char *pub_url, struct frontend **out,
                        struct buf *why)
{
    struct frontend *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        return ERR_NOMEM;
    }
    f->config = c;
    f->admin = (struct admin_config){.ready = ready, .user = f};
    enum err e = tls_start(f, why);
    if (e == OK) {
        e = backend_start(f, rpc_urls, pub_url, why);
    }
    if (e == OK) {
        protocols_make(f);
        e = server_up(f, why);
    }
    if (e != OK) {
        frontend_free(f);
        return e;
    }
    *out = f;
    return OK;
}

void frontend_reload(struct frontend *f)
{
    struct buf why;
    if (f->tls == NULL) {
        log_warn("tls.reload", "no certificate is configured");
        return;
    }
    buf_init(&why, 4096);
    if (tls_context_reload(f->tls, &why) == OK) {
        log_info("tls.reload", "certificates read again");
    } else {
        log_error("tls.reload", "the old certificates stay in use", LOG_SLICE("why", buf_slice(&why)));
    }
    buf_fini(&why);
}

void frontend_stop(struct frontend *f)
{
    server_drain(f->server, f->config->drain_ms);
    frontend_free(f);
}

int role_frontend(const struct config *c)
{
    struct buf why;
    struct frontend *f = NULL;
    signals_block();
    buf_init(&why, 4096);
    enum err e = frontend_start(c, c->frontend_storage, c->frontend_events, &f, &why);
    if (e != OK) {
        log_error("frontend.start", "the frontend could not start", LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
        buf_fini(&why);
        return 1;
    }
    buf_fini(&why);
    log_info("frontend.ready", "frontend serves", LOG_STR("storage", c->frontend_storage));
    while (signals_wait()) {
        frontend_reload(f);
    }
    log_info("frontend.stop", "draining");
    frontend_stop(f);
    log_info("frontend.stopped", "stopped");
    return 0;
}
