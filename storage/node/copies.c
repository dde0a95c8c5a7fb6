/* Backups pull copies of shards (ReadBackupRows): requests wait here for the volume's thread, which owns the walks. */
#include "proto/base/arena.h"
#include "proto/base/mem.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/pb.h"
#include "storage/node/linear.h"
#include "storage/node/node_internal.h"

#define META_BYTES_MAX 128

struct pull {
    struct volume_pull p; /* first */
    struct node *node;
    struct rpc_request *request;
};

static const struct slice nothing = {NULL, 0};

static void reply(struct pull *pull, const struct volume_batch *b)
{
    Pb__ReadBackupRowsResult answer = PB__READ_BACKUP_ROWS_RESULT__INIT;
    struct buf meta;
    buf_init(&meta, META_BYTES_MAX);
    answer.sequence = b->sequence;
    if (b->last) {
        answer.last = true;
        answer.index = b->index;
        answer.term = b->term;
        answer.wall_ms = b->wall_ms;
    }
    enum err e = pb_pack(&answer.base, &meta);
    rpc_request_reply(pull->request, e, 0, buf_slice(&meta), e == OK ? b->rows : nothing);
    buf_fini(&meta);
}

static void pulled(struct volume_pull *p, enum err status, const struct volume_batch *b)
{
    struct pull *pull = (struct pull *)(void *)p; /* p is the first member */
    if (status == OK) {
        reply(pull, b);
    } else if (status == ERR_NOT_LEADER) {
        linear_refuse(pull->node, pull->request);
    } else {
        rpc_request_reply(pull->request, status, 0, nothing, nothing);
    }
    mem_free(pull);
}

static enum err pull_new(struct node *n, struct rpc_request *r, struct pull **out)
{
    Pb__ReadBackupRows *req = pb__read_backup_rows__unpack(NULL, r->meta.n, r->meta.p);
    if (req == NULL) {
        return ERR_INVAL;
    }
    struct pull *pull = req->copy == 0 ? NULL : mem_zalloc(sizeof(*pull));
    enum err e = req->copy == 0 ? ERR_INVAL : pull == NULL ? ERR_NOMEM : OK;
    if (e == OK) {
        pull->node = n;
        pull->request = r;
        pull->p.shard = r->head.shard;
        pull->p.copy = req->copy;
        pull->p.arrived = req->arrived;
        pull->p.done = pulled;
        *out = pull;
    }
    pb__read_backup_rows__free_unpacked(req, NULL);
    return e;
}

void copies_request(struct node *n, struct rpc_request *r)
{
    struct pull *pull;
    enum err e = __atomic_load_n(&n->pulls_ended, __ATOMIC_ACQUIRE) ? ERR_SHUTDOWN : pull_new(n, r, &pull);
    if (e != OK) {
        rpc_request_reply(r, e, 0, nothing, nothing);
    } else if (queue_push(&n->pulls, &pull->p.node)) {
        writer_wake(n);
    }
}

static void take(struct node *n, bool end)
{
    struct queue_node *next;
    for (struct queue_node *q = queue_take(&n->pulls); q != NULL; q = next) {
        struct volume_pull *p = (struct volume_pull *)(void *)q; /* node is its first member */
        next = q->next;
        if (end) {
            p->done(p, ERR_SHUTDOWN, NULL);
        } else {
            volume_pull(n->volume, p);
        }
    }
}

void copies_take(struct node *n)
{
    take(n, false);
}

/* The readers, who put requests here, have ended before. */
void copies_end(struct node *n)
{
    __atomic_store_n(&n->pulls_ended, true, __ATOMIC_RELEASE);
    take(n, true);
    volume_pulls_end(n->volume);
}
