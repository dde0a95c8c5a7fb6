/* All shards of a cluster, and what they owe each other. A shard was saved a moment before another: it may say that it
 * has still to hand mail over which the other one has already. The other one has a record of that for fifteen minutes,
 * and a restore comes later; so it is looked at now, and what is delivered is noted as the courier would. */
#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "storage/apply/common/dedupe.h"
#include "storage/apply/housekeeping.h"
#include "storage/backup/backup_shard.h"
#include "storage/mailbox/pb.h"

#define OP_BYTES_MAX (512 * 1024)

struct cluster {
    const struct backup_restore_config *cfg;
    struct backup_shard *shards; /* by number */
    struct backup_restored *restored;
    uint32_t n;
    struct buf op;
    struct backup_restored *totals;
};

/* Whether `to` has answered that request, then or whenever its latest records are from. */
static enum err is_delivered(const struct cluster *c, struct kv_txn *t, struct shard_id from,
                             const struct handoff_due *due, bool *out)
{
    struct store s = {.t = t};
    struct account_row row;
    struct buf answer;
    struct u128 id = housekeeping_handoff_id(from, due->index, due->to);
    memcpy(s.prefix, c->restored[due->to.v].prefix, sizeof(s.prefix));
    enum err e = account_get(&s, (struct account_id){0}, &row);
    *out = false;
    if (e != OK) {
        return e == ERR_NOTFOUND ? OK : e;
    }
    const uint64_t times[] = {due->entry_ms, (uint64_t)row.dedupe_to * DEDUPE_BUCKET_MS};
    buf_init(&answer, SIZE_MAX / 2);
    for (size_t i = 0; e == OK && !*out && i < sizeof(times) / sizeof(times[0]); i++) {
        e = dedupe_find(&s, (struct account_id){0}, &row, times[i], DEDUPE_MS_DEFAULT, &id, &answer, out);
    }
    buf_fini(&answer);
    return e;
}

/* An entry as the courier would have made it. */
static enum err note_done(struct backup_shard *x, const struct handoff_due *due)
{
    Pb__OpHandoffDone done = PB__OP_HANDOFF_DONE__INIT;
    struct entry_head head = {.method = METHOD_HANDOFF_DONE,
                              .shard = x->shard,
                              .entry_ms = due->entry_ms,
                              .issue_ms = due->entry_ms,
                              .request_id = rng_u128(rng_system())};
    struct repl_entry entry = {
        .head = {.index = restore_index(x->r) + 1, .term = restore_term(x->r), .type = REPL_ENTRY_COMMAND}};
    uint8_t bytes[ENTRY_HEAD_BYTES];
    struct buf data;
    done.index = due->index;
    done.shard = due->to.v;
    entry_head_encode(&head, bytes);
    buf_init(&data, REPL_ENTRY_BYTES_MAX);
    enum err e = buf_append(&data, bytes, sizeof(bytes));
    if (e == OK) {
        e = pb_pack(&done.base, &data);
    }
    entry.head.data = buf_slice(&data);
    if (e == OK) {
        e = restore_entry(x->r, &entry);
    }
    buf_fini(&data);
    return e;
}

/* The next handoff of the shard, and whether its mail is there already. ERR_NOTFOUND: none. */
static enum err next_due(struct cluster *c, uint32_t from, struct handoff_due *due, bool *out_done)
{
    struct kv_txn *t;
    enum err e = kv_begin(c->cfg->kv, false, &t);
    if (e != OK) {
        return e;
    }
    buf_reset(&c->op);
    *out_done = false;
    e = housekeeping_handoff_next(t, c->restored[from].prefix, due->index, due->to, due, &c->op);
    if (e == OK && due->to.v < c->n) {
        e = is_delivered(c, t, (struct shard_id){from}, due, out_done);
    }
    kv_abort(t);
    return e;
}

static enum err settle(struct cluster *c, uint32_t from)
{
    struct handoff_due due = {0};
    bool done;
    enum err e;
    while ((e = next_due(c, from, &due, &done)) == OK) {
        if (!done) {
            continue;
        }
        e = note_done(&c->shards[from], &due);
        if (e == OK) {
            e = restore_commit(c->shards[from].r);
        }
        if (e != OK) {
            return e;
        }
        c->totals->settled++;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err each(struct cluster *c, enum err (*f)(struct cluster *c, uint32_t shard))
{
    enum err e = OK;
    for (uint32_t i = 0; e == OK && i < c->n; i++) {
        e = f(c, i);
    }
    return e;
}

static enum err fill(struct cluster *c, uint32_t shard)
{
    enum err e = backup_shard_fill(&c->shards[shard]);
    c->totals->rows += c->restored[shard].rows;
    c->totals->entries += c->restored[shard].entries;
    c->totals->bytes += c->restored[shard].bytes;
    c->totals->level = shard == 0 ? c->restored[0].level : c->totals->level;
    return e;
}

static enum err end(struct cluster *c, uint32_t shard)
{
    return backup_shard_end(&c->shards[shard]);
}

static enum err shards_new(struct cluster *c, struct buf *why)
{
    c->shards = mem_calloc(c->n, sizeof(*c->shards));
    c->restored = mem_calloc(c->n, sizeof(*c->restored));
    if (c->shards == NULL || c->restored == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        c->shards[i].cfg = c->cfg;
        c->shards[i].shard.v = i;
        c->shards[i].out = &c->restored[i];
        c->shards[i].why = why;
    }
    return OK;
}

enum err backup_restore_cluster(const struct backup_restore_config *cfg, struct backup_restored *out_totals,
                                struct buf *why)
{
    struct cluster c = {.cfg = cfg, .n = cfg->set->shards + 1, .totals = out_totals};
    memset(out_totals, 0, sizeof(*out_totals));
    buf_init(&c.op, OP_BYTES_MAX);
    enum err e = shards_new(&c, why);
    if (e == OK) {
        e = each(&c, fill);
    }
    if (e == OK) {
        e = each(&c, settle);
    }
    if (e == OK) {
        e = each(&c, end);
    }
    for (uint32_t i = 0; c.shards != NULL && i < c.n; i++) {
        backup_shard_fini(&c.shards[i]);
    }
    mem_free(c.shards);
    mem_free(c.restored);
    buf_fini(&c.op);
    return e;
}
