/* SEARCH (RFC 3501, 6.4.4) of one mailbox: a program compiled from the key tree, evaluated message by message in three
 * steps of rising cost: the row, then the message record, then the body. A key that cannot be decided yet is unknown,
 * and AND, OR and NOT combine unknowns, so that most messages never cost more than their row. Text compares as
 * substring under i;unicode-casemap (RFC 5051), after decoding. */
#ifndef STORAGE_SEARCH_SEARCH_H
#define STORAGE_SEARCH_SEARCH_H

#include "proto/base/arena.h"
#include "proto/base/uidset.h"
#include "proto/schema/read.pb-c.h"
#include "storage/mailbox/email.h"
#include "storage/mailbox/keyword.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SEARCH_DEPTH_MAX 64
#define SEARCH_KEYS_MAX 4000

struct search_key;

struct search {
    const struct store *store;
    struct account_id account;
    uint32_t mailbox;
    struct arena *arena;
    struct search_key *root;
    size_t n_keys;
    struct uidset *sets; /* of all UIDS keys, in a list to be freed */
    size_t n_sets;
    size_t cap_sets;
};

/* One message under evaluation. */
struct search_message {
    uint32_t uid;
    const struct message_row *row;
    /* from level SEARCH_RECORD on */
    const struct email_row *email;
    const struct msg_record *record;
    /* from level SEARCH_BODY on */
    struct buf *header; /* the raw header block, read once for all keys */
};

enum search_level { SEARCH_ROW, SEARCH_RECORD, SEARCH_BODY };
enum search_answer { SEARCH_NO, SEARCH_YES, SEARCH_UNKNOWN };

/* Nesting of a packed ReadSearch, before anything recursive touches it: ERR_LIMIT, ERR_INVAL. */
MUST_CHECK enum err search_check_depth(struct slice packed);
/* ERR_INVAL (malformed), ERR_LIMIT, ERR_NOMEM. search_fini in every case. */
MUST_CHECK enum err search_compile(struct search *s, const Pb__SearchKey *key, const struct keyword_table *keywords);
void search_fini(struct search *s);
/* What the message record decides is never unknown at SEARCH_RECORD, nothing is at SEARCH_BODY. */
MUST_CHECK enum err search_eval(struct search *s, struct search_message *m, enum search_level level,
                                enum search_answer *out);

/* --- search_text.c --- */
/* Is the mapped needle in the text of the message's body parts (with_header: or in its header)? Streams the body. */
MUST_CHECK enum err search_body(const struct search *s, struct search_message *m, struct slice needle, bool with_header,
                                bool *out);
/* Is it in a value of the named field in the raw header block? An empty needle asks for the field alone. */
MUST_CHECK enum err search_header(struct slice block, struct slice name, struct slice needle, bool *out);
/* Reads m->header. */
MUST_CHECK enum err search_load_header(const struct search *s, struct search_message *m);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_SEARCH_SEARCH_H */
