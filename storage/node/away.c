/* Nodes that are dead for longer than cluster.replace_after, as the directory's leader sees them: it marks them in the
 * node table, and placement gives what they held to others. A leader that has just come to lead counts anew. */
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "storage/node/node_table.h"
#include "storage/node/peers.h"

#define BACK_MS 10000 /* a node that comes and goes is still away */

static const struct shard_id directory = {0};

struct seen {
    struct node_id id;
    bool up;
    uint64_t since_ms;
};

struct away {
    uint64_t after_ms;
    size_t n;
    struct seen seen[DIR_NODES_ROWS_MAX];
};

enum err away_new(uint64_t replace_after_ms, struct away **out)
{
    *out = mem_zalloc(sizeof(**out));
    if (*out == NULL) {
        return ERR_NOMEM;
    }
    (*out)->after_ms = replace_after_ms;
    return OK;
}

/* What is known of a node, brought up to date. */
static const struct seen *look(struct away *a, struct node_id id, bool up, uint64_t now_ms)
{
    size_t i = 0;
    while (i < a->n && a->seen[i].id.v != id.v) {
        i++;
    }
    if (i == DIR_NODES_ROWS_MAX) { /* full of nodes that were removed: all count anew */
        i = a->n = 0;
    }
    struct seen *s = &a->seen[i];
    if (i == a->n || s->up != up) {
        a->n += i == a->n;
        *s = (struct seen){id, up, now_ms};
    }
    return s;
}

static void mark(struct node *n, struct node_id id, bool away)
{
    Pb__OpNodeSet set = PB__OP_NODE_SET__INIT;
    set.node = id.v;
    set.away = away ? PB__NODE_MARK__MARK_ON : PB__NODE_MARK__MARK_OFF;
    enum err e = upkeep_node_set(n, &set);
    if (e == OK) {
        log_warn(away ? "node.away" : "node.back",
                 away ? "a node is dead for so long that others take over what it holds, where there is room"
                      : "a node is there again",
                 LOG_U64("node", id.v));
    } /* else the next second tries again */
}

void away_tick(struct node *n)
{
    struct away *a = n->away;
    struct node_table_row rows[DIR_NODES_ROWS_MAX];
    uint64_t now = clock_mono_ms(n->clock);
    uint64_t term;
    if (a->after_ms == 0 || !volume_leads(n->volume, directory, &term)) {
        a->n = 0;
        return;
    }
    size_t n_rows = node_table_list(n, rows, DIR_NODES_ROWS_MAX);
    for (size_t i = 0; i < n_rows; i++) {
        bool self = rows[i].id.v == n->identity.node.v;
        if (rows[i].removed || !rows[i].claimed) {
            continue;
        }
        const struct seen *s = look(a, rows[i].id, self || peers_is_up(n->peers, rows[i].id), now);
        if (s->up == rows[i].away && now - s->since_ms >= (s->up ? BACK_MS : a->after_ms)) {
            mark(n, rows[i].id, !s->up);
        }
    }
}
