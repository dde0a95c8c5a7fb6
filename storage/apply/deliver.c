/* OpDeliver: one message for recipients of this shard, each with a status of its own (ERR_NOTFOUND, ERR_QUOTA,
 * ERR_LIMIT), the body stored once; and a handoff row for each other shard. A recipient's mailbox that does not exist
 * falls back to INBOX. When no recipient gets it and nothing is handed off, the status is theirs if they agree, and the
 * body dies. ERR_INVAL, ERR_LIMIT, ERR_NOTFOUND (reservation). */
#include "storage/apply/handoff.h"

/* Recipients times record: what one entry may put into the store. */
#define DELIVER_RECORD_BYTES_MAX (6u * 1024 * 1024)

struct plan {
    struct op_mail mail;
};

static enum err check_handoffs(const struct op_context *ox, const Pb__OpDeliver *req)
{
    for (size_t i = 0; i < req->n_handoffs; i++) {
        const Pb__Handoff *h = req->handoffs[i];
        if (h->shard == ox->head.shard.v || h->shard == 0 || h->n_recipients == 0) {
            return ERR_INVAL;
        }
        for (size_t k = 0; k < i; k++) {
            if (req->handoffs[k]->shard == h->shard) {
                return ERR_INVAL;
            }
        }
        if (h->n_recipients > OP_RECIPIENTS_MAX) {
            return ERR_LIMIT;
        }
    }
    return OK;
}

static enum err check(struct op_context *ox, const Pb__OpDeliver *req, struct plan *p)
{
    size_t n = req->n_recipients;
    if (n + req->n_handoffs == 0) {
        return ERR_INVAL;
    }
    if (n > OP_RECIPIENTS_MAX || req->n_handoffs > OP_RECIPIENTS_MAX ||
        (n + req->n_handoffs) * req->record.len > DELIVER_RECORD_BYTES_MAX) {
        return ERR_LIMIT;
    }
    uint64_t *accounts = arena_calloc(ox->arena, n + 1, sizeof(*accounts));
    if (accounts == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        accounts[i] = req->recipients[i]->account;
    }
    accounts[n] = ox->head.account.v;
    enum err e = check_handoffs(ox, req);
    return e == OK ? op_mail_check(ox, req->body, req->record, accounts, n + 1, &p->mail) : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    *out_plan = p;
    return p == NULL ? ERR_NOMEM : check(ox, request, p);
}

/* The mailbox asked for, or INBOX. */
static enum err find_mailbox(struct op_context *ox, struct op_account *a, const Pb__Recipient *r,
                             struct op_mailbox **out)
{
    if (r->mailbox[0] != '\0') {
        enum err e = op_mailbox_named(ox, a, r->mailbox, out);
        if (e == OK || op_error_is_fatal(e)) {
            return e;
        }
    }
    enum err e = op_mailbox(ox, a, a->row.inbox, out);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e; /* every account has one */
}

static enum err deliver_one(struct op_context *ox, struct op_mail *mail, const Pb__Recipient *r,
                            Pb__DeliverStatus *status)
{
    struct op_account *a;
    struct op_mailbox *m;
    struct flagset flags;
    uint8_t emailid[16];
    struct message_row row = {.internal_s = op_now_s(ox), .save_s = op_now_s(ox), .size = mail->body.ref.bytes};
    enum err e = op_account(ox, r->account, &a);
    if (e == OK) {
        e = op_quota_check(a, 1, row.size);
    }
    if (e == OK) {
        e = find_mailbox(ox, a, r, &m);
    }
    if (e == OK) {
        e = op_uid_room(m, 1);
    }
    if (e != OK) {
        return e;
    }
    struct mailbox_work w = op_work(ox, m);
    e = op_mail_email(ox, mail, a, &row.email, emailid);
    if (e == OK) {
        flagset_init(&flags, r->flags);
        e = message_add(&w, &row, &flags, &status->uid);
    }
    status->mailbox = m->id;
    status->uidvalidity = m->row.uidvalidity;
    return e;
}

static enum err hand_off(struct op_context *ox, const Pb__OpDeliver *req, struct op_mail *mail)
{
    for (size_t i = 0; i < req->n_handoffs; i++) {
        enum err e = handoff_put(ox, req, req->handoffs[i], &mail->body);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* Nobody got it: one reason for all is the reply's status. */
static enum err common_refusal(const Pb__OpDeliverResult *answer)
{
    for (size_t i = 1; i < answer->n_recipients; i++) {
        if (answer->recipients[i]->err != answer->recipients[0]->err) {
            return OK;
        }
    }
    return answer->n_recipients == 0 ? OK : err_from_wire(answer->recipients[0]->err);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpDeliver *req = request;
    struct plan *p = plan;
    Pb__OpDeliverResult answer = PB__OP_DELIVER_RESULT__INIT;
    Pb__DeliverStatus *statuses = arena_calloc(ox->arena, req->n_recipients + 1, sizeof(*statuses));
    answer.recipients = arena_calloc(ox->arena, req->n_recipients + 1, sizeof(*answer.recipients));
    if (statuses == NULL || answer.recipients == NULL) {
        return ERR_NOMEM;
    }
    answer.n_recipients = req->n_recipients;
    for (size_t i = 0; i < req->n_recipients; i++) {
        pb__deliver_status__init(&statuses[i]);
        answer.recipients[i] = &statuses[i];
        enum err e = deliver_one(ox, &p->mail, req->recipients[i], &statuses[i]);
        if (op_error_is_fatal(e)) {
            return e;
        }
        statuses[i].err = (uint32_t)e;
    }
    enum err e = hand_off(ox, req, &p->mail);
    if (e == OK && !ox->changed) {
        e = common_refusal(&answer);
        ox->unrecorded = req->handoff && e == ERR_QUOTA; /* it comes again, with the same id, until there is room */
    }
    return e == OK ? pb_pack(&answer.base, result) : e;
}

STORAGE_OP(deliver) = {
    .method = METHOD_DELIVER,
    .grows = true,
    .takes_body = true,
    .request = &pb__op_deliver__descriptor,
    .prepare = prepare,
    .commit = commit,
};
