#include "storage/search/search.h"

#include "storage/mailbox/pb.h"

#include "proto/base/mem.h"

#define DAY_ZONE_S 60

struct search_key {
    Pb__SearchKey__Op op;
    const Pb__SearchKey *pb;
    size_t set;          /* UIDS: which of search.sets */
    int keyword;         /* KEYWORD: its number, -1 = nobody has it */
    struct slice needle; /* casemapped text */
    struct search_key *children;
    size_t n_children;
};

/* --- nesting --- */

/* Field numbers of read.proto. */
#define FIELD_READ_SEARCH_KEY 3
#define FIELD_SEARCH_KEY_CHILDREN 2

static uint64_t wire_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b = reader_u8(r);
        v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
        if ((b & 0x80) == 0) {
            return v;
        }
    }
    r->failed = true;
    return 0;
}

static enum err check_depth(struct slice packed, uint64_t field, unsigned depth)
{
    struct reader r = reader_make(packed);
    if (depth > SEARCH_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    while (reader_left(&r) > 0) {
        uint64_t tag = wire_varint(&r);
        struct slice inner = slice_make(NULL, 0);
        switch (tag & 7) {
        case 0:
            (void)wire_varint(&r);
            break;
        case 1:
            (void)reader_bytes(&r, 8);
            break;
        case 2:
            inner = reader_bytes(&r, (size_t)wire_varint(&r));
            break;
        case 5:
            (void)reader_bytes(&r, 4);
            break;
        default:
            return ERR_INVAL;
        }
        if (r.failed) {
            return ERR_INVAL;
        }
        if (tag >> 3 == field && inner.n > 0) {
            enum err e = check_depth(inner, FIELD_SEARCH_KEY_CHILDREN, depth + 1);
            if (e != OK) {
                return e;
            }
        }
    }
    return OK;
}

enum err search_check_depth(struct slice packed)
{
    return check_depth(packed, FIELD_READ_SEARCH_KEY, 0);
}

/* --- compiling --- */

static enum err compile_uids(struct search *s, struct search_key *k)
{
    if (s->n_sets == s->cap_sets) {
        size_t cap = s->cap_sets == 0 ? 4 : s->cap_sets * 2;
        struct uidset *grown = mem_realloc(s->sets, cap * sizeof(*grown));
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        s->sets = grown;
        s->cap_sets = cap;
    }
    k->set = s->n_sets++;
    uidset_init(&s->sets[k->set]);
    enum err e = uidset_decode(&s->sets[k->set], pb_slice(k->pb->uids), SIZE_MAX);
    return e == ERR_CORRUPT ? ERR_INVAL : e;
}

static enum err compile_text(struct search *s, struct search_key *k)
{
    struct buf mapped;
    buf_init(&mapped, SIZE_MAX / 2);
    enum err e = msg_casemap(pb_slice(k->pb->text), &mapped);
    if (e == OK) {
        void *copy = arena_dup(s->arena, buf_slice(&mapped).p, mapped.len);
        k->needle = slice_make(copy, mapped.len);
        e = copy == NULL ? ERR_NOMEM : OK;
    }
    buf_fini(&mapped);
    return e;
}

static enum err compile_key(struct search *s, const Pb__SearchKey *pb, const struct keyword_table *keywords,
                            struct search_key *k);

static enum err compile_children(struct search *s, const struct keyword_table *keywords, struct search_key *k)
{
    const Pb__SearchKey *pb = k->pb;
    if (k->op == PB__SEARCH_KEY__OP__NOT && pb->n_children != 1) {
        return ERR_INVAL;
    }
    k->children = arena_calloc(s->arena, pb->n_children + 1, sizeof(*k->children));
    if (k->children == NULL) {
        return ERR_NOMEM;
    }
    k->n_children = pb->n_children;
    for (size_t i = 0; i < pb->n_children; i++) {
        enum err e = compile_key(s, pb->children[i], keywords, &k->children[i]);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err compile_key(struct search *s, const Pb__SearchKey *pb, const struct keyword_table *keywords,
                            struct search_key *k)
{
    if (++s->n_keys > SEARCH_KEYS_MAX) {
        return ERR_LIMIT;
    }
    k->op = pb->op;
    k->pb = pb;
    switch (pb->op) {
    case PB__SEARCH_KEY__OP__AND:
    case PB__SEARCH_KEY__OP__OR:
    case PB__SEARCH_KEY__OP__NOT:
        return compile_children(s, keywords, k);
    case PB__SEARCH_KEY__OP__UIDS:
        return compile_uids(s, k);
    case PB__SEARCH_KEY__OP__KEYWORD:
        k->keyword = keyword_find(keywords, slice_str(pb->name));
        return OK;
    case PB__SEARCH_KEY__OP__HEADER:
    case PB__SEARCH_KEY__OP__ADDRESS:
        return pb->name[0] == '\0' ? ERR_INVAL : compile_text(s, k);
    case PB__SEARCH_KEY__OP__BODY:
    case PB__SEARCH_KEY__OP__TEXT:
        return compile_text(s, k);
    case PB__SEARCH_KEY__OP__ALL:
    case PB__SEARCH_KEY__OP__FLAGS:
    case PB__SEARCH_KEY__OP__LARGER:
    case PB__SEARCH_KEY__OP__SMALLER:
    case PB__SEARCH_KEY__OP__INTERNAL:
    case PB__SEARCH_KEY__OP__SENT:
    case PB__SEARCH_KEY__OP__SAVED:
    case PB__SEARCH_KEY__OP__MODSEQ:
    case PB__SEARCH_KEY__OP__NEW_SINCE_UID:
    case PB__SEARCH_KEY__OP__EMAILID:
    case PB__SEARCH_KEY__OP__THREADID:
        return OK;
    case _PB__SEARCH_KEY__OP_IS_INT_SIZE:
        break;
    }
    return ERR_INVAL;
}

enum err search_compile(struct search *s, const Pb__SearchKey *key, const struct keyword_table *keywords)
{
    s->root = arena_zalloc(s->arena, sizeof(*s->root));
    s->n_keys = 0;
    s->sets = NULL;
    s->n_sets = 0;
    s->cap_sets = 0;
    if (s->root == NULL) {
        return ERR_NOMEM;
    }
    return key == NULL ? ERR_INVAL : compile_key(s, key, keywords, s->root);
}

void search_fini(struct search *s)
{
    for (size_t i = 0; i < s->n_sets; i++) {
        uidset_fini(&s->sets[i]);
    }
    mem_free(s->sets);
    s->sets = NULL;
    s->n_sets = 0;
}

/* --- evaluation --- */

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
    if (r->sent_s == INT64_MIN) {
        return SEARCH_NO;
    }
    return yes_if(in_range(k, r->sent_s + (int64_t)r->sent_zone_min * DAY_ZONE_S));
}

static enum search_answer eval_objectid(const struct search_key *k, const uint8_t id[16])
{
    return yes_if(slice_eq(pb_slice(k->pb->objectid), slice_make(id, 16)));
}

static enum err eval_header(const struct search *s, const struct search_key *k, struct search_message *m,
                            enum search_level level, enum search_answer *out)
{
    struct slice name = slice_str(k->pb->name);
    bool found = false;
    if (level == SEARCH_ROW) {
        return OK;
    }
    enum err e;
    if (msg_headers_cached(m->record, &name, 1)) {
        e = search_header(m->record->headers, name, k->needle, &found);
    } else if (level == SEARCH_RECORD) {
        return OK;
    } else {
        e = search_load_header(s, m);
        if (e == OK) {
            e = search_header(buf_slice(m->header), name, k->needle, &found);
        }
    }
    if (e == OK) {
        *out = yes_if(found);
    }
    return e;
}

static enum err eval_body(const struct search *s, const struct search_key *k, struct search_message *m,
                          enum search_level level, enum search_answer *out)
{
    bool found = false;
    if (level != SEARCH_BODY) {
        return OK;
    }
    enum err e = search_body(s, m, k->needle, k->op == PB__SEARCH_KEY__OP__TEXT, &found);
    if (e == OK) {
        *out = yes_if(found);
    }
    return e;
}

static enum err eval(struct search *s, const struct search_key *k, struct search_message *m, enum search_level level,
                     enum search_answer *out);

/* AND: the first NO decides. OR: the first YES. */
static enum err eval_list(struct search *s, const struct search_key *k, struct search_message *m,
                          enum search_level level, enum search_answer decides, enum search_answer otherwise,
                          enum search_answer *out)
{
    *out = otherwise;
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
        if (child == SEARCH_UNKNOWN) {
            *out = SEARCH_UNKNOWN;
        }
    }
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

/* Keys that the row decides. */
static enum search_answer eval_row(const struct search *s, const struct search_key *k, const struct search_message *m)
{
    const struct message_row *row = m->row;
    const Pb__SearchKey *pb = k->pb;
    if (k->op == PB__SEARCH_KEY__OP__UIDS) {
        return yes_if(uidset_has(&s->sets[k->set], m->uid));
    }
    if (k->op == PB__SEARCH_KEY__OP__FLAGS) {
        return yes_if((row->flags & pb->flags_set) == pb->flags_set && (row->flags & pb->flags_clear) == 0);
    }
    if (k->op == PB__SEARCH_KEY__OP__LARGER) {
        return yes_if(row->size > pb->number);
    }
    if (k->op == PB__SEARCH_KEY__OP__SMALLER) {
        return yes_if(row->size < pb->number);
    }
    if (k->op == PB__SEARCH_KEY__OP__INTERNAL) {
        return yes_if(in_range(k, row->internal_s));
    }
    if (k->op == PB__SEARCH_KEY__OP__SAVED) {
        return yes_if(in_range(k, row->save_s));
    }
    if (k->op == PB__SEARCH_KEY__OP__MODSEQ) {
        return yes_if(row->modseq >= pb->number);
    }
    if (k->op == PB__SEARCH_KEY__OP__NEW_SINCE_UID) {
        return yes_if(m->uid >= pb->number);
    }
    return SEARCH_YES; /* ALL */
}

static enum err eval(struct search *s, const struct search_key *k, struct search_message *m, enum search_level level,
                     enum search_answer *out)
{
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
        return eval_body(s, k, m, level, out);
    case PB__SEARCH_KEY__OP__SENT:
        *out = level == SEARCH_ROW ? SEARCH_UNKNOWN : eval_sent(k, m->record);
        return OK;
    case PB__SEARCH_KEY__OP__EMAILID:
        *out = level == SEARCH_ROW ? SEARCH_UNKNOWN : eval_objectid(k, m->email->emailid);
        return OK;
    case PB__SEARCH_KEY__OP__THREADID:
        *out = level == SEARCH_ROW ? SEARCH_UNKNOWN : eval_objectid(k, m->email->threadid);
        return OK;
    case PB__SEARCH_KEY__OP__ALL:
    case PB__SEARCH_KEY__OP__UIDS:
    case PB__SEARCH_KEY__OP__FLAGS:
    case PB__SEARCH_KEY__OP__LARGER:
    case PB__SEARCH_KEY__OP__SMALLER:
    case PB__SEARCH_KEY__OP__INTERNAL:
    case PB__SEARCH_KEY__OP__SAVED:
    case PB__SEARCH_KEY__OP__MODSEQ:
    case PB__SEARCH_KEY__OP__NEW_SINCE_UID:
    case _PB__SEARCH_KEY__OP_IS_INT_SIZE:
        *out = eval_row(s, k, m);
        return OK;
    }
    return ERR_INVAL;
}

enum err search_eval(struct search *s, struct search_message *m, enum search_level level, enum search_answer *out)
{
    *out = SEARCH_UNKNOWN;
    return eval(s, s->root, m, level, out);
}
