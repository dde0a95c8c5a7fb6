/* Rounds: who is asked what, and who has answered. */
#include "proto/base/mem.h"
#include "replication/reads_run.h"

#define NOT_THERE SIZE_MAX

static size_t place_of(const struct volume_read *at, struct node_id node)
{
    for (size_t i = 0; i < at->n_voters; i++) {
        if (at->voters[i].v == node.v) {
            return i;
        }
    }
    return NOT_THERE;
}

/* --- how a round ends --- */

void reads_round_free(struct repl_reads *r, struct reads_round *round)
{
    const struct reads_round none = {0};
    r->last = r->last == round ? NULL : r->last;
    mem_free(round->votes);
    *round = none;
}

static void close_vote(struct reads_round *round, struct reads_vote *v)
{
    v->open = false;
    round->n_open--;
}

static void end_when_closed(struct repl_reads *r, struct reads_round *round)
{
    if (round->number != 0 && round->n_open == 0) {
        reads_round_free(r, round);
    }
}

void reads_round_sweep(struct repl_reads *r)
{
    for (size_t i = 0; i < ROUNDS_MAX; i++) {
        struct reads_round *round = &r->rounds[i];
        for (size_t k = 0; k < round->n_votes; k++) {
            if (round->votes[k].open && list_empty(&round->votes[k].reads)) {
                close_vote(round, &round->votes[k]);
            }
        }
        end_when_closed(r, round);
    }
}

static void refuse(struct repl_reads *r, struct reads_round *round, struct reads_vote *v, struct reads_out *out)
{
    while (!list_empty(&v->reads)) {
        reads_finish(r, LIST_ENTRY(v->reads.next, struct repl_read, node), ERR_NOT_LEADER, out);
    }
    close_vote(round, v);
}

static void count(struct repl_reads *r, struct reads_round *round, struct reads_vote *v, size_t place,
                  struct reads_out *out)
{
    v->answered = (uint16_t)(v->answered | 1u << place);
    if ((size_t)__builtin_popcount(v->answered) <= v->at.n_voters / 2) {
        return;
    }
    for (struct list *it = list_pop_front(&v->reads); it != NULL; it = list_pop_front(&v->reads)) {
        reads_confirmed(r, LIST_ENTRY(it, struct repl_read, node), out);
    }
    close_vote(round, v);
}

/* --- asking --- */

static size_t rows_of(const struct reads_round *round, struct node_id peer)
{
    size_t n = 0;
    for (size_t i = 0; i < round->n_votes; i++) {
        n += place_of(&round->votes[i].at, peer) != NOT_THERE;
    }
    return n;
}

/* The same rows each time, in the order of the votes. */
static void ask(struct repl_reads *r, const struct reads_round *round, struct node_id peer, struct reads_out *out)
{
    struct reads_frame f = {
        .kind = READS_FRAME_PING, .n = (uint16_t)rows_of(round, peer), .life = r->cfg.life, .round = round->number};
    struct reads_letter *l = mem_alloc(sizeof(*l) + reads_frame_bytes(f.n));
    size_t row = 0;
    if (l == NULL) {
        return; /* asked again later */
    }
    l->to = peer;
    l->n = reads_frame_bytes(f.n);
    reads_frame_put_head(l->bytes, &f);
    for (size_t i = 0; i < round->n_votes; i++) {
        const struct reads_vote *v = &round->votes[i];
        if (place_of(&v->at, peer) != NOT_THERE) {
            reads_frame_put_row(l->bytes, row++, (struct reads_frame_row){.shard = v->shard, .term = v->at.term});
        }
    }
    list_push_back(&out->letters, &l->node);
}

static bool owes_answer(const struct reads_round *round, struct node_id peer)
{
    for (size_t i = 0; i < round->n_votes; i++) {
        const struct reads_vote *v = &round->votes[i];
        size_t place = place_of(&v->at, peer);
        if (v->open && place != NOT_THERE && (v->answered >> place & 1) == 0) {
            return true;
        }
    }
    return false;
}

/* Who does not lead any more need not ask. */
static void refuse_lost(struct repl_reads *r, struct reads_round *round, struct reads_out *out)
{
    for (size_t i = 0; i < round->n_votes; i++) {
        struct reads_vote *v = &round->votes[i];
        uint64_t term = 0;
        if (v->open && (!volume_leads(r->cfg.volume, v->shard, &term) || term != v->at.term)) {
            refuse(r, round, v, out);
        }
    }
    end_when_closed(r, round);
}

void reads_round_again(struct repl_reads *r, uint64_t now_ms, struct reads_out *out)
{
    for (size_t i = 0; i < ROUNDS_MAX; i++) {
        struct reads_round *round = &r->rounds[i];
        if (round->number == 0 || now_ms < round->again_ms) {
            continue;
        }
        refuse_lost(r, round, out);
        for (size_t k = 0; k < round->n_peers; k++) {
            if (owes_answer(round, round->peers[k])) {
                ask(r, round, round->peers[k], out);
            }
        }
        round->again_ms = now_ms + ROUND_AGAIN_MS;
    }
}

/* --- how a round begins --- */

/* Its reads wait again: answers to it are not counted any more. */
static void fold(struct repl_reads *r, struct reads_round *round)
{
    for (size_t i = 0; i < round->n_votes; i++) {
        struct list *reads = &round->votes[i].reads;
        for (struct list *it = list_pop_front(reads); it != NULL; it = list_pop_front(reads)) {
            reads_wait(r, LIST_ENTRY(it, struct repl_read, node));
        }
    }
    reads_round_free(r, round);
}

static struct reads_round *free_round(struct repl_reads *r, uint64_t now_ms)
{
    struct reads_round *oldest = &r->rounds[0];
    for (size_t i = 0; i < ROUNDS_MAX; i++) {
        struct reads_round *round = &r->rounds[i];
        if (round->number == 0) {
            return round;
        }
        oldest = round->number < oldest->number ? round : oldest;
    }
    if (now_ms - oldest->sent_ms < ROUND_FOLD_MS) {
        return NULL;
    }
    fold(r, oldest);
    return oldest;
}

/* Adds those that the round does not ask yet, or nobody when they do not all fit. */
static bool add_peers(struct reads_round *round, const struct volume_read *at, struct node_id self)
{
    size_t n = round->n_peers;
    for (size_t i = 0; i < at->n_voters; i++) {
        bool known = at->voters[i].v == self.v;
        for (size_t k = 0; k < round->n_peers && !known; k++) {
            known = round->peers[k].v == at->voters[i].v;
        }
        if (!known && n == ROUND_PEERS_MAX) {
            return false;
        }
        if (!known) {
            round->peers[n++] = at->voters[i];
        }
    }
    round->n_peers = n;
    return true;
}

/* Finds votes while a round is filled; slot: number of a vote + 1, 0 = none. */
struct index {
    uint16_t *slots;
    size_t mask;
};

static uint16_t *slot_of(const struct index *x, const struct reads_round *round, const struct repl_read *read)
{
    uint64_t h = (read->shard.v + read->at.term * 31 + read->at.configuration * 17) * 0x9e3779b97f4a7c15u;
    for (size_t i = (size_t)(h >> 32);; i++) {
        uint16_t *slot = &x->slots[i & x->mask];
        const struct reads_vote *v = *slot == 0 ? NULL : &round->votes[*slot - 1];
        if (v == NULL || (v->shard.v == read->shard.v && v->at.term == read->at.term &&
                          v->at.configuration == read->at.configuration)) {
            return slot;
        }
    }
}

static void fill(struct repl_reads *r, struct reads_round *round, const struct index *x, size_t votes_max)
{
    LIST_FOREACH_SAFE (it, &r->waiting) {
        struct repl_read *read = LIST_ENTRY(it, struct repl_read, node);
        uint16_t *slot = slot_of(x, round, read);
        if (*slot == 0) {
            if (round->n_votes == votes_max || !add_peers(round, &read->at, r->cfg.self)) {
                continue; /* the next one */
            }
            struct reads_vote *fresh = &round->votes[round->n_votes++];
            fresh->shard = read->shard;
            fresh->open = true;
            fresh->at = read->at;
            list_init(&fresh->reads);
            *slot = (uint16_t)round->n_votes;
        }
        list_remove(&read->node);
        list_push_back(&round->votes[*slot - 1].reads, &read->node);
        r->n_waiting--;
    }
    round->n_open = round->n_votes;
}

/* False: no memory, what waits waits on. */
static bool open_round(struct repl_reads *r, struct reads_round *round)
{
    size_t n = r->n_waiting < READS_FRAME_ROWS_MAX ? r->n_waiting : READS_FRAME_ROWS_MAX;
    struct index x = {.mask = 1};
    while (x.mask < 2 * n) {
        x.mask *= 2;
    }
    x.slots = mem_calloc(x.mask, sizeof(*x.slots));
    round->votes = mem_calloc(n, sizeof(*round->votes));
    if (x.slots == NULL || round->votes == NULL) {
        mem_free(x.slots);
        mem_free(round->votes);
        round->votes = NULL;
        return false;
    }
    x.mask--;
    fill(r, round, &x, n);
    mem_free(x.slots);
    return true;
}

void reads_round_start(struct repl_reads *r, uint64_t now_ms, struct reads_out *out)
{
    if (list_empty(&r->waiting) || (r->last != NULL && now_ms - r->last->sent_ms < ROUND_NEXT_MS)) {
        return;
    }
    struct reads_round *round = free_round(r, now_ms);
    if (round == NULL || !open_round(r, round)) {
        return;
    }
    round->number = ++r->last_number;
    round->sent_ms = now_ms;
    round->again_ms = now_ms + ROUND_AGAIN_MS;
    r->last = round;
    for (size_t i = 0; i < round->n_peers; i++) {
        ask(r, round, round->peers[i], out);
    }
    for (size_t i = 0; i < round->n_votes; i++) {
        size_t self = place_of(&round->votes[i].at, r->cfg.self);
        if (self != NOT_THERE) {
            count(r, round, &round->votes[i], self, out);
        }
    }
    end_when_closed(r, round);
}

/* --- answers --- */

void reads_round_pong(struct repl_reads *r, struct node_id from, const struct reads_frame *f, struct reads_out *out)
{
    struct reads_round *round = NULL;
    size_t row = 0;
    for (size_t i = 0; i < ROUNDS_MAX; i++) {
        round = f->round != 0 && r->rounds[i].number == f->round ? &r->rounds[i] : round;
    }
    if (round == NULL || from.v == r->cfg.self.v || rows_of(round, from) != f->n) {
        return;
    }
    for (size_t i = 0; i < round->n_votes; i++) {
        struct reads_vote *v = &round->votes[i];
        size_t place = place_of(&v->at, from);
        if (place == NOT_THERE) {
            continue;
        }
        struct reads_frame_row answer = reads_frame_row(f, row++);
        if (!v->open || answer.term == 0 || answer.shard.v != v->shard.v) {
            continue;
        }
        if (answer.term > v->at.term) {
            refuse(r, round, v, out);
        } else {
            count(r, round, v, place, out);
        }
    }
    end_when_closed(r, round);
}
