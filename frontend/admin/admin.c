#include "frontend/admin/admin.h"

#include "proto/base/buf.h"
#include "proto/base/metrics.h"

#define REQUEST_BYTES_MAX 8192
#define METRICS_BYTES_MAX (4 * 1024 * 1024)
#define IDLE_MS 10000

struct admin_session {
    int unused;
};

static enum err respond(struct conn *c, const char *status, const char *type, struct slice body)
{
    enum err e = conn_printf(c,
                             "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
                             "Cache-Control: no-store\r\n\r\n",
                             status, type, body.n);
    if (e == OK) {
        e = conn_write_slice(c, body);
    }
    conn_close(c);
    return e;
}

static enum err respond_text(struct conn *c, const char *status, const char *text)
{
    return respond(c, status, "text/plain; charset=utf-8", slice_str(text));
}

static enum err metrics(struct conn *c)
{
    struct buf out;
    buf_init(&out, METRICS_BYTES_MAX);
    enum err e = metrics_render(&out);
    e = e == OK ? respond(c, "200 OK", "text/plain; version=0.0.4; charset=utf-8", buf_slice(&out))
                : respond_text(c, "500 Internal Server Error", "metrics do not fit\n");
    buf_fini(&out);
    return e;
}

static enum err readyz(struct conn *c)
{
    const struct admin_config *cfg = conn_user(c);
    if (conn_draining(c) || !cfg->ready(cfg->user)) {
        return respond_text(c, "503 Service Unavailable", "not ready\n");
    }
    return respond_text(c, "200 OK", "ready\n");
}

/* The path of "GET /path HTTP/1.1"; empty when the line is anything else. */
static struct slice request_path(struct slice request)
{
    struct slice line = slice_sub(request, 0, slice_find(request, '\r'));
    if (line.n < 4 || memcmp(line.p, "GET ", 4) != 0) {
        return slice_make(NULL, 0);
    }
    line = slice_sub(line, 4, line.n);
    line = slice_sub(line, 0, slice_find(line, ' '));
    return slice_sub(line, 0, slice_find(line, '?'));
}

static enum err admin_input(struct conn *c, void *session)
{
    (void)session;
    struct slice in = conn_peek(c);
    if (memmem(in.p, in.n, "\r\n\r\n", 4) == NULL) {
        return in.n >= REQUEST_BYTES_MAX ? respond_text(c, "431 Request Header Fields Too Large", "too large\n") : OK;
    }
    struct slice path = request_path(in);
    if (path.n == 0) {
        return respond_text(c, "405 Method Not Allowed", "GET only\n");
    }
    if (slice_eq_str(path, "/metrics")) {
        return metrics(c);
    }
    if (slice_eq_str(path, "/healthz")) {
        return respond_text(c, "200 OK", "alive\n");
    }
    if (slice_eq_str(path, "/readyz")) {
        return readyz(c);
    }
    return respond_text(c, "404 Not Found", "/metrics /healthz /readyz\n");
}

static enum err admin_open(struct conn *c, void *session)
{
    (void)c;
    (void)session;
    return OK;
}

static enum err admin_event(struct conn *c, void *session, enum conn_event ev)
{
    (void)session;
    if (ev == CONN_EVENT_TIMEOUT || (ev == CONN_EVENT_DRAIN && conn_peek(c).n == 0)) {
        conn_close(c);
    }
    return OK;
}

static void admin_close(struct conn *c, void *session)
{
    (void)c;
    (void)session;
}

const struct conn_proto admin_proto = {
    .name = "admin",
    .session_bytes = sizeof(struct admin_session),
    .in_bytes_max = REQUEST_BYTES_MAX,
    .idle_ms = IDLE_MS,
    .open = admin_open,
    .input = admin_input,
    .event = admin_event,
    .close = admin_close,
};
