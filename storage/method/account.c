#include "storage/mailbox/secret.h"
#include "storage/method/method.h"

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadAccount *req = (const Pb__ReadAccount *)(const void *)req_base;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row row;
    struct secret secret;
    ProtobufCMessage *cred = NULL;
    (void)attach;
    enum err e = account_get_live(&s, a, &row);
    if (e == OK) {
        e = secret_get(&s, a, &secret);
    }
    if (e == OK && (req->have_version == 0 || req->have_version != secret.version)) {
        e = pb_unpack(&pb__credentials__descriptor, secret.credentials, rc->arena, &cred);
    }
    if (e != OK) {
        return e == ERR_INVAL ? ERR_CORRUPT : e;
    }
    Pb__ReadAccountResult res = PB__READ_ACCOUNT_RESULT__INIT;
    res.name = arena_slice_str(rc->arena, secret.name);
    res.version = secret.version;
    res.credentials = (Pb__Credentials *)(void *)cred;
    res.quota_bytes = row.quota_bytes;
    res.quota_messages = row.quota_messages;
    res.used_bytes = row.used_bytes;
    res.used_messages = row.used_messages;
    res.modseq = row.modseq;
    return res.name == NULL ? ERR_NOMEM : pb_pack(&res.base, meta);
}

STORAGE_METHOD(account) = {.method = METHOD_ACCOUNT, .run = run};
