#include "frontend/imap/imap_date.h"
#include "frontend/imap/imap_objectid.h"
#include "frontend/imap/imap_search.h"
#include "proto/message/message.h"
#include "proto/rpc/flags.h"

#define DAY_S 86400
#define TEXT_BYTES_MAX ((size_t)256 * 1024)

static Pb__SearchKey *new_key(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey__Op op)
{
    static const Pb__SearchKey init = PB__SEARCH_KEY__INIT;
    if (s->n_keys == IMAP_SEARCH_KEYS_MAX) {
        (void)imap_parse_fail(c, "Too many search keys");
        return NULL;
    }
    Pb__SearchKey *key = arena_dup(c->arena, &init, sizeof(init));
    if (key == NULL) {
        (void)imap_parse_nomem(c);
        return NULL;
    }
    s->n_keys++;
    key->op = op;
    return key;
}

static bool set_children(struct imap_cursor *c, Pb__SearchKey *key, Pb__SearchKey *const *children, size_t n)
{
    key->children = arena_dup(c->arena, children, n * sizeof(*children));
    key->n_children = n;
    return key->children != NULL || imap_parse_nomem(c);
}

/* What a row of the table below gives its function. */
struct key_row {
    const char *name;
    bool (*parse)(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key);
    Pb__SearchKey__Op op;
    uint64_t set;
    uint64_t clear;
    char *header; /* the field, for those that name one */
    bool negate;
};

static bool parse_key(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey **out);

/* A string in the command's charset, as UTF-8. */
static bool parse_text(struct imap_cursor *c, struct imap_search *s, ProtobufCBinaryData *out)
{
    struct slice raw;
    struct buf utf8;
    if (!imap_parse_astring(c, &raw)) {
        return false;
    }
    buf_init(&utf8, TEXT_BYTES_MAX);
    enum err e = s->bad_charset ? OK : msg_charset_to_utf8(s->charset == NULL ? "utf-8" : s->charset, raw, &utf8);
    out->len = utf8.len;
    out->data = e == OK ? arena_dup(c->arena, buf_slice(&utf8).p, utf8.len) : NULL;
    buf_fini(&utf8);
    return out->data != NULL || imap_parse_fail(c, "Invalid search string");
}

static bool key_plain(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    (void)c;
    (void)s;
    key->flags_set = row->set;
    key->flags_clear = row->clear;
    return true;
}

static bool key_text(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    if (row->header != NULL) {
        key->name = row->header;
    }
    return imap_parse_sp(c) && parse_text(c, s, &key->text);
}

static bool key_header(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    struct slice name;
    (void)row;
    if (!imap_parse_sp(c) || !imap_parse_astring(c, &name)) {
        return false;
    }
    key->name = arena_slice_str(c->arena, name);
    if (key->name == NULL) {
        return imap_parse_nomem(c);
    }
    return imap_parse_sp(c) && parse_text(c, s, &key->text);
}

static bool key_keyword(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    struct slice name;
    (void)s;
    (void)row;
    if (!imap_parse_sp(c) || !imap_parse_atom(c, &name)) {
        return false;
    }
    key->name = arena_slice_str(c->arena, name);
    return key->name != NULL || imap_parse_nomem(c);
}

static bool key_number(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    (void)s;
    (void)row;
    return imap_parse_sp(c) && imap_parse_number63(c, &key->number);
}

/* set and clear tell which ends of the range are open. */
enum { OPEN_FROM = 1, OPEN_TO = 2 };
static bool key_date(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    int64_t day_s;
    (void)s;
    if (!imap_parse_sp(c) || !imap_parse_date(c, &day_s)) {
        return false;
    }
    key->from_s = row->set == OPEN_FROM ? INT64_MIN : day_s;
    key->to_s = row->set == OPEN_FROM ? day_s : row->set == OPEN_TO ? INT64_MAX : day_s + DAY_S;
    return true;
}

static bool add_ref(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey *key, enum imap_search_kind kind,
                    const struct imap_set *set)
{
    struct imap_search_ref *ref = arena_zalloc(c->arena, sizeof(*ref));
    if (ref == NULL) {
        return imap_parse_nomem(c);
    }
    ref->key = key;
    ref->kind = kind;
    if (set != NULL) {
        ref->set = *set;
    }
    ref->next = s->refs;
    s->refs = ref;
    return true;
}

static bool key_uid(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    struct imap_set set;
    (void)row;
    return imap_parse_sp(c) && imap_parse_set(c, &set) && add_ref(c, s, key, IMAP_SEARCH_UIDS, &set);
}

static bool key_recent(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    (void)row;
    return add_ref(c, s, key, IMAP_SEARCH_RECENT, NULL);
}

/* NEW = RECENT UNSEEN */
static bool key_new(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    Pb__SearchKey *children[2] = {new_key(c, s, PB__SEARCH_KEY__OP__UIDS), NULL};
    (void)row;
    if (children[0] == NULL || !add_ref(c, s, children[0], IMAP_SEARCH_RECENT, NULL)) {
        return false;
    }
    children[1] = new_key(c, s, PB__SEARCH_KEY__OP__FLAGS);
    if (children[1] == NULL) {
        return false;
    }
    children[1]->flags_clear = FLAG_SEEN;
    return set_children(c, key, children, 2);
}

static bool key_not(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    Pb__SearchKey *child;
    (void)row;
    return imap_parse_sp(c) && parse_key(c, s, &child) && set_children(c, key, &child, 1);
}

static bool key_or(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    Pb__SearchKey *children[2];
    (void)row;
    return imap_parse_sp(c) && parse_key(c, s, &children[0]) && imap_parse_sp(c) && parse_key(c, s, &children[1]) &&
           set_children(c, key, children, 2);
}

/* search-modsequence = "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer (RFC 7162, 3.1.5) */
static bool key_modseq(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    struct slice name;
    (void)row;
    if (!imap_parse_sp(c)) {
        return false;
    }
    if (imap_peek(c) == '"') {
        if (!imap_parse_string(c, &name) || !imap_parse_sp(c)) {
            return false;
        }
        if (!imap_take_word(c, "all") && !imap_take_word(c, "priv") && !imap_take_word(c, "shared")) {
            return imap_parse_fail(c, "Unknown metadata type");
        }
        if (!imap_parse_sp(c)) {
            return false;
        }
    }
    s->has_modseq = true;
    return imap_parse_number63(c, &key->number);
}

static bool key_objectid(struct imap_cursor *c, struct imap_search *s, const struct key_row *row, Pb__SearchKey *key)
{
    struct u128 id;
    bool known;
    (void)s;
    if (!imap_parse_sp(c) || !imap_parse_objectid(c, row->op == PB__SEARCH_KEY__OP__EMAILID ? 'M' : 'T', &id, &known)) {
        return false;
    }
    key->objectid.data = arena_dup(c->arena, id.b, sizeof(id.b)); /* zeros match nothing */
    key->objectid.len = sizeof(id.b);
    return key->objectid.data != NULL || imap_parse_nomem(c);
}

#define OP(name) PB__SEARCH_KEY__OP__##name

static char header_from[] = "From";
static char header_to[] = "To";
static char header_cc[] = "Cc";
static char header_bcc[] = "Bcc";
static char header_subject[] = "Subject";

static const struct key_row rows[] = {
    {"ALL", key_plain, OP(ALL)},
    {"ANSWERED", key_plain, OP(FLAGS), .set = FLAG_ANSWERED},
    {"BCC", key_text, OP(ADDRESS), .header = header_bcc},
    {"BEFORE", key_date, OP(INTERNAL), .set = OPEN_FROM},
    {"BODY", key_text, OP(BODY)},
    {"CC", key_text, OP(ADDRESS), .header = header_cc},
    {"DELETED", key_plain, OP(FLAGS), .set = FLAG_DELETED},
    {"DRAFT", key_plain, OP(FLAGS), .set = FLAG_DRAFT},
    {"EMAILID", key_objectid, OP(EMAILID)},
    {"FLAGGED", key_plain, OP(FLAGS), .set = FLAG_FLAGGED},
    {"FROM", key_text, OP(ADDRESS), .header = header_from},
    {"HEADER", key_header, OP(HEADER)},
    {"KEYWORD", key_keyword, OP(KEYWORD)},
    {"LARGER", key_number, OP(LARGER)},
    {"MODSEQ", key_modseq, OP(MODSEQ)},
    {"NEW", key_new, OP(AND)},
    {"NOT", key_not, OP(NOT)},
    {"OLD", key_recent, OP(UIDS), .negate = true},
    {"ON", key_date, OP(INTERNAL)},
    {"OR", key_or, OP(OR)},
    {"RECENT", key_recent, OP(UIDS)},
    {"SAVEDATESUPPORTED", key_plain, OP(ALL)},
    {"SAVEDBEFORE", key_date, OP(SAVED), .set = OPEN_FROM},
    {"SAVEDON", key_date, OP(SAVED)},
    {"SAVEDSINCE", key_date, OP(SAVED), .set = OPEN_TO},
    {"SEEN", key_plain, OP(FLAGS), .set = FLAG_SEEN},
    {"SENTBEFORE", key_date, OP(SENT), .set = OPEN_FROM},
    {"SENTON", key_date, OP(SENT)},
    {"SENTSINCE", key_date, OP(SENT), .set = OPEN_TO},
    {"SINCE", key_date, OP(INTERNAL), .set = OPEN_TO},
    {"SMALLER", key_number, OP(SMALLER)},
    {"SUBJECT", key_text, OP(HEADER), .header = header_subject},
    {"TEXT", key_text, OP(TEXT)},
    {"THREADID", key_objectid, OP(THREADID)},
    {"TO", key_text, OP(ADDRESS), .header = header_to},
    {"UID", key_uid, OP(UIDS)},
    {"UNANSWERED", key_plain, OP(FLAGS), .clear = FLAG_ANSWERED},
    {"UNDELETED", key_plain, OP(FLAGS), .clear = FLAG_DELETED},
    {"UNDRAFT", key_plain, OP(FLAGS), .clear = FLAG_DRAFT},
    {"UNFLAGGED", key_plain, OP(FLAGS), .clear = FLAG_FLAGGED},
    {"UNKEYWORD", key_keyword, OP(KEYWORD), .negate = true},
    {"UNSEEN", key_plain, OP(FLAGS), .clear = FLAG_SEEN},
};

static const struct key_row *find_row(struct slice name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (slice_ieq_str(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool parse_named(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey **out)
{
    struct slice name;
    if (!imap_parse_atom(c, &name)) {
        return imap_parse_fail(c, "Expected a search key");
    }
    const struct key_row *row = find_row(name);
    if (row == NULL) {
        return imap_parse_fail(c, "Unknown search key");
    }
    Pb__SearchKey *key = new_key(c, s, row->op);
    if (key == NULL || !row->parse(c, s, row, key)) {
        return false;
    }
    *out = key;
    if (!row->negate) {
        return true;
    }
    Pb__SearchKey *not_key = new_key(c, s, OP(NOT));
    *out = not_key;
    return not_key != NULL && set_children(c, not_key, &key, 1);
}

static bool parse_seqs(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey **out)
{
    struct imap_set set;
    Pb__SearchKey *key = new_key(c, s, OP(UIDS));
    *out = key;
    return key != NULL && imap_parse_set(c, &set) && add_ref(c, s, key, IMAP_SEARCH_SEQS, &set);
}

/* search-key *(SP search-key), all of which must hold. */
static bool parse_and(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey **out)
{
    size_t n = 0;
    size_t cap = 0;
    Pb__SearchKey **children = NULL;
    do {
        if (n == cap) {
            cap = cap == 0 ? 4 : cap * 2;
            Pb__SearchKey **grown = arena_calloc(c->arena, cap, sizeof(*grown));
            if (grown == NULL) {
                return imap_parse_nomem(c);
            }
            if (n > 0) {
                memcpy(grown, children, n * sizeof(*grown));
            }
            children = grown;
        }
        if (!parse_key(c, s, &children[n])) {
            return false;
        }
        n++;
    } while (imap_take(c, ' '));
    if (n == 1) {
        *out = children[0];
        return true;
    }
    Pb__SearchKey *key = new_key(c, s, OP(AND));
    if (key == NULL) {
        return false;
    }
    key->children = children;
    key->n_children = n;
    *out = key;
    return true;
}

static bool parse_key(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey **out)
{
    if (!imap_parse_enter(c)) {
        return false;
    }
    bool ok;
    uint8_t ch = imap_peek(c);
    if (imap_take(c, '(')) {
        ok = parse_and(c, s, out) && imap_parse_char(c, ')');
    } else if (ch == '*' || (ch >= '0' && ch <= '9')) {
        ok = parse_seqs(c, s, out);
    } else {
        ok = parse_named(c, s, out);
    }
    imap_parse_leave(c);
    return ok;
}

bool imap_parse_search_keys(struct imap_cursor *c, struct imap_search *s, Pb__SearchKey **out)
{
    return parse_and(c, s, out);
}
