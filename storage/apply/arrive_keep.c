/* OpArriveKeep: drops the emails of an arriving account that its source has dropped since they were copied: those of
 * the range that are not named. ERR_STALE, ERR_INVAL, ERR_LIMIT (too many). */
#include "storage/apply/op.h"
#include "storage/mailbox/email.h"
#include "storage/mailbox/moving.h"

struct plan {
    struct op_account *account;
    struct arrival_row arrival;
    uint64_t *drop;
    size_t n_drop;
    bool more;
};

static bool named(ProtobufCBinaryData emails, size_t *io_at, uint64_t email)
{
    while (*io_at + 8 <= emails.len && get_le64(emails.data + *io_at) < email) {
        *io_at += 8;
    }
    return *io_at + 8 <= emails.len && get_le64(emails.data + *io_at) == email;
}

static enum err collect(struct op_context *ox, const Pb__OpArriveKeep *req, struct plan *p)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    size_t keep = 0;
    key_account(&prefix, &ox->store, p->account->id, ACCOUNT_EMAILS);
    at = prefix;
    key_u64(&at, req->from);
    enum err e = scan_open(&sc, &ox->store, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_seek(&sc, &at, &rest, &value); e == OK; e = scan_next(&sc, &rest, &value)) {
        uint64_t email = rest.n >= 8 ? get_be64(rest.p) : UINT64_MAX;
        if (email >= req->to) {
            break;
        }
        if (rest.n != 8 || named(req->emails, &keep, email)) {
            continue;
        }
        if (p->n_drop == OP_UIDS_MAX) {
            p->more = true;
            break;
        }
        p->drop[p->n_drop++] = email;
    }
    scan_close(&sc);
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    const Pb__OpArriveKeep *req = request;
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    *out_plan = p;
    enum err e = op_arrival(ox, req->account, req->id, &p->account, &p->arrival);
    if (e != OK) {
        return e;
    }
    if (p->arrival.ready) {
        return ERR_STALE;
    }
    if (req->to < req->from || req->emails.len % 8 != 0) {
        return ERR_INVAL;
    }
    if (req->emails.len > OP_UIDS_MAX * 8) {
        return ERR_LIMIT;
    }
    p->drop = arena_calloc(ox->arena, OP_UIDS_MAX, sizeof(*p->drop));
    return p->drop == NULL ? ERR_NOMEM : collect(ox, req, p);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    struct plan *p = plan;
    Pb__OpArriveKeepResult answer = PB__OP_ARRIVE_KEEP_RESULT__INIT;
    enum err e = OK;
    (void)request;
    answer.more = p->more;
    for (size_t i = 0; e == OK && i < p->n_drop; i++) {
        e = email_drop_row(&ox->store, p->account->id, p->drop[i], ox->head.entry_ms);
    }
    if (e != OK || p->n_drop == 0) {
        return e == OK ? pb_pack(&answer.base, result) : e;
    }
    if (p->arrival.emails < p->n_drop) {
        return ERR_CORRUPT;
    }
    ox->changed = true;
    p->arrival.emails -= p->n_drop;
    e = arrival_put(&ox->store, p->account->id, &p->arrival);
    return e == OK ? pb_pack(&answer.base, result) : e;
}

STORAGE_OP(arrive_keep) = {
    .method = METHOD_ARRIVE_KEEP,
    .gate = OP_GATE_OPEN,
    .request = &pb__op_arrive_keep__descriptor,
    .prepare = prepare,
    .commit = commit,
};
