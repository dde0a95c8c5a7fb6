#include "frontend/session/auth_throttle.h"

#include <pthread.h>

#include "proto/base/hash.h"
#include "proto/base/mem.h"

#define SLOTS 65536 /* a power of two */
#define WINDOW_MS 60000

struct slot {
    uint64_t key;
    uint64_t start_ms;
    uint32_t failures;
};

struct auth_throttle {
    pthread_mutex_t lock;
    uint32_t limit;
    struct slot slots[SLOTS];
};

enum err auth_throttle_open(uint32_t failures_per_minute, struct auth_throttle **out)
{
    struct auth_throttle *t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return ERR_NOMEM;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->limit = failures_per_minute;
    *out = t;
    return OK;
}

void auth_throttle_close(struct auth_throttle *t)
{
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

static bool slot_fresh(const struct slot *s, uint64_t now_ms)
{
    return s->failures > 0 && now_ms - s->start_ms < WINDOW_MS;
}

bool auth_throttle_closed(struct auth_throttle *t, struct slice key, uint64_t now_ms)
{
    uint64_t h = hash_table_key(key.p, key.n);
    pthread_mutex_lock(&t->lock);
    const struct slot *s = &t->slots[h & (SLOTS - 1)];
    bool closed = s->key == h && slot_fresh(s, now_ms) && s->failures >= t->limit;
    pthread_mutex_unlock(&t->lock);
    return closed;
}

void auth_throttle_failed(struct auth_throttle *t, struct slice key, uint64_t now_ms)
{
    uint64_t h = hash_table_key(key.p, key.n);
    pthread_mutex_lock(&t->lock);
    struct slot *s = &t->slots[h & (SLOTS - 1)];
    bool fresh = slot_fresh(s, now_ms);
    if (!fresh) {
        *s = (struct slot){.key = h, .start_ms = now_ms};
    }
    if (s->key == h && s->failures < UINT32_MAX) {
        s->failures++;
    }
    pthread_mutex_unlock(&t->lock);
}
