/* A multi-producer, single-consumer queue of intrusive nodes: the one way work crosses threads. Producers push from any
 * thread and learn whether the queue was empty (then they must wake the consumer: eventfd, condition variable); the
 * consumer takes everything at once, in push order per producer. Unbounded by itself: the callers bound what is in
 * flight. */
#ifndef PROTO_BASE_QUEUE_H
#define PROTO_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct queue_node {
    struct queue_node *next;
};

struct queue {
    struct queue_node *top; /* atomic; newest first */
};

static inline void queue_init(struct queue *q)
{
    q->top = NULL;
}

/* True when the queue was empty before: wake the consumer. */
static inline bool queue_push(struct queue *q, struct queue_node *n)
{
    struct queue_node *top = __atomic_load_n(&q->top, __ATOMIC_RELAXED);
    do {
        n->next = top;
    } while (!__atomic_compare_exchange_n(&q->top, &top, n, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    return top == NULL;
}

/* All nodes, oldest first, linked by next; NULL when empty. */
static inline struct queue_node *queue_take(struct queue *q)
{
    struct queue_node *n = __atomic_exchange_n(&q->top, NULL, __ATOMIC_ACQUIRE);
    struct queue_node *out = NULL;
    while (n != NULL) {
        struct queue_node *next = n->next;
        n->next = out;
        out = n;
        n = next;
    }
    return out;
}

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_QUEUE_H */
