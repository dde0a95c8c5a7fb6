/* The cluster's level (proto/rpc/level.h), on the courier's thread once a second: the directory's leader raises it when
 * every member says that its program knows the next one. A node that sees it raised notes it in node.id, so that an
 * older program refuses the data directory. */
#include "proto/base/log.h"
#include "proto/rpc/level.h"
#include "storage/node/leaders.h"
#include "storage/node/node_internal.h"
#include "storage/node/node_table.h"
#include "storage/node/own_wait.h"

static const struct shard_id directory = {0};

uint8_t level_known(const struct node *n)
{
    return n->level_max != 0 && n->level_max < LEVEL_NOW ? n->level_max : LEVEL_NOW;
}

bool level_is_due(const struct node *n)
{
    uint64_t term;
    return node_table_level(n) < level_known(n) && volume_leads(n->volume, directory, &term);
}

/* What all members know. A row that nobody has claimed does not count: its claim says what its program knows. */
static uint8_t common(const struct node *n)
{
    struct node_table_row rows[DIR_NODES_ROWS_MAX];
    size_t n_rows = node_table_list(n, rows, DIR_NODES_ROWS_MAX);
    uint8_t level = level_known(n);
    for (size_t i = 0; i < n_rows; i++) {
        if (rows[i].removed || !rows[i].claimed || rows[i].id.v == n->identity.node.v) {
            continue;
        }
        uint8_t theirs = leaders_level(n->leaders, rows[i].id);
        level = theirs < level ? theirs : level;
    }
    return level;
}

static void raise(struct node *n, uint8_t level)
{
    uint8_t packed[16];
    Pb__OpClusterSet set = PB__OP_CLUSTER_SET__INIT;
    set.level = level;
    struct proposal_spec spec = {.shard = directory,
                                 .method = METHOD_CLUSTER_SET,
                                 .op = slice_make(packed, pb__op_cluster_set__pack(&set, packed)),
                                 .raises_level = true};
    enum err e = own_propose_wait(n, &spec, NULL);
    if (e == OK) {
        log_info("cluster.level", "every node knows what is new in this version; it is used from now on",
                 LOG_U64("cluster_level", level));
    } /* else the next second tries again */
}

static void note(struct node *n)
{
    struct buf why;
    uint8_t level = node_table_level(n);
    if (level <= n->identity.level || !n->made) {
        return;
    }
    buf_init(&why, 1024);
    enum err e = node_dir_level(n->data_dir, level, &n->identity, &why);
    if (e != OK) {
        log_warn("cluster.level", "the cluster's level could not be noted in node.id; it will be tried again",
                 LOG_SLICE("why", buf_slice(&why)), LOG_ERR(e));
    }
    buf_fini(&why);
}

void level_tick(struct node *n)
{
    uint8_t level;
    if (level_is_due(n) && (level = common(n)) > node_table_level(n)) {
        raise(n, level);
    }
    note(n);
}
