/* Changes to announce, kept until the transaction they belong to is durable. The volume's thread only. */
#ifndef STORAGE_APPLY_COMMON_EVENT_LOG_H
#define STORAGE_APPLY_COMMON_EVENT_LOG_H

#include "storage/apply/entry.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Beyond this many unread events the oldest go: a replica that does not lead has no reader. */
#define EVENT_LOG_MAX 65536

struct event_log {
    struct storage_event *events;
    size_t n;
    size_t cap;
    size_t committed; /* the first ones are durable */
    size_t taken;     /* the first ones were given out: dropped by the next push */
};

void event_log_init(struct event_log *l);
void event_log_fini(struct event_log *l);
/* Only memory can fail. A further event of the same account and mailbox in the open transaction replaces the one before
 * it. */
MUST_CHECK enum err event_log_push(struct event_log *l, const struct storage_event *ev);
void event_log_commit(struct event_log *l);
void event_log_abort(struct event_log *l);
/* Those committed since the last call. */
const struct storage_event *event_log_take(struct event_log *l, size_t *out_n);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_APPLY_COMMON_EVENT_LOG_H */
