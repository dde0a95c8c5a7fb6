/* ReadSearch: the UIDs that match, until the time budget ends: then next_uid says where to go on. At least one message
 * is looked at in a call. ERR_NOTFOUND, ERR_INVAL, ERR_LIMIT. */
#include "storage/search/search.h"

#include "proto/base/clock.h"
#include "storage/method/method.h"

#define BUDGET_MS_DEFAULT 300
#define BUDGET_MS_MAX 800 /* a read transaction is short */
/* Messages between two looks at the clock, when none costs more than its row. */
#define CLOCK_EVERY 256

struct run {
    struct search search;
    struct email_reader emails;
    struct buf header;
    uint64_t end_ms;
    unsigned cheap; /* messages since the last look at the clock */
    struct uidset found;
    uint64_t modseq;
    uint32_t next_uid;
};

/* As deep as needed. */
static enum err match(struct run *r, uint32_t uid, const struct message_row *row, bool *out)
{
    struct search_message m = {.uid = uid, .row = row, .header = &r->header};
    struct email_row email;
    struct msg_record record;
    struct slice bytes;
    enum search_answer answer;
    enum err e = search_eval(&r->search, &m, SEARCH_ROW, &answer);
    if (e == OK && answer == SEARCH_UNKNOWN) {
        r->cheap += CLOCK_EVERY / 8;
        e = email_reader_get(&r->emails, row->email, &email, &bytes);
        if (e == OK) {
            e = msg_record_decode(bytes, &record);
        }
        m.email = &email;
        m.record = &record;
        if (e == OK) {
            e = search_eval(&r->search, &m, SEARCH_RECORD, &answer);
        }
    }
    if (e == OK && answer == SEARCH_UNKNOWN) {
        r->cheap += CLOCK_EVERY;
        buf_reset(&r->header);
        e = search_eval(&r->search, &m, SEARCH_BODY, &answer);
    }
    *out = answer == SEARCH_YES;
    return e;
}

static bool out_of_time(struct run *r)
{
    r->cheap++;
    if (r->cheap < CLOCK_EVERY) {
        return false;
    }
    r->cheap = 0;
    return clock_mono_ms(clock_system()) >= r->end_ms;
}

static enum err walk(struct run *r, struct message_walk *w)
{
    for (;;) {
        uint32_t uid;
        struct message_row row;
        bool yes = false;
        enum err e = message_walk_next(w, &uid, &row);
        if (e == OK) {
            e = match(r, uid, &row, &yes);
        }
        if (e == OK && yes) {
            e = uidset_add(&r->found, uid);
            r->modseq = row.modseq > r->modseq ? row.modseq : r->modseq;
        }
        if (e != OK) {
            return e == ERR_NOTFOUND ? OK : e;
        }
        if (out_of_time(r)) {
            r->next_uid = uid + 1;
            return OK;
        }
    }
}

static enum err run_search(struct run *r, const struct store *s, const Pb__ReadSearch *req)
{
    struct message_walk w;
    enum err e = email_reader_open(&r->emails, s, r->search.account);
    if (e != OK) {
        return e;
    }
    e = message_walk_open(&w, s, r->search.account, r->search.mailbox, NULL, req->from_uid);
    if (e == OK) {
        e = walk(r, &w);
        message_walk_close(&w);
    }
    email_reader_close(&r->emails);
    return e;
}

static enum err compile(struct read_context *rc, struct run *r, const Pb__ReadSearch *req,
                        const struct mailbox_row *row)
{
    struct keyword_table table;
    enum err e =
        keyword_table_get(r->search.store, r->search.account, r->search.mailbox, row->keywords, rc->arena, &table);
    return e == OK ? search_compile(&r->search, req->key, &table) : e;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadSearch *req = (const Pb__ReadSearch *)request;
    struct store s = method_store(rc);
    struct account_row acct;
    struct mailbox_row row;
    struct run r = {
        .search = {.store = &s, .account = {req->account}, .mailbox = (uint32_t)req->mailbox, .arena = rc->arena}};
    Pb__ReadSearchResult answer = PB__READ_SEARCH_RESULT__INIT;
    (void)attach;
    enum err e = method_mailbox(&s, req->account, req->mailbox, &acct, &row);
    if (e != OK) {
        return e;
    }
    uint32_t budget_ms = req->budget_ms == 0 ? BUDGET_MS_DEFAULT : req->budget_ms;
    r.end_ms = clock_mono_ms(clock_system()) + (budget_ms < BUDGET_MS_MAX ? budget_ms : BUDGET_MS_MAX);
    buf_init(&r.header, SIZE_MAX / 2);
    uidset_init(&r.found);
    e = compile(rc, &r, req, &row);
    if (e == OK) {
        e = run_search(&r, &s, req);
    }
    if (e == OK) {
        e = method_pack_uids(rc->arena, &r.found, &answer.uids);
    }
    search_fini(&r.search);
    buf_fini(&r.header);
    uidset_fini(&r.found);
    answer.modseq = r.modseq;
    answer.next_uid = r.next_uid;
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(search) = {
    .method = METHOD_SEARCH,
    .request = &pb__read_search__descriptor,
    .check = search_check_depth,
    .run = run,
};
