#include "storage/check/check_run.h"
#include "storage/mailbox/keyword.h"
#include "storage/mailbox/message.h"

struct check_mailbox {
    struct check_account *a;
    uint32_t id;
    struct mailbox_row row;
    /* counted */
    struct mailbox_row have;
    uint64_t last_created;
    uint32_t changes; /* messages that the change index must name */
    uint32_t change_rows;
    uint32_t overflows;
    uint32_t overflow_rows;
    uint32_t history_rows;
    uint32_t keyword_rows;
};

static void prefix_of(const struct check_mailbox *m, struct key *k, enum account_table table)
{
    key_mailbox(k, &m->a->run->store, m->a->id, table, m->id);
}

static void report(struct check_mailbox *m, const struct key *prefix, struct slice rest, const char *what)
{
    check_report_row(m->a->run, prefix, rest, what);
}

/* --- messages --- */

static void count_message(struct check_mailbox *m, uint32_t uid, const struct message_row *row)
{
    m->have.messages++;
    m->have.size_bytes += row->size;
    m->have.unseen += (row->flags & FLAG_SEEN) == 0;
    m->have.deleted += (row->flags & FLAG_DELETED) != 0;
    m->have.recent += uid >= m->row.recent_uid;
    m->changes += row->modseq != row->created_modseq;
    m->overflows += (row->flags & FLAG_OVERFLOW) != 0;
}

static bool flags_known(const struct check_mailbox *m, uint64_t flags)
{
    uint64_t keywords = (flags & ~FLAG_OVERFLOW) >> FLAG_KEYWORD_SHIFT;
    uint64_t unknown = m->row.keywords >= FLAG_KEYWORDS_MAX ? 0 : keywords >> m->row.keywords;
    return unknown == 0 && (flags & 0xff & ~FLAG_SYSTEM_MASK) == 0;
}

static enum err message_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_mailbox *m = ctx;
    struct message_row row;
    uint32_t uid;
    if (message_decode(rest, value, &uid, &row) != OK) {
        report(m, prefix, rest, "a message row that cannot be read");
        return OK;
    }
    if (uid == 0 || uid >= m->row.uidnext) {
        report(m, prefix, rest, "a UID that was not given out");
    }
    if (row.modseq > m->row.modseq || row.created_modseq > row.modseq || row.created_modseq < m->last_created ||
        row.created_modseq == 0) {
        report(m, prefix, rest, "a MODSEQ out of order");
    }
    if (!flags_known(m, row.flags)) {
        report(m, prefix, rest, "flags that the mailbox does not know");
    }
    m->last_created = row.created_modseq;
    count_message(m, uid, &row);
    m->a->run->totals.messages++;
    struct counted *email = counts_get(&m->a->emails, row.email, 0);
    if (email == NULL) {
        return ERR_NOMEM;
    }
    email->refs++;
    if (email->refs > 1 && email->value != row.size) {
        report(m, prefix, rest, "copies of one email with different sizes");
    }
    email->value = row.size;
    return OK;
}

/* --- what lies beside the messages --- */

static enum err change_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_mailbox *m = ctx;
    struct message_row row;
    m->change_rows++;
    if (rest.n != 12 || value.n != 0) {
        report(m, prefix, rest, "a row of the change index that cannot be read");
        return OK;
    }
    enum err e = message_get(&m->a->run->store, m->a->id, m->id, get_be32(rest.p + 8), &row);
    bool wrong = e == OK && (row.modseq != get_be64(rest.p) || row.modseq == row.created_modseq);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT || wrong) {
        report(m, prefix, rest, "the change index names a message that did not change then");
        return OK;
    }
    return e;
}

static enum err overflow_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_mailbox *m = ctx;
    struct message_row row;
    static const uint8_t none[OVERFLOW_BYTES];
    m->overflow_rows++;
    if (rest.n != 4 || value.n != OVERFLOW_BYTES || memcmp(value.p, none, sizeof(none)) == 0) {
        report(m, prefix, rest, "keywords beside a message that cannot be read");
        return OK;
    }
    enum err e = message_get(&m->a->run->store, m->a->id, m->id, get_be32(rest.p), &row);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT || (e == OK && (row.flags & FLAG_OVERFLOW) == 0)) {
        report(m, prefix, rest, "keywords beside a message that does not know of them");
        return OK;
    }
    return e;
}

static enum err any_exists(struct check_mailbox *m, const struct uidset *uids, bool *out)
{
    struct message_walk w;
    struct message_row row;
    uint32_t uid;
    enum err e = message_walk_open(&w, &m->a->run->store, m->a->id, m->id, uids, 1);
    if (e != OK) {
        return e;
    }
    e = message_walk_next(&w, &uid, &row);
    message_walk_close(&w);
    *out = e == OK;
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err history_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_mailbox *m = ctx;
    struct uidset uids;
    bool exists = false;
    m->history_rows++;
    uidset_init(&uids);
    enum err e = rest.n != 9 ? ERR_CORRUPT : uidset_decode(&uids, value, SIZE_MAX);
    uint64_t modseq = rest.n == 9 ? get_be64(rest.p) : 0;
    if (e == ERR_CORRUPT || uids.n == 0 || uidset_max(&uids) >= m->row.uidnext || modseq > m->row.modseq ||
        modseq <= m->row.expunge_floor) {
        report(m, prefix, rest, "a row of expunge history that is wrong");
        e = e == ERR_CORRUPT ? OK : e;
    } else if (e == OK) {
        e = any_exists(m, &uids, &exists);
    }
    if (exists) {
        report(m, prefix, rest, "the expunge history names a message that is there");
    }
    uidset_fini(&uids);
    return e;
}

static enum err keyword_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_mailbox *m = ctx;
    if (rest.n != 2 || get_be16(rest.p) != m->keyword_rows || keyword_check(value) != OK) {
        report(m, prefix, rest, "a keyword out of order or with a bad name");
    }
    m->keyword_rows++;
    return OK;
}

/* --- one mailbox --- */

static void compare(struct check_mailbox *m)
{
    static const char *const texts[] = {
        "the number of messages is wrong",
        "the number of unseen messages is wrong",
        "the number of \\Deleted messages is wrong",
        "the number of \\Recent messages is wrong",
        "the mailbox's size is wrong",
        "the change index is incomplete",
        "keywords beside messages are missing",
        "the number of rows of expunge history is wrong",
        "the number of keywords is wrong",
    };
    const bool wrong[] = {
        m->have.messages != m->row.messages,     m->have.unseen != m->row.unseen,
        m->have.deleted != m->row.deleted,       m->have.recent != m->row.recent,
        m->have.size_bytes != m->row.size_bytes, m->changes != m->change_rows,
        m->overflows != m->overflow_rows,        m->history_rows != m->row.history_rows,
        m->keyword_rows != m->row.keywords,
    };
    struct key k;
    prefix_of(m, &k, ACCOUNT_MAILBOXES);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (wrong[i]) {
            check_report(m->a->run, &k, texts[i]);
        }
    }
}

/* A mailbox under purge loses its side tables before its own row. */
static enum err walk_tables(struct check_mailbox *m)
{
    static const struct {
        enum account_table table;
        enum err (*row)(void *ctx, const struct key *prefix, struct slice rest, struct slice value);
    } walks[] = {
        {ACCOUNT_MESSAGES, message_row}, {ACCOUNT_CHANGES, change_row},   {ACCOUNT_OVERFLOW, overflow_row},
        {ACCOUNT_EXPUNGED, history_row}, {ACCOUNT_KEYWORDS, keyword_row},
    };
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(walks) / sizeof(walks[0]); i++) {
        struct key prefix;
        prefix_of(m, &prefix, walks[i].table);
        e = check_walk(m->a->run, &prefix, m, walks[i].row);
    }
    return e;
}

static enum err check_deleted(struct check_mailbox *m)
{
    struct key k;
    struct slice v;
    struct key queued;
    key_shard(&queued, &m->a->run->store, SHARD_PURGE);
    key_u64(&queued, m->a->id.v);
    key_u32(&queued, m->id);
    enum err e = store_get(&m->a->run->store, &queued, &v);
    if (e == ERR_NOTFOUND && check_is_whole(m->a)) {
        prefix_of(m, &k, ACCOUNT_MAILBOXES);
        check_report(m->a->run, &k, "a deleted mailbox that is not in the purge queue");
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err mailbox_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_mailbox m = {.a = ctx};
    (void)value;
    m.id = rest.n == 4 ? get_be32(rest.p) : 0;
    enum err e = m.id == 0 ? ERR_CORRUPT : mailbox_get(&m.a->run->store, m.a->id, m.id, &m.row);
    bool known = e == OK && (m.row.state == MAILBOX_LIVE || m.row.state == MAILBOX_DELETED);
    if (e == ERR_CORRUPT || (e == OK && !known)) {
        check_report_row(m.a->run, prefix, rest, "a mailbox row that cannot be read");
        return OK;
    }
    if (e != OK) {
        return e;
    }
    m.a->run->totals.mailboxes++;
    if (m.id >= m.a->row.next_mailbox || m.row.uidvalidity > m.a->row.uidvalidity || m.row.modseq > m.a->row.modseq) {
        check_report_row(m.a->run, prefix, rest, "a mailbox beyond the account's counters");
    }
    e = walk_tables(&m);
    if (e != OK || m.row.state == MAILBOX_DELETED) {
        return e == OK ? check_deleted(&m) : e;
    }
    compare(&m);
    m.a->live_messages += m.have.messages;
    m.a->live_bytes += m.have.size_bytes;
    struct counted *live = counts_get(&m.a->mailboxes, m.id, 0);
    if (live == NULL) {
        return ERR_NOMEM;
    }
    live->value = m.row.node;
    return OK;
}

/* Rows of a mailbox that has no row of its own. */
static enum err owned_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_account *a = ctx;
    struct mailbox_row row;
    (void)value;
    enum err e = rest.n < 4 ? ERR_NOTFOUND : mailbox_get(&a->run->store, a->id, get_be32(rest.p), &row);
    if (e == ERR_NOTFOUND || e == ERR_CORRUPT) {
        check_report_row(a->run, prefix, rest, "a row of a mailbox that is not there");
        return OK;
    }
    return e;
}

enum err check_mailboxes(struct check_account *a)
{
    static const enum account_table owned[] = {ACCOUNT_MESSAGES, ACCOUNT_CHANGES, ACCOUNT_OVERFLOW, ACCOUNT_EXPUNGED,
                                               ACCOUNT_KEYWORDS};
    struct key prefix;
    key_account(&prefix, &a->run->store, a->id, ACCOUNT_MAILBOXES);
    enum err e = check_walk(a->run, &prefix, a, mailbox_row);
    for (size_t i = 0; e == OK && i < sizeof(owned) / sizeof(owned[0]); i++) {
        key_account(&prefix, &a->run->store, a->id, owned[i]);
        e = check_walk(a->run, &prefix, a, owned_row);
    }
    return e;
}
