#include "storage/apply/common/mover_make.h"

#include "proto/base/hash.h"
#include "proto/rpc/flags.h"
#include "replication/volume.h"
#include "storage/mailbox/email.h"
#include "storage/mailbox/pb.h"
#include "storage/mailbox/secret.h"

#define PAGE_BYTES (160u * 1024) /* of rows, below what a frame takes */

static enum err fill(const struct mover *m, struct shard_id shard, enum method method, const ProtobufCMessage *op,
                     struct mover_request *out)
{
    out->shard = shard;
    out->method = method;
    memcpy(out->of, m->id, sizeof(out->of));
    return pb_pack(op, &out->op);
}

static struct shard_id to(const struct move_row *row)
{
    return (struct shard_id){row->to};
}

static ProtobufCBinaryData id_of(const struct mover *m)
{
    return pb_bytes(slice_make(m->id, sizeof(m->id)));
}

enum err mover_make_begin(const struct mover *m, const struct move_row *row, struct mover_request *out)
{
    Pb__OpArriveBegin op = PB__OP_ARRIVE_BEGIN__INIT;
    op.account = m->account.v;
    op.id = id_of(m);
    op.from = m->from.v;
    return fill(m, to(row), METHOD_ARRIVE_BEGIN, &op.base, out);
}

/* --- emails --- */

static enum err stage_begin(const struct mover *m, const struct move_row *row, const struct email_row *email,
                            struct mover_request *out)
{
    Pb__OpStageBegin op = PB__OP_STAGE_BEGIN__INIT;
    op.account = m->account.v;
    op.size = email->body_bytes;
    op.expected = email->body_bytes;
    op.away = true;
    return fill(m, to(row), METHOD_STAGE_BEGIN, &op.base, out);
}

static enum err body_read(const struct store *s, const struct email_row *email, uint64_t off, uint64_t bytes,
                          struct buf *out)
{
    enum err e =
        repl_body_read(s->t, s->prefix, email->body_index, (uint16_t)email->body_ordinal, off, (size_t)bytes, out);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

static enum err stage_chunk(const struct mover *m, const struct store *s, const struct move_row *row,
                            const struct email_row *email, struct mover_request *out)
{
    Pb__OpStageChunk op = PB__OP_STAGE_CHUNK__INIT;
    uint64_t left = email->body_bytes - m->staged;
    op.account = m->account.v;
    op.staged_index = m->staged_index;
    op.offset = (uint32_t)m->staged;
    out->staged_index = m->staged_index;
    out->staged_offset = m->staged;
    enum err e = body_read(s, email, m->staged, left < STAGE_CHUNK_BYTES ? left : STAGE_CHUNK_BYTES, &out->body);
    return e == OK ? fill(m, to(row), METHOD_STAGE_CHUNK, &op.base, out) : e;
}

static enum err email_op(const struct mover *m, const struct store *s, const struct move_row *row, uint64_t number,
                         const struct email_row *email, struct slice record, struct mover_request *out)
{
    Pb__OpArriveEmail op = PB__OP_ARRIVE_EMAIL__INIT;
    Pb__BodySource source = PB__BODY_SOURCE__INIT;
    bool large = email->body_bytes > BODY_INLINE_MAX;
    op.account = m->account.v;
    op.id = id_of(m);
    op.after = m->email;
    op.email = number;
    op.row = pb_bytes(slice_make(email, sizeof(*email)));
    op.record = pb_bytes(record);
    source.size = email->body_bytes;
    source.staged_index = large ? m->staged_index : 0;
    op.body = &source;
    enum err e = large ? OK : body_read(s, email, 0, email->body_bytes, &out->body);
    return e == OK ? fill(m, to(row), METHOD_ARRIVE_EMAIL, &op.base, out) : e;
}

enum err mover_make_email(const struct mover *m, const struct store *s, const struct move_row *row, uint64_t email,
                          struct mover_request *out)
{
    struct email_reader reader;
    struct email_row found;
    struct slice record;
    enum err e = email_reader_open(&reader, s, m->account);
    if (e != OK) {
        return e;
    }
    e = email_reader_get(&reader, email, &found, &record);
    if (e == OK) {
        out->alone = found.body_bytes > BODY_INLINE_MAX;
        if (out->alone && m->staged_index == 0) {
            e = stage_begin(m, row, &found, out);
        } else if (out->alone && m->staged < found.body_bytes) {
            e = stage_chunk(m, s, row, &found, out);
        } else {
            e = email_op(m, s, row, email, &found, record, out);
        }
    }
    email_reader_close(&reader);
    return e;
}

/* The next numbers that are left; the last page reaches to the end of all numbers. */
static enum err live_numbers(const struct mover *m, const struct store *s, uint8_t *numbers, size_t *out_n)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    size_t n = 0;
    key_account(&prefix, s, m->account, ACCOUNT_EMAILS);
    at = prefix;
    key_u64(&at, m->keep);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    for (e = scan_seek(&sc, &at, &rest, &value); e == OK && n < OP_UIDS_MAX; e = scan_next(&sc, &rest, &value)) {
        if (rest.n == 8) {
            put_le64(numbers + n * 8, get_be64(rest.p));
            n++;
        }
    }
    scan_close(&sc);
    *out_n = n;
    return e == ERR_NOTFOUND ? OK : e;
}

enum err mover_make_keep(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out)
{
    uint8_t numbers[OP_UIDS_MAX * 8];
    size_t n = 0;
    Pb__OpArriveKeep op = PB__OP_ARRIVE_KEEP__INIT;
    enum err e = live_numbers(m, s, numbers, &n);
    if (e != OK) {
        return e;
    }
    bool last = n < OP_UIDS_MAX;
    op.account = m->account.v;
    op.id = id_of(m);
    op.from = m->keep;
    op.to = last ? UINT64_MAX : get_le64(numbers + (n - 1) * 8) + 1;
    op.emails = pb_bytes(slice_make(numbers, n * 8));
    out->alone = false;
    m->keep = op.to;
    m->kept = last;
    m->emails += n;
    return fill(m, to(row), METHOD_ARRIVE_KEEP, &op.base, out);
}

/* --- rows --- */

static enum err page_append(struct buf *page, const struct moving_row *row)
{
    uint8_t head[MOVING_HEAD_BYTES];
    put_le16(head, (uint16_t)row->key.n);
    put_le32(head + 2, (uint32_t)row->value.n);
    enum err e = buf_append(page, head, sizeof(head));
    if (e == OK) {
        e = buf_append_slice(page, row->key);
    }
    return e == OK ? buf_append_slice(page, row->value) : e;
}

/* Fills a page from the cursor on; the cursor is at its last row then. */
static enum err page_fill(struct mover *m, const struct store *s, struct buf *page)
{
    struct moving_walk walk;
    struct moving_row row;
    enum err e = moving_walk_open(&walk, s, m->account, slice_make(m->cursor, m->cursor_bytes));
    while (e == OK && page->len < PAGE_BYTES) {
        e = moving_walk_next(&walk, &row);
        if (e == OK) {
            e = page_append(page, &row);
        }
        if (e == OK) {
            m->rows++;
            m->crc = moving_row_crc(m->crc, &row);
            m->cursor_bytes = (uint32_t)row.key.n;
            memcpy(m->cursor, row.key.p, row.key.n);
        }
    }
    moving_walk_close(&walk);
    return e == ERR_NOTFOUND ? OK : e;
}

enum err mover_make_rows(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out,
                         bool *out_none)
{
    Pb__OpArriveRows op = PB__OP_ARRIVE_ROWS__INIT;
    uint8_t after[KV_KEY_BYTES_MAX];
    size_t after_bytes = m->cursor_bytes;
    struct buf page;
    memcpy(after, m->cursor, after_bytes);
    buf_init(&page, SIZE_MAX / 2);
    enum err e = page_fill(m, s, &page);
    *out_none = page.len == 0;
    if (e == OK && page.len > 0) {
        op.account = m->account.v;
        op.id = id_of(m);
        op.after = pb_bytes(slice_make(after, after_bytes));
        op.rows = pb_bytes(buf_slice(&page));
        out->alone = false;
        e = fill(m, to(row), METHOD_ARRIVE_ROWS, &op.base, out);
    }
    buf_fini(&page);
    return e;
}

/* Of all rows, when the copy was taken up in the middle. */
static enum err count_rows(struct mover *m, const struct store *s)
{
    struct moving_walk walk;
    struct moving_row row;
    m->rows = 0;
    m->crc = 0;
    enum err e = moving_walk_open(&walk, s, m->account, slice_make(NULL, 0));
    while (e == OK) {
        e = moving_walk_next(&walk, &row);
        if (e == OK) {
            m->rows++;
            m->crc = moving_row_crc(m->crc, &row);
        }
    }
    moving_walk_close(&walk);
    m->counted = e == ERR_NOTFOUND;
    return e == ERR_NOTFOUND ? OK : e;
}

/* --- the end --- */

enum err mover_make_ready(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out)
{
    Pb__OpArriveEnd op = PB__OP_ARRIVE_END__INIT;
    struct account_row account;
    enum err e = m->counted ? OK : count_rows(m, s);
    if (e == OK) {
        e = account_get(s, m->account, &account);
    }
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    op.account = m->account.v;
    op.id = id_of(m);
    op.how = PB__OP_ARRIVE_END__HOW__READY;
    op.row = pb_bytes(slice_make(&account, sizeof(account)));
    op.emails = m->emails;
    op.rows = m->rows;
    op.crc = m->crc;
    out->how = (uint32_t)op.how;
    return fill(m, to(row), METHOD_ARRIVE_END, &op.base, out);
}

enum err mover_make_end(const struct mover *m, const struct move_row *row, uint32_t how, struct mover_request *out)
{
    Pb__OpArriveEnd op = PB__OP_ARRIVE_END__INIT;
    op.account = m->account.v;
    op.id = id_of(m);
    op.how = (Pb__OpArriveEnd__How)how;
    out->how = how;
    return fill(m, to(row), METHOD_ARRIVE_END, &op.base, out);
}

/* A name that comes late must not undo what a later move has done: the id is the move's, so that it is done once. */
enum err mover_make_name(const struct mover *m, const struct store *s, const struct move_row *row,
                         struct mover_request *out)
{
    static const uint8_t key[16] = "pillarbox move";
    Pb__OpDirAccountMove op = PB__OP_DIR_ACCOUNT_MOVE__INIT;
    char name[SECRET_NAME_BYTES_MAX + 1];
    uint8_t text[MOVE_ID_BYTES + 1];
    struct secret secret;
    enum err e = secret_get(s, m->account, &secret);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    memcpy(name, secret.name.p, secret.name.n);
    name[secret.name.n] = '\0';
    op.name = name;
    op.account = m->account.v;
    op.from = m->from.v;
    op.to = row->to;
    memcpy(text, m->id, sizeof(m->id));
    for (uint8_t half = 0; half < 2; half++) {
        text[MOVE_ID_BYTES] = half;
        put_be64(out->request_id.b + 8 * half, siphash24(key, text, sizeof(text)));
    }
    out->own_id = true;
    return fill(m, (struct shard_id){0}, METHOD_DIR_ACCOUNT_MOVE, &op.base, out);
}

enum err mover_make_step(const struct mover *m, uint32_t state, bool force, struct mover_request *out)
{
    Pb__OpMoveStep op = PB__OP_MOVE_STEP__INIT;
    op.account = m->account.v;
    op.id = id_of(m);
    op.state = state;
    op.force = force;
    return fill(m, m->from, METHOD_MOVE_STEP, &op.base, out);
}
