/* How much of the log is kept: by entries, bytes and age, longer for whoever can still catch up with it. */
#include <string.h>

#include "replication/copy.h"
#include "replication/group_run.h"

#define HELD_TIMES 4     /* as long as that, for followers */
#define AGE_STEPS 24     /* an entry goes within a 24th of the age after its time */
#define SILENCE_MS 10000 /* one that has not answered for so long is not waited for */

static uint64_t entries_max(const struct group *g)
{
    return group_is_alone(g) ? g->limits.sole_entries_max : g->limits.log_entries_max;
}

static uint64_t bytes_max(const struct group *g)
{
    return group_is_alone(g) ? g->limits.sole_bytes_max : g->limits.log_bytes_max;
}

static uint64_t entries_of(const struct group *g)
{
    return g->next.log_last - g->next.log_first + 1;
}

/* The first entry that somebody waits for. UINT64_MAX: nobody does. */
static uint64_t wanted_from(struct group *g, uint64_t now_ms)
{
    if (group_is_alone(g)) {
        return UINT64_MAX;
    }
    uint64_t copy = copy_out_wants(g, g->next.log_first);
    uint64_t follower = raft_driver_wanted(g->raft, now_ms > SILENCE_MS ? now_ms - SILENCE_MS : 0, g->next.log_first);
    return copy < follower ? copy : follower;
}

/* The last entry that is too much when `times` the limits are allowed; 0: none. */
static uint64_t too_much(const struct group *g, uint64_t times)
{
    if (entries_of(g) / times > entries_max(g)) {
        return g->next.log_last - times * entries_max(g);
    }
    if (g->next.log_bytes / times > bytes_max(g)) {
        return g->next.log_first; /* entry by entry: the sizes are in the rows */
    }
    return 0;
}

/* The rows do not say when an entry came. Those that were there at the start count from then on. */
static void look_at_age(struct group *g, uint64_t now_ms)
{
    uint64_t age = g->limits.log_age_ms;
    if (age == 0 || group_is_alone(g)) {
        g->n_marks = 0;
        g->aged = 0;
        return;
    }
    while (g->n_marks > 0 && now_ms >= g->marks[0].ms + age) {
        g->aged = g->marks[0].index;
        g->n_marks--;
        memmove(g->marks, g->marks + 1, g->n_marks * sizeof(g->marks[0]));
    }
    const struct group_mark *last = g->n_marks > 0 ? &g->marks[g->n_marks - 1] : NULL;
    bool wanted = last == NULL ? g->meta.log_last > g->aged
                               : g->meta.log_last > last->index && now_ms >= last->ms + age / AGE_STEPS;
    if (wanted && g->n_marks < GROUP_MARKS) {
        g->marks[g->n_marks++] = (struct group_mark){g->meta.log_last, now_ms};
    }
}

/* The last entry that goes. The log's last stays, and what is not applied; a change of the configuration that this
 * transaction applies stays until raft has heard of it. */
static uint64_t trim_target(const struct group *g, uint64_t wanted)
{
    uint64_t applied = g->change_index != 0 ? g->meta.applied : g->next.applied;
    uint64_t most = applied < g->next.log_last ? applied : g->next.log_last - 1;
    uint64_t target = too_much(g, 1);
    target = g->aged > target ? g->aged : target;
    if (target >= wanted) {
        uint64_t at_last = too_much(g, HELD_TIMES);
        target = at_last < wanted ? wanted - 1 : at_last;
    }
    return target < most ? target : most;
}

void group_check_trim(struct group *g, uint64_t now_ms)
{
    look_at_age(g, now_ms);
    uint64_t entries = entries_of(g);
    uint64_t max = entries_max(g);
    bool idle = g->meta.applied <= g->meta.log_first; /* nothing that could go */
    bool due = !idle && (entries > max + max / 4 || (g->meta.log_bytes > bytes_max(g) && entries > 1) ||
                         (g->trim_due && entries > max) || g->aged >= g->meta.log_first);
    g->trim_due = due && trim_target(g, wanted_from(g, now_ms)) >= g->meta.log_first;
}

enum err group_trim(struct group *g, struct kv_txn *t, uint64_t now_ms, size_t *rows_left, bool *out_changed)
{
    uint64_t wanted = wanted_from(g, now_ms);
    size_t rows = 0;
    while (*rows_left > 0) {
        uint64_t target = trim_target(g, wanted);
        if (target < g->next.log_first) {
            break;
        }
        enum err e = log_trim(t, g->replica, &g->next, target, *rows_left, &rows);
        if (e != OK) {
            return e;
        }
        *rows_left -= rows < *rows_left ? rows : *rows_left;
        *out_changed = true;
    }
    return OK;
}
