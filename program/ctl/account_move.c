#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "program/ctl.h"

#define POLL_MS 200

static const char *state_text(const Pb__MoveInfo *m)
{
    static const char *const texts[] = {"over", "copying", "fenced", "sealed", "given up"};
    if (m->arriving) {
        return m->state != 0 ? "ready" : "arriving";
    }
    return m->state < sizeof(texts) / sizeof(texts[0]) ? texts[m->state] : "in a newer state";
}

static enum err moves(struct ctl *c, uint32_t shard, const Pb__ReadMovesResult **out)
{
    Pb__ReadMoves req = PB__READ_MOVES__INIT;
    ProtobufCMessage *reply = NULL;
    enum err e = ctl_call(c, (struct shard_id){shard}, (struct account_id){0}, METHOD_MOVES, &req.base, &reply);
    *out = (const Pb__ReadMovesResult *)(const void *)reply;
    return e;
}

static const Pb__MoveInfo *find(const Pb__ReadMovesResult *list, uint64_t account, bool arriving)
{
    for (size_t i = 0; i < list->n_moves; i++) {
        if (list->moves[i]->account == account && list->moves[i]->arriving == arriving) {
            return list->moves[i];
        }
    }
    return NULL;
}

/* --- all that is under way --- */

static int status(struct ctl *c)
{
    uint32_t last = 0;
    enum err e = ctl_shards(c, &last);
    for (uint32_t i = 1; e == OK && i <= last; i++) {
        const Pb__ReadMovesResult *list;
        e = moves(c, i, &list);
        for (size_t k = 0; e == OK && k < list->n_moves; k++) {
            const Pb__MoveInfo *m = list->moves[k];
            printf("%llu\t%s\tshard %u %s %u\t%s", (unsigned long long)m->account, m->name, i,
                   m->arriving ? "from" : "to", m->shard, state_text(m));
            if (m->arriving) {
                printf("\t%llu emails, %llu rows", (unsigned long long)m->emails, (unsigned long long)m->rows);
            }
            putchar('\n');
        }
        arena_reset(&c->arena);
    }
    return e == OK ? 0 : ctl_fail("account move", "--status", e);
}

/* --- one --- */

struct watched {
    const char *name;
    struct account_id account;
    uint32_t from;
    uint32_t to;
    uint32_t state; /* printed last */
    uint64_t emails;
};

/* What has changed since the last look. */
static enum err look(struct ctl *c, struct watched *w, bool *out_over)
{
    const Pb__ReadMovesResult *here;
    const Pb__ReadMovesResult *there;
    enum err e = moves(c, w->from, &here);
    if (e == OK) {
        e = moves(c, w->to, &there);
    }
    if (e != OK) {
        return e;
    }
    const Pb__MoveInfo *leaving = find(here, w->account.v, false);
    const Pb__MoveInfo *arriving = find(there, w->account.v, true);
    *out_over = leaving == NULL;
    uint64_t emails = arriving == NULL ? w->emails : arriving->emails;
    if (leaving != NULL && (leaving->state != w->state || emails != w->emails)) {
        printf("%s: %s, %llu emails copied\n", w->name, state_text(leaving), (unsigned long long)emails);
        fflush(stdout);
        w->state = leaving->state;
        w->emails = emails;
    }
    return OK;
}

static int wait_over(struct ctl *c, struct watched *w)
{
    struct shard_id now = {0};
    enum err e = OK;
    for (bool over = false; e == OK && !over;) {
        arena_reset(&c->arena);
        e = look(c, w, &over);
        if (e == OK && !over) {
            nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        }
    }
    if (e == OK) {
        e = ctl_account(c, w->name, &now, &w->account);
    }
    if (e != OK) {
        return ctl_fail("account move", w->name, e);
    }
    if (now.v != w->to) {
        fprintf(
            stderr,
            "pillarbox ctl: account move %s: given up; it lives on in shard %u (the log of the node that leads that "
            "says more)\n",
            w->name, now.v);
        return 1;
    }
    printf("%s: in shard %u\n", w->name, now.v);
    return 0;
}

/* The cluster's shards are known and the number is one of them: says what is wrong. */
static bool shard_number(struct ctl *c, const char *text, uint32_t *out)
{
    uint32_t last = 0;
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    enum err e = ctl_shards(c, &last);
    if (e != OK) {
        (void)ctl_fail("account move", "", e);
        return false;
    }
    if (*end != '\0' || end == text || n == 0 || n > last) {
        fprintf(stderr, "pillarbox ctl: account move: %s: accounts live in shards 1 to %u\n", text, last);
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

static int start(struct ctl *c, const char *name, const char *to, bool no_wait)
{
    struct watched w = {.name = name};
    struct shard_id from;
    Pb__OpMoveStart op = PB__OP_MOVE_START__INIT;
    if (!shard_number(c, to, &w.to)) {
        return 1;
    }
    enum err e = ctl_account(c, name, &from, &w.account);
    if (e == OK && from.v == w.to) {
        printf("%s: in shard %u\n", name, from.v);
        return 0;
    }
    if (e == OK) {
        w.from = from.v;
        op.account = w.account.v;
        op.to = w.to;
        e = ctl_call(c, from, w.account, METHOD_MOVE_START, &op.base, NULL);
    }
    if (e == ERR_EXISTS || e == ERR_LIMIT) {
        fprintf(stderr, "pillarbox ctl: account move %s: %s\n", name,
                e == ERR_LIMIT ? "too many accounts leave that shard now; try again when some have"
                               : "it is moving already (see `pillarbox ctl account move --status`)");
        return 1;
    }
    if (e != OK) {
        return ctl_fail("account move", name, e);
    }
    return no_wait ? 0 : wait_over(c, &w);
}

static int run(struct ctl *c, int argc, char **argv)
{
    const char *to = ctl_option(&argc, argv, "--to-shard");
    bool no_wait = ctl_flag(&argc, argv, "--no-wait");
    if (ctl_flag(&argc, argv, "--status")) {
        return argc == 0 && to == NULL ? status(c) : CTL_USAGE;
    }
    return argc == 1 && to != NULL ? start(c, argv[0], to, no_wait) : CTL_USAGE;
}

CTL_CMD(account_move) = {
    .name = "account move",
    .args = "ADDRESS --to-shard SHARD [--no-wait] | --status",
    .help = "move an account to another shard while its devices work, and wait for it; or list what is moving",
    .run = run,
};
