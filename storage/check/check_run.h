/* Inside of storage_check: the run's context, counted names, and the parts by file. */
#ifndef STORAGE_CHECK_CHECK_RUN_H
#define STORAGE_CHECK_CHECK_RUN_H

#include "proto/base/arena.h"
#include "proto/base/hmap.h"
#include "storage/check/check.h"
#include "storage/mailbox/email.h"
#include "storage/mailbox/row.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How often something is referred to. */
struct counted {
    struct hmap_node node;
    uint64_t a;
    uint64_t b;
    uint64_t value; /* of the user */
    uint32_t refs;
    bool seen;    /* its own row was met */
    bool counted; /* the row with its count was met */
};

struct counts {
    struct hmap map;
    struct arena arena;
};

void counts_init(struct counts *c);
void counts_fini(struct counts *c);
struct counted *counts_find(const struct counts *c, uint64_t a, uint64_t b);
/* Finds or makes; NULL without memory. */
struct counted *counts_get(struct counts *c, uint64_t a, uint64_t b);

struct check_run {
    struct store store;
    const struct check_config *cfg;
    struct check_totals totals;
    struct counts bodies;  /* (index, ordinal): references; value = bytes */
    struct counts staged;  /* (account, 0): references by reservations; value = bytes staged */
    struct counts uploads; /* (index, 0): reservations; value = bytes staged */
    uint64_t kept_messages;
    uint64_t kept_bytes;
};

/* One account's. */
struct check_account {
    struct check_run *run;
    struct account_id id;
    struct account_row row;
    struct counts emails;    /* (email, 0): references by messages and kept ones */
    struct counts threads;   /* (id hash, subject hash): references by emails */
    struct counts mailboxes; /* (mailbox, 0): value = node, live ones; seen: the tree has it */
    uint64_t live_messages;
    uint64_t live_bytes;
};

void check_report(struct check_run *r, const struct key *k, const char *what);
void check_report_row(struct check_run *r, const struct key *prefix, struct slice rest, const char *what);

/* Calls `row` for each row under a prefix. Errors of the callback end the walk. */
MUST_CHECK enum err check_walk(struct check_run *r, const struct key *prefix, void *ctx,
                               enum err (*row)(void *ctx, const struct key *prefix, struct slice rest,
                                               struct slice value));

MUST_CHECK enum err check_mailboxes(struct check_account *a);
MUST_CHECK enum err check_tree(struct check_account *a);
/* Before check_emails. */
MUST_CHECK enum err check_kept(struct check_account *a);
MUST_CHECK enum err check_emails(struct check_account *a);
/* Of an account that is not all here: only that its emails' bodies are. */
MUST_CHECK enum err check_bodies_of(struct check_account *a);
/* All of it is here, and must fit together. */
static inline bool check_is_whole(const struct check_account *a)
{
    return a->row.state == ACCOUNT_LIVE || a->row.state == ACCOUNT_FENCED || a->row.state == ACCOUNT_ARRIVED;
}
MUST_CHECK enum err check_account(struct check_run *r, struct account_id id);
/* After the accounts. */
MUST_CHECK enum err check_kept_shard(struct check_run *r);
/* Handoffs, reservations, copies, purge queue (before the accounts); body counts and the bodies themselves (after
 * them). */
MUST_CHECK enum err check_shard_rows(struct check_run *r);
MUST_CHECK enum err check_bodies(struct check_run *r);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_CHECK_CHECK_RUN_H */
