#include "storage/apply/mover.h"

#include "proto/base/hash.h"
#include "proto/rpc/flags.h"
#include "storage/apply/common/mover_make.h"
#include "storage/mailbox/secret.h"

void mover_init(struct mover *m, struct shard_id from, struct account_id account, uint32_t shards)
{
    memset(m, 0, sizeof(*m));
    m->from = from;
    m->account = account;
    m->shards = shards;
}

void mover_request_init(struct mover_request *r)
{
    memset(r, 0, sizeof(*r));
    buf_init(&r->op, SIZE_MAX / 2);
    buf_init(&r->body, SIZE_MAX / 2);
}

void mover_request_fini(struct mover_request *r)
{
    buf_fini(&r->op);
    buf_fini(&r->body);
}

/* --- phases: MOVER_SEND with a request, MOVER_WAIT for what is out, MOVER_OVER: this phase is done --- */

static enum err begin(struct mover *m, const struct move_row *row, struct mover_request *out, enum mover_next *next)
{
    *next = m->begun ? MOVER_OVER : m->out > 0 ? MOVER_WAIT : MOVER_SEND;
    return *next == MOVER_SEND ? mover_make_begin(m, row, out) : OK;
}

/* The first email after the last one sent. ERR_NOTFOUND. */
static enum err next_email(const struct mover *m, const struct store *s, uint64_t *out)
{
    struct key prefix;
    struct key at;
    struct scan sc;
    struct slice rest;
    struct slice value;
    key_account(&prefix, s, m->account, ACCOUNT_EMAILS);
    at = prefix;
    key_u64(&at, m->email + 1);
    enum err e = scan_open(&sc, s, &prefix);
    if (e != OK) {
        return e;
    }
    e = scan_seek(&sc, &at, &rest, &value);
    if (e == OK && rest.n != 8) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        *out = get_be64(rest.p);
    }
    scan_close(&sc);
    return e;
}

static enum err emails(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out,
                       enum mover_next *next)
{
    uint64_t email;
    enum err e = next_email(m, s, &email);
    if (e != OK) {
        *next = m->out > 0 ? MOVER_WAIT : MOVER_OVER;
        return e == ERR_NOTFOUND ? OK : e;
    }
    *next = MOVER_SEND;
    e = mover_make_email(m, s, row, email, out);
    if (e == OK && out->alone && m->out > 0) {
        *next = MOVER_WAIT; /* large bodies go one at a time */
    }
    if (e == OK && *next == MOVER_SEND && out->method == METHOD_ARRIVE_EMAIL) {
        m->email = email;
        m->staged_index = 0;
        m->staged = 0;
    }
    return e;
}

static enum err keep(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out,
                     enum mover_next *next)
{
    if (m->kept) {
        *next = m->out > 0 ? MOVER_WAIT : MOVER_OVER;
        return OK;
    }
    *next = MOVER_SEND;
    return mover_make_keep(m, s, row, out);
}

static enum err rows(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out,
                     enum mover_next *next)
{
    bool none = false;
    *next = MOVER_SEND;
    enum err e = m->all_rows ? OK : mover_make_rows(m, s, row, out, &none);
    m->all_rows = m->all_rows || none;
    if (e == OK && m->all_rows) {
        *next = m->out > 0 ? MOVER_WAIT : MOVER_OVER;
    }
    return e;
}

typedef enum err phase_fn(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out,
                          enum mover_next *next);

static enum err ready(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out,
                      enum mover_next *next)
{
    *next = m->ready ? MOVER_OVER : MOVER_SEND;
    return m->ready ? OK : mover_make_ready(m, s, row, out);
}

/* Runs phases until one has something to do. */
static enum err run(struct mover *m, const struct store *s, const struct move_row *row, phase_fn *const *phases,
                    size_t n, struct mover_request *out, enum mover_next *next)
{
    enum err e = begin(m, row, out, next);
    for (size_t i = 0; e == OK && *next == MOVER_OVER && i < n; i++) {
        e = phases[i](m, s, row, out, next);
    }
    return e;
}

/* --- states --- */

static enum err step(struct mover *m, uint32_t to, struct mover_request *out, enum mover_next *next, bool force)
{
    *next = m->out > 0 ? MOVER_WAIT : MOVER_SEND;
    return *next == MOVER_SEND ? mover_make_step(m, to, force, out) : OK;
}

static enum err copying(struct mover *m, const struct store *s, const struct move_row *row, uint64_t now_ms,
                        struct mover_request *out, enum mover_next *next)
{
    static phase_fn *const phases[] = {emails};
    struct account_row account;
    enum err e = account_get(s, m->account, &account);
    bool nowhere = m->shards != 0 && row->to >= m->shards;
    if (e == ERR_NOTFOUND || (e == OK && (nowhere || account.state != ACCOUNT_LIVE))) {
        return step(m, MOVE_ABORTING, out, next, false); /* removed */
    }
    if (e == OK) {
        e = run(m, s, row, phases, 1, out, next);
    }
    if (e != OK || *next != MOVER_OVER) {
        return e;
    }
    bool force = m->locked_ms != 0 && now_ms > m->locked_ms + MOVER_UPLOADS_MS_MAX;
    return step(m, MOVE_FENCED, out, next, force);
}

static enum err fenced(struct mover *m, const struct store *s, const struct move_row *row, uint64_t now_ms,
                       struct mover_request *out, enum mover_next *next)
{
    static phase_fn *const phases[] = {emails, keep, rows, ready};
    if (now_ms > row->state_ms + MOVER_FENCE_MS_MAX) {
        return step(m, MOVE_ABORTING, out, next, false);
    }
    if (m->begun && m->ready) {
        return step(m, MOVE_SEALED, out, next, false);
    }
    enum err e = run(m, s, row, phases, sizeof(phases) / sizeof(phases[0]), out, next);
    return e != OK || *next != MOVER_OVER ? e : step(m, MOVE_SEALED, out, next, false);
}

static enum err sealed(struct mover *m, const struct store *s, const struct move_row *row, struct mover_request *out,
                       enum mover_next *next)
{
    if (m->activated && m->named) {
        return step(m, MOVE_OVER, out, next, false);
    }
    *next = m->out > 0 ? MOVER_WAIT : MOVER_SEND;
    if (*next == MOVER_WAIT) {
        return OK;
    }
    return m->activated ? mover_make_name(m, s, row, out)
                        : mover_make_end(m, row, PB__OP_ARRIVE_END__HOW__ACTIVATE, out);
}

static enum err aborting(struct mover *m, const struct move_row *row, struct mover_request *out, enum mover_next *next)
{
    if (m->cancelled) {
        return step(m, MOVE_OVER, out, next, false);
    }
    *next = m->out > 0 ? MOVER_WAIT : MOVER_SEND;
    return *next == MOVER_SEND ? mover_make_end(m, row, PB__OP_ARRIVE_END__HOW__CANCEL, out) : OK;
}

/* Another move than the one driven so far, or the first look at it. What is out is answered all the same. */
static void meet(struct mover *m, const struct move_row *row)
{
    if (memcmp(m->id, row->id, sizeof(m->id)) == 0) {
        return;
    }
    uint32_t out = m->out;
    bool alone = m->alone;
    mover_init(m, m->from, m->account, m->shards);
    m->out = out;
    m->alone = alone;
    memcpy(m->id, row->id, sizeof(m->id));
}

enum err mover_next(struct mover *m, const struct store *source, uint64_t now_ms, struct mover_request *out,
                    enum mover_next *out_next)
{
    struct move_row row;
    enum err e = move_get(source, m->account, &row);
    if (e == ERR_NOTFOUND) {
        *out_next = m->out > 0 ? MOVER_WAIT : MOVER_OVER;
        return OK;
    }
    if (e != OK) {
        return e;
    }
    meet(m, &row);
    *out_next = MOVER_WAIT;
    if (m->alone) {
        return OK;
    }
    buf_reset(&out->op);
    buf_reset(&out->body);
    out->staged_index = 0;
    out->own_id = false;
    out->alone = true;
    switch (row.state) {
    case MOVE_COPYING:
        e = copying(m, source, &row, now_ms, out, out_next);
        break;
    case MOVE_FENCED:
        e = fenced(m, source, &row, now_ms, out, out_next);
        break;
    case MOVE_SEALED:
        e = sealed(m, source, &row, out, out_next);
        break;
    default:
        e = aborting(m, &row, out, out_next);
        break;
    }
    if (e == OK && *out_next == MOVER_SEND) {
        m->out++;
        m->alone = out->alone;
    }
    return e;
}

/* --- answers --- */

static bool begun(struct mover *m, struct slice result)
{
    Pb__OpArriveBeginResult *r = pb__op_arrive_begin_result__unpack(NULL, result.n, result.p);
    if (r == NULL) {
        return false;
    }
    m->begun = r->last_email != UINT64_MAX && r->cursor.len <= sizeof(m->cursor);
    if (m->begun) {
        m->email = r->last_email;
        m->ready = r->ready;
        m->kept = m->all_rows = false;
        m->keep = m->emails = m->rows = 0;
        m->crc = 0;
        m->cursor_bytes = (uint32_t)r->cursor.len;
        if (r->cursor.len > 0) {
            memcpy(m->cursor, r->cursor.data, r->cursor.len);
        }
        m->counted = r->cursor.len == 0;
        m->staged_index = m->staged = 0;
    }
    pb__op_arrive_begin_result__free_unpacked(r, NULL);
    return m->begun;
}

static void kept(struct mover *m, struct slice result)
{
    Pb__OpArriveKeepResult *r = pb__op_arrive_keep_result__unpack(NULL, result.n, result.p);
    if (r == NULL || r->more) {
        m->kept = false; /* once more from the start: what is dropped is dropped */
        m->keep = m->emails = 0;
    }
    if (r != NULL) {
        pb__op_arrive_keep_result__free_unpacked(r, NULL);
    }
}

static bool staged(struct mover *m, struct slice result)
{
    Pb__OpStageBeginResult *r = pb__op_stage_begin_result__unpack(NULL, result.n, result.p);
    if (r == NULL) {
        return false;
    }
    m->staged_index = r->staged_index;
    m->staged = 0;
    pb__op_stage_begin_result__free_unpacked(r, NULL);
    return true;
}

static bool taken(struct mover *m, const struct mover_request *r, struct slice result)
{
    switch ((unsigned)r->method) {
    case METHOD_ARRIVE_BEGIN:
        return begun(m, result);
    case METHOD_ARRIVE_KEEP:
        kept(m, result);
        return true;
    case METHOD_STAGE_BEGIN:
        return staged(m, result);
    case METHOD_STAGE_CHUNK:
        m->staged += r->body.len;
        return true;
    case METHOD_ARRIVE_END:
        m->ready = m->ready || r->how == PB__OP_ARRIVE_END__HOW__READY;
        m->activated = m->activated || r->how == PB__OP_ARRIVE_END__HOW__ACTIVATE;
        m->cancelled = m->cancelled || r->how == PB__OP_ARRIVE_END__HOW__CANCEL;
        return true;
    case METHOD_DIR_ACCOUNT_MOVE:
        m->named = true;
        return true;
    default:
        return true;
    }
}

bool mover_answered(struct mover *m, const struct mover_request *r, enum err status, struct slice result,
                    uint64_t now_ms)
{
    m->out--;
    m->alone = m->alone && !r->alone;
    if (memcmp(m->id, r->of, sizeof(m->id)) != 0) {
        return true; /* of an earlier move */
    }
    bool no_name = r->method == METHOD_DIR_ACCOUNT_MOVE && status == ERR_INVAL; /* nothing that could follow */
    if (status == OK || no_name) {
        return taken(m, r, result);
    }
    if (r->method == METHOD_MOVE_STEP) {
        if (status == ERR_LOCKED && m->locked_ms == 0) {
            m->locked_ms = now_ms;
        }
        return status == ERR_STALE; /* the row says what it is about now */
    }
    m->begun = false; /* how far is it? */
    m->ready = false;
    return false;
}
