#include "frontend/session/auth_known.h"

#include <pthread.h>

#include "proto/base/hash.h"
#include "proto/base/mem.h"

#define SLOTS 65536 /* a power of two */
#define KEEP_MS (UINT64_C(7) * 24 * 3600 * 1000)

struct slot {
    uint64_t key; /* 0: free */
    uint64_t seen_ms;
};

struct auth_known {
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

enum err auth_known_open(struct auth_known **out)
{
    struct auth_known *k = mem_zalloc(sizeof(*k));
    if (k == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&k->lock, NULL);
    *out = k;
    return OK;
}

void auth_known_close(struct auth_known *k)
{
    pthread_mutex_destroy(&k->lock);
    mem_free(k);
}

/* The hash of a user is rotated, so that the pair is no symmetric sum. */
static uint64_t pair_key(struct slice user, struct slice ip)
{
    uint64_t u = hash_table_key(user.p, user.n);
    return ((u << 23 | u >> 41) ^ hash_table_key(ip.p, ip.n)) | 1;
}

static struct slot *slot_of(struct auth_known *k, uint64_t key)
{
    return &k->slots[key >> 32 & (SLOTS - 1)];
}

void auth_known_add(struct auth_known *k, struct slice user, struct slice ip, uint64_t now_ms)
{
    uint64_t key = pair_key(user, ip);
    pthread_mutex_lock(&k->lock);
    *slot_of(k, key) = (struct slot){.key = key, .seen_ms = now_ms};
    pthread_mutex_unlock(&k->lock);
}

bool auth_known_has(struct auth_known *k, struct slice user, struct slice ip, uint64_t now_ms)
{
    uint64_t key = pair_key(user, ip);
    pthread_mutex_lock(&k->lock);
    const struct slot *s = slot_of(k, key);
    bool has = s->key == key && now_ms - s->seen_ms < KEEP_MS;
    pthread_mutex_unlock(&k->lock);
    return has;
}
