/* OpDeliver: one message for recipients of this shard, each with a status of its own (ERR_NOTFOUND, ERR_QUOTA,
 * ERR_LIMIT), the body stored once; and a handoff row for each other shard. A recipient's mailbox that does not exist
 * falls back to INBOX. One that has moved to another shard gets it by a handoff, too. When no recipient gets it and
 * nothing is handed off, the status is theirs if they agree, and the body dies. ERR_INVAL, ERR_LIMIT, ERR_NOTFOUND
 * (reservation). */
#include "storage/apply/handoff.h"

/* Recipients times record: what one entry may put into the store. */
#define DELIVER_RECORD_BYTES_MAX (6u * 1024 * 1024)

struct plan {
    struct op_mail mail;
    uint32_t *away; /* by recipient: the shard that its account has moved to, 0: it is here */
    bool any_away;
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

/* What moved and what is handed off already have to fit into one delivery there: if not, later, with newer names. */
static enum err check_merged(struct op_context *ox, const Pb__OpDeliver *req, const struct plan *p)
{
    for (size_t i = 0; p->any_away && i < req->n_handoffs; i++) {
        if (req->handoffs[i]->n_recipients + req->n_recipients > OP_RECIPIENTS_MAX) {
            ox->unrecorded = true;
            return ERR_UNAVAILABLE;
        }
    }
    return OK;
}

/* A recipient that moved gets its mail by a handoff; while one is moving, all wait (deploy/docs/adr/0010). */
static enum err check_moving(struct op_context *ox, const Pb__OpDeliver *req, struct plan *p)
{
    p->away = arena_calloc(ox->arena, req->n_recipients + 1, sizeof(*p->away));
    if (p->away == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < req->n_recipients; i++) {
        struct op_account *a;
        enum err e =
            req->recipients[i]->account == 0 ? ERR_NOTFOUND : op_account_any(ox, req->recipients[i]->account, &a);
        if (e != OK && e != ERR_NOTFOUND) {
            return e;
        }
        if (e == OK && account_writable(a->row.state) == ERR_UNAVAILABLE) {
            ox->unrecorded = true;
            return ERR_UNAVAILABLE;
        }
        p->away[i] = e == OK && account_is_away(a->row.state) ? a->row.inbox : 0;
        p->any_away = p->any_away || p->away[i] != 0;
    }
    return check_merged(ox, req, p);
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
    enum err e = check_moving(ox, req, p);
    uint64_t *accounts = e == OK ? arena_calloc(ox->arena, n + 1, sizeof(*accounts)) : NULL;
    if (accounts == NULL) {
        return e == OK ? ERR_NOMEM : e;
    }
    for (size_t i = 0; i < n; i++) {
        accounts[i] = req->recipients[i]->account;
    }
    accounts[n] = ox->head.account.v;
    e = check_handoffs(ox, req);
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

/* The handoff of a shard: the request's, with room for those that moved there, or a new one. */
static enum err handoff_of(struct op_context *ox, const Pb__OpDeliver *req, uint32_t shard, Pb__Handoff **list,
                           size_t *io_n, Pb__Handoff **out)
{
    for (size_t i = 0; i < *io_n; i++) {
        if (list[i]->shard == shard) {
            *out = list[i];
            return OK;
        }
    }
    Pb__Handoff *h = arena_zalloc(ox->arena, sizeof(*h));
    Pb__Recipient **room = arena_calloc(ox->arena, req->n_recipients + 1, sizeof(*room));
    if (h == NULL || room == NULL) {
        return ERR_NOMEM;
    }
    pb__handoff__init(h);
    h->shard = shard;
    h->recipients = room;
    list[(*io_n)++] = h;
    *out = h;
    return OK;
}

/* Copies of the request's handoffs, since a row is one shard's, plus what moved. */
static enum err all_handoffs(struct op_context *ox, const Pb__OpDeliver *req, const struct plan *p, Pb__Handoff **list,
                             size_t *out_n)
{
    size_t n = req->n_handoffs;
    for (size_t i = 0; i < n; i++) {
        list[i] = arena_dup(ox->arena, req->handoffs[i], sizeof(*list[i]));
        Pb__Recipient **room =
            arena_calloc(ox->arena, req->handoffs[i]->n_recipients + req->n_recipients, sizeof(*room));
        if (list[i] == NULL || room == NULL) {
            return ERR_NOMEM;
        }
        memcpy(room, list[i]->recipients, list[i]->n_recipients * sizeof(*room));
        list[i]->recipients = room;
    }
    for (size_t i = 0; i < req->n_recipients; i++) {
        Pb__Handoff *h;
        enum err e = p->away[i] == 0 ? ERR_NOTFOUND : handoff_of(ox, req, p->away[i], list, &n, &h);
        if (e == OK) {
            h->recipients[h->n_recipients++] = req->recipients[i];
        } else if (e != ERR_NOTFOUND) {
            return e;
        }
    }
    *out_n = n;
    return OK;
}

static enum err hand_off(struct op_context *ox, const Pb__OpDeliver *req, struct plan *p)
{
    size_t n = 0;
    Pb__Handoff **list = arena_calloc(ox->arena, req->n_handoffs + req->n_recipients + 1, sizeof(Pb__Handoff *));
    enum err e = list == NULL ? ERR_NOMEM : all_handoffs(ox, req, p, list, &n);
    for (size_t i = 0; e == OK && i < n; i++) {
        e = handoff_put(ox, req, list[i], &p->mail.body);
    }
    return e;
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
        if (p->away[i] != 0) {
            continue;
        }
        enum err e = deliver_one(ox, &p->mail, req->recipients[i], &statuses[i]);
        if (op_error_is_fatal(e)) {
            return e;
        }
        statuses[i].err = (uint32_t)e;
    }
    answer.handed_off = p->any_away;
    enum err e = hand_off(ox, req, p);
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
    .gate = OP_GATE_AWAY,
    .request = &pb__op_deliver__descriptor,
    .prepare = prepare,
    .commit = commit,
};
