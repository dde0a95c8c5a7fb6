#include "storage/method/method.h"

/* When the history does not reach back: every UID of `known` (or below UIDNEXT) that is not there (RFC 7162, 3.2.5.2
 * allows too much). */
static enum err missing(const struct store *s, struct account_id a, uint32_t mailbox, const struct mailbox_row *row,
                        const struct uidset *known, bool has_known, struct uidset *out)
{
    struct uidset all;
    uidset_init(&all);
    enum err e = message_uids(s, a, mailbox, &all, NULL);
    if (e == OK) {
        e = has_known ? uidset_copy(out, known) : row->uidnext > 1 ? uidset_add_range(out, 1, row->uidnext - 1) : OK;
    }
    if (e == OK) {
        e = uidset_subtract(out, &all);
    }
    if (e == OK && row->uidnext > 0) {
        e = uidset_remove_range(out, row->uidnext, UINT32_MAX);
    }
    uidset_fini(&all);
    return e;
}

static enum err vanished(const struct store *s, const Pb__ReadVanished *req, const struct mailbox_row *row,
                         struct uidset *known, struct uidset *out)
{
    struct account_id a = {req->account};
    uint32_t mailbox = (uint32_t)req->mailbox;
    struct uidset found;
    bool has_known = req->known.len > 0;
    enum err e = has_known ? uidset_decode(known, pb_slice(req->known), METHOD_RUNS_MAX) : OK;
    if (e != OK) {
        return e == ERR_CORRUPT ? ERR_INVAL : e;
    }
    if (req->since < row->expunge_floor) {
        return missing(s, a, mailbox, row, known, has_known, out);
    }
    uidset_init(&found);
    e = history_read(s, a, mailbox, req->since, row->modseq, &found);
    if (e == OK) {
        e = has_known ? uidset_intersect(out, &found, known) : uidset_copy(out, &found);
    }
    uidset_fini(&found);
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *req_base, struct buf *meta, struct buf *attach)
{
    const Pb__ReadVanished *req = (const Pb__ReadVanished *)(const void *)req_base;
    struct store s = method_store(rc);
    struct mailbox_row row;
    struct uidset known;
    struct uidset out;
    Pb__ReadVanishedResult res = PB__READ_VANISHED_RESULT__INIT;
    (void)attach;
    enum err e = method_mailbox(&s, (struct account_id){req->account}, req->mailbox, &row);
    if (e != OK) {
        return e;
    }
    uidset_init(&known);
    uidset_init(&out);
    e = vanished(&s, req, &row, &known, &out);
    if (e == OK) {
        e = method_pack_uids(rc->arena, &out, &res.vanished);
    }
    if (e == OK) {
        e = pb_pack(&res.base, meta);
    }
    uidset_fini(&known);
    uidset_fini(&out);
    return e;
}

STORAGE_METHOD(vanished) = {.method = METHOD_VANISHED, .run = run};
