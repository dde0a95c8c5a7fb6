#include "program/ctl_backup.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "proto/base/rng.h"
#include "replication/restore.h"
#include "storage/backup/backup_io.h"

#define ATTEMPTS 5
#define PATIENCE_MS 300000 /* without an answer: a copy waits for its turn */
#define PAUSE_MS 500
#define REPLY_BYTES_MAX ((size_t)1 << 20)

/* A file being written. */
struct output {
    struct backup_run *run;
    int fd;
    struct backup_entry entry;
    struct backup_writer *writer;
    uint64_t records;
    bool ended; /* written out and closed, well or not */
};

static void pause_us(uint64_t us)
{
    struct timespec ts = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&ts, NULL);
}

static enum err explain(struct backup_run *r, struct shard_id shard, const char *what, enum err e)
{
    if (r->why.len == 0) {
        enum err ignored = buf_printf(&r->why, "shard %u: %s: %s", shard.v, what, err_text(e));
        (void)ignored; /* a courtesy: the error says enough */
    }
    return e;
}

/* --- files --- */

/* Nothing of it is wanted. What is in a stream cannot be taken back: that ends without its manifest then. */
static void output_forget(const struct backup_run *r, const struct output *o)
{
    char path[BACKUP_PATH_BYTES_MAX];
    if (r->stream) {
        return;
    }
    (void)close(o->fd);
    snprintf(path, sizeof(path), "%s/%s", r->dir, o->entry.name);
    (void)unlink(path);
}

static enum err output_open(struct backup_run *r, const struct backup_head *head, struct output *out)
{
    memset(out, 0, sizeof(*out));
    out->run = r;
    out->entry.kind = head->kind;
    out->entry.shard = head->shard;
    out->entry.first = head->first;
    backup_set_name(r->set, head->kind, head->shard, out->entry.name);
    out->fd = STDOUT_FILENO;
    enum err e = r->stream ? OK : backup_io_create(r->dir, out->entry.name, &out->fd, &r->why);
    if (e != OK) {
        return e;
    }
    e = backup_writer_open(head, backup_fd_write, &out->fd, &out->writer);
    if (e != OK) {
        output_forget(r, out);
        return explain(r, head->shard, out->entry.name, e);
    }
    return OK;
}

static enum err output_add(struct output *o, struct slice records, uint64_t n)
{
    struct backup_run *r = o->run;
    enum err e = backup_writer_add(o->writer, records);
    if (e != OK) {
        return explain(r, o->entry.shard, o->entry.name, e);
    }
    o->records += n;
    r->raw_bytes += records.n;
    uint64_t due_us = r->bytes_per_s == 0 ? 0 : r->raw_bytes * 1000000 / r->bytes_per_s;
    uint64_t now_us = clock_perf_us() - r->began_us;
    if (due_us > now_us) {
        pause_us(due_us - now_us);
    }
    return OK;
}

/* Unless it has ended. */
static void output_drop(struct output *o)
{
    if (!o->ended) {
        backup_writer_free(o->writer);
        output_forget(o->run, o);
    }
}

/* Complete and durable: part of the set, when the manifest says so. */
static enum err output_end(struct output *o, const struct backup_end *end)
{
    struct backup_run *r = o->run;
    enum err e = backup_writer_end(o->writer, end);
    o->entry.index = end->index;
    o->entry.term = end->term;
    o->entry.wall_ms = end->wall_ms;
    o->entry.bytes = backup_writer_bytes(o->writer);
    o->entry.crc = backup_writer_crc(o->writer);
    backup_writer_free(o->writer);
    o->ended = true;
    enum err closed = r->stream ? OK : backup_io_done(o->fd);
    e = e == OK ? closed : e;
    if (e == OK) {
        r->stored_bytes += o->entry.bytes;
        e = backup_set_add(r->set, &o->entry);
    }
    return e == OK ? OK : explain(r, o->entry.shard, o->entry.name, e);
}

static struct backup_head head_of(const struct backup_run *r, enum backup_kind kind, struct shard_id shard)
{
    return (struct backup_head){.kind = kind,
                                .cluster = r->set->cluster,
                                .shards = r->set->shards,
                                .shard = shard,
                                .wall_ms = clock_wall_ms(clock_system())};
}

/* --- what a node is asked --- */

static bool temporary(enum err e)
{
    return e == ERR_UNAVAILABLE || e == ERR_NOT_LEADER || e == ERR_CLOSED || e == ERR_TIMEOUT || e == ERR_OVERLOAD ||
           e == ERR_LOCKED || e == ERR_SHUTDOWN || e == ERR_NOMEM;
}

/* Asks until there is an answer. The arena and `attach` are emptied first. */
static enum err ask(struct backup_run *r, struct shard_id shard, enum method method, const ProtobufCMessage *message,
                    struct buf *attach, ProtobufCMessage **out_reply)
{
    uint64_t until = clock_mono_ms(clock_system()) + PATIENCE_MS;
    const struct ctl_exchange x = {
        .shard = shard, .method = method, .message = message, .out_reply = out_reply, .out_attach = attach};
    for (;;) {
        arena_reset(&r->ctl->arena);
        buf_reset(attach);
        enum err e = ctl_exchange(r->ctl, &x);
        if (!temporary(e) || r->ctl->client == NULL || clock_mono_ms(clock_system()) > until) {
            return e;
        }
        pause_us(PAUSE_MS * 1000);
    }
}

/* --- a base --- */

static enum err take_batch(struct output *o, const Pb__ReadBackupRowsResult *batch, struct slice rows)
{
    uint64_t n = 0;
    enum err e = restore_rows_check(rows, &n);
    if (e != OK) {
        return explain(o->run, o->entry.shard, "the node sent no rows of a copy", e);
    }
    e = output_add(o, rows, n);
    if (e != OK || !batch->last) {
        return e;
    }
    const struct backup_end end = {
        .index = batch->index, .term = batch->term, .wall_ms = batch->wall_ms, .records = o->records};
    return output_end(o, &end);
}

static enum err pull_all(struct output *o, struct buf *rows)
{
    Pb__ReadBackupRows pull = PB__READ_BACKUP_ROWS__INIT;
    pull.copy = rng_u64(rng_system()) | 1;
    for (;;) {
        ProtobufCMessage *reply = NULL;
        enum err e = ask(o->run, o->entry.shard, METHOD_BACKUP_ROWS, &pull.base, rows, &reply);
        if (e != OK) {
            return e == ERR_STALE ? e : explain(o->run, o->entry.shard, "copying it", e);
        }
        const Pb__ReadBackupRowsResult *batch = (const Pb__ReadBackupRowsResult *)(const void *)reply;
        if (batch->sequence != pull.arrived + 1) {
            return explain(o->run, o->entry.shard, "the node sent another batch", ERR_PROTOCOL);
        }
        pull.arrived = batch->sequence;
        e = take_batch(o, batch, buf_slice(rows));
        if (e != OK || o->ended) {
            return e;
        }
    }
}

static enum err base_once(struct backup_run *r, struct shard_id shard)
{
    struct backup_head head = head_of(r, BACKUP_BASE, shard);
    struct output o;
    struct buf rows;
    enum err e = output_open(r, &head, &o);
    if (e != OK) {
        return e;
    }
    buf_init(&rows, REPLY_BYTES_MAX);
    e = pull_all(&o, &rows);
    buf_fini(&rows);
    output_drop(&o);
    return e;
}

enum err ctl_backup_base(struct backup_run *r, struct shard_id shard)
{
    enum err e = ERR_STALE;
    for (int i = 0; i < (r->stream ? 1 : ATTEMPTS) && e == ERR_STALE; i++) {
        e = base_once(r, shard);
    }
    if (e == OK) {
        r->bases++;
        return OK;
    }
    return explain(r, shard,
                   r->stream ? "its copy ended before its time" : "its copy ended before its time, again and again", e);
}

/* --- the end of a stream --- */

enum err ctl_backup_stream_end(struct backup_run *r)
{
    struct backup_head head = head_of(r, BACKUP_MANIFEST, (struct shard_id){0});
    const struct backup_end end = {.records = r->set->n};
    struct backup_writer *w;
    struct buf text;
    int fd = STDOUT_FILENO;
    buf_init(&text, BACKUP_MANIFEST_BYTES_MAX);
    enum err e = backup_set_print(r->set, &text);
    if (e == OK) {
        e = backup_writer_open(&head, backup_fd_write, &fd, &w);
    }
    if (e == OK) {
        for (size_t at = 0; e == OK && at < text.len; at += BACKUP_BLOCK_BYTES / 2) {
            e = backup_writer_add(w, slice_sub(buf_slice(&text), at, at + BACKUP_BLOCK_BYTES / 2));
        }
        e = e == OK ? backup_writer_end(w, &end) : e;
        backup_writer_free(w);
    }
    buf_fini(&text);
    return e;
}

/* --- a log --- */

struct log_run {
    struct output *output;
    struct buf carry; /* bytes of entries; the last may not be complete */
    uint64_t index;   /* of the last whole one */
    uint64_t term;
};

static enum err take_entries(struct log_run *l, uint64_t upto)
{
    struct backup_run *r = l->output->run;
    struct slice rest = buf_slice(&l->carry);
    struct slice before = rest;
    struct repl_entry entry;
    enum err e = OK;
    while (e == OK && l->index < upto && (e = saved_entry_get(&rest, &entry)) == OK) {
        if (entry.head.index != l->index + 1 || entry.head.term < l->term) {
            e = ERR_PROTOCOL;
            break;
        }
        e = output_add(l->output, slice_sub(before, 0, before.n - rest.n), 1);
        l->index = entry.head.index;
        l->term = entry.head.term;
        before = rest;
    }
    if (e != OK && e != ERR_NOTFOUND) {
        return explain(r, l->output->entry.shard, "the node sent no entries of its log", e);
    }
    buf_consume(&l->carry, l->carry.len - before.n);
    return OK;
}

/* Up to what was applied when the first answer was given: a busy shard has always more. */
static enum err log_pull(struct log_run *l, struct buf *attach, struct backup_end *end)
{
    struct output *o = l->output;
    Pb__ReadBackupLog pull = PB__READ_BACKUP_LOG__INIT;
    pull.index = l->index + 1;
    end->index = UINT64_MAX;
    while (l->index < end->index) {
        ProtobufCMessage *reply = NULL;
        pull.term_before = l->term;
        enum err e = ask(o->run, o->entry.shard, METHOD_BACKUP_LOG, &pull.base, attach, &reply);
        if (e != OK) {
            return e;
        }
        const Pb__ReadBackupLogResult *got = (const Pb__ReadBackupLogResult *)(const void *)reply;
        if (end->index == UINT64_MAX) {
            end->index = got->last;
            end->wall_ms = got->wall_ms;
        }
        pull.index = got->next_index;
        pull.offset = got->next_offset;
        e = buf_append_slice(&l->carry, buf_slice(attach));
        e = e == OK ? take_entries(l, end->index) : e;
        if (e != OK) {
            return e;
        }
        if (attach->len == 0 && l->index < end->index) {
            return explain(o->run, o->entry.shard, "the node sent nothing of its log", ERR_PROTOCOL);
        }
    }
    end->term = l->term;
    end->records = o->records;
    return OK;
}

static enum err log_write(struct output *o, const struct backup_entry *tip)
{
    struct log_run l = {.output = o, .index = tip->index, .term = tip->term};
    struct backup_end end = {0};
    struct buf attach;
    buf_init(&attach, REPLY_BYTES_MAX);
    buf_init(&l.carry, 2 * REPLY_BYTES_MAX);
    enum err e = log_pull(&l, &attach, &end);
    buf_fini(&attach);
    buf_fini(&l.carry);
    return e == OK ? output_end(o, &end) : e;
}

enum err ctl_backup_log(struct backup_run *r, struct shard_id shard)
{
    const struct backup_entry *tip = backup_set_tip(r->set, shard);
    struct backup_head head = head_of(r, BACKUP_LOG, shard);
    struct output o;
    if (tip == NULL) {
        return ERR_NOTFOUND;
    }
    struct backup_entry from = *tip; /* the set grows */
    head.first = from.index + 1;
    head.term_before = from.term;
    enum err e = output_open(r, &head, &o);
    if (e != OK) {
        return e;
    }
    e = log_write(&o, &from);
    output_drop(&o);
    if (e == OK) {
        r->logs++;
    }
    return e == OK || e == ERR_NOTFOUND || e == ERR_STALE ? e : explain(r, shard, "its log", e);
}
