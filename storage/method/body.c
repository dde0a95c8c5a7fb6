/* ReadBody: a range of a message's bytes. ERR_EXPUNGED when the message is gone, ERR_NOTFOUND when the mailbox is. */
#include "replication/volume.h"
#include "storage/mailbox/email.h"
#include "storage/method/method.h"

#define BODY_REPLY_MAX (192 * 1024)

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadBody *req = (const Pb__ReadBody *)request;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row acct;
    struct mailbox_row mailbox;
    struct message_row row;
    struct email_row email;
    Pb__ReadBodyResult answer = PB__READ_BODY_RESULT__INIT;
    enum err e = method_mailbox(&s, req->account, req->mailbox, &acct, &mailbox);
    if (e != OK) {
        return e;
    }
    e = message_get(&s, a, (uint32_t)req->mailbox, req->uid, &row);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_EXPUNGED : e;
    }
    e = email_get(&s, a, row.email, &email);
    if (e != OK) {
        return e;
    }
    uint32_t n = req->length < BODY_REPLY_MAX ? req->length : BODY_REPLY_MAX;
    uint32_t left = req->offset < email.body_bytes ? email.body_bytes - req->offset : 0;
    n = n < left ? n : left;
    if (n > 0) {
        e = repl_body_read(s.t, s.prefix, email.body_index, (uint16_t)email.body_ordinal, req->offset, n, attach);
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    answer.size = email.body_bytes;
    return pb_pack(&answer.base, meta);
}

STORAGE_METHOD(body) = {
    .method = METHOD_BODY,
    .request = &pb__read_body__descriptor,
    .run = run,
};
