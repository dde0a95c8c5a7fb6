#include "storage/node/own_wait.h"

#include "proto/base/mem.h"
#include "proto/schema/op.pb-c.h"
#include "storage/node/others.h"

#define REMOTE_MS 10000

void own_wait_init(struct own_wait *w)
{
    w->pending = 0;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->done, NULL);
}

void own_wait_fini(struct own_wait *w)
{
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
}

void own_wait_all(struct own_wait *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->pending > 0) {
        pthread_cond_wait(&w->done, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
}

static void step_end(struct own_step *s, enum err status, struct slice result)
{
    struct own_wait *wait = s->wait;
    s->status = status;
    if (s->result != NULL && buf_append_slice(s->result, result) != OK) {
        s->status = ERR_NOMEM;
    }
    pthread_mutex_lock(&wait->lock);
    if (--wait->pending == 0) {
        pthread_cond_signal(&wait->done);
    }
    pthread_mutex_unlock(&wait->lock);
}

static void own_done(struct node_write *w, enum err status, struct slice result)
{
    step_end(w->user, status, result);
    mem_free(w);
}

/* --- to a shard that another node leads --- */

struct remote_step {
    struct rpc_call call;
    struct own_step *step;
};

static void remote_done(struct rpc_call *call)
{
    struct remote_step *r = call->user;
    enum err e = call->status != OK ? call->status : call->reply.head.status;
    step_end(r->step, e, call->reply.meta);
    rpc_reply_fini(&call->reply);
    mem_free(r);
}

/* A chunk of a staged body is no entry of its own kind there: it is the request that makes one. */
static enum err chunk_pack(const struct proposal_spec *spec, uint8_t out[64], struct slice *meta)
{
    Pb__OpStageChunk op = PB__OP_STAGE_CHUNK__INIT;
    op.account = spec->account.v;
    op.staged_index = spec->staged_index;
    op.offset = (uint32_t)spec->staged_offset;
    size_t n = pb__op_stage_chunk__get_packed_size(&op);
    if (n > 64) {
        return ERR_LIMIT;
    }
    *meta = slice_make(out, pb__op_stage_chunk__pack(&op, out));
    return OK;
}

static enum err propose_remote(struct node *n, const struct proposal_spec *spec, struct own_step *s)
{
    uint8_t chunk[64];
    struct slice meta = spec->op;
    enum err e = spec->staged_index == 0 ? OK : chunk_pack(spec, chunk, &meta);
    struct remote_step *r = e == OK ? mem_zalloc(sizeof(*r)) : NULL;
    if (r == NULL) {
        return e == OK ? ERR_NOMEM : e;
    }
    const uint32_t remote_ms = spec->remote_ms != 0 ? spec->remote_ms : REMOTE_MS;
    r->step = s;
    r->call = (struct rpc_call){.head = {.method = (uint16_t)spec->method,
                                         .shard = spec->shard,
                                         .account = spec->account,
                                         .issue_ms = clock_wall_ms(n->clock),
                                         .budget_ms = remote_ms,
                                         .request_id = spec->request_id != NULL ? *spec->request_id : rng_u128(n->rng)},
                                .meta = meta,
                                .attach = spec->body,
                                .timeout_ms = remote_ms,
                                .done = remote_done,
                                .user = r};
    e = others_send(n->others, spec->shard, &r->call);
    if (e != OK) {
        mem_free(r);
    }
    return e;
}

static enum err propose_somewhere(struct node *n, struct proposal_spec *spec, struct own_step *s)
{
    uint64_t term;
    return volume_leads(n->volume, spec->shard, &term) ? propose_own(n, spec) : propose_remote(n, spec, s);
}

/* What the spec points to must stay until wait_all; then the step has its status. */
void own_propose(struct node *n, struct proposal_spec *spec, struct own_wait *wait, struct own_step *s,
                 struct buf *result)
{
    *s = (struct own_step){.wait = wait, .result = result};
    spec->done = own_done;
    spec->user = s;
    pthread_mutex_lock(&wait->lock);
    wait->pending++;
    pthread_mutex_unlock(&wait->lock);
    enum err e = propose_somewhere(n, spec, s);
    if (e != OK) {
        s->status = e;
        pthread_mutex_lock(&wait->lock);
        wait->pending--;
        pthread_mutex_unlock(&wait->lock);
    }
}

enum err own_propose_wait(struct node *n, struct proposal_spec *spec, struct buf *result)
{
    struct own_wait w;
    struct own_step s;
    own_wait_init(&w);
    own_propose(n, spec, &w, &s, result);
    own_wait_all(&w);
    own_wait_fini(&w);
    return s.status;
}
