/* FETCH: what to fetch, parsed once; rows from storage a page at a time; responses straight into the output block. */
#ifndef FRONTEND_IMAP_IMAP_FETCH_H
#define FRONTEND_IMAP_IMAP_FETCH_H

#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_flag.h"
#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_FETCH_ARGS_MAX 64

struct imap_fetch {
    struct imap_set set;
    struct imap_fetch_arg args[IMAP_FETCH_ARGS_MAX];
    size_t n;
    uint32_t columns;
    bool content;
    bool sets_seen;
    bool condstore;
    uint64_t changed_since;
    bool has_changed_since;
};

/* ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")"). Repeated plain items count once. */
bool imap_parse_fetch_items(struct imap_cursor *c, struct imap_fetch *f);
/* Adds an item without arguments unless it is there. */
bool imap_fetch_add(struct imap_cursor *c, struct imap_fetch *f, const struct imap_fetch_item *item);

/* A page of ReadFetch, checked: every column has as many values as there are rows. */
struct imap_page {
    const Pb__ReadFetchResult *r;
    struct slice attach;
    uint32_t columns;
    struct imap_overflow overflow;
    size_t n_text;  /* text columns */
    size_t text_at; /* attachment bytes taken */
};
MUST_CHECK enum err imap_page_init(struct imap_page *p, const Pb__ReadFetchResult *r, struct slice attach,
                                   uint32_t columns);
/* Row i, in order from 0 (text columns are found by walking). seq and recent are left to the caller. */
MUST_CHECK enum err imap_page_row(struct imap_page *p, uint32_t i, struct imap_row *out);

/* "* 12 FETCH (UID 7 FLAGS ())" CRLF */
void imap_fetch_format(struct imap_fetch_run *run, const struct imap_fetch *f, const struct imap_row *row);

/* Fetches the messages (UIDs of the view) and writes the responses. *out_missing: how many of them storage no longer
 * has. */
MUST_CHECK enum err imap_fetch_messages(struct imap_fetch_run *run, const struct imap_fetch *f,
                                        const struct uidset *uids, uint32_t *out_missing);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_FETCH_H */
