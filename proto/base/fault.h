/* Named places where a test lets the process die or an operation fail: the crash tests stop at exactly these moments.
 *
 * Armed by PILLARBOX_FAULT="name:n[:action]", read once by fault_arm: at the n-th passage of that place (1 = the first)
 * `kill` (the default) raises SIGKILL on the process, as kill -9 from outside would, and `error` makes fault_hit return
 * ERR_FULL, once. Compiled into every build, since the crash rounds must kill the binary that ships: a place that is
 * not armed costs one relaxed load of a word that never changes, and a branch that is never taken.
 *
 * Any thread. fault_arm belongs before the first thread. */
#ifndef PROTO_BASE_FAULT_H
#define PROTO_BASE_FAULT_H

#include <stdbool.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, name in PILLARBOX_FAULT, may fail: whether the action `error` is possible there) */
#define FAULT_LIST(X)                                                                                                  \
    X(START_BEFORE, "start.before", false) /* the commit that raises the terms at start */                             \
    X(START_AFTER, "start.after", false)                                                                               \
    X(LOG_BEFORE, "log.before", true) /* an entry's log row and body, in the open transaction */                       \
    X(LOG_AFTER, "log.after", true)                                                                                    \
    X(APPLY_AFTER, "apply.after", true)     /* the entry's changes are in the transaction too */                       \
    X(STAGE_AFTER, "stage.after", true)     /* a chunk of a large body */                                              \
    X(UPKEEP_AFTER, "upkeep.after", true)   /* the log trimmed, dead bodies deleted, in the transaction */             \
    X(COMMIT_BEFORE, "commit.before", true) /* the synced commit of a turn */                                          \
    X(WAL_AFTER, "wal.after", false)        /* the turn is flushed in the write-ahead log, its pages not committed */  \
    X(PUBLISH_BEFORE, "publish.before", false) /* durable turns that LMDB is about to commit, for readers */           \
    X(COMMIT_AFTER, "commit.after", false)                                                                             \
    X(CHECKPOINT_BEFORE, "checkpoint.before", false) /* a state is held, not flushed */                                \
    X(CHECKPOINT_AFTER, "checkpoint.after", false)   /* it is, the older one not given up */                           \
    X(REPLY_BEFORE, "reply.before", false)           /* a proposal's answer to whoever asked storage */                \
    X(REPLY_AFTER, "reply.after", false)                                                                               \
    X(HANDOFF_BEFORE, "handoff.before", false) /* mail for another shard, before it is delivered there, */             \
    X(HANDOFF_AFTER, "handoff.after", false)   /* delivered, its row not yet removed */                                \
    X(ANSWER_BEFORE, "answer.before", false)   /* the frontend knows the result, its client does not */

enum fault_point {
#define FAULT_ENUM(name, text, may_fail) FAULT_##name,
    FAULT_LIST(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_NONE,
};

extern enum fault_point fault_armed; /* read through fault_hit and fault_pass only */

/* ERR_INVAL: spec (NULL: nothing is armed) is malformed, names an unknown place or an action that is impossible there;
 * then nothing is armed. */
MUST_CHECK enum err fault_arm(const char *spec);
/* What an armed place does. */
MUST_CHECK enum err fault_reached(void);

/* A place where an operation may fail. */
MUST_CHECK static inline enum err fault_hit(enum fault_point p)
{
    return __builtin_expect(__atomic_load_n(&fault_armed, __ATOMIC_RELAXED) == p, 0) ? fault_reached() : OK;
}

/* A place behind which there is no way back: only death is possible. */
static inline void fault_pass(enum fault_point p)
{
    enum err e = fault_hit(p);
    (void)e; /* OK: fault_arm takes no `error` for these */
}

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_FAULT_H */
