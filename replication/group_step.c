/* Stepping raft for a group of several servers: what peers sent, timeouts, proposals and persistence go in; entries and
 * hard state come out and wait for the turn's transaction (group_peers.c), messages leave now or after it
 * (ARCHITECTURE, section 6.3). */
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/plant.h"
#include "replication/copy.h"
#include "replication/key.h"
#include "replication/volume_run.h"

#define SUBMIT_MAX 256
#define UNCOMMITTED_MAX 1000 /* entries of a group; ARCHITECTURE, section 8 */
#define FLIGHT_BYTES_MAX ((size_t)8 << 20)
#define PENDING_BYTES_MAX ((size_t)6 << 20) /* more from peers is dropped: the disk does not follow */
#define BURST_BYTES_MAX ((size_t)4 << 20)   /* of one AppendEntries of the library, which counts entries only */
#define LATE_HEAD_BYTES 12

struct step {
    struct volume *v;
    struct group *g;
    uint64_t now_ms;
};

/* --- messages out --- */

void volume_send(struct volume *v, struct node_id to, bool bulk, struct slice message)
{
    if (v->cfg.send != NULL) {
        v->cfg.send(v->cfg.send_ctx, to, bulk, message);
    }
}

/* Raft lives with a lost message, so one that finds no memory is dropped. */
static void keep_late(struct group *g, struct node_id to, struct slice message)
{
    uint8_t *p;
    if (buf_reserve(&g->late, LATE_HEAD_BYTES + message.n, &p) != OK) {
        return;
    }
    put_le64(p, to.v);
    put_le32(p + 8, (uint32_t)message.n);
    memcpy(p + LATE_HEAD_BYTES, message.p, message.n);
    buf_commit(&g->late, LATE_HEAD_BYTES + message.n);
}

void group_send_late(struct volume *v, struct group *g)
{
    struct slice rest = buf_slice(&g->late);
    while (rest.n > 0) {
        struct node_id to = {get_le64(rest.p)};
        size_t n = get_le32(rest.p + 8);
        volume_send(v, to, false, slice_sub(rest, LATE_HEAD_BYTES, LATE_HEAD_BYTES + n));
        rest = slice_sub(rest, LATE_HEAD_BYTES + n, rest.n);
    }
    buf_reset(&g->late);
    buf_shrink(&g->late);
}

/* Another configuration is in the log and not on the disk. Were it sent before, and forgotten here by a crash, then of
 * two voters the one that it takes the vote of would know of it alone: it would not stand for election, and not vote
 * for a log that lacks it, and nobody could ever lead. */
static bool has_new_change(const struct group *g)
{
    return raft_driver_change_index(g->raft) > g->meta.log_last && !planted(PLANT_EARLY_CHANGE);
}

/* Only AppendEntries of a group without a new term, vote or configuration may leave before the commit. */
static void dispatch(const struct step *s, const struct repl_message *m, struct slice bytes)
{
    bool early = planted(PLANT_EARLY_ACK) && m->type == REPL_MESSAGE_APPEND_RESULT;
    if ((m->type == REPL_MESSAGE_APPEND && !s->g->hard_state && !has_new_change(s->g)) || early) {
        volume_send(s->v, m->to, false, bytes);
    } else {
        keep_late(s->g, m->to, bytes);
    }
}

enum err volume_reader(struct volume *v, struct kv_txn **out)
{
    if (v->reader == NULL) {
        enum err e = kv_begin(v->cfg.kv, false, &v->reader);
        if (e != OK) {
            v->reader = NULL;
            return e;
        }
    }
    *out = v->reader;
    return OK;
}

/* An entry of the leader's log, from memory or from the disk (into the volume's buffers). */
static enum err entry_at(const struct step *s, uint64_t index, struct repl_entry *out)
{
    struct group *g = s->g;
    struct kv_txn *t;
    uint8_t prefix[5];
    if (g->n_pending > 0 && index >= g->pending[0].entry.head.index) {
        uint64_t i = index - g->pending[0].entry.head.index;
        if (i >= g->n_pending) {
            return ERR_NOTFOUND;
        }
        *out = g->pending[i].entry;
        return OK;
    }
    enum err e = volume_reader(s->v, &t);
    if (e == OK) {
        e = log_entry_get(t, g->replica, index, &out->head, &s->v->scratch);
    }
    buf_reset(&s->v->body);
    if (e == OK && out->head.body_bytes > 0) {
        put_be32(prefix, g->replica);
        prefix[4] = 'S';
        e = repl_body_read(t, prefix, index, out->head.type == REPL_ENTRY_CHUNK ? REPL_ORDINAL_PIECE : 0, 0,
                           out->head.body_bytes, &s->v->body);
    }
    out->body = buf_slice(&s->v->body);
    return e;
}

static enum err begin_append(const struct step *s, const struct repl_message *m)
{
    buf_reset(&s->v->message);
    return repl_message_put(m, &s->v->message);
}

/* Cuts what the library wants to send into messages of bounded size; a configuration change begins one. */
static enum err send_append(const struct step *s, const struct repl_message *wanted)
{
    struct repl_message m = *wanted;
    size_t left = wanted->n_entries;
    size_t in_message = 0;
    size_t sent = 0;
    m.n_entries = 0;
    m.sent_ms = s->g->limits.lease_drift_percent != 0 ? s->now_ms : 0; /* or earlier than it is sent */
    enum err e = begin_append(s, &m);
    for (; e == OK && left > 0 && sent < BURST_BYTES_MAX; left--) {
        struct repl_entry entry;
        e = entry_at(s, m.index + in_message + 1, &entry);
        if (e != OK) {
            break;
        }
        size_t bytes = repl_message_entry_bytes(&entry);
        bool full = s->v->message.len + bytes > REPL_MESSAGE_BYTES_MAX || in_message == REPL_MESSAGE_ENTRIES_MAX ||
                    entry.head.type == REPL_ENTRY_CHANGE;
        if (in_message > 0 && full) {
            dispatch(s, &m, buf_slice(&s->v->message));
            m.index += in_message;
            m.index_term = s->v->message_term;
            in_message = 0;
            e = begin_append(s, &m);
        }
        if (e == OK) {
            e = repl_message_put_entry(&s->v->message, 0, &entry);
        }
        s->v->message_term = entry.head.term;
        in_message++;
        sent += bytes;
    }
    if (e == OK || in_message > 0) {
        dispatch(s, &m, buf_slice(&s->v->message));
    }
    return e;
}

static enum err send_snapshot(const struct step *s, const struct repl_message *wanted)
{
    struct repl_message m = *wanted;
    struct repl_key k = key_index(s->g->replica, 'C', m.configuration_index);
    struct raft_log_change change;
    struct kv_txn *t;
    struct slice row;
    enum err e = volume_reader(s->v, &t);
    if (e == OK) {
        e = kv_get(t, key_slice(&k), &row);
    }
    if (e == OK) {
        e = log_configuration_decode(key_slice(&k), row, &change);
    }
    if (e == OK) {
        m.configuration = change.configuration;
        e = begin_append(s, &m);
    }
    if (e == OK) {
        dispatch(s, &m, buf_slice(&s->v->message));
    }
    return e;
}

static void send_message(const struct step *s, const struct repl_message *wanted)
{
    struct repl_message m = *wanted;
    enum err e = OK;
    m.shard = s->g->shard;
    m.from = s->g->node;
    switch (m.type) {
    case REPL_MESSAGE_APPEND:
        e = send_append(s, &m);
        break;
    case REPL_MESSAGE_SNAPSHOT:
        e = send_snapshot(s, &m);
        break;
    case REPL_MESSAGE_COPY_PULL:
    case REPL_MESSAGE_COPY_ROWS:
        break; /* not raft's */
    case REPL_MESSAGE_APPEND_RESULT:
    case REPL_MESSAGE_VOTE:
    case REPL_MESSAGE_VOTE_RESULT:
    case REPL_MESSAGE_TIMEOUT_NOW:
        e = begin_append(s, &m);
        if (e == OK) {
            dispatch(s, &m, buf_slice(&s->v->message));
        }
        break;
    }
    if (e == ERR_CORRUPT) {
        log_error("replica.log", "an entry to be sent is corrupt", LOG_U64("shard", s->g->shard.v));
    }
}

/* --- updates --- */

/* Where the bytes of new entries come from: a message's entries, a proposal each, or a copy. */
struct source {
    const struct repl_entry *entries;
    uint64_t first; /* index of entries[0] */
    struct repl_received *received;
    struct proposal *proposals;
    struct slice change;
};

static enum err pending_of(const struct step *s, const struct raft_driver_update *u, struct source *from,
                           uint64_t index, struct group_pending *out)
{
    memset(out, 0, sizeof(*out));
    if (u->barrier) {
        out->entry.head.type = REPL_ENTRY_BARRIER;
        out->entry.head.term = raft_driver_term(s->g->raft);
    } else if (from->entries != NULL) {
        out->entry = from->entries[index - from->first];
        out->received = from->received;
        out->received->refs++;
    } else if (from->proposals != NULL) {
        group_entry_of(from->proposals, index, raft_driver_term(s->g->raft), &out->entry);
        from->proposals = (struct proposal *)(void *)from->proposals->node.next;
    } else {
        out->own = mem_alloc(from->change.n);
        if (out->own == NULL) {
            return ERR_NOMEM;
        }
        memcpy(out->own, from->change.p, from->change.n);
        out->entry.head.type = REPL_ENTRY_CHANGE;
        out->entry.head.term = raft_driver_term(s->g->raft);
        out->entry.head.data = slice_make(out->own, from->change.n);
    }
    out->entry.head.index = index;
    return OK;
}

static enum err take_entries(const struct step *s, const struct raft_driver_update *u, struct source *from)
{
    if (u->append_first <= s->g->meta.applied) {
        return ERR_CORRUPT; /* after a start the library knows less of what is committed than the disk */
    }
    group_pending_cut(s->g, u->append_first);
    for (size_t i = 0; i < u->append_n; i++) {
        struct group_pending p;
        enum err e = pending_of(s, u, from, u->append_first + i, &p);
        if (e == OK) {
            e = group_pending_add(s->g, &p);
        }
        if (e != OK) {
            if (p.received != NULL) {
                group_received_unref(p.received);
            }
            mem_free(p.own);
            return e;
        }
    }
    return OK;
}

/* Puts what a step asked for in its place. ERR_NOMEM: raft holds entries that are nowhere else; start it again. */
static enum err absorb(const struct step *s, const struct raft_driver_update *u, struct source *from)
{
    s->g->hard_state = s->g->hard_state || u->hard_state;
    group_publish(s->g);
    enum err e = u->append_first != 0 ? take_entries(s, u, from) : OK;
    for (size_t i = 0; e == OK && i < u->n_messages; i++) {
        send_message(s, &u->messages[i]);
    }
    if (planted(PLANT_EARLY_ACK) && e == OK && u->append_n > 0) {
        struct raft_driver_update early;
        e = raft_driver_persisted(s->g->raft, s->now_ms, u->append_first + u->append_n - 1, &early);
        for (size_t i = 0; e == OK && i < early.n_messages; i++) {
            send_message(s, &early.messages[i]);
        }
    }
    return e;
}

/* After every step: who waits in vain is answered, what may leave leaves, what needs the disk is put on the list. */
static void settle(const struct step *s, enum err e)
{
    struct group *g = s->g;
    if (e == OK && !raft_driver_leads(g->raft) && g->n_flights > 0) {
        e = group_pending_own(g); /* they are about to be answered: their bytes are not ours any more */
    }
    if (e == ERR_CORRUPT) {
        log_error("replica.diverged", "raft refuses to go on; starting it again from the disk",
                  LOG_U64("shard", g->shard.v), LOG_U64("replica", g->replica));
    }
    if (e != OK) {
        volume_reload(s->v, g);
        return;
    }
    if (!raft_driver_leads(g->raft)) {
        volume_fail_waiting(g, ERR_NOT_LEADER);
    }
    if (group_is_durable(g)) {
        group_send_late(s->v, g);
    }
    if (!group_is_alone(g) && s->v->grid_ms == UINT64_MAX) {
        s->v->grid_ms = s->now_ms; /* it has timers from now on */
    }
    volume_activate(s->v, g);
}

/* --- in --- */

/* A follower that has compacted further than the leader's look back: what is below its snapshot is committed, so it
 * agrees; the library would answer that it has no such entry. ERR_CORRUPT: its terms say otherwise. */
static enum err skip_compacted(const struct group *g, struct repl_message *m, const struct repl_entry **entries)
{
    uint64_t base = g->meta.snapshot_index;
    if (m->type != REPL_MESSAGE_APPEND || m->index >= base) {
        return OK;
    }
    uint64_t skip = base - m->index < m->n_entries ? base - m->index : m->n_entries;
    *entries += skip;
    m->n_entries -= skip;
    m->index = base;
    m->index_term = g->meta.snapshot_term;
    return m->n_entries > 0 && (*entries)[0].head.term < m->index_term ? ERR_CORRUPT : OK;
}

/* The leader proposes a change only when the one before is committed: a follower that has not heard so hears it now,
 * since the library keeps one uncommitted configuration only. It must be that leader's: the message is not stale, and
 * the logs agree in front of the change. */
static enum err commit_earlier_change(const struct step *s, const struct repl_message *m,
                                      const struct repl_entry *entries)
{
    struct repl_entry earlier;
    if (m->n_entries == 0 || entries[0].head.type != REPL_ENTRY_CHANGE || !raft_driver_changing(s->g->raft) ||
        m->term < raft_driver_term(s->g->raft)) {
        return OK;
    }
    uint64_t index = raft_driver_change_index(s->g->raft);
    if (index >= m->index + 1) {
        return OK; /* the same one again, or one that it replaces */
    }
    enum err e = entry_at(s, m->index, &earlier);
    if (e == ERR_NOTFOUND || (e == OK && earlier.head.term != m->index_term)) {
        return OK; /* raft refuses the message */
    }
    if (e == OK) {
        e = entry_at(s, index, &earlier);
    }
    if (e == OK) {
        e = raft_driver_configuration_applied(s->g->raft, s->now_ms, index, earlier.head.data);
    }
    return e;
}

void group_step_received(struct volume *v, struct group *g, const struct repl_message *message,
                         struct repl_received *received, uint64_t now_ms)
{
    const struct step s = {.v = v, .g = g, .now_ms = now_ms};
    struct repl_entry all[REPL_MESSAGE_ENTRIES_MAX];
    const struct repl_entry *entries = all;
    struct repl_message m = *message;
    struct raft_driver_update u;
    struct slice rest = m.entries;
    if (m.type == REPL_MESSAGE_COPY_PULL) {
        copy_out_pulled(v, g, &m, now_ms);
        return;
    }
    if (m.type == REPL_MESSAGE_COPY_ROWS) {
        copy_in_received(v, g, &m, received, now_ms);
        return;
    }
    if (m.n_entries > 0 && g->pending_bytes > PENDING_BYTES_MAX) {
        return;
    }
    for (size_t i = 0; i < m.n_entries; i++) {
        repl_message_entry(&rest, &all[i]);
        all[i].head.index = m.index + 1 + i;
    }
    if (skip_compacted(g, &m, &entries) != OK) {
        return;
    }
    struct source from = {.entries = entries, .first = m.index + 1, .received = received};
    enum err e = commit_earlier_change(&s, &m, entries);
    if (e == OK) {
        e = raft_driver_receive(g->raft, now_ms, &m, entries, &u);
    }
    bool wants_copy = e == OK && u.snapshot;
    if (e == OK) {
        e = absorb(&s, &u, &from);
    }
    settle(&s, e);
    if (wants_copy && e == OK) {
        copy_in_begin(v, g, m.from, now_ms);
    }
}

/* Bytes on their way to a follower are bounded by what its entries weigh. */
static void bound_inflight(struct group *g)
{
    uint64_t entries = g->meta.log_last + 1 - g->meta.log_first;
    uint64_t average = entries == 0 ? 0 : g->meta.log_bytes / entries;
    uint64_t max = BURST_BYTES_MAX / (average + 256);
    raft_driver_inflight_max(g->raft, max < 16 ? 16 : max > UNCOMMITTED_MAX ? UNCOMMITTED_MAX : (unsigned)max);
}

static bool asks_for_votes(const struct raft_driver_update *u)
{
    return u->n_messages > 0 && u->messages[0].type == REPL_MESSAGE_VOTE;
}

void group_step_timeout(struct volume *v, struct group *g, uint64_t now_ms)
{
    const struct step s = {.v = v, .g = g, .now_ms = now_ms};
    struct source none = {0};
    struct raft_driver_update u;
    copy_out_tick(g, now_ms);
    copy_in_tick(v, g, now_ms);
    if (g->state != GROUP_RUNNING || now_ms < raft_driver_deadline_ms(g->raft)) {
        return;
    }
    bound_inflight(g);
    enum err e = raft_driver_timeout(g->raft, now_ms, &u);
    if (e == OK) {
        volume_count(&v->stats.elections, asks_for_votes(&u));
        e = absorb(&s, &u, &none);
    }
    settle(&s, e);
}

/* How many of the waiting proposals may go now. */
static size_t submittable(const struct group *g)
{
    uint64_t uncommitted = raft_driver_last_index(g->raft) - raft_driver_commit_index(g->raft);
    size_t bytes = g->flight_bytes;
    size_t n = 0;
    for (const struct proposal *p = g->head; p != NULL && n < SUBMIT_MAX && uncommitted + n < UNCOMMITTED_MAX; n++) {
        bytes += group_cost(p);
        if (bytes > FLIGHT_BYTES_MAX && n + g->n_flights > 0) {
            break;
        }
        p = (const struct proposal *)(const void *)p->node.next;
    }
    return n;
}

void group_step_submit(struct volume *v, struct group *g, uint64_t now_ms)
{
    const struct step s = {.v = v, .g = g, .now_ms = now_ms};
    enum err e = OK;
    for (size_t n = submittable(g); e == OK && n > 0; n = e == OK ? submittable(g) : 0) {
        struct source from = {.proposals = g->head};
        struct raft_driver_update u;
        uint64_t first = raft_driver_last_index(g->raft) + 1;
        e = raft_driver_submit(g->raft, now_ms, n, &u);
        if (e == ERR_NOT_LEADER) {
            break; /* leadership is being handed over: settle answers when it is gone, later proposals wait */
        }
        if (e == OK) {
            e = absorb(&s, &u, &from);
            group_fly(g, first, n);
        }
    }
    settle(&s, e == ERR_NOT_LEADER ? OK : e);
}

enum err group_step_change(struct volume *v, struct group *g, struct slice configuration, uint64_t now_ms)
{
    const struct step s = {.v = v, .g = g, .now_ms = now_ms};
    struct source from = {.change = configuration};
    struct raft_driver_update u;
    bool too_early = raft_driver_wants_barrier(g->raft);
    enum err e =
        too_early ? raft_driver_barrier(g->raft, now_ms, &u) : raft_driver_change(g->raft, now_ms, configuration, &u);
    if (e == ERR_NOT_LEADER || e == ERR_LOCKED) {
        return e;
    }
    if (e == OK) {
        e = absorb(&s, &u, &from);
    }
    settle(&s, e);
    return e == OK && too_early ? ERR_LOCKED : e;
}

enum err group_step_transfer(struct volume *v, struct group *g, struct node_id to, uint64_t now_ms)
{
    const struct step s = {.v = v, .g = g, .now_ms = now_ms};
    struct source none = {0};
    struct raft_driver_update u;
    enum err e = raft_driver_transfer(g->raft, now_ms, to, &u);
    if (e == ERR_NOT_LEADER || e == ERR_NOTFOUND) {
        return e;
    }
    if (e == OK) {
        e = absorb(&s, &u, &none);
    }
    settle(&s, e);
    return e;
}

void group_step_started(struct volume *v, struct group *g, const struct raft_driver_update *u, uint64_t now_ms)
{
    const struct step s = {.v = v, .g = g, .now_ms = now_ms};
    struct source none = {0};
    settle(&s, absorb(&s, u, &none));
}

/* The transaction is durable. What it held may be reported, and what waited for it may leave. */
void group_step_committed(struct volume *v, struct group *g, uint64_t now_ms)
{
    const struct step s = {.v = v, .g = g, .now_ms = now_ms};
    struct source none = {0};
    struct raft_driver_update u;
    bool appended = g->written > 0 && !planted(PLANT_EARLY_ACK);
    enum err e = OK;
    if (copy_in_written(v, g, now_ms)) {
        volume_switched(v, g);
        return;
    }
    if (g->wrote_state) {
        group_peers_written(g);
    }
    if (appended && g->copy_in == NULL) { /* else raft has forgotten this log already */
        e = raft_driver_persisted(g->raft, now_ms, g->meta.log_last, &u);
        if (e == OK) {
            e = absorb(&s, &u, &none);
        }
    }
    if (e == OK && g->change_index != 0) {
        e = raft_driver_configuration_applied(g->raft, now_ms, g->change_index, buf_slice(&g->change));
        g->change_index = 0;
    }
    group_publish(g);
    settle(&s, e);
}
