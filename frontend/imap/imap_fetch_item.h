/* FETCH items: one file each in fetch/, found by the build (imap_fetch_table). An item says which columns of storage it
 * wants and writes its name and value from a row; those with message content read it by ranges and stream it (they may
 * block). */
#ifndef FRONTEND_IMAP_IMAP_FETCH_ITEM_H
#define FRONTEND_IMAP_IMAP_FETCH_ITEM_H

#include "frontend/imap/imap_out.h"
#include "frontend/imap/imap_parse.h"
#include "frontend/imap/imap_view.h"

#ifdef __cplusplus
extern "C" {
#endif

struct imap_section;
struct imap_session;

/* One message's columns; slices point into the page. What was not asked for is zero. */
struct imap_row {
    uint32_t uid;
    uint32_t seq;
    uint64_t flags;
    const uint8_t *overflow; /* further keywords, NULL for none */
    uint64_t modseq;
    int64_t internal_s;
    int64_t save_s;
    uint32_t size;
    bool recent;
    bool seen_now; /* this FETCH has set \Seen: FLAGS must be told */
    struct slice emailid;
    struct slice threadid;
    struct slice envelope;
    struct slice body;
    struct slice bodystructure;
    struct slice headers; /* empty when the record does not keep all of them */
    struct slice record;
    struct slice content; /* empty when the message is too large for a page */
};

struct imap_fetch_item;

/* An item of a command, with its arguments. */
struct imap_fetch_arg {
    const struct imap_fetch_item *item;
    uint32_t columns; /* FETCH_COL_* */
    bool content;     /* reads the message's bytes */
    bool sets_seen;   /* unless the mailbox is read-only */
    struct imap_section *section;
    struct slice label; /* what the response calls it, e.g. BODY[1]<0> */
};

struct imap_fetch_run {
    struct imap_session *s;
    struct imap_out *out;
    const struct imap_view *view;
    bool expunged;   /* content of a message was gone */
    enum err failed; /* the first other reason why something is NIL */
};

struct imap_fetch_item {
    const char *name;
    const char *capability; /* words for CAPABILITY, or NULL */
    uint32_t columns;
    bool condstore; /* asking for it enables CONDSTORE */
    /* After the name; may change the columns. NULL: no arguments. */
    bool (*parse)(struct imap_cursor *c, struct imap_fetch_arg *arg);
    /* Writes "NAME value". */
    void (*format)(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row);
};

#define IMAP_FETCH_ITEM(item_name)                                                                                     \
    extern const struct imap_fetch_item imap_fetch_##item_name;                                                        \
    const struct imap_fetch_item imap_fetch_##item_name

extern const struct imap_fetch_item *const imap_fetch_table[];

/* NULL when there is no such item. */
const struct imap_fetch_item *imap_fetch_item_find(struct slice name);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_FETCH_ITEM_H */
