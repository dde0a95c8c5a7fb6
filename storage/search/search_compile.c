#include "storage/search/search_key.h"

#include "storage/mailbox/pb.h"

#include "proto/base/mem.h"

/* Field numbers of read.proto. */
#define FIELD_READ_SEARCH_KEY 3
#define FIELD_SEARCH_KEY_CHILDREN 2

/* Order among siblings that are decided at the same level. */
enum cost { COST_ROW, COST_SET, COST_ROW_MORE, COST_ID, COST_CACHED, COST_HEADER, COST_TEXT, COSTS };

/* --- nesting --- */

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

/* --- keys --- */

static enum err compile_uids(struct search *s, struct search_key *k)
{
    struct uidset *grown = mem_realloc(s->sets, (s->n_sets + 1) * sizeof(*grown));
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    s->sets = grown;
    k->set = s->n_sets++;
    uidset_init(&s->sets[k->set]);
    enum err e = uidset_decode(&s->sets[k->set], pb_slice(k->pb->uids), SIZE_MAX);
    return e == ERR_CORRUPT ? ERR_INVAL : e;
}

static enum err compile_text(struct search *s, struct search_key *k)
{
    struct buf mapped;
    if (k->pb->text.len > SEARCH_TEXT_BYTES_MAX) {
        return ERR_LIMIT;
    }
    buf_init(&mapped, SEARCH_NEEDLE_BYTES_MAX);
    enum err e = msg_casemap(pb_slice(k->pb->text), &mapped);
    if (e == OK) {
        void *copy = arena_dup(s->arena, buf_slice(&mapped).p, mapped.len);
        k->needle = slice_make(copy, mapped.len);
        e = copy == NULL ? ERR_NOMEM : OK;
    }
    buf_fini(&mapped);
    return e;
}

static enum err compile_field(struct search *s, struct search_key *k)
{
    k->name = slice_str(k->pb->name);
    k->field = msg_field_find(k->name);
    return k->name.n == 0 ? ERR_INVAL : compile_text(s, k);
}

static enum err compile_body(struct search *s, struct search_key *k)
{
    enum err e = compile_text(s, k);
    if (e == OK && k->needle.n == 0) {
        k->op = PB__SEARCH_KEY__OP__ALL; /* everything contains the empty string */
    }
    s->n_texts++;
    return e;
}

static enum err compile_key(struct search *s, const Pb__SearchKey *pb, const struct keyword_table *keywords,
                            unsigned depth, struct search_key *k);

static enum err compile_children(struct search *s, const struct keyword_table *keywords, unsigned depth,
                                 struct search_key *k)
{
    const Pb__SearchKey *pb = k->pb;
    if (k->op == PB__SEARCH_KEY__OP__NOT && pb->n_children != 1) {
        return ERR_INVAL;
    }
    if (pb->n_children > SEARCH_KEYS_MAX - s->n_keys) {
        return ERR_LIMIT;
    }
    k->children = arena_calloc(s->arena, pb->n_children + 1, sizeof(*k->children));
    if (k->children == NULL) {
        return ERR_NOMEM;
    }
    k->n_children = pb->n_children;
    for (size_t i = 0; i < pb->n_children; i++) {
        enum err e = compile_key(s, pb->children[i], keywords, depth + 1, &k->children[i]);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err compile_op(struct search *s, const struct keyword_table *keywords, unsigned depth, struct search_key *k)
{
    switch (k->op) {
    case PB__SEARCH_KEY__OP__AND:
    case PB__SEARCH_KEY__OP__OR:
    case PB__SEARCH_KEY__OP__NOT:
        return compile_children(s, keywords, depth, k);
    case PB__SEARCH_KEY__OP__UIDS:
        return compile_uids(s, k);
    case PB__SEARCH_KEY__OP__KEYWORD:
        k->keyword = keyword_find(keywords, slice_str(k->pb->name));
        return OK;
    case PB__SEARCH_KEY__OP__HEADER:
    case PB__SEARCH_KEY__OP__ADDRESS:
        return compile_field(s, k);
    case PB__SEARCH_KEY__OP__BODY:
    case PB__SEARCH_KEY__OP__TEXT:
        return compile_body(s, k);
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

static enum err compile_key(struct search *s, const Pb__SearchKey *pb, const struct keyword_table *keywords,
                            unsigned depth, struct search_key *k)
{
    if (++s->n_keys > SEARCH_KEYS_MAX || depth > SEARCH_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    k->op = pb->op;
    k->pb = pb;
    return compile_op(s, keywords, depth, k);
}

/* --- order --- */

static uint8_t leaf_cost(const struct search_key *k)
{
    if (k->op == PB__SEARCH_KEY__OP__UIDS) {
        return COST_SET;
    }
    if (k->op == PB__SEARCH_KEY__OP__KEYWORD) {
        return COST_ROW_MORE;
    }
    if (k->op == PB__SEARCH_KEY__OP__EMAILID || k->op == PB__SEARCH_KEY__OP__THREADID ||
        k->op == PB__SEARCH_KEY__OP__SENT) {
        return COST_ID;
    }
    if (k->op == PB__SEARCH_KEY__OP__HEADER || k->op == PB__SEARCH_KEY__OP__ADDRESS) {
        return k->field == MSG_FIELD_OTHER ? COST_HEADER : COST_CACHED;
    }
    return k->op == PB__SEARCH_KEY__OP__BODY || k->op == PB__SEARCH_KEY__OP__TEXT ? COST_TEXT : COST_ROW;
}

static uint8_t leaf_level(uint8_t cost)
{
    if (cost <= COST_ROW_MORE) {
        return SEARCH_ROW;
    }
    if (cost <= COST_CACHED) {
        return SEARCH_RECORD;
    }
    return cost == COST_HEADER ? SEARCH_HEADER : SEARCH_BODY;
}

/* Cheap children first, the order kept within a cost. */
static enum err sort_children(struct search *s, struct search_key *k)
{
    struct search_key *sorted = arena_calloc(s->arena, k->n_children + 1, sizeof(*sorted));
    size_t n = 0;
    if (sorted == NULL) {
        return ERR_NOMEM;
    }
    for (int cost = 0; cost < COSTS; cost++) {
        for (size_t i = 0; i < k->n_children; i++) {
            if (k->children[i].cost == cost) {
                sorted[n++] = k->children[i];
            }
        }
    }
    k->children = sorted;
    return OK;
}

/* A group is known from the level of its cheapest member on, and costs what its dearest does. */
static enum err order(struct search *s, struct search_key *k)
{
    if (k->n_children == 0) {
        k->cost = leaf_cost(k);
        k->level = leaf_level(k->cost);
        return OK;
    }
    k->level = SEARCH_BODY;
    k->cost = COST_ROW;
    for (size_t i = 0; i < k->n_children; i++) {
        struct search_key *child = &k->children[i];
        enum err e = order(s, child);
        if (e != OK) {
            return e;
        }
        k->level = child->level < k->level ? child->level : k->level;
        k->cost = child->cost > k->cost ? child->cost : k->cost;
    }
    return sort_children(s, k);
}

/* --- narrowing --- */

static enum err narrow_to(struct search *s, const struct uidset *set)
{
    struct uidset both;
    if (!s->narrowed) {
        s->narrowed = true;
        return uidset_copy(&s->narrow, set);
    }
    uidset_init(&both);
    enum err e = uidset_intersect(&both, &s->narrow, set);
    if (e == OK) {
        struct uidset old = s->narrow;
        s->narrow = both;
        both = old;
    }
    uidset_fini(&both);
    return e;
}

/* What all messages must fulfil: the walk visits no others, and so the keys say yes. */
static enum err narrow(struct search *s, struct search_key *k)
{
    enum err e = OK;
    if (k->op == PB__SEARCH_KEY__OP__UIDS) {
        e = narrow_to(s, &s->sets[k->set]);
        k->op = PB__SEARCH_KEY__OP__ALL;
    } else if (k->op == PB__SEARCH_KEY__OP__NEW_SINCE_UID && k->pb->number <= UINT32_MAX) {
        s->uid_min = k->pb->number > s->uid_min ? (uint32_t)k->pb->number : s->uid_min;
        k->op = PB__SEARCH_KEY__OP__ALL;
    } else if (k->op == PB__SEARCH_KEY__OP__AND) {
        for (size_t i = 0; e == OK && i < k->n_children; i++) {
            e = narrow(s, &k->children[i]);
        }
    }
    return e;
}

/* --- all --- */

static void init(struct search *s)
{
    s->n_keys = 0;
    s->sets = NULL;
    s->n_sets = 0;
    uidset_init(&s->narrow);
    s->narrowed = false;
    s->uid_min = 1;
    s->n_texts = 0;
    s->spent = 0;
    s->progress = false;
    s->serial = 0;
    buf_init(&s->header, SEARCH_HEADER_BYTES_MAX);
    buf_init(&s->raw, SIZE_MAX / 2);
    buf_init(&s->decoded, SIZE_MAX / 2);
    buf_init(&s->mapped, SIZE_MAX / 2);
}

enum err search_compile(struct search *s, const Pb__SearchKey *key, const struct keyword_table *keywords)
{
    init(s);
    s->root = arena_zalloc(s->arena, sizeof(*s->root));
    if (s->root == NULL || key == NULL) {
        return key == NULL ? ERR_INVAL : ERR_NOMEM;
    }
    enum err e = compile_key(s, key, keywords, 1, s->root);
    if (e == OK) {
        e = narrow(s, s->root);
    }
    if (e == OK) {
        e = order(s, s->root);
    }
    if (e == OK) {
        s->active = arena_calloc(s->arena, s->n_texts + 1, sizeof(struct search_key *));
        e = s->active == NULL ? ERR_NOMEM : OK;
    }
    return e;
}

void search_fini(struct search *s)
{
    for (size_t i = 0; i < s->n_sets; i++) {
        uidset_fini(&s->sets[i]);
    }
    mem_free(s->sets);
    s->sets = NULL;
    s->n_sets = 0;
    uidset_fini(&s->narrow);
    buf_fini(&s->header);
    buf_fini(&s->raw);
    buf_fini(&s->decoded);
    buf_fini(&s->mapped);
}
