#include "storage/search/search_key.h"

#include "storage/mailbox/pb.h"

#define ZONE_S 60
#define COST_FIELD 4
/* A byte of a header block costs about a hundredth of a row. */
#define BYTES_A_ROW 128

static enum search_answer yes_if(bool b)
{
    return b ? SEARCH_YES : SEARCH_NO;
}

static bool in_range(const struct search_key *k, int64_t t)
{
    return t >= k->pb->from_s && t < k->pb->to_s;
}

static enum err eval_keyword(const struct search *s, const struct search_key *k, const struct search_message *m,
                             enum search_answer *out)
{
    struct flagset flags;
    *out = SEARCH_NO;
    if (k->keyword < 0) {
        return OK;
    }
    enum err e = flagset_get(s->store, s->account, s->mailbox, m->uid, m->row->flags, &flags);
    if (e == OK) {
        *out = yes_if(flagset_has_keyword(&flags, (uint16_t)k->keyword));
    }
    return e;
}

/* RFC 3501: SENTON and friends disregard time and zone: the day is the one that stands in the Date: field. */
static enum search_answer eval_sent(const struct search_key *k, const struct msg_record *r)
{
    int64_t local_s;
    if (r->sent_s == INT64_MIN || __builtin_add_overflow(r->sent_s, (int64_t)r->sent_zone_min * ZONE_S, &local_s)) {
        return SEARCH_NO;
    }
    return yes_if(in_range(k, local_s));
}

static enum search_answer eval_objectid(const struct search_key *k, const uint8_t id[16])
{
    return yes_if(slice_eq(pb_slice(k->pb->objectid), slice_make(id, 16)));
}

static enum err field_in(struct search *s, const struct search_key *k, struct slice block, enum search_answer *out)
{
    bool found = false;
    enum err e = search_field(s, block, k->name, k->needle, &found);
    if (e == OK) {
        e = search_spend(s, COST_FIELD + (unsigned)(block.n / BYTES_A_ROW));
    }
    if (e == OK) {
        *out = yes_if(found);
    }
    return e;
}

static enum err eval_header(struct search *s, const struct search_key *k, struct search_message *m,
                            enum search_level level, enum search_answer *out)
{
    if (k->field != MSG_FIELD_OTHER && (m->record->headers_cut >> k->field & 1) == 0) {
        return field_in(s, k, m->record->headers, out);
    }
    if (level == SEARCH_RECORD) {
        return OK;
    }
    enum err e = search_load_header(s, m);
    return e == OK ? field_in(s, k, buf_slice(&s->header), out) : e;
}

static enum err eval(struct search *s, struct search_key *k, struct search_message *m, enum search_level level,
                     enum search_answer *out);

/* AND: the first NO decides. OR: the first YES. */
static enum err eval_list(struct search *s, const struct search_key *k, struct search_message *m,
                          enum search_level level, enum search_answer decides, enum search_answer otherwise,
                          enum search_answer *out)
{
    enum search_answer all = otherwise;
    for (size_t i = 0; i < k->n_children; i++) {
        enum search_answer child = SEARCH_UNKNOWN;
        enum err e = eval(s, &k->children[i], m, level, &child);
        if (e != OK) {
            return e;
        }
        if (child == decides) {
            *out = decides;
            return OK;
        }
        all = child == SEARCH_UNKNOWN ? SEARCH_UNKNOWN : all;
    }
    *out = all;
    return OK;
}

static enum err eval_not(struct search *s, const struct search_key *k, struct search_message *m,
                         enum search_level level, enum search_answer *out)
{
    enum search_answer child = SEARCH_UNKNOWN;
    enum err e = eval(s, &k->children[0], m, level, &child);
    if (e == OK && child != SEARCH_UNKNOWN) {
        *out = child == SEARCH_YES ? SEARCH_NO : SEARCH_YES;
    }
    return e;
}

static enum err eval_key(struct search *s, const struct search_key *k, struct search_message *m,
                         enum search_level level, enum search_answer *out)
{
    const struct message_row *row = m->row;
    const Pb__SearchKey *pb = k->pb;
    switch (k->op) {
    case PB__SEARCH_KEY__OP__AND:
        return eval_list(s, k, m, level, SEARCH_NO, SEARCH_YES, out);
    case PB__SEARCH_KEY__OP__OR:
        return eval_list(s, k, m, level, SEARCH_YES, SEARCH_NO, out);
    case PB__SEARCH_KEY__OP__NOT:
        return eval_not(s, k, m, level, out);
    case PB__SEARCH_KEY__OP__KEYWORD:
        return eval_keyword(s, k, m, out);
    case PB__SEARCH_KEY__OP__HEADER:
    case PB__SEARCH_KEY__OP__ADDRESS:
        return eval_header(s, k, m, level, out);
    case PB__SEARCH_KEY__OP__BODY:
    case PB__SEARCH_KEY__OP__TEXT:
        return OK; /* search_scan gives the answer */
    case PB__SEARCH_KEY__OP__ALL:
        *out = SEARCH_YES;
        return OK;
    case PB__SEARCH_KEY__OP__UIDS:
        *out = yes_if(uidset_has(&s->sets[k->set], m->uid));
        return OK;
    case PB__SEARCH_KEY__OP__FLAGS:
        *out = yes_if((row->flags & pb->flags_set) == pb->flags_set && (row->flags & pb->flags_clear) == 0);
        return OK;
    case PB__SEARCH_KEY__OP__LARGER:
        *out = yes_if(row->size > pb->number);
        return OK;
    case PB__SEARCH_KEY__OP__SMALLER:
        *out = yes_if(row->size < pb->number);
        return OK;
    case PB__SEARCH_KEY__OP__INTERNAL:
        *out = yes_if(in_range(k, row->internal_s));
        return OK;
    case PB__SEARCH_KEY__OP__SAVED:
        *out = yes_if(in_range(k, row->save_s));
        return OK;
    case PB__SEARCH_KEY__OP__MODSEQ:
        *out = yes_if(row->modseq >= pb->number);
        return OK;
    case PB__SEARCH_KEY__OP__NEW_SINCE_UID:
        *out = yes_if(m->uid >= pb->number);
        return OK;
    case PB__SEARCH_KEY__OP__SENT:
        *out = eval_sent(k, m->record);
        return OK;
    case PB__SEARCH_KEY__OP__EMAILID:
        *out = eval_objectid(k, m->email->emailid);
        return OK;
    case PB__SEARCH_KEY__OP__THREADID:
        *out = eval_objectid(k, m->email->threadid);
        return OK;
    case _PB__SEARCH_KEY__OP_IS_INT_SIZE:
        break;
    }
    return ERR_INVAL;
}

static enum err eval(struct search *s, struct search_key *k, struct search_message *m, enum search_level level,
                     enum search_answer *out)
{
    enum search_answer answer = SEARCH_UNKNOWN;
    if (k->level > level) {
        *out = SEARCH_UNKNOWN;
        return OK;
    }
    if (search_decided(s, k)) {
        *out = (enum search_answer)k->answer;
        return OK;
    }
    enum err e = eval_key(s, k, m, level, &answer);
    if (e == OK) {
        k->serial = s->serial;
        k->answer = (uint8_t)answer;
        *out = answer;
    }
    return e;
}

enum err search_eval(struct search *s, struct search_message *m, enum search_level level, enum search_answer *out)
{
    return eval(s, s->root, m, level, out);
}
