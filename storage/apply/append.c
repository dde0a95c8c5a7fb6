/* OpAppend. ERR_NOTFOUND (mailbox, account, reservation), ERR_QUOTA, ERR_INVAL, ERR_LIMIT. */
#include "storage/apply/op.h"

struct plan {
    struct op_mailbox *mailbox;
    struct op_mail mail;
    struct op_keywords keywords;
};

static enum err check(struct op_context *ox, const Pb__OpAppend *req, struct plan *p)
{
    struct op_account *a;
    struct slice *names;
    enum err e = op_own_account(ox, req->account, &a);
    if (e == OK) {
        e = op_mailbox_named(ox, a, req->mailbox, &p->mailbox);
    }
    if (e == OK) {
        e = op_mail_check(ox, req->body, req->record, &req->account, 1, &p->mail);
    }
    if (e == OK) {
        e = op_quota_check(a, 1, p->mail.body.ref.bytes);
    }
    if (e == OK) {
        e = op_uid_room(p->mailbox, 1);
    }
    if (e == OK) {
        e = op_strings(ox, req->keywords, req->n_keywords, &names);
    }
    return e == OK ? op_keywords_plan(ox, p->mailbox, names, req->n_keywords, true, &p->keywords) : e;
}

static enum err prepare(struct op_context *ox, const void *request, void **out_plan)
{
    struct plan *p = arena_zalloc(ox->arena, sizeof(*p));
    *out_plan = p;
    return p == NULL ? ERR_NOMEM : check(ox, request, p);
}

static enum err commit(struct op_context *ox, const void *request, void *plan, struct buf *result)
{
    const Pb__OpAppend *req = request;
    struct plan *p = plan;
    struct flagset flags;
    uint8_t emailid[16];
    bool dated = req->has_internal_s || req->internal_s != 0;
    struct message_row row = {
        .internal_s = dated ? req->internal_s : op_now_s(ox), .save_s = op_now_s(ox), .size = p->mail.body.ref.bytes};
    Pb__OpAppendResult answer = PB__OP_APPEND_RESULT__INIT;
    struct mailbox_work w = op_work(ox, p->mailbox);
    enum err e = op_keywords_commit(ox, p->mailbox, &p->keywords);
    if (e == OK) {
        e = op_mail_email(ox, &p->mail, p->mailbox->account, &row.email, emailid);
    }
    if (e != OK) {
        return e;
    }
    flagset_init(&flags, req->flags);
    for (size_t i = 0; i < p->keywords.n; i++) {
        flagset_add_keyword(&flags, p->keywords.numbers[i]);
    }
    e = message_add(&w, &row, &flags, &answer.uid);
    if (e != OK) {
        return e;
    }
    answer.mailbox = p->mailbox->id;
    answer.uidvalidity = p->mailbox->row.uidvalidity;
    answer.email_objectid = pb_bytes(slice_make(emailid, sizeof(emailid)));
    return pb_pack(&answer.base, result);
}

STORAGE_OP(append) = {
    .method = METHOD_APPEND,
    .grows = true,
    .takes_body = true,
    .request = &pb__op_append__descriptor,
    .prepare = prepare,
    .commit = commit,
};
