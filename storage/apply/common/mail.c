#include "storage/apply/op.h"
#include "storage/apply/staging.h"

/* Past this the record of a message cannot be what a parser within its limits has made. */
#define RECORD_BYTES_MAX MESSAGE_RECORD_MAX

static enum err check_attachment(struct op_context *ox, uint32_t size, struct op_body *out)
{
    if (size == 0 || size != ox->body_bytes || size > BODY_INLINE_MAX) {
        return ERR_INVAL;
    }
    out->ref.index = ox->pos.index;
    return OK;
}

static enum err check_staged(struct op_context *ox, const Pb__BodySource *source, const uint64_t *accounts, size_t n,
                             struct op_body *out)
{
    struct stage_row row;
    enum err e = stage_get(&ox->store, source->staged_index, &row);
    if (e != OK) {
        return e;
    }
    bool mine = false;
    for (size_t i = 0; i < n; i++) {
        mine = mine || accounts[i] == row.account;
    }
    if (!mine) {
        return ERR_NOTFOUND;
    }
    if (source->size == 0 || source->size != row.staged || ox->body_bytes != 0) {
        return ERR_INVAL;
    }
    out->ref.index = source->staged_index;
    out->staged_index = source->staged_index;
    out->staged = row;
    return OK;
}

static enum err check_record(struct slice record, uint32_t size, struct op_mail *out)
{
    if (record.n > RECORD_BYTES_MAX) {
        return ERR_LIMIT;
    }
    enum err e = msg_record_decode(record, &out->fields);
    if (e != OK) {
        return e == ERR_CORRUPT ? ERR_INVAL : e;
    }
    out->record = record;
    return out->fields.size_bytes == size ? OK : ERR_INVAL;
}

enum err op_mail_check(struct op_context *ox, const Pb__BodySource *source, ProtobufCBinaryData record,
                       const uint64_t *accounts, size_t n_accounts, struct op_mail *out)
{
    if (source == NULL) {
        return ERR_INVAL;
    }
    memset(out, 0, sizeof(*out));
    out->body.ref.bytes = source->size;
    enum err e = source->staged_index == 0 ? check_attachment(ox, source->size, &out->body)
                                           : check_staged(ox, source, accounts, n_accounts, &out->body);
    return e != OK ? e : check_record(pb_slice(record), source->size, out);
}

enum err op_body_use(struct op_context *ox, struct op_body *b)
{
    enum err e = OK;
    if (b->uses > 0) {
        e = body_ref_take(&ox->store, b->ref.index, b->ref.ordinal);
    } else if (b->staged_index != 0) {
        e = stage_release(ox, b->staged_index, &b->staged);
    } else {
        ox->body_used = true;
    }
    if (e == OK) {
        b->uses++;
        ox->changed = true;
    }
    return e;
}

enum err op_mail_email(struct op_context *ox, struct op_mail *mail, struct op_account *a, uint64_t *out_email,
                       uint8_t out_emailid[16])
{
    struct email_row row;
    memset(&row, 0, sizeof(row));
    struct u128 emailid = op_new_id(ox);
    struct u128 fresh = op_new_id(ox);
    memcpy(row.emailid, emailid.b, sizeof(row.emailid));
    enum err e = thread_find(&ox->store, a->id, &mail->fields, &fresh, row.threadid, &row.thread_parent);
    if (e != OK) {
        return e;
    }
    row.thread_own = mail->fields.message_id;
    row.thread_subject = mail->fields.base_subject;
    row.body_index = mail->body.ref.index;
    row.body_ordinal = mail->body.ref.ordinal;
    row.body_bytes = mail->body.ref.bytes;
    e = op_body_use(ox, &mail->body);
    if (e == OK) {
        e = thread_take(&ox->store, a->id, &row);
    }
    if (e == OK) {
        e = email_put(&ox->store, a->id, a->row.next_email, &row, mail->record);
    }
    if (e != OK) {
        return e;
    }
    memcpy(out_emailid, row.emailid, sizeof(row.emailid));
    *out_email = a->row.next_email++;
    a->dirty = true;
    return OK;
}
