#include "replication/volume.h"
#include "storage/method/method.h"

#define BODY_REPLY_BYTES_MAX (192 * 1024)

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadBody *req = (const Pb__ReadBody *)(const void *)req_base;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct mailbox_row mailbox;
    struct message_row message;
    struct email_row email;
    enum err e = method_mailbox(&s, a, req->mailbox, &mailbox);
    if (e != OK) {
        return e;
    }
    e = message_get(&s, a, (uint32_t)req->mailbox, req->uid, &message);
    if (e == ERR_NOTFOUND) {
        return ERR_EXPUNGED;
    }
    if (e == OK) {
        e = email_get(&s, a, message.email, &email);
    }
    if (e != OK) {
        return e;
    }
    uint32_t n = req->length < BODY_REPLY_BYTES_MAX ? req->length : BODY_REPLY_BYTES_MAX;
    uint32_t left = req->offset < email.body_bytes ? email.body_bytes - req->offset : 0;
    n = n < left ? n : left;
    if (n > 0) {
        e = repl_body_read(rc->txn, rc->prefix, email.body_index, (uint16_t)email.body_ordinal, req->offset, n, attach);
        if (e != OK) {
            return e == ERR_NOTFOUND ? ERR_CORRUPT : e; /* the row says that the body is there */
        }
    }
    Pb__ReadBodyResult res = PB__READ_BODY_RESULT__INIT;
    res.size = email.body_bytes;
    return pb_pack(&res.base, meta);
}

STORAGE_METHOD(body) = {.method = METHOD_BODY, .run = run};
