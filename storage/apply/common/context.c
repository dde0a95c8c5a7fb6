#include "storage/apply/common/op_run.h"

#include "proto/base/hash.h"
#include "storage/apply/common/dedupe.h"
#include "storage/apply/common/event_log.h"

bool op_error_is_fatal(enum err e)
{
    return e == ERR_NOMEM || e == ERR_FULL || e == ERR_CORRUPT || e == ERR_IO;
}

const struct storage_op *storage_op_find(unsigned method)
{
    for (size_t i = 0; storage_op_table[i] != NULL; i++) {
        if ((unsigned)storage_op_table[i]->method == method) {
            return storage_op_table[i];
        }
    }
    return NULL;
}

void op_context_init(struct op_context *ox, struct kv_txn *t, const uint8_t prefix[5], const struct entry_head *h,
                     struct arena *arena)
{
    memset(ox, 0, sizeof(*ox));
    ox->store.t = t;
    memcpy(ox->store.prefix, prefix, STORE_PREFIX_BYTES);
    ox->head = *h;
    ox->arena = arena;
}

void op_context_fini(struct op_context *ox)
{
    for (size_t i = 0; i < ox->n_sets; i++) {
        uidset_fini(&ox->sets[i]);
    }
    ox->n_sets = 0;
}

/* --- accounts --- */

enum err op_account_add(struct op_context *ox, uint64_t account, const struct account_row *row, struct op_account **out)
{
    struct op_account *a = arena_zalloc(ox->arena, sizeof(*a));
    if (a == NULL) {
        return ERR_NOMEM;
    }
    a->id.v = account;
    a->row = *row;
    struct op_account **end = &ox->accounts;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = a;
    *out = a;
    return OK;
}

enum err op_account_any(struct op_context *ox, uint64_t account, struct op_account **out)
{
    struct account_row row;
    struct account_id id = {account};
    for (struct op_account *a = ox->accounts; a != NULL; a = a->next) {
        if (a->id.v == account) {
            *out = a;
            return OK;
        }
    }
    enum err e = account_get(&ox->store, id, &row);
    if (e == ERR_NOTFOUND && account == 0) {
        memset(&row, 0, sizeof(row));
        row.version = ROW_VERSION;
        row.state = ACCOUNT_SHARD;
        e = OK;
    }
    return e != OK ? e : op_account_add(ox, account, &row, out);
}

enum err op_account(struct op_context *ox, uint64_t account, struct op_account **out)
{
    struct op_account *a;
    enum err e = account == 0 ? ERR_NOTFOUND : op_account_any(ox, account, &a);
    if (e == OK) {
        e = account_writable(a->row.state);
        /* Of now, not of the request: a retry must not be answered with it. */
        ox->unrecorded = ox->unrecorded || (!ox->changed && (e == ERR_UNAVAILABLE || e == ERR_MOVED));
    }
    if (e == OK) {
        *out = a;
    }
    return e;
}

enum err op_own_account(struct op_context *ox, uint64_t account, struct op_account **out)
{
    if (ox->head.account.v != 0 && ox->head.account.v != account) {
        return ERR_INVAL;
    }
    return op_account(ox, account, out);
}

uint64_t op_modseq(struct op_context *ox, struct op_account *a)
{
    ASSERT(!ox->early);
    if (a->modseq == 0) {
        a->row.modseq++;
        a->modseq = a->row.modseq;
    }
    a->dirty = true;
    ox->changed = true;
    return a->modseq;
}

/* --- mailboxes --- */

enum err op_mailbox_add(struct op_context *ox, struct op_account *a, uint32_t id, const struct mailbox_row *row,
                        struct op_mailbox **out)
{
    struct op_mailbox *m = arena_zalloc(ox->arena, sizeof(*m));
    if (m == NULL) {
        return ERR_NOMEM;
    }
    m->account = a;
    m->id = id;
    m->row = *row;
    struct op_mailbox **end = &ox->mailboxes;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = m;
    *out = m;
    return OK;
}

enum err op_mailbox(struct op_context *ox, struct op_account *a, uint64_t mailbox, struct op_mailbox **out)
{
    struct mailbox_row row;
    for (struct op_mailbox *m = ox->mailboxes; m != NULL; m = m->next) {
        if (m->account == a && m->id == mailbox) {
            *out = m;
            return OK;
        }
    }
    enum err e = mailbox_get_live(&ox->store, a->id, mailbox, &row);
    return e != OK ? e : op_mailbox_add(ox, a, (uint32_t)mailbox, &row, out);
}

enum err op_name(struct op_context *ox, const char *name, struct name_path *out)
{
    enum err e = name_split(slice_str(name), out);
    if (e == OK && ox->early) {
        e = name_check_nfc(ox->arena, slice_str(name));
    }
    return e;
}

enum err op_mailbox_named(struct op_context *ox, struct op_account *a, const char *name, struct op_mailbox **out)
{
    struct name_path path;
    struct tree_entry entry;
    uint32_t parent;
    enum err e = op_name(ox, name, &path);
    if (e != OK) {
        return e;
    }
    if (name_is_inbox(&path)) {
        return op_mailbox(ox, a, a->row.inbox, out);
    }
    e = tree_find(&ox->store, a->id, &path, &entry, &parent);
    if (e != OK) {
        return e;
    }
    return entry.mailbox == 0 ? ERR_NOTFOUND : op_mailbox(ox, a, entry.mailbox, out);
}

struct mailbox_work op_work(struct op_context *ox, struct op_mailbox *m)
{
    struct mailbox_work w = {
        .store = &ox->store,
        .account = m->account->id,
        .mailbox = m->id,
        .acct = &m->account->row,
        .row = &m->row,
        .modseq = op_modseq(ox, m->account),
        .entry_ms = ox->head.entry_ms,
    };
    m->dirty = true;
    return w;
}

/* --- ids, sets, strings --- */

struct u128 op_new_id(struct op_context *ox)
{
    struct u128 id;
    uint8_t text[sizeof(ox->head.random) - 16 + 8];
    memcpy(text, ox->head.random + 16, sizeof(ox->head.random) - 16);
    for (size_t half = 0; half < 2; half++) {
        put_le64(text + sizeof(text) - 8, ox->ids++);
        put_be64(id.b + 8 * half, siphash24(ox->head.random, text, sizeof(text)));
    }
    return id;
}

struct uidset *op_set(struct op_context *ox)
{
    ASSERT(ox->n_sets < OP_SETS_MAX);
    struct uidset *s = &ox->sets[ox->n_sets++];
    uidset_init(s);
    return s;
}

enum err op_uids(struct op_context *ox, ProtobufCBinaryData in, struct uidset **out)
{
    struct uidset *s = op_set(ox);
    enum err e = uidset_decode(s, pb_slice(in), OP_UIDS_MAX);
    if (e == OK) {
        *out = s; /* a run may be wide (1:*): who walks it counts the messages it meets */
    }
    return e == ERR_CORRUPT ? ERR_INVAL : e;
}

enum err op_pack_uids(struct op_context *ox, const struct uidset *set, ProtobufCBinaryData *out)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    enum err e = uidset_encode(set, &b);
    if (e == OK) {
        out->data = arena_dup(ox->arena, buf_slice(&b).p, b.len);
        out->len = b.len;
        e = out->data == NULL ? ERR_NOMEM : OK;
    }
    buf_fini(&b);
    return e;
}

enum err op_strings(struct op_context *ox, char *const *strings, size_t n, struct slice **out)
{
    struct slice *s = arena_calloc(ox->arena, n + 1, sizeof(*s));
    if (s == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        s[i] = slice_str(strings[i]);
    }
    *out = s;
    return OK;
}

/* --- limits --- */

enum err op_quota_check(const struct op_account *a, uint64_t messages, uint64_t bytes)
{
    const struct account_row *r = &a->row;
    if (r->quota_messages != 0 &&
        (r->used_messages >= r->quota_messages || messages > r->quota_messages - r->used_messages)) {
        return ERR_QUOTA;
    }
    if (r->quota_bytes != 0 && (r->used_bytes >= r->quota_bytes || bytes > r->quota_bytes - r->used_bytes)) {
        return ERR_QUOTA;
    }
    return OK;
}

enum err op_uid_room(const struct op_mailbox *m, uint32_t messages)
{
    if (m->row.uidnext == 0) {
        return ERR_CORRUPT;
    }
    return UINT32_MAX - m->row.uidnext > messages ? OK : ERR_LIMIT;
}

/* --- dedupe --- */

enum err op_dedupe_owner(struct op_context *ox, struct op_account **out)
{
    enum err e = op_account_any(ox, ox->head.account.v, out);
    return e == ERR_NOTFOUND ? op_account_any(ox, 0, out) : e;
}

enum err op_dedupe_find(struct op_context *ox, const struct op_account *owner, uint64_t dedupe_ms, struct buf *result,
                        bool *out_found)
{
    const struct entry_head *h = &ox->head;
    enum err e =
        dedupe_find(&ox->store, owner->id, &owner->row, h->entry_ms, dedupe_ms, &h->request_id, result, out_found);
    if (e != OK || *out_found || owner->id.v == 0) {
        return e;
    }
    /* Before the account was made, account 0 kept its records. */
    if (h->entry_ms > owner->row.created_ms + dedupe_ms + 2 * DEDUPE_BUCKET_MS) {
        return OK;
    }
    struct op_account *shard;
    e = op_account_any(ox, 0, &shard);
    if (e != OK) {
        return e;
    }
    return dedupe_find(&ox->store, shard->id, &shard->row, h->entry_ms, dedupe_ms, &h->request_id, result, out_found);
}

/* --- the end --- */

static enum err announce(struct op_context *ox, struct account_id a, uint32_t mailbox, uint64_t modseq)
{
    struct storage_event ev = {.shard = ox->head.shard, .account = a, .mailbox = {mailbox}, .modseq = modseq};
    return event_log_push(ox->events, &ev);
}

static enum err flush_mailboxes(struct op_context *ox)
{
    for (struct op_mailbox *m = ox->mailboxes; m != NULL; m = m->next) {
        if (!m->dirty) {
            continue;
        }
        enum err e = mailbox_put(&ox->store, m->account->id, m->id, &m->row);
        if (e == OK && m->account->modseq != 0) {
            e = announce(ox, m->account->id, m->id, m->account->modseq);
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static bool has_dirty_mailbox(const struct op_context *ox, const struct op_account *a)
{
    for (const struct op_mailbox *m = ox->mailboxes; m != NULL; m = m->next) {
        if (m->account == a && m->dirty) {
            return true;
        }
    }
    return false;
}

enum err op_context_flush(struct op_context *ox)
{
    enum err e = flush_mailboxes(ox);
    for (struct op_account *a = ox->accounts; e == OK && a != NULL; a = a->next) {
        if (!a->dirty) {
            continue;
        }
        e = account_put(&ox->store, a->id, &a->row);
        if (e == OK && a->modseq != 0 && !has_dirty_mailbox(ox, a)) {
            e = announce(ox, a->id, 0, a->modseq);
        }
    }
    return e;
}
