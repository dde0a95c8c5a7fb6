#include "frontend/smtp/smtp_envelope.h"

#include <string.h>

#include "frontend/smtp/smtp_reply.h"

/* Arrays of the arena grow by doubling; the old ones stay until the transaction ends. */
static enum err grow(struct arena *a, void **io_array, uint32_t *io_cap, uint32_t need, size_t item)
{
    if (need <= *io_cap) {
        return OK;
    }
    uint32_t cap = *io_cap == 0 ? 8 : 2 * *io_cap;
    while (cap < need) {
        cap *= 2;
    }
    void *p = arena_calloc(a, cap, item);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    if (*io_cap > 0) {
        memcpy(p, *io_array, *io_cap * item);
    }
    *io_array = p;
    *io_cap = cap;
    return OK;
}

/* Within one home: LMTP recipients at different homes are committed apart, so each keeps its own. */
static bool find_target(const struct smtp_envelope *e, uint32_t home, struct account_id account, const char *mailbox,
                        uint32_t *out)
{
    for (uint32_t i = 0; i < e->n_targets; i++) {
        const struct smtp_target *t = &e->targets[i];
        if (t->home == home && t->account.v == account.v && strcmp(t->mailbox, mailbox) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static enum err find_home(struct smtp_envelope *e, struct shard_id shard, struct account_id account, uint32_t *out)
{
    for (uint32_t i = 0; i < e->n_homes; i++) {
        if (!e->per_rcpt || e->homes[i].shard.v == shard.v) {
            *out = i;
            return OK;
        }
    }
    if (e->n_homes == SMTP_HOMES_MAX) {
        return ERR_LIMIT;
    }
    enum err err = grow(e->arena, (void **)&e->homes, &e->cap_homes, e->n_homes + 1, sizeof(*e->homes));
    if (err != OK) {
        return err;
    }
    e->homes[e->n_homes].shard = shard;
    e->homes[e->n_homes].account = account;
    *out = e->n_homes++;
    return OK;
}

/* Room for one more of `shard` at a home. *out_opens: it would be the first of its shard. */
static bool has_room(const struct smtp_envelope *e, uint32_t home, struct shard_id shard, bool *out_opens)
{
    uint32_t in_shard = 0;
    uint32_t rows = 0; /* recipients of the home's shard, and one handoff a shard */
    for (uint32_t i = 0; i < e->n_targets; i++) {
        const struct smtp_target *t = &e->targets[i];
        if (t->home == home) {
            in_shard += t->shard.v == shard.v ? 1 : 0;
            rows += t->opens || t->shard.v == e->homes[home].shard.v ? 1 : 0;
        }
    }
    *out_opens = in_shard == 0;
    return in_shard < SMTP_HOME_TARGETS_MAX && rows < SMTP_HOME_TARGETS_MAX;
}

static enum err add_target(struct smtp_envelope *e, const Pb__ResolvedTarget *t, const char *address,
                           bool detail_folders, uint32_t home, uint32_t *out)
{
    struct account_id account = {t->account};
    const char *mailbox = detail_folders && t->detail != NULL ? t->detail : "";
    if (find_target(e, home, account, mailbox, out)) {
        return OK;
    }
    uint32_t bytes = (uint32_t)(strlen(mailbox) + strlen(address)) + 32;
    bool opens = false;
    struct shard_id shard = {t->shard};
    if (e->n_targets >= e->targets_max || e->bytes + bytes > SMTP_TARGET_BYTES_MAX ||
        !has_room(e, home, shard, &opens)) {
        return ERR_LIMIT;
    }
    enum err err = grow(e->arena, (void **)&e->targets, &e->cap_targets, e->n_targets + 1, sizeof(*e->targets));
    if (err != OK) {
        return err;
    }
    struct smtp_target *n = &e->targets[e->n_targets];
    n->account = account;
    n->shard = shard;
    n->home = home;
    n->opens = opens;
    n->mailbox = arena_strdup(e->arena, mailbox);
    n->address = arena_strdup(e->arena, address);
    if (n->mailbox == NULL || n->address == NULL) {
        return ERR_NOMEM;
    }
    n->status = OK;
    e->bytes += bytes;
    *out = e->n_targets++;
    return OK;
}

static enum err add_rcpt(struct smtp_envelope *e, const char *address, const Pb__ReadResolveResult *to,
                         bool detail_folders)
{
    enum err err = grow(e->arena, (void **)&e->rcpts, &e->cap_rcpts, e->n_rcpts + 1, sizeof(*e->rcpts));
    if (err != OK) {
        return err;
    }
    struct smtp_rcpt *r = &e->rcpts[e->n_rcpts];
    r->n = (uint32_t)to->n_targets;
    r->targets = arena_calloc(e->arena, to->n_targets, sizeof(*r->targets));
    r->address = arena_strdup(e->arena, address);
    uint32_t home = 0;
    struct shard_id shard = {to->targets[0]->shard};
    struct account_id account = {to->targets[0]->account};
    if (r->targets == NULL || r->address == NULL) {
        return ERR_NOMEM;
    }
    err = find_home(e, shard, account, &home);
    for (size_t i = 0; i < to->n_targets && err == OK; i++) {
        err = add_target(e, to->targets[i], address, detail_folders, home, &r->targets[i]);
    }
    if (err == OK) {
        e->n_rcpts++;
    }
    return err;
}

enum err smtp_envelope_add(struct smtp_envelope *e, const char *address, const Pb__ReadResolveResult *to,
                           bool detail_folders)
{
    uint32_t n_targets = e->n_targets;
    uint32_t n_homes = e->n_homes;
    uint32_t bytes = e->bytes;
    if (to->n_targets == 0) {
        return ERR_NOTFOUND;
    }
    if (e->n_rcpts >= e->targets_max) {
        return ERR_LIMIT;
    }
    enum err err = add_rcpt(e, address, to, detail_folders);
    if (err != OK) {
        e->n_targets = n_targets;
        e->n_homes = n_homes;
        e->bytes = bytes;
    }
    return err;
}

static bool is_direct(const struct smtp_envelope *e, const struct smtp_target *t)
{
    return t->shard.v == e->homes[t->home].shard.v;
}

static Pb__Recipient *recipient_new(const struct smtp_target *t, struct arena *arena)
{
    Pb__Recipient *r = arena_alloc(arena, sizeof(*r));
    if (r != NULL) {
        pb__recipient__init(r);
        r->account = t->account.v;
        r->mailbox = t->mailbox;
        r->address = t->address;
    }
    return r;
}

/* The handoff row of a shard; made with room for all targets. */
static Pb__Handoff *handoff_of(Pb__OpDeliver *op, struct shard_id shard, uint32_t room, struct arena *arena)
{
    for (size_t i = 0; i < op->n_handoffs; i++) {
        if (op->handoffs[i]->shard == shard.v) {
            return op->handoffs[i];
        }
    }
    Pb__Handoff *h = arena_alloc(arena, sizeof(*h));
    if (h == NULL) {
        return NULL;
    }
    pb__handoff__init(h);
    h->shard = shard.v;
    h->recipients = arena_calloc(arena, room, sizeof(Pb__Recipient *));
    if (h->recipients == NULL) {
        return NULL;
    }
    op->handoffs[op->n_handoffs++] = h;
    return h;
}

static uint32_t count_shard(const struct smtp_envelope *e, uint32_t home, struct shard_id shard)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_targets; i++) {
        n += e->targets[i].home == home && e->targets[i].shard.v == shard.v ? 1 : 0;
    }
    return n;
}

static enum err fill_target(const struct smtp_envelope *e, const struct smtp_target *t, struct arena *arena,
                            Pb__OpDeliver *op)
{
    Pb__Recipient *r = recipient_new(t, arena);
    if (r == NULL) {
        return ERR_NOMEM;
    }
    if (is_direct(e, t)) {
        op->recipients[op->n_recipients++] = r;
        return OK;
    }
    Pb__Handoff *h = handoff_of(op, t->shard, count_shard(e, t->home, t->shard), arena);
    if (h == NULL) {
        return ERR_NOMEM;
    }
    h->recipients[h->n_recipients++] = r;
    return OK;
}

enum err smtp_envelope_fill(const struct smtp_envelope *e, uint32_t home, struct arena *arena, Pb__OpDeliver *out)
{
    out->recipients = arena_calloc(arena, e->n_targets, sizeof(Pb__Recipient *));
    out->handoffs = arena_calloc(arena, e->n_targets, sizeof(Pb__Handoff *));
    out->reverse_path = e->reverse_path;
    if (out->recipients == NULL || out->handoffs == NULL) {
        return ERR_NOMEM;
    }
    enum err err = OK;
    for (uint32_t i = 0; i < e->n_targets && err == OK; i++) {
        if (e->targets[i].home == home) {
            err = fill_target(e, &e->targets[i], arena, out);
        }
    }
    return err;
}

void smtp_envelope_settle(struct smtp_envelope *e, uint32_t home, enum err status, const Pb__OpDeliverResult *result)
{
    size_t row = 0;
    for (uint32_t i = 0; i < e->n_targets; i++) {
        struct smtp_target *t = &e->targets[i];
        if (t->home != home) {
            continue;
        }
        t->status = status;
        if (is_direct(e, t)) {
            if (result != NULL && row < result->n_recipients) {
                t->status = err_from_wire(result->recipients[row]->err);
            }
            row++;
        }
    }
}

static enum err worse(enum err a, enum err b)
{
    struct smtp_status sa = smtp_status_of(a, false);
    if (a == OK || b == OK) {
        return a == OK ? b : a;
    }
    return smtp_status_temporary(&sa) ? a : b;
}

enum err smtp_envelope_rcpt_status(const struct smtp_envelope *e, const struct smtp_rcpt *r)
{
    enum err worst = OK;
    for (uint32_t i = 0; i < r->n; i++) {
        worst = worse(worst, e->targets[r->targets[i]].status);
    }
    return worst;
}

enum err smtp_envelope_status(const struct smtp_envelope *e)
{
    enum err worst = OK;
    for (uint32_t i = 0; i < e->n_rcpts; i++) {
        worst = worse(worst, smtp_envelope_rcpt_status(e, &e->rcpts[i]));
    }
    return worst;
}
