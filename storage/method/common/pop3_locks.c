#include "storage/method/pop3_locks.h"

#include <pthread.h>

#include "proto/base/hmap.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

struct lease {
    struct hmap_node node;
    struct list age; /* by the time of the last renewal */
    uint64_t account;
    struct pop3_leader leader;
    uint64_t until_ms;
    struct u128 token;
};

struct pop3_locks {
    pthread_mutex_t lock;
    struct hmap map;
    struct list by_age; /* oldest first: they all last equally long */
};

enum err pop3_locks_new(struct pop3_locks **out)
{
    struct pop3_locks *p = mem_zalloc(sizeof(*p));
    if (p == NULL) {
        return ERR_NOMEM;
    }
    if (pthread_mutex_init(&p->lock, NULL) != 0) {
        mem_free(p);
        return ERR_NOMEM;
    }
    hmap_init(&p->map);
    list_init(&p->by_age);
    *out = p;
    return OK;
}

static void drop(struct pop3_locks *p, struct lease *l)
{
    hmap_remove(&p->map, &l->node);
    list_remove(&l->age);
    mem_free(l);
}

void pop3_locks_free(struct pop3_locks *p)
{
    if (p == NULL) {
        return;
    }
    LIST_FOREACH_SAFE (it, &p->by_age) {
        drop(p, LIST_ENTRY(it, struct lease, age));
    }
    hmap_fini(&p->map);
    (void)pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

static struct lease *find(const struct pop3_locks *p, struct account_id a)
{
    for (struct hmap_node *n = hmap_first(&p->map, a.v); n != NULL; n = hmap_next(n)) {
        struct lease *l = HMAP_ENTRY(n, struct lease, node);
        if (l->account == a.v) {
            return l;
        }
    }
    return NULL;
}

static void drop_expired(struct pop3_locks *p, uint64_t now_ms)
{
    while (!list_empty(&p->by_age)) {
        struct lease *oldest = LIST_ENTRY(p->by_age.next, struct lease, age);
        if (oldest->until_ms > now_ms) {
            return;
        }
        drop(p, oldest);
    }
}

static bool token_is(const struct lease *l, struct slice token)
{
    return slice_eq(slice_make(l->token.b, sizeof(l->token.b)), token);
}

static enum err lease_new(struct pop3_locks *p, struct account_id a, struct slice token, struct lease **out)
{
    if (p->map.count >= POP3_LOCKS_MAX) {
        return ERR_OVERLOAD;
    }
    struct lease *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    l->account = a.v;
    list_init(&l->age);
    if (token.n == sizeof(l->token.b)) {
        memcpy(l->token.b, token.p, sizeof(l->token.b));
    } else {
        l->token = rng_u128(rng_system());
    }
    enum err e = hmap_insert(&p->map, &l->node, a.v);
    if (e != OK) {
        mem_free(l);
        return e;
    }
    *out = l;
    return OK;
}

static enum err take(struct pop3_locks *p, struct account_id a, struct slice token, struct pop3_leader leader,
                     uint64_t now_ms, struct lease **out)
{
    drop_expired(p, now_ms);
    struct lease *l = find(p, a);
    if (l != NULL && (l->leader.term != leader.term || l->leader.shard.v != leader.shard.v)) {
        drop(p, l); /* given under another leadership */
        l = NULL;
    }
    if (l != NULL && !token_is(l, token)) {
        return ERR_LOCKED;
    }
    if (l == NULL) {
        enum err e = lease_new(p, a, token, &l);
        if (e != OK) {
            return e;
        }
    }
    l->leader = leader;
    l->until_ms = now_ms + POP3_LEASE_MS;
    list_remove(&l->age);
    list_push_back(&p->by_age, &l->age);
    *out = l;
    return OK;
}

enum err pop3_locks_take(struct pop3_locks *p, struct account_id a, struct slice token, struct pop3_leader leader,
                         uint64_t now_ms, struct u128 *out_token)
{
    struct lease *l;
    if (token.n != 0 && token.n != sizeof(l->token.b)) {
        return ERR_INVAL;
    }
    (void)pthread_mutex_lock(&p->lock);
    enum err e = take(p, a, token, leader, now_ms, &l);
    if (e == OK) {
        *out_token = l->token;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return e;
}

void pop3_locks_release(struct pop3_locks *p, struct account_id a, struct slice token)
{
    (void)pthread_mutex_lock(&p->lock);
    struct lease *l = find(p, a);
    if (l != NULL && token_is(l, token)) {
        drop(p, l);
    }
    (void)pthread_mutex_unlock(&p->lock);
}
