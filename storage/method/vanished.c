/* ReadVanished: UIDs expunged after a MODSEQ (RFC 7162, 3.2.10), within `known` when set. Where the history does not
 * reach back, every UID of `known` (or below UIDNEXT) that is not there. ERR_NOTFOUND, ERR_INVAL. */
#include "storage/mailbox/read_cache.h"
#include "storage/method/method.h"

static enum err missing(struct read_context *rc, const struct store *s, struct account_id a, uint32_t mailbox,
                        const struct mailbox_row *row, struct uidset *out)
{
    struct mailbox_uids sets;
    mailbox_uids_init(&sets);
    enum err e = mailbox_uids_load(s, rc->cache, rc->shard, a, mailbox, row, &sets);
    if (e == OK && row->uidnext > 1) {
        e = uidset_add_range(out, 1, row->uidnext - 1);
    }
    if (e == OK) {
        e = uidset_subtract(out, &sets.uids);
    }
    mailbox_uids_fini(&sets);
    return e;
}

static enum err within_known(ProtobufCBinaryData in, struct uidset *io)
{
    struct uidset known;
    struct uidset both;
    uidset_init(&known);
    uidset_init(&both);
    enum err e = method_uids(in, &known);
    if (e == OK) {
        e = uidset_intersect(&both, io, &known);
    }
    if (e == OK) {
        e = uidset_copy(io, &both);
    }
    uidset_fini(&known);
    uidset_fini(&both);
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadVanished *req = (const Pb__ReadVanished *)request;
    struct store s = method_store(rc);
    struct account_id a = {req->account};
    struct account_row acct;
    struct mailbox_row row;
    struct uidset gone;
    Pb__ReadVanishedResult answer = PB__READ_VANISHED_RESULT__INIT;
    (void)attach;
    enum err e = method_mailbox(&s, req->account, req->mailbox, &acct, &row);
    if (e != OK) {
        return e;
    }
    uint32_t mailbox = (uint32_t)req->mailbox;
    uidset_init(&gone);
    if (req->since < row.expunge_floor) {
        e = missing(rc, &s, a, mailbox, &row, &gone);
    } else {
        e = history_read(&s, a, mailbox, req->since, row.modseq, &gone);
    }
    if (e == OK && req->known.len > 0) {
        e = within_known(req->known, &gone);
    }
    if (e == OK) {
        e = method_pack_uids(rc->arena, &gone, &answer.vanished);
    }
    uidset_fini(&gone);
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(vanished) = {
    .method = METHOD_VANISHED,
    .request = &pb__read_vanished__descriptor,
    .run = run,
};
