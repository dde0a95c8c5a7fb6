#include "frontend/session/auth.h"

#include <strings.h>

#include "frontend/net/conn.h"
#include "frontend/net/fiber.h"
#include "frontend/session/auth_cache.h"
#include "frontend/session/auth_known.h"
#include "frontend/session/auth_pool.h"
#include "frontend/session/auth_throttle.h"
#include "frontend/session/credentials.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"
#include "proto/base/metrics.h"

#define USER_BYTES_MAX 255
#define PASSWORD_BYTES_MAX 1024
#define THROTTLE_DELAY_MS 1000
#define ARENA_BYTES (64 * 1024)

METRIC_COUNTER_L(metric_ok, "pillarbox_auth_logins_total", "Logins by result", "result=\"ok\"");
METRIC_COUNTER_L(metric_cached, "pillarbox_auth_logins_total", "Logins by result", "result=\"ok_cached\"");
METRIC_COUNTER_L(metric_failed, "pillarbox_auth_logins_total", "Logins by result", "result=\"failed\"");
METRIC_COUNTER_L(metric_throttled, "pillarbox_auth_logins_total", "Logins by result", "result=\"throttled\"");
METRIC_COUNTER_L(metric_error, "pillarbox_auth_logins_total", "Logins by result", "result=\"error\"");

struct auth {
    struct auth_config cfg;
    struct auth_cache *cache;
    struct auth_throttle *by_ip;
    struct auth_throttle *by_user;
    struct auth_known *known;
    struct auth_pool *pool;
    uint8_t key[32];        /* of the cache's keyed hashes: made at start, never stored */
    struct arena arena;     /* holds nobody's credentials */
    Pb__Credentials nobody; /* what an unknown user's password is compared with: costs the same time */
};

/* One attempt. The slices point into its own copies: the connection's buffers move while the fiber waits. */
struct attempt {
    struct auth *auth;
    struct slice ip;
    struct slice user;
    struct slice password;
    struct arena arena;
    uint8_t fp[AUTH_FINGERPRINT_BYTES];
    char user_text[USER_BYTES_MAX + 1];
    uint8_t password_text[PASSWORD_BYTES_MAX];
};

static void parts_close(struct auth *a)
{
    if (a->pool != NULL) {
        auth_pool_close(a->pool);
    }
    if (a->known != NULL) {
        auth_known_close(a->known);
    }
    if (a->by_user != NULL) {
        auth_throttle_close(a->by_user);
    }
    if (a->by_ip != NULL) {
        auth_throttle_close(a->by_ip);
    }
    if (a->cache != NULL) {
        auth_cache_close(a->cache);
    }
    arena_fini(&a->arena);
    explicit_bzero(a->key, sizeof(a->key));
    mem_free(a);
}

static uint32_t or_default(uint32_t v, uint32_t fallback)
{
    return v == 0 ? fallback : v;
}

enum err auth_open(const struct auth_config *cfg, struct auth **out, struct buf *why)
{
    struct auth *a = mem_zalloc(sizeof(*a));
    if (a == NULL) {
        return ERR_NOMEM;
    }
    a->cfg = *cfg;
    arena_init(&a->arena, ARENA_BYTES);
    rng_fill(rng_system(), a->key, sizeof(a->key));
    uint8_t random[16];
    rng_fill(rng_system(), random, sizeof(random));
    enum err e = credentials_make(slice_make(random, sizeof(random)), rng_system(), &a->arena, &a->nobody);
    if (e == OK) {
        e = auth_cache_open(cfg->cache_entries, cfg->cache_ms, &a->cache);
    }
    if (e == OK) {
        e = auth_throttle_open(or_default(cfg->failures_per_minute_ip, 60), &a->by_ip);
    }
    if (e == OK) {
        e = auth_throttle_open(or_default(cfg->failures_per_minute_user, 20), &a->by_user);
    }
    if (e == OK) {
        e = auth_known_open(&a->known);
    }
    if (e == OK) {
        e = auth_pool_open(or_default(cfg->threads, 1), or_default(cfg->queue_max, 256), &a->pool);
    }
    if (e != OK) {
        enum err ignored = buf_printf(why, "logins: %s", err_text(e));
        (void)ignored; /* a courtesy */
        parts_close(a);
        return e;
    }
    *out = a;
    return OK;
}

void auth_close(struct auth *a)
{
    parts_close(a);
}

bool auth_allowed(const struct auth *a, const struct conn *c)
{
    return a->cfg.insecure_auth || conn_is_tls(c);
}

/* The account that `user` names exactly: a login is not an alias and has no detail. ERR_NOTFOUND. */
static enum err account_find(struct attempt *t, struct account_ref *out)
{
    const Pb__ReadResolveResult *r;
    enum err e = backend_resolve(t->auth->cfg.backend, t->user, &t->arena, &r);
    if (e != OK) {
        return e;
    }
    if (r->kind != PB__READ_RESOLVE_RESULT__KIND__LOCAL || r->n_targets != 1 || r->targets[0]->account == 0 ||
        strcasecmp(r->targets[0]->name, t->user_text) != 0 || strlen(r->targets[0]->name) >= sizeof(out->name)) {
        return ERR_NOTFOUND;
    }
    out->id.v = r->targets[0]->account;
    out->shard.v = r->targets[0]->shard;
    memcpy(out->name, r->targets[0]->name, strlen(r->targets[0]->name) + 1);
    return OK;
}

/* An imported hash becomes Argon2id and SCRAM at the first login with the password; failing to do so fails nothing. */
static void hash_upgrade(struct attempt *t, struct account_ref *account, uint64_t version)
{
    Pb__Credentials made = PB__CREDENTIALS__INIT;
    Pb__OpCredentialsSet op = PB__OP_CREDENTIALS_SET__INIT;
    struct backend_reply reply = {0};
    enum err e = auth_pool_make(t->auth->pool, t->password, &t->arena, &made);
    if (e == OK) {
        op.account = account->id.v;
        op.credentials = &made;
        op.if_version = version;
        e = backend_account_call(t->auth->cfg.backend, account, METHOD_CREDENTIALS_SET, &op.base, slice_str(""),
                                 &t->arena, &reply);
        backend_reply_fini(&reply);
    }
    if (e == OK) {
        log_info("auth.upgraded", "imported password hash replaced", LOG_STR("user", account->name));
    } else {
        log_warn("auth.upgrade", "imported password hash stays", LOG_STR("user", account->name), LOG_ERR(e));
    }
}

/* Guessing a user's password from anywhere closes the door for all but the places that user has come from; those have
 * only their own failures to answer for. */
static bool throttled(struct attempt *t, uint64_t now)
{
    const struct auth *a = t->auth;
    return auth_throttle_closed(a->by_ip, t->ip, now) ||
           (auth_throttle_closed(a->by_user, t->user, now) && !auth_known_has(a->known, t->user, t->ip, now));
}

static bool guard_closed(void *user)
{
    return throttled(user, clock_mono_ms(clock_system()));
}

/* Attempts that were sent together have all passed the throttle before the first of them failed: it is asked again when
 * their turn comes. */
static enum err password_verify(struct attempt *t, const Pb__Credentials *c)
{
    const struct auth_pool_guard guard = {guard_closed, t};
    return auth_pool_verify(t->auth->pool, c, t->password, &guard);
}

static enum err password_check(struct attempt *t, struct account_ref *account)
{
    struct auth *a = t->auth;
    Pb__ReadAccount req = PB__READ_ACCOUNT__INIT;
    struct backend_reply reply = {0};
    uint64_t now = clock_mono_ms(clock_system());
    credentials_fingerprint(a->key, account->id, t->password, t->fp);
    req.account = account->id.v;
    req.have_version = auth_cache_version(a->cache, account->id, t->fp, now);
    enum err e =
        backend_account_call(a->cfg.backend, account, METHOD_ACCOUNT, &req.base, slice_str(""), &t->arena, &reply);
    if (e != OK) {
        backend_reply_fini(&reply);
        return e;
    }
    const Pb__ReadAccountResult *r = (const Pb__ReadAccountResult *)(const void *)reply.message;
    if (req.have_version != 0 && r->version == req.have_version) {
        metric_inc(&metric_cached);
        backend_reply_fini(&reply);
        return OK;
    }
    if (r->credentials == NULL) {
        e = password_verify(t, &a->nobody) == ERR_OVERLOAD ? ERR_OVERLOAD : ERR_AUTH;
    } else {
        e = password_verify(t, r->credentials);
    }
    if (e == OK) {
        metric_inc(&metric_ok);
        auth_cache_put(a->cache, account->id, r->version, t->fp, now);
        if (r->credentials->argon2id.len == 0) {
            hash_upgrade(t, account, r->version);
        }
    }
    backend_reply_fini(&reply);
    return e;
}

static enum err attempt_run(struct attempt *t, struct account_ref *out)
{
    struct account_ref account = {0};
    enum err e = account_find(t, &account);
    if (e == ERR_NOTFOUND) {
        e = password_verify(t, &t->auth->nobody);
        return e == ERR_OVERLOAD ? e : ERR_AUTH;
    }
    if (e == OK) {
        e = password_check(t, &account);
    }
    if (e == OK) {
        *out = account;
    }
    return e == ERR_NOTFOUND ? ERR_AUTH : e;
}

/* What is counted as one client: an IPv4 address or an IPv6 /64. */
static struct slice ip_key(const struct conn *c)
{
    const struct sockaddr_storage *sa = conn_peer_addr(c);
    if (sa->ss_family == AF_INET6) {
        return slice_make(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 8);
    }
    return slice_make(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
}

static enum err attempt_guarded(struct attempt *t, struct account_ref *out)
{
    uint64_t now = clock_mono_ms(clock_system());
    if (throttled(t, now)) {
        metric_inc(&metric_throttled);
        fiber_sleep(THROTTLE_DELAY_MS);
        return ERR_AUTH;
    }
    arena_init(&t->arena, ARENA_BYTES);
    enum err e = attempt_run(t, out);
    arena_fini(&t->arena);
    if (e == OK) {
        auth_known_add(t->auth->known, t->user, t->ip, now);
    } else if (e == ERR_AUTH) {
        metric_inc(&metric_failed);
        auth_throttle_failed(t->auth->by_ip, t->ip, now);
        auth_throttle_failed(t->auth->by_user, t->user, now);
    } else {
        metric_inc(&metric_error);
    }
    return e;
}

enum err auth_login(struct auth *a, struct conn *c, struct slice user, struct slice password,
                    struct account_ref *out_account)
{
    if (user.n == 0 || user.n > USER_BYTES_MAX || password.n == 0 || password.n > PASSWORD_BYTES_MAX ||
        memchr(user.p, '\0', user.n) != NULL) {
        return ERR_AUTH;
    }
    struct attempt *t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return ERR_OVERLOAD;
    }
    t->auth = a;
    t->ip = ip_key(c);
    for (size_t i = 0; i < user.n; i++) {
        t->user_text[i] = (char)ascii_lower(user.p[i]);
    }
    memcpy(t->password_text, password.p, password.n);
    t->user = slice_make(t->user_text, user.n);
    t->password = slice_make(t->password_text, password.n);
    enum err e = attempt_guarded(t, out_account);
    explicit_bzero(t, sizeof(*t));
    mem_free(t);
    return e;
}
