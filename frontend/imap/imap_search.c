#include "frontend/imap/imap_search.h"

#include "proto/message/message.h"

#define BUDGET_MS 500
#define ROUNDS_MAX 100000

/* search-return-opts = SP "RETURN" SP "(" [opt *(SP opt)] ")" (RFC 4731) */
static bool parse_return(struct imap_cursor *c, struct imap_search *s)
{
    s->extended = true;
    if (!imap_parse_sp(c) || !imap_parse_char(c, '(')) {
        return false;
    }
    if (imap_take(c, ')')) {
        s->want_all = true;
        return imap_parse_sp(c);
    }
    do {
        if (imap_take_word(c, "MIN")) {
            s->want_min = true;
        } else if (imap_take_word(c, "MAX")) {
            s->want_max = true;
        } else if (imap_take_word(c, "ALL")) {
            s->want_all = true;
        } else if (imap_take_word(c, "COUNT")) {
            s->want_count = true;
        } else {
            return imap_parse_fail(c, "Unknown SEARCH return option");
        }
    } while (imap_take(c, ' '));
    return imap_parse_char(c, ')') && imap_parse_sp(c);
}

static bool parse_charset(struct imap_cursor *c, struct imap_search *s)
{
    struct slice name;
    struct buf none;
    if (!imap_parse_sp(c) || !imap_parse_astring(c, &name) || !imap_parse_sp(c)) {
        return false;
    }
    s->charset = arena_slice_str(c->arena, name);
    if (s->charset == NULL) {
        return imap_parse_nomem(c);
    }
    buf_init(&none, 16);
    s->bad_charset = msg_charset_to_utf8(s->charset, slice_make("", 0), &none) != OK;
    buf_fini(&none);
    return true;
}

bool imap_parse_search(struct imap_cursor *c, struct imap_search *out)
{
    if (!imap_parse_sp(c)) {
        return false;
    }
    if (imap_take_word(c, "RETURN") && !parse_return(c, out)) {
        return false;
    }
    if (imap_take_word(c, "CHARSET") && !parse_charset(c, out)) {
        return false;
    }
    return imap_parse_search_keys(c, out, &out->key) && imap_parse_end(c);
}

static enum err resolve_ref(const struct imap_search_ref *ref, const struct imap_view *v, struct arena *arena)
{
    struct uidset uids;
    struct uidset compact;
    uidset_init(&uids);
    uidset_init(&compact);
    enum err e;
    if (ref->kind == IMAP_SEARCH_RECENT) {
        e = uidset_intersect(&uids, &v->recent, &v->uids);
    } else {
        e = imap_view_resolve(v, &ref->set, ref->kind == IMAP_SEARCH_UIDS, &uids);
    }
    if (e == OK) {
        e = imap_view_compact(v, &uids, &compact);
    }
    if (e == OK) {
        e = imap_put_uids(&compact, arena, &ref->key->uids);
    }
    uidset_fini(&uids);
    uidset_fini(&compact);
    return e;
}

enum err imap_search_resolve(const struct imap_search *search, const struct imap_view *v, struct arena *arena)
{
    enum err e = OK;
    for (const struct imap_search_ref *r = search->refs; r != NULL && e == OK; r = r->next) {
        e = resolve_ref(r, v, arena);
    }
    return e;
}

/* One step: storage answers within the budget and says where to go on. */
static enum err step(struct imap_session *s, Pb__ReadSearch *req, struct uidset *out, uint64_t *io_modseq)
{
    struct arena arena;
    struct uidset found;
    struct backend_reply reply;
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    uidset_init(&found);
    enum err e = imap_call(s, METHOD_SEARCH, &req->base, &arena, &reply);
    if (e == OK) {
        const Pb__ReadSearchResult *r = (const Pb__ReadSearchResult *)reply.message;
        e = imap_get_uids(&r->uids, &found);
        *io_modseq = r->modseq > *io_modseq ? r->modseq : *io_modseq;
        /* Steps go forward; anything else would never end. */
        e = e == OK && r->next_uid != 0 && r->next_uid <= req->from_uid ? ERR_CORRUPT : e;
        req->from_uid = r->next_uid;
    }
    if (e == OK) {
        e = uidset_union(out, &found);
    }
    backend_reply_fini(&reply);
    uidset_fini(&found);
    arena_fini(&arena);
    return e;
}

enum err imap_search_uids(struct imap_session *s, Pb__SearchKey *key, struct uidset *out, uint64_t *out_modseq)
{
    Pb__ReadSearch req = PB__READ_SEARCH__INIT;
    req.account = s->account.id.v;
    req.mailbox = s->view->mailbox.v;
    req.key = key;
    req.budget_ms = BUDGET_MS;
    uint64_t modseq = 0;
    enum err e = OK;
    uidset_clear(out);
    for (unsigned i = 0; i < ROUNDS_MAX && e == OK; i++) {
        e = step(s, &req, out, &modseq);
        if (e == OK && req.from_uid == 0) {
            *out_modseq = modseq;
            return OK;
        }
    }
    return e == OK ? ERR_LIMIT : e;
}

/* "* SEARCH 2 84 882 (MODSEQ 917162500)" */
static void format_plain(struct imap_out *o, const struct imap_search *search, const struct uidset *numbers,
                         uint64_t modseq)
{
    imap_out_str(o, "* SEARCH");
    for (size_t i = 0; i < numbers->n; i++) {
        const struct uidset_run *r = &numbers->runs[i];
        for (uint64_t v = r->first; v <= r->last; v++) {
            imap_out_char(o, ' ');
            imap_out_u64(o, v);
        }
    }
    if (search->has_modseq && numbers->n > 0) {
        imap_out_str(o, " (MODSEQ ");
        imap_out_u64(o, modseq);
        imap_out_char(o, ')');
    }
    imap_out_str(o, "\r\n");
}

static void out_item(struct imap_out *o, const char *name, uint64_t value)
{
    imap_out_char(o, ' ');
    imap_out_str(o, name);
    imap_out_char(o, ' ');
    imap_out_u64(o, value);
}

static void out_all(struct imap_out *o, const struct uidset *numbers)
{
    imap_out_str(o, " ALL ");
    for (size_t i = 0; i < numbers->n; i++) {
        if (i > 0) {
            imap_out_char(o, ',');
        }
        imap_out_u64(o, numbers->runs[i].first);
        if (numbers->runs[i].last != numbers->runs[i].first) {
            imap_out_char(o, ':');
            imap_out_u64(o, numbers->runs[i].last);
        }
    }
}

/* esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data) (RFC 4466) */
void imap_search_format(struct imap_out *o, const struct imap_search *search, struct slice tag, bool uid,
                        const struct uidset *numbers, uint64_t modseq)
{
    if (!search->extended) {
        format_plain(o, search, numbers, modseq);
        return;
    }
    imap_out_str(o, "* ESEARCH (TAG ");
    imap_out_string(o, tag);
    imap_out_str(o, uid ? ") UID" : ")");
    if (numbers->n > 0) {
        if (search->want_min) {
            out_item(o, "MIN", numbers->runs[0].first);
        }
        if (search->want_max) {
            out_item(o, "MAX", uidset_max(numbers));
        }
        if (search->want_all) {
            out_all(o, numbers);
        }
    }
    if (search->want_count) {
        out_item(o, "COUNT", uidset_count(numbers));
    }
    if (search->has_modseq && numbers->n > 0) {
        out_item(o, "MODSEQ", modseq);
    }
    imap_out_str(o, "\r\n");
}
