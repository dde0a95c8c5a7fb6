/* The reader pool: answers read methods (and checks writes that use staged bodies) over short LMDB snapshots. */
#include "proto/base/arena.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"
#include "storage/node/linear.h"
#include "storage/node/node_internal.h"

#define QUEUE_MAX 8192
#define ARENA_BYTES (64 * 1024 * 1024)
#define META_BYTES_MAX (RPC_FRAME_BYTES_MAX - RPC_HEAD_BYTES)

METRIC_HISTOGRAM(metric_read, "pillarbox_storage_read_seconds",
                 "Time to answer a read, waiting in the queue not counted");
METRIC_GAUGE(metric_queue, "pillarbox_storage_read_queue", "Reads waiting for a reader");

struct reader_pool {
    struct node *node;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queue_node *head; /* oldest first */
    struct queue_node *tail;
    uint32_t n_queued;
    uint32_t n_idle;
    bool stop;
    uint32_t n_threads;
    pthread_t threads[];
};

/* One thread's reusable memory. */
struct reader {
    struct node *node;
    struct arena arena;
    struct buf meta;
    struct buf attach;
};

static enum err read_run(struct reader *rd, struct rpc_request *r, struct kv_txn *t, uint64_t term)
{
    struct node *n = rd->node;
    struct read_context rc = {
        .txn = t,
        .shard = r->head.shard,
        .term = term,
        .now_ms = clock_mono_ms(n->clock),
        .deadline_ms = r->deadline_ms,
        .cache = n->cache,
        .pop3 = n->pop3,
        .node = &n->info,
        .arena = &rd->arena,
    };
    enum err e = volume_state_prefix(n->volume, r->head.shard, rc.prefix);
    uint64_t now;
    if (e == OK && !storage_method_local(r->head.method) &&
        (!volume_leads(n->volume, r->head.shard, &now) || now != term)) {
        e = ERR_NOT_LEADER; /* a copy may have replaced the replica since the snapshot: another prefix */
    }
    return e != OK ? e : storage_method_run(&rc, r->head.method, r->meta, &rd->meta, &rd->attach);
}

static void reader_answer(struct reader *rd, struct rpc_request *r, struct kv_txn *t, uint64_t term)
{
    struct node *n = rd->node;
    uint64_t start = clock_perf_us();
    enum err e = read_run(rd, r, t, term);
    if (e == OK && rd->meta.len + rd->attach.len > META_BYTES_MAX) {
        e = ERR_LIMIT;
    }
    if (e != OK) {
        buf_reset(&rd->meta);
        buf_reset(&rd->attach);
    }
    uint64_t hint = e == ERR_MOVED ? propose_moved_to(n, r, t) : 0;
    rpc_request_reply(r, e, hint, buf_slice(&rd->meta), buf_slice(&rd->attach));
    metric_observe_us(&metric_read, clock_perf_us() - start);
}

static void reader_handle(struct reader *rd, struct rpc_request *r)
{
    if (storage_method_volume(r->head.method)) {
        copies_request(rd->node, r);
        return;
    }
    struct node *n = rd->node;
    uint64_t term = 0;
    struct kv_txn *t;
    if (r->head.shard.v >= n->n_shards) {
        rpc_request_reply(r, ERR_NOTFOUND, 0, slice_str(""), slice_str(""));
        return;
    }
    if (!volume_leads(n->volume, r->head.shard, &term) && !storage_method_local(r->head.method)) {
        linear_refuse(n, r);
        return;
    }
    enum err e = clock_mono_ms(n->clock) > r->deadline_ms ? ERR_TIMEOUT : kv_begin(n->kv, false, &t);
    if (e != OK) {
        rpc_request_reply(r, e, 0, slice_str(""), slice_str(""));
        return;
    }
    if (r->head.method <= METHOD_WRITE_MAX) {
        propose_checked(n, r, t);
    } else {
        reader_answer(rd, r, t, term);
    }
    kv_abort(t);
    arena_reset(&rd->arena);
    buf_reset(&rd->meta);
    buf_reset(&rd->attach);
}

static struct rpc_request *pool_take(struct reader_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->head == NULL && !p->stop) {
        p->n_idle++;
        pthread_cond_wait(&p->wake, &p->lock);
        p->n_idle--;
    }
    struct queue_node *q = p->head;
    if (q != NULL) {
        p->head = q->next;
        p->n_queued--;
    }
    pthread_mutex_unlock(&p->lock);
    return q == NULL ? NULL : (struct rpc_request *)(void *)q; /* node is the request's first member */
}

static void *reader_main(void *arg)
{
    struct reader_pool *p = arg;
    struct reader rd = {.node = p->node};
    arena_init(&rd.arena, ARENA_BYTES);
    buf_init(&rd.meta, RPC_RECV_BYTES_MAX);
    buf_init(&rd.attach, RPC_RECV_BYTES_MAX);
    for (struct rpc_request *r = pool_take(p); r != NULL; r = pool_take(p)) {
        metric_add(&metric_queue, -1);
        reader_handle(&rd, r);
    }
    buf_fini(&rd.meta);
    buf_fini(&rd.attach);
    arena_fini(&rd.arena);
    return NULL;
}

enum err readers_open(struct node *n, uint32_t threads, struct reader_pool **out)
{
    struct reader_pool *p = mem_zalloc(sizeof(*p) + threads * sizeof(p->threads[0]));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->node = n;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (; p->n_threads < threads; p->n_threads++) {
        if (pthread_create(&p->threads[p->n_threads], NULL, reader_main, p) != 0) {
            readers_close(p);
            return ERR_NOMEM;
        }
    }
    *out = p;
    return OK;
}

void readers_close(struct reader_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_threads; i++) {
        pthread_join(p->threads[i], NULL);
    }
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

void readers_submit(struct reader_pool *p, struct rpc_request *r)
{
    pthread_mutex_lock(&p->lock);
    bool full = p->n_queued >= QUEUE_MAX || p->stop;
    if (!full) {
        r->node.next = NULL;
        if (p->head == NULL) {
            p->head = &r->node;
        } else {
            p->tail->next = &r->node;
        }
        p->tail = &r->node;
        p->n_queued++;
        metric_add(&metric_queue, 1);
        if (p->n_idle > 0) {
            pthread_cond_signal(&p->wake);
        }
    }
    pthread_mutex_unlock(&p->lock);
    if (full) {
        rpc_request_reply(r, ERR_OVERLOAD, 0, slice_str(""), slice_str(""));
    }
}
