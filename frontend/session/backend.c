#include "frontend/session/backend.h"

#include "frontend/net/fiber.h"
#include "frontend/net/loop.h"
#include "frontend/session/backend_internal.h"
#include "proto/base/assert.h"
#include "proto/base/clock.h"
#include "proto/base/fault.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "proto/base/rng.h"

#define RETRY_FIRST_MS UINT64_C(10)
#define RETRY_MAX_MS 200
#define TIMEOUT_DEFAULT_MS 30000
#define INFLIGHT_DEFAULT 4096
#define LOST_CHECK_MS 250
#define MOVED_HOPS 3 /* followed without a pause */
#define UPLOAD_DEFAULT_BYTES (64u * 1024 * 1024)

METRIC_COUNTER(metric_calls, "pillarbox_backend_calls_total", "Storage calls by this frontend");
METRIC_COUNTER(metric_retries, "pillarbox_backend_retries_total", "Storage calls sent again with the same request id");
METRIC_COUNTER(metric_moved, "pillarbox_backend_moved_total",
               "Storage calls sent again to the shard that their account has moved to");
METRIC_COUNTER(metric_cut, "pillarbox_backend_cut_total",
               "Storage calls taken back from a node that stopped answering or leading");
METRIC_COUNTER(metric_failed, "pillarbox_backend_unavailable_total", "Storage calls given up at their deadline");
METRIC_HISTOGRAM(metric_latency, "pillarbox_backend_seconds", "Duration of storage calls, retries included");

static enum err nodes_start(struct backend *b, struct buf *why)
{
    struct nodes_config cfg = {.seeds = b->cfg.rpc_urls,
                               .events_url = b->cfg.pub_url,
                               .inflight_max = b->cfg.inflight_max == 0 ? INFLIGHT_DEFAULT : b->cfg.inflight_max,
                               .ops = &watch_ops,
                               .user = b->watches,
                               .tls = b->cfg.tls};
    return nodes_open(&cfg, &b->nodes, why);
}

enum err backend_open(const struct backend_config *cfg, struct backend **out, struct buf *why)
{
    struct backend *b = mem_zalloc(sizeof(*b));
    if (b == NULL) {
        return ERR_NOMEM;
    }
    b->cfg = *cfg;
    b->cfg.timeout_ms = cfg->timeout_ms == 0 ? TIMEOUT_DEFAULT_MS : cfg->timeout_ms;
    b->cfg.upload_bytes_max = cfg->upload_bytes_max == 0 ? UPLOAD_DEFAULT_BYTES : cfg->upload_bytes_max;
    enum err e = resolve_cache_open(&b->resolved);
    if (e == OK) {
        e = watch_registry_open(b, &b->watches);
    }
    if (e == OK) {
        e = nodes_start(b, why);
    }
    if (e == OK) {
        e = watch_registry_start(b->watches);
    }
    if (e != OK) {
        backend_close(b);
        return e;
    }
    *out = b;
    return OK;
}

void backend_close(struct backend *b)
{
    if (b->watches != NULL) {
        watch_registry_stop(b->watches);
    }
    if (b->nodes != NULL) {
        nodes_close(b->nodes);
    }
    if (b->watches != NULL) {
        watch_registry_close(b->watches);
    }
    if (b->resolved != NULL) {
        resolve_cache_close(b->resolved);
    }
    mem_free(b);
}

bool backend_ready(const struct backend *b)
{
    return nodes_ready(b->nodes);
}

static void *allocate(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void allocate_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

ProtobufCAllocator backend_allocator(struct arena *arena)
{
    ProtobufCAllocator a = {allocate, allocate_free, arena};
    return a;
}

/* Failures that say nothing about the request: worth another try with the same id. */
static bool retryable(enum err e)
{
    return e == ERR_CLOSED || e == ERR_UNAVAILABLE || e == ERR_NOT_LEADER || e == ERR_OVERLOAD;
}

/* --- one attempt: sent from the fiber, answered on any thread, maybe at once, finished on the fiber's loop --- */

struct attempt {
    struct rpc_call call;
    struct node_route route;
    struct loop_task task;
    struct loop_timer timer;
    struct fiber *fiber;
    struct loop *loop;
    bool done;
};

static void attempt_wake(struct loop *l, struct loop_task *t)
{
    struct attempt *a = (struct attempt *)(void *)((char *)t - offsetof(struct attempt, task));
    (void)l;
    a->done = true;
    fiber_wake(a->fiber);
}

static void attempt_done(struct rpc_call *c)
{
    struct attempt *a = c->user;
    loop_post(a->loop, &a->task);
}

static void attempt_look(struct loop *l, struct loop_timer *t)
{
    struct attempt *a = (struct attempt *)(void *)((char *)t - offsetof(struct attempt, timer));
    (void)l;
    fiber_wake(a->fiber);
}

/* The transport's error, or the method's status. */
static enum err attempt_wait(struct nodes *m, struct attempt *a)
{
    bool watched = !nodes_alone(m);
    while (!a->done) {
        if (watched && !a->timer.armed) {
            loop_timer_arm(a->loop, &a->timer, LOST_CHECK_MS);
        }
        fiber_park();
        if (!a->done && watched && nodes_lost(m, &a->route) && rpc_client_cancel(a->route.client, &a->call)) {
            metric_inc(&metric_cut);
            a->call.status = ERR_UNAVAILABLE;
            break;
        }
    }
    loop_timer_cancel(a->loop, &a->timer);
    return a->call.status != OK ? a->call.status : a->call.reply.head.status;
}

/* The reply is the caller's to release. out_again: another node may be tried at once. */
static enum err attempt_run(struct nodes *m, struct attempt *a, bool *out_again)
{
    a->task.fn = attempt_wake;
    a->fiber = fiber_self();
    a->loop = fiber_loop();
    a->call.done = attempt_done;
    a->call.user = a;
    a->done = false;
    loop_timer_init(&a->timer, attempt_look);
    ASSERT(a->fiber != NULL);
    enum err e = nodes_take(m, &a->route);
    if (e != OK) {
        return e;
    }
    e = rpc_client_send(a->route.client, &a->call);
    e = e == OK ? attempt_wait(m, a) : e;
    nodes_give(m, &a->route);
    *out_again = retryable(e) && nodes_failed(m, &a->route, e, a->call.reply.head.hint);
    return e;
}

static uint64_t backoff_ms(unsigned tries)
{
    uint64_t ms = RETRY_FIRST_MS << (tries < 6 ? tries : 6);
    ms = ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
    return ms / 2 + rng_below(rng_system(), ms / 2 + 1);
}

/* What a caller sees when the deadline ends the retries. */
static enum err given_up(enum err e)
{
    metric_inc(&metric_failed);
    return e == ERR_OVERLOAD || e == ERR_TIMEOUT ? e : ERR_UNAVAILABLE;
}

/* The account lives elsewhere: the same call there. Two shards that name each other are in the middle of a move: then
 * there is a pause. False: the call stays where it is. */
static bool follow(struct attempt *a, bool stays, unsigned *io_hops, bool *out_again)
{
    uint64_t to = a->call.reply.head.hint;
    if (stays || to == 0 || to > UINT32_MAX) {
        return false;
    }
    metric_inc(&metric_moved);
    a->call.head.shard.v = (uint32_t)to;
    a->route = (struct node_route){.shard = a->call.head.shard};
    *out_again = ++*io_hops % MOVED_HOPS != 0;
    return true;
}

static enum err call_until(struct backend *b, struct attempt *a, bool stays, uint64_t deadline)
{
    unsigned hops = 0;
    for (unsigned tries = 0;;) {
        bool again = false;
        uint64_t now = clock_mono_ms(clock_system());
        if (now >= deadline) {
            return given_up(ERR_TIMEOUT);
        }
        a->call.timeout_ms = (uint32_t)(deadline - now);
        a->call.head.budget_ms = a->call.timeout_ms;
        enum err e = attempt_run(b->nodes, a, &again);
        if (e == ERR_MOVED) {
            e = follow(a, stays, &hops, &again) ? ERR_UNAVAILABLE : ERR_MOVED;
        }
        if (!retryable(e)) {
            return e == ERR_MOVED ? ERR_UNAVAILABLE : e;
        }
        rpc_reply_fini(&a->call.reply);
        uint64_t pause = again ? 0 : backoff_ms(tries++);
        if (clock_mono_ms(clock_system()) + pause >= deadline) {
            return given_up(e);
        }
        metric_inc(&metric_retries);
        if (pause > 0) {
            fiber_sleep(pause);
        }
    }
}

static enum err pack(const ProtobufCMessage *message, struct arena *arena, struct slice *out)
{
    *out = slice_make(NULL, 0);
    if (message == NULL) {
        return OK;
    }
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *p = arena_alloc(arena, n + 1);
    if (p == NULL) {
        return ERR_LIMIT;
    }
    protobuf_c_message_pack(message, p);
    *out = slice_make(p, n);
    return OK;
}

static enum err unpack(enum method method, struct arena *arena, enum err status, struct backend_reply *out)
{
    const struct method_info *info = method_info(method);
    struct slice meta = out->raw.meta;
    ProtobufCAllocator alloc = backend_allocator(arena);
    if (info->reply == NULL || (status != OK && meta.n == 0)) {
        return status;
    }
    out->message = protobuf_c_message_unpack(info->reply, &alloc, meta.n, meta.p);
    if (out->message == NULL) {
        return status != OK ? status : ERR_CORRUPT;
    }
    return status;
}

enum err backend_call(struct backend *b, const struct backend_request *req, struct arena *arena,
                      struct backend_reply *out)
{
    struct attempt a = {.route = {.shard = req->shard}};
    uint64_t start = clock_perf_us();
    memset(out, 0, sizeof(*out));
    metric_inc(&metric_calls);
    enum err e = pack(req->message, arena, &a.call.meta);
    if (e != OK) {
        return e;
    }
    a.call.attach = req->attach;
    a.call.head = (struct rpc_head){.method = (uint16_t)req->method,
                                    .shard = req->shard,
                                    .account = req->account,
                                    .request_id = req->request_id != NULL ? *req->request_id : rng_u128(rng_system()),
                                    .issue_ms = clock_wall_ms(clock_system())};
    uint32_t timeout = req->timeout_ms == 0 ? b->cfg.timeout_ms : req->timeout_ms;
    e = call_until(b, &a, req->stays, clock_mono_ms(clock_system()) + timeout);
    if (method_info(req->method)->write) {
        fault_pass(FAULT_ANSWER_BEFORE);
    }
    out->shard = a.call.head.shard;
    out->raw = a.call.reply;
    out->attach = out->raw.attach;
    e = out->raw.msg != NULL ? unpack(req->method, arena, e, out) : e;
    metric_observe_us(&metric_latency, clock_perf_us() - start);
    return e;
}

void backend_reply_fini(struct backend_reply *r)
{
    rpc_reply_fini(&r->raw);
    memset(r, 0, sizeof(*r));
}

enum err backend_account_call(struct backend *b, struct account_ref *a, enum method m, const ProtobufCMessage *message,
                              struct slice attach, struct arena *arena, struct backend_reply *out)
{
    struct backend_request req = {
        .shard = a->shard, .account = a->id, .method = m, .message = message, .attach = attach};
    enum err e = backend_call(b, &req, arena, out);
    a->shard = out->shard.v != 0 ? out->shard : a->shard;
    return e;
}
