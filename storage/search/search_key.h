/* What the files of search/ share: the compiled key, the message under evaluation, and the steps between them. */
#ifndef STORAGE_SEARCH_SEARCH_KEY_H
#define STORAGE_SEARCH_SEARCH_KEY_H

#include "proto/message/field.h"
#include "proto/message/message.h"
#include "storage/mailbox/email.h"
#include "storage/search/search.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rising cost. SEARCH_BODY decides only what search_scan has found out. */
enum search_level { SEARCH_ROW, SEARCH_RECORD, SEARCH_HEADER, SEARCH_BODY };
enum search_answer { SEARCH_UNKNOWN, SEARCH_NO, SEARCH_YES };

struct search_key {
    Pb__SearchKey__Op op;
    uint8_t level;  /* enum search_level: below it nothing is known of the key */
    uint8_t cost;   /* order among its siblings */
    uint8_t answer; /* enum search_answer for the message `serial` */
    int keyword;    /* KEYWORD: its number, -1 = nobody has it */
    uint64_t serial;
    const Pb__SearchKey *pb;
    size_t set;           /* UIDS: which of search.sets */
    struct slice name;    /* HEADER, ADDRESS */
    enum msg_field field; /* the same, MSG_FIELD_OTHER when the record does not keep it */
    struct slice needle;  /* casemapped text */
    struct search_key *children;
    size_t n_children;
};

/* One message under evaluation. */
struct search_message {
    uint32_t uid;
    const struct message_row *row;
    /* from SEARCH_RECORD on */
    const struct email_row *email;
    const struct msg_record *record;
    bool header_loaded; /* search.header holds it */
};

static inline bool search_decided(const struct search *s, const struct search_key *k)
{
    return k->serial == s->serial && k->answer != SEARCH_UNKNOWN;
}

static inline bool search_contains(struct slice hay, struct slice needle)
{
    return needle.n == 0 || (hay.n >= needle.n && memmem(hay.p, hay.n, needle.p, needle.n) != NULL);
}

/* Costs are in rows: about 100 ns. ERR_TIMEOUT when the budget is spent and the run can stop where it is, ERR_LIMIT
 * when it cannot (search_budget). */
#define SEARCH_COST_CLOCK 256
MUST_CHECK enum err search_spend(struct search *s, unsigned cost);

/* --- search_eval.c --- */
/* What the level decides of the whole program. */
MUST_CHECK enum err search_eval(struct search *s, struct search_message *m, enum search_level level,
                                enum search_answer *out);

/* --- search_header.c --- */
/* Is the needle in a value of the field in the header block? An empty one asks for the field alone. */
MUST_CHECK enum err search_field(struct search *s, struct slice block, struct slice name, struct slice needle,
                                 bool *out);
/* The decoded text of a header value, in pieces of bounded size: calls put for each; out of the arguments of put the
 * bytes are valid until it returns. */
MUST_CHECK enum err search_value_text(struct search *s, struct slice value,
                                      enum err (*put)(void *ctx, struct slice utf8), void *ctx);
/* Reads search.header. */
MUST_CHECK enum err search_load_header(struct search *s, struct search_message *m);
/* Appends a range of the message's bytes. */
MUST_CHECK enum err search_read(const struct search *s, const struct search_message *m, uint32_t off, uint32_t n,
                                struct buf *out);

/* --- search_scan.c --- */
/* One pass over the text of the message for all text keys that are not decided; stops as soon as the program is. Then
 * no text key is unknown unless the program is decided without it. */
MUST_CHECK enum err search_scan(struct search *s, struct search_message *m);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_SEARCH_SEARCH_KEY_H */
