#include "replication/message.h"

#include "proto/base/assert.h"
#include "proto/base/bytes.h"

#define FLAG_PRE_VOTE 1
#define FLAG_DISRUPT 2
#define FLAG_GRANTED 4
#define FLAG_AGAIN 8
#define FLAG_LAST 16
#define FLAG_SENT 32
#define FIELDS_BYTES_MAX 44
#define APPEND_HEAD_BYTES (REPL_MESSAGE_HEAD_BYTES + 28)
#define APPEND_COUNT_AT (REPL_MESSAGE_HEAD_BYTES + 24)
#define WIRE_ENTRY_BYTES 20

/* --- out --- */

/* Only when there is one: nodes of a version without leases do not know it. */
static size_t put_sent(const struct repl_message *m, uint8_t *p)
{
    if (m->sent_ms == 0) {
        return 0;
    }
    put_le64(p, m->sent_ms);
    return 8;
}

static size_t put_fields(const struct repl_message *m, uint8_t *p)
{
    switch (m->type) {
    case REPL_MESSAGE_APPEND:
        put_le64(p, m->index);
        put_le64(p + 8, m->index_term);
        put_le64(p + 16, m->commit);
        put_le32(p + 24, 0);
        return 28 + put_sent(m, p + 28);
    case REPL_MESSAGE_APPEND_RESULT:
        put_le64(p, m->rejected);
        put_le64(p + 8, m->index);
        return 16 + put_sent(m, p + 16);
    case REPL_MESSAGE_VOTE:
    case REPL_MESSAGE_TIMEOUT_NOW:
        put_le64(p, m->index);
        put_le64(p + 8, m->index_term);
        return 16;
    case REPL_MESSAGE_SNAPSHOT:
        put_le64(p, m->index);
        put_le64(p + 8, m->index_term);
        put_le64(p + 16, m->configuration_index);
        put_le32(p + 24, (uint32_t)m->configuration.n);
        return 28;
    case REPL_MESSAGE_VOTE_RESULT:
        return 0;
    case REPL_MESSAGE_COPY_PULL:
        put_le64(p, m->copy);
        put_le64(p + 8, m->sequence);
        put_le64(p + 16, m->upto);
        return 24;
    case REPL_MESSAGE_COPY_ROWS:
        put_le64(p, m->copy);
        put_le64(p + 8, m->sequence);
        put_le64(p + 16, m->index);
        put_le64(p + 24, m->index_term);
        put_le64(p + 32, m->configuration_index);
        put_le32(p + 40, (uint32_t)m->configuration.n);
        return 44;
    }
    return 0;
}

enum err repl_message_put(const struct repl_message *m, struct buf *out)
{
    uint8_t *p;
    size_t most = REPL_MESSAGE_HEAD_BYTES + FIELDS_BYTES_MAX + m->configuration.n + m->rows.n;
    enum err e = buf_reserve(out, most, &p);
    if (e != OK) {
        return e;
    }
    memset(p, 0, REPL_MESSAGE_HEAD_BYTES);
    p[0] = (uint8_t)m->type;
    p[1] = (uint8_t)((m->pre_vote ? FLAG_PRE_VOTE : 0) | (m->disrupt ? FLAG_DISRUPT : 0) |
                     (m->granted ? FLAG_GRANTED : 0) | (m->again ? FLAG_AGAIN : 0) | (m->last ? FLAG_LAST : 0) |
                     (m->sent_ms != 0 ? FLAG_SENT : 0));
    put_le16(p + 2, m->attempt);
    put_le32(p + 4, m->shard.v);
    put_le64(p + 8, m->from.v);
    put_le64(p + 16, m->to.v);
    put_le64(p + 24, m->term);
    size_t n = REPL_MESSAGE_HEAD_BYTES + put_fields(m, p + REPL_MESSAGE_HEAD_BYTES);
    if (m->configuration.n > 0) {
        memcpy(p + n, m->configuration.p, m->configuration.n);
        n += m->configuration.n;
    }
    if (m->rows.n > 0) {
        memcpy(p + n, m->rows.p, m->rows.n);
        n += m->rows.n;
    }
    buf_commit(out, n);
    return OK;
}

size_t repl_message_entry_bytes(const struct repl_entry *e)
{
    return WIRE_ENTRY_BYTES + e->head.data.n + e->body.n;
}

enum err repl_message_put_entry(struct buf *out, size_t at, const struct repl_entry *e)
{
    uint8_t *p;
    enum err rc = buf_reserve(out, repl_message_entry_bytes(e), &p);
    if (rc != OK) {
        return rc;
    }
    memset(p, 0, WIRE_ENTRY_BYTES);
    put_le64(p, e->head.term);
    p[8] = (uint8_t)e->head.type;
    put_le32(p + 12, (uint32_t)e->head.data.n);
    put_le32(p + 16, (uint32_t)e->body.n);
    p += WIRE_ENTRY_BYTES;
    if (e->head.data.n > 0) {
        memcpy(p, e->head.data.p, e->head.data.n);
    }
    if (e->body.n > 0) {
        memcpy(p + e->head.data.n, e->body.p, e->body.n);
    }
    buf_commit(out, repl_message_entry_bytes(e));
    uint8_t *count = out->base + out->off + at + APPEND_COUNT_AT;
    put_le32(count, get_le32(count) + 1);
    return OK;
}

/* --- in --- */

void repl_message_entry(struct slice *rest, struct repl_entry *out)
{
    const uint8_t *p = rest->p;
    memset(out, 0, sizeof(*out));
    out->head.term = get_le64(p);
    out->head.type = (enum repl_entry_type)p[8];
    out->head.data = slice_make(p + WIRE_ENTRY_BYTES, get_le32(p + 12));
    out->body = slice_make(p + WIRE_ENTRY_BYTES + out->head.data.n, get_le32(p + 16));
    out->head.body_bytes = (uint32_t)out->body.n;
    *rest = slice_sub(*rest, repl_message_entry_bytes(out), rest->n);
}

/* One entry's bytes are all there and mean something. */
static bool entry_is_sound(struct reader *r, uint64_t previous, size_t i, uint64_t *last_term)
{
    uint64_t term = reader_le64(r);
    uint8_t type = reader_u8(r);
    (void)reader_bytes(r, 3);
    uint32_t data = reader_le32(r);
    uint32_t body = reader_le32(r);
    if (r->failed || term == 0 || term < *last_term || type < REPL_ENTRY_COMMAND || type > REPL_ENTRY_TYPE_MAX ||
        data > REPL_ENTRY_BYTES_MAX || body > REPL_ENTRY_BYTES_MAX - data) {
        return false;
    }
    if (type == REPL_ENTRY_CHANGE &&
        (i != 0 || raft_configuration_decodes(slice_make(r->p, reader_left(r) < data ? 0 : data)) != OK)) {
        return false;
    }
    if (previous == 0 && i == 0 && type != REPL_ENTRY_CHANGE) {
        return false; /* a log begins with a configuration */
    }
    *last_term = term;
    (void)reader_bytes(r, data);
    (void)reader_bytes(r, body);
    return !r->failed;
}

static enum err get_entries(struct reader *r, struct repl_message *m)
{
    uint64_t last_term = m->index_term;
    if (r->failed || m->n_entries > REPL_MESSAGE_ENTRIES_MAX || (m->index == 0) != (m->index_term == 0)) {
        return ERR_CORRUPT;
    }
    m->entries = slice_make(r->p, reader_left(r));
    for (size_t i = 0; i < m->n_entries; i++) {
        if (!entry_is_sound(r, m->index, i, &last_term)) {
            return ERR_CORRUPT;
        }
    }
    return last_term <= m->term ? OK : ERR_CORRUPT;
}

static enum err get_fields(struct reader *r, struct repl_message *m, bool sent)
{
    switch (m->type) {
    case REPL_MESSAGE_APPEND:
        m->index = reader_le64(r);
        m->index_term = reader_le64(r);
        m->commit = reader_le64(r);
        m->n_entries = reader_le32(r);
        m->sent_ms = sent ? reader_le64(r) : 0;
        return get_entries(r, m);
    case REPL_MESSAGE_APPEND_RESULT:
        m->rejected = reader_le64(r);
        m->index = reader_le64(r);
        m->sent_ms = sent ? reader_le64(r) : 0;
        return OK;
    case REPL_MESSAGE_VOTE:
    case REPL_MESSAGE_TIMEOUT_NOW:
        m->index = reader_le64(r);
        m->index_term = reader_le64(r);
        return OK;
    case REPL_MESSAGE_SNAPSHOT:
        m->index = reader_le64(r);
        m->index_term = reader_le64(r);
        m->configuration_index = reader_le64(r);
        m->configuration = reader_bytes(r, reader_le32(r));
        if (r->failed || m->index == 0 || m->index_term == 0) {
            return ERR_CORRUPT;
        }
        return raft_configuration_decodes(m->configuration);
    case REPL_MESSAGE_VOTE_RESULT:
        return OK;
    case REPL_MESSAGE_COPY_PULL:
        m->copy = reader_le64(r);
        m->sequence = reader_le64(r);
        m->upto = reader_le64(r);
        return OK;
    case REPL_MESSAGE_COPY_ROWS:
        m->copy = reader_le64(r);
        m->sequence = reader_le64(r);
        m->index = reader_le64(r);
        m->index_term = reader_le64(r);
        m->configuration_index = reader_le64(r);
        m->configuration = reader_bytes(r, reader_le32(r));
        m->rows = reader_bytes(r, reader_left(r));
        return m->last ? raft_configuration_decodes(m->configuration) : OK;
    }
    return ERR_CORRUPT;
}

enum err repl_message_get(struct slice bytes, struct repl_message *out)
{
    struct repl_message m;
    struct reader r = reader_make(bytes);
    memset(&m, 0, sizeof(m));
    uint8_t type = reader_u8(&r);
    uint8_t flags = reader_u8(&r);
    m.attempt = reader_le16(&r);
    m.shard.v = reader_le32(&r);
    m.from.v = reader_le64(&r);
    m.to.v = reader_le64(&r);
    m.term = reader_le64(&r);
    if (r.failed || type < REPL_MESSAGE_APPEND || type > REPL_MESSAGE_COPY_ROWS || m.from.v == 0 || m.to.v == 0 ||
        m.term > REPL_MESSAGE_NUMBER_MAX || (m.term == 0 && type < REPL_MESSAGE_COPY_PULL)) {
        return ERR_CORRUPT;
    }
    m.type = (enum repl_message_type)type;
    m.pre_vote = (flags & FLAG_PRE_VOTE) != 0;
    m.disrupt = (flags & FLAG_DISRUPT) != 0;
    m.granted = (flags & FLAG_GRANTED) != 0;
    m.again = (flags & FLAG_AGAIN) != 0;
    m.last = (flags & FLAG_LAST) != 0;
    enum err e = get_fields(&r, &m, (flags & FLAG_SENT) != 0);
    bool empty = (flags & FLAG_SENT) != 0 && m.sent_ms == 0;
    if (e != OK || r.failed || reader_left(&r) > 0 || m.index > REPL_MESSAGE_NUMBER_MAX || empty) {
        return ERR_CORRUPT;
    }
    *out = m;
    return OK;
}
