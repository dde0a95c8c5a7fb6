#include "storage/apply/folder_op.h"

/* Never reused, also across DELETE and CREATE: RFC 3501, 2.3.1.1. */
static uint32_t next_uidvalidity(const struct op_context *ox, struct account_row *acct)
{
    uint64_t now_s = ox->head.entry_ms / 1000;
    uint64_t next = (uint64_t)acct->uidvalidity + 1;
    if (now_s > next && now_s < UINT32_MAX) {
        next = now_s;
    }
    acct->uidvalidity = (uint32_t)next;
    return acct->uidvalidity;
}

enum err folder_room(const struct op_account *a, size_t n)
{
    /* Ids are given out once; an account that has used up 2^32 of them, or of UIDVALIDITY, is refused rather than
     * wrapped. */
    if (a->row.next_mailbox > UINT32_MAX - 2 * TREE_NODES_MAX || a->row.uidvalidity > UINT32_MAX - 2 * TREE_NODES_MAX) {
        return ERR_LIMIT;
    }
    return a->row.nodes <= TREE_NODES_MAX && n <= TREE_NODES_MAX - a->row.nodes ? OK : ERR_LIMIT;
}

enum err folder_make(struct op_context *ox, struct op_account *a, uint32_t parent, struct slice name, uint32_t node,
                     uint32_t special_use, struct op_mailbox **out)
{
    struct mailbox_row row;
    struct u128 objectid = op_new_id(ox);
    uint64_t modseq = op_modseq(ox, a);
    uint32_t id = a->row.next_mailbox++;
    memset(&row, 0, sizeof(row));
    if (node == 0) {
        node = id;
        a->row.nodes++;
    }
    row.version = ROW_VERSION;
    row.state = MAILBOX_LIVE;
    row.node = node;
    row.special_use = special_use;
    memcpy(row.objectid, objectid.b, sizeof(row.objectid));
    row.uidvalidity = next_uidvalidity(ox, &a->row);
    row.uidnext = 1;
    row.recent_uid = 1;
    row.modseq = modseq;
    row.created_modseq = modseq;
    row.expunge_floor = modseq;
    struct tree_entry entry = {.node = node, .mailbox = id};
    enum err e = tree_put(&ox->store, a->id, parent, name, entry);
    if (e != OK) {
        return e;
    }
    e = op_mailbox_add(ox, a, id, &row, out);
    if (e == OK) {
        (*out)->dirty = true;
    }
    return e;
}

enum err folder_make_parents(struct op_context *ox, struct op_account *a, const struct name_path *path, size_t depth,
                             size_t upto, uint32_t *io_parent)
{
    for (size_t i = depth; i < upto; i++) {
        struct op_mailbox *m;
        enum err e = folder_make(ox, a, *io_parent, path->part[i], 0, 0, &m);
        if (e != OK) {
            return e;
        }
        *io_parent = m->row.node;
    }
    return OK;
}

/* --- what OpPurge has to do --- */

static void purge_key(struct key *k, const struct store *s, struct account_id a, uint32_t mailbox)
{
    key_shard(k, s, SHARD_PURGE);
    key_u64(k, a.v);
    key_u32(k, mailbox);
}

enum err purge_queue_put(const struct store *s, struct account_id a, uint32_t mailbox, const struct purge_queued *q)
{
    struct key k;
    uint8_t *p;
    struct slice name = q->keep_as;
    purge_key(&k, s, a, mailbox);
    enum err e = kv_reserve(s->t, key_slice(&k), sizeof(q->entry_ms) + name.n, &p);
    if (e == OK) {
        put_le64(p, q->entry_ms);
        memcpy(p + sizeof(q->entry_ms), name.n == 0 ? (const void *)"" : name.p, name.n);
    }
    return e;
}

enum err purge_queue_get(const struct store *s, struct account_id a, uint32_t mailbox, struct purge_queued *out)
{
    struct key k;
    struct slice v;
    purge_key(&k, s, a, mailbox);
    enum err e = store_get(s, &k, &v);
    if (e == OK && v.n < sizeof(out->entry_ms)) {
        e = ERR_CORRUPT;
    }
    if (e == OK) {
        out->entry_ms = get_le64(v.p);
        out->keep_as = slice_sub(v, sizeof(out->entry_ms), v.n);
    }
    return e;
}

enum err purge_queue_del(const struct store *s, struct account_id a, uint32_t mailbox)
{
    struct key k;
    purge_key(&k, s, a, mailbox);
    return store_del_must(s, &k);
}
