/* ReadSearch: the UIDs that match, until the time budget ends or the result is full: then next_uid says where to go on.
 * At least one message is looked at in a call. ERR_NOTFOUND, ERR_INVAL, ERR_LIMIT (the program; or one message that
 * takes longer than a read may), ERR_TIMEOUT. */
#include "storage/search/search.h"

#include "storage/method/method.h"

#define BUDGET_MS_DEFAULT 300
#define BUDGET_MS_MAX 800
/* A read transaction is shorter than a second. */
#define HARD_MS 900

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What is left until the deadline counts: the caller's clock need not be ours. */
static struct search_budget budget(const struct read_context *rc, uint32_t wanted_ms)
{
    uint64_t left_ms = rc->deadline_ms > rc->now_ms ? rc->deadline_ms - rc->now_ms : 0;
    uint64_t want_ms = wanted_ms == 0 ? BUDGET_MS_DEFAULT : at_most(wanted_ms, BUDGET_MS_MAX);
    struct search_budget b = {.clock = clock_system()};
    uint64_t now_ms = clock_mono_ms(b.clock);
    b.end_ms = now_ms + at_most(want_ms, left_ms - left_ms / 8); /* the reply takes time, too */
    b.hard_ms = now_ms + HARD_MS;
    b.deadline_ms = now_ms + left_ms;
    return b;
}

static enum err compile(struct read_context *rc, struct search *s, const Pb__ReadSearch *req,
                        const struct mailbox_row *row)
{
    struct keyword_table table;
    enum err e = keyword_table_get(s->store, s->account, s->mailbox, row->keywords, rc->arena, &table);
    if (e != OK) {
        return e;
    }
    return search_compile(s, req->key, &table);
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadSearch *req = (const Pb__ReadSearch *)request;
    struct store store = method_store(rc);
    struct search s = {
        .store = &store, .account = {req->account}, .mailbox = (uint32_t)req->mailbox, .arena = rc->arena};
    struct search_budget b = budget(rc, req->budget_ms);
    struct account_row acct;
    struct mailbox_row row;
    struct search_result found = {.modseq = 0};
    Pb__ReadSearchResult answer = PB__READ_SEARCH_RESULT__INIT;
    (void)attach;
    enum err e = method_mailbox(&store, req->account, req->mailbox, &acct, &row);
    if (e != OK) {
        return e;
    }
    uidset_init(&found.uids);
    e = compile(rc, &s, req, &row);
    if (e == OK) {
        e = search_run(&s, req->from_uid, &b, &found);
    }
    if (e == OK) {
        e = method_pack_uids(rc->arena, &found.uids, &answer.uids);
    }
    search_fini(&s);
    uidset_fini(&found.uids);
    answer.modseq = found.modseq;
    answer.next_uid = found.next_uid;
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(search) = {
    .method = METHOD_SEARCH,
    .request = &pb__read_search__descriptor,
    .check = search_check_depth,
    .run = run,
};
