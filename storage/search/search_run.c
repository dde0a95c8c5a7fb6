#include "storage/mailbox/message.h"
#include "storage/search/search_key.h"

#define COST_RECORD 4
#define COST_HEADER 32

enum err search_spend(struct search *s, unsigned cost)
{
    s->spent += cost;
    if (s->spent < SEARCH_COST_CLOCK) {
        return OK;
    }
    s->spent = 0;
    uint64_t now_ms = clock_mono_ms(s->budget.clock);
    if (s->progress) {
        return now_ms >= s->budget.end_ms ? ERR_TIMEOUT : OK;
    }
    if (now_ms >= s->budget.deadline_ms) {
        return ERR_TIMEOUT;
    }
    return now_ms >= s->budget.hard_ms ? ERR_LIMIT : OK;
}

/* Goes as deep as needed. */
static enum err match_deep(struct search *s, struct email_reader *emails, struct search_message *m,
                           enum search_answer *out)
{
    struct email_row email;
    struct msg_record record;
    struct slice bytes;
    enum err e = email_reader_get(emails, m->row->email, &email, &bytes);
    if (e == OK) {
        e = msg_record_decode(bytes, &record);
    }
    if (e != OK) {
        return e;
    }
    m->email = &email;
    m->record = &record;
    e = search_eval(s, m, SEARCH_RECORD, out);
    if (e == OK && *out == SEARCH_UNKNOWN) {
        e = search_eval(s, m, SEARCH_HEADER, out);
    }
    if (e == OK && *out == SEARCH_UNKNOWN) {
        e = search_scan(s, m);
        if (e == OK) {
            e = search_eval(s, m, SEARCH_BODY, out);
        }
    }
    return e == OK ? search_spend(s, m->header_loaded ? COST_HEADER : COST_RECORD) : e;
}

static enum err match(struct search *s, struct email_reader *emails, uint32_t uid, const struct message_row *row,
                      bool *out)
{
    struct search_message m = {.uid = uid, .row = row};
    enum search_answer answer = SEARCH_UNKNOWN;
    s->serial++;
    enum err e = search_eval(s, &m, SEARCH_ROW, &answer);
    if (e == OK && answer == SEARCH_UNKNOWN) {
        e = match_deep(s, emails, &m, &answer);
    }
    if (e == OK) {
        *out = answer == SEARCH_YES;
    }
    return e;
}

static enum err take(struct search_result *r, uint32_t uid, const struct message_row *row)
{
    enum err e = uidset_add(&r->uids, uid);
    r->modseq = e == OK && row->modseq > r->modseq ? row->modseq : r->modseq;
    return e;
}

static enum err walk(struct search *s, struct message_walk *w, struct email_reader *emails, struct search_result *r)
{
    for (;;) {
        uint32_t uid;
        struct message_row row;
        bool yes = false;
        enum err e = message_walk_next(w, &uid, &row);
        if (e != OK) {
            return e == ERR_NOTFOUND ? OK : e;
        }
        e = match(s, emails, uid, &row, &yes);
        if (e == ERR_TIMEOUT && s->progress) {
            r->next_uid = uid;
            return OK;
        }
        if (e == OK && yes) {
            e = take(r, uid, &row);
        }
        if (e != OK) {
            return e;
        }
        s->progress = true;
        if (r->uids.n >= SEARCH_RUNS_MAX || search_spend(s, 1) != OK) {
            r->next_uid = uid + 1;
            return OK;
        }
    }
}

enum err search_run(struct search *s, uint32_t from_uid, const struct search_budget *budget, struct search_result *out)
{
    struct message_walk w;
    struct email_reader emails;
    s->budget = *budget;
    s->spent = 0;
    s->progress = false;
    enum err e = email_reader_open(&emails, s->store, s->account);
    if (e != OK) {
        return e;
    }
    e = message_walk_open(&w, s->store, s->account, s->mailbox, s->narrowed ? &s->narrow : NULL,
                          from_uid > s->uid_min ? from_uid : s->uid_min);
    if (e == OK) {
        out->next_uid = 0;
        e = walk(s, &w, &emails, out);
        message_walk_close(&w);
    }
    email_reader_close(&emails);
    return e;
}
