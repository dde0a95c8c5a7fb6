#include "storage/check/check_run.h"

struct email_walk {
    struct check_account *a;
    struct email_reader reader;
};

static enum err take_thread(struct check_account *a, uint64_t id, uint64_t subject)
{
    struct counted *t = id == 0 ? NULL : counts_get(&a->threads, id, subject);
    if (t != NULL) {
        t->refs++;
    }
    return t == NULL && id != 0 ? ERR_NOMEM : OK;
}

static enum err take_body(struct check_account *a, const struct email_row *row, const struct key *prefix,
                          struct slice rest)
{
    struct counted *body = counts_get(&a->run->bodies, row->body_index, row->body_ordinal);
    if (body == NULL) {
        return ERR_NOMEM;
    }
    body->refs++;
    if (body->refs > 1 && body->value != row->body_bytes) {
        check_report_row(a->run, prefix, rest, "a body with two sizes");
    }
    body->value = row->body_bytes;
    return OK;
}

static enum err read_email(struct email_walk *w, const struct key *prefix, struct slice rest, uint64_t email)
{
    struct check_account *a = w->a;
    struct email_row row;
    struct slice record;
    struct msg_record m;
    enum err e = email_reader_get(&w->reader, email, &row, &record);
    if (e == OK) {
        e = msg_record_decode(record, &m);
    }
    if (e == ERR_CORRUPT) {
        check_report_row(a->run, prefix, rest, "an email that cannot be read");
        return OK;
    }
    if (e != OK) {
        return e;
    }
    struct counted *refs = counts_find(&a->emails, email, 0);
    if (refs == NULL) {
        check_report_row(a->run, prefix, rest, "an email that no message refers to");
    } else {
        refs->seen = true;
    }
    if (m.size_bytes != row.body_bytes || (refs != NULL && refs->value != row.body_bytes)) {
        check_report_row(a->run, prefix, rest, "an email of another size than its record or its messages");
    }
    if (email >= a->row.next_email) {
        check_report_row(a->run, prefix, rest, "an email number that was not given out");
    }
    e = take_body(a, &row, prefix, rest);
    if (e == OK) {
        e = take_thread(a, row.thread_own, row.thread_subject);
    }
    return e == OK ? take_thread(a, row.thread_parent, row.thread_subject) : e;
}

static enum err email_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct email_walk *w = ctx;
    struct key k = *prefix;
    struct slice first;
    (void)value;
    if (rest.n == 8) {
        w->a->run->totals.emails++;
        return read_email(w, prefix, rest, get_be64(rest.p));
    }
    if (rest.n != 9) {
        check_report_row(w->a->run, prefix, rest, "an email with a bad key");
        return OK;
    }
    /* A further chunk: the reader has looked at those that belong to an email, from 1 on without gaps. */
    key_bytes(&k, rest.p, 8);
    if (rest.p[8] > 1) {
        key_u8(&k, (uint8_t)(rest.p[8] - 1));
    }
    enum err e = rest.p[8] == 0 ? ERR_NOTFOUND : store_get(&w->a->run->store, &k, &first);
    if (e == ERR_NOTFOUND || (e == OK && first.n != KV_CHUNK_BYTES)) {
        check_report_row(w->a->run, prefix, rest, "a chunk of an email that does not continue it");
        return OK;
    }
    return e;
}

static enum err body_of_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_account *a = ctx;
    struct email_row row;
    (void)value;
    if (rest.n != 8) {
        return OK;
    }
    a->run->totals.emails++;
    enum err e = email_get(&a->run->store, a->id, get_be64(rest.p), &row);
    return e == OK ? take_body(a, &row, prefix, rest) : e;
}

enum err check_bodies_of(struct check_account *a)
{
    struct key prefix;
    key_account(&prefix, &a->run->store, a->id, ACCOUNT_EMAILS);
    return check_walk(a->run, &prefix, a, body_of_row);
}

static enum err ref_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_account *a = ctx;
    struct counted *refs = rest.n == 8 ? counts_find(&a->emails, get_be64(rest.p), 0) : NULL;
    if (refs == NULL || value.n != 4 || get_le32(value.p) != refs->refs || refs->refs < 2) {
        check_report_row(a->run, prefix, rest, "an email's count is wrong");
    } else {
        refs->counted = true;
    }
    return OK;
}

static enum err thread_row(void *ctx, const struct key *prefix, struct slice rest, struct slice value)
{
    struct check_account *a = ctx;
    struct counted *t = rest.n == 16 ? counts_find(&a->threads, get_be64(rest.p), get_be64(rest.p + 8)) : NULL;
    if (t == NULL || value.n != THREAD_ROW_BYTES || get_le32(value.p + 16) != t->refs) {
        check_report_row(a->run, prefix, rest, "a row of the thread index is wrong");
        return OK;
    }
    t->seen = true;
    return OK;
}

static void check_counted(struct check_account *a)
{
    struct key k;
    struct hmap_iter it = hmap_iter_make(&a->emails.map);
    for (struct hmap_node *n = hmap_iter_next(&it); n != NULL; n = hmap_iter_next(&it)) {
        const struct counted *x = HMAP_ENTRY(n, struct counted, node);
        key_account(&k, &a->run->store, a->id, ACCOUNT_EMAILS);
        key_u64(&k, x->a);
        if (!x->seen) {
            check_report(a->run, &k, "a message's email is missing");
        } else if (x->refs > 1 && !x->counted) {
            check_report(a->run, &k, "an email with several messages has no count");
        }
    }
    it = hmap_iter_make(&a->threads.map);
    for (struct hmap_node *n = hmap_iter_next(&it); n != NULL; n = hmap_iter_next(&it)) {
        const struct counted *x = HMAP_ENTRY(n, struct counted, node);
        if (!x->seen) {
            key_account(&k, &a->run->store, a->id, ACCOUNT_THREADS);
            key_u64(&k, x->a);
            key_u64(&k, x->b);
            check_report(a->run, &k, "a row of the thread index is missing");
        }
    }
}

enum err check_emails(struct check_account *a)
{
    struct key prefix;
    struct email_walk w = {.a = a};
    enum err e = email_reader_open(&w.reader, &a->run->store, a->id);
    if (e != OK) {
        return e;
    }
    key_account(&prefix, &a->run->store, a->id, ACCOUNT_EMAILS);
    e = check_walk(a->run, &prefix, &w, email_row);
    email_reader_close(&w.reader);
    key_account(&prefix, &a->run->store, a->id, ACCOUNT_EMAIL_REFS);
    if (e == OK) {
        e = check_walk(a->run, &prefix, a, ref_row);
    }
    key_account(&prefix, &a->run->store, a->id, ACCOUNT_THREADS);
    if (e == OK) {
        e = check_walk(a->run, &prefix, a, thread_row);
    }
    check_counted(a);
    return e;
}
