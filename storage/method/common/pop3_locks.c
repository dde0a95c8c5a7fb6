#include "storage/method/pop3_locks.h"

#include <pthread.h>

#include "proto/base/hmap.h"
#include "proto/base/list.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

struct lease {
    struct hmap_node node;
    struct list age; /* soonest to end first */
    struct account_id account;
    uint64_t term; /* of the leadership that gave it: another one starts without locks */
    uint64_t ends_ms;
    struct u128 token;
};

struct pop3_locks {
    pthread_mutex_t lock;
    struct hmap map;
    struct list age;
};

enum err pop3_locks_new(struct pop3_locks **out)
{
    struct pop3_locks *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&l->lock, NULL);
    hmap_init(&l->map);
    list_init(&l->age);
    *out = l;
    return OK;
}

static void lease_drop(struct pop3_locks *l, struct lease *e)
{
    hmap_remove(&l->map, &e->node);
    list_remove(&e->age);
    mem_free(e);
}

void pop3_locks_free(struct pop3_locks *l)
{
    while (!list_empty(&l->age)) {
        lease_drop(l, LIST_ENTRY(l->age.next, struct lease, age));
    }
    hmap_fini(&l->map);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

static struct lease *lease_find(struct pop3_locks *l, struct account_id a)
{
    for (struct hmap_node *n = hmap_first(&l->map, a.v); n != NULL; n = hmap_next(n)) {
        struct lease *e = HMAP_ENTRY(n, struct lease, node);
        if (e->account.v == a.v) {
            return e;
        }
    }
    return NULL;
}

static void expired_drop(struct pop3_locks *l, uint64_t now_ms)
{
    while (!list_empty(&l->age)) {
        struct lease *e = LIST_ENTRY(l->age.next, struct lease, age);
        if (e->ends_ms > now_ms) {
            return;
        }
        lease_drop(l, e);
    }
}

static enum err lease_make(struct pop3_locks *l, struct account_id a, const struct u128 *token, struct lease **out)
{
    struct lease *e = mem_zalloc(sizeof(*e));
    if (e == NULL) {
        return ERR_NOMEM;
    }
    e->account = a;
    e->token = u128_is_zero(token) ? rng_u128(rng_system()) : *token;
    list_init(&e->age);
    if (hmap_insert(&l->map, &e->node, a.v) != OK) {
        mem_free(e);
        return ERR_NOMEM;
    }
    *out = e;
    return OK;
}

enum err pop3_locks_take(struct pop3_locks *l, struct account_id a, uint64_t term, const struct u128 *token,
                         uint64_t now_ms, struct u128 *out_token)
{
    pthread_mutex_lock(&l->lock);
    expired_drop(l, now_ms);
    struct lease *e = lease_find(l, a);
    enum err err = OK;
    if (e != NULL && e->term != term) {
        lease_drop(l, e);
        e = NULL;
    }
    if (e == NULL) {
        err = lease_make(l, a, token, &e);
    } else if (!u128_eq(&e->token, token)) {
        err = ERR_LOCKED;
    }
    if (err == OK) {
        e->term = term;
        e->ends_ms = now_ms + POP3_LEASE_MS;
        list_remove(&e->age);
        list_push_back(&l->age, &e->age);
        *out_token = e->token;
    }
    pthread_mutex_unlock(&l->lock);
    return err;
}

void pop3_locks_release(struct pop3_locks *l, struct account_id a, const struct u128 *token)
{
    pthread_mutex_lock(&l->lock);
    struct lease *e = lease_find(l, a);
    if (e != NULL && u128_eq(&e->token, token)) {
        lease_drop(l, e);
    }
    pthread_mutex_unlock(&l->lock);
}
