/* ReadAccount: what a login and a quota check need. ERR_NOTFOUND. */
#include "storage/mailbox/kept.h"
#include "storage/mailbox/secret.h"
#include "storage/method/method.h"

static enum err fill_secret(struct read_context *rc, const struct secret *secret, Pb__ReadAccountResult *answer)
{
    ProtobufCMessage *credentials;
    enum err e = pb_unpack(&pb__credentials__descriptor, secret->credentials, rc->arena, &credentials);
    if (e != OK) {
        return e == ERR_INVAL ? ERR_CORRUPT : e;
    }
    answer->credentials = (Pb__Credentials *)credentials;
    return OK;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadAccount *req = (const Pb__ReadAccount *)request;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row row;
    struct secret secret;
    struct kept_totals kept;
    Pb__ReadAccountResult answer = PB__READ_ACCOUNT_RESULT__INIT;
    (void)attach;
    enum err e = account_get_live(&s, a, &row);
    if (e != OK) {
        return e;
    }
    e = secret_get(&s, a, &secret);
    if (e == ERR_NOTFOUND) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        e = kept_totals_get(&s, a, &kept);
    }
    if (e != OK) {
        return e;
    }
    answer.name = arena_slice_str(rc->arena, secret.name);
    if (answer.name == NULL) {
        return ERR_NOMEM;
    }
    answer.version = row.secret_version;
    answer.quota_bytes = row.quota_bytes;
    answer.quota_messages = row.quota_messages;
    answer.used_bytes = row.used_bytes;
    answer.used_messages = row.used_messages;
    answer.modseq = row.modseq;
    answer.kept_messages = kept.messages;
    answer.kept_bytes = kept.bytes;
    if (req->have_version != row.secret_version) {
        e = fill_secret(rc, &secret, &answer);
    }
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(account) = {
    .method = METHOD_ACCOUNT,
    .request = &pb__read_account__descriptor,
    .run = run,
};
