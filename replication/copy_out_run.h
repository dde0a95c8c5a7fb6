/* Inside the source of a copy (copy.h), shared by copy_out.c, whose turn it is, and copy_rows.c, what is sent. */
#ifndef REPLICATION_COPY_OUT_RUN_H
#define REPLICATION_COPY_OUT_RUN_H

#include "proto/base/hmap.h"
#include "replication/volume_run.h"

#define COPY_BATCHES_OPEN 8 /* sent and not known to be durable */

/* A key that was written behind the cursor. */
struct dirty {
    struct hmap_node node;
    struct list list; /* in copy.dirty_list, or in a batch's */
    uint16_t n;
    uint8_t key[];
};

struct key_bytes {
    uint16_t n;
    uint8_t b[KV_KEY_BYTES_MAX];
};

/* A batch that may have to be sent again. */
struct batch {
    bool walk; /* rows from `from` on; else the keys */
    struct key_bytes from;
    struct list keys;
};

struct copy_out {
    struct list list; /* in group.copies */
    struct list turn; /* in copy_turns.ready or .waiting; else alone */
    struct copy_turns *turns;
    struct group *group;
    struct node_id to;        /* a server's node; 0: a backup's, which pulls by struct volume_pull */
    struct list backup;       /* in copy_turns.backups; else alone */
    struct volume_pull *pull; /* a backup's that waits for its batch; NULL = none */
    uint64_t id;
    uint16_t attempt;
    uint64_t done;
    uint64_t next; /* sequence of the next batch */
    uint64_t upto; /* batches that the receiver takes */
    bool begun;
    bool sending; /* counted in copy_turns */
    bool walked;
    struct key_bytes cursor; /* everything before it was sent */
    struct batch batches[COPY_BATCHES_OPEN];
    struct hmap dirty;
    struct list dirty_list;
    size_t n_dirty;
    bool overflow;
    uint64_t index; /* that the state will be at; 0 = not known before the last batch */
    uint64_t heard_ms;
    struct buf rows; /* being built */
};

/* Builds batch c->next and moves on to the one after it; false: it has to wait until everything before it has arrived.
 * *m gets sequence and rows, which last until the next call; m->last with what belongs to it. */
bool copy_rows_build(const struct group *g, struct copy_out *c, struct kv_txn *t, struct repl_message *m,
                     enum err *out);
/* Forgets batch c->next - 1: it will be built again, maybe with other rows. */
void copy_rows_undo(struct copy_out *c);
/* Batch `sequence` has arrived. */
void copy_rows_arrived(struct copy_out *c, uint64_t sequence);
void copy_rows_init(struct copy_out *c);
void copy_rows_fini(struct copy_out *c);

#endif /* REPLICATION_COPY_OUT_RUN_H */
