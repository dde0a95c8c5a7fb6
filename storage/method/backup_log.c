/* ReadBackupLog: committed entries with their bodies, for incremental backups. */
#include "replication/saved.h"
#include "storage/method/method.h"
#include "storage/method/node_info.h"

#define LOG_REPLY_MAX ((size_t)192 * 1024)

/* The entry before the first one wanted must be the receiver's: the same history. */
static enum err check_before(struct read_context *rc, const Pb__ReadBackupLog *req)
{
    uint64_t term;
    enum err e = saved_term_get(rc->txn, rc->prefix, req->index - 1, &term);
    if (e != OK) {
        return e;
    }
    return term == req->term_before ? OK : ERR_STALE;
}

/* Fills the attachment from there on; the positions move to what comes next. */
static enum err fill(struct read_context *rc, uint64_t last, uint64_t *index, uint32_t *offset, struct buf *attach)
{
    struct buf entry;
    enum err e = OK;
    buf_init(&entry, SAVED_ENTRY_BYTES_MAX);
    while (e == OK && *index <= last && attach->len < LOG_REPLY_MAX) {
        buf_reset(&entry);
        e = saved_entry_read(rc->txn, rc->prefix, *index, &entry);
        if (e == OK && *offset > entry.len) {
            e = ERR_INVAL;
        }
        size_t upto = *offset + LOG_REPLY_MAX - attach->len;
        upto = upto < entry.len ? upto : entry.len;
        if (e == OK) {
            e = buf_append_slice(attach, slice_sub(buf_slice(&entry), *offset, upto));
        }
        if (e == OK) {
            bool whole = upto == entry.len;
            *index += whole;
            *offset = whole ? 0 : (uint32_t)upto;
        }
    }
    buf_fini(&entry);
    return e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadBackupLog *req = (const Pb__ReadBackupLog *)(const void *)request;
    Pb__ReadBackupLogResult answer = PB__READ_BACKUP_LOG_RESULT__INIT;
    struct saved_span span;
    struct node_facts facts = {0};
    if (req->index < 2 || req->offset > SAVED_ENTRY_BYTES_MAX) {
        return ERR_INVAL;
    }
    enum err e = saved_span_get(rc->txn, rc->prefix, &span);
    if (e == OK && (req->index < span.first || req->index > span.last + 1)) {
        e = ERR_NOTFOUND;
    }
    if (e == OK) {
        e = check_before(rc, req);
    }
    if (e != OK) {
        return e;
    }
    answer.next_index = req->index;
    answer.next_offset = req->offset;
    e = fill(rc, span.last, &answer.next_index, &answer.next_offset, attach);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    }
    if (rc->node != NULL) {
        rc->node->facts(rc->node->ctx, &facts);
    }
    answer.last = span.last;
    answer.last_term = span.last_term;
    answer.wall_ms = facts.wall_ms;
    return pb_pack(&answer.base, meta);
}

STORAGE_METHOD(backup_log) = {
    .method = METHOD_BACKUP_LOG,
    .request = &pb__read_backup_log__descriptor,
    .run = run,
};
