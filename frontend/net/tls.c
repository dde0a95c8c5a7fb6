#include "frontend/net/tls.h"

#include <string.h>

#include "frontend/net/tls_internal.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

/* --- sets --- */

static void set_free(struct tls_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        tls_entry_fini(&set->entries[i]);
    }
    mem_free(set);
}

struct tls_set *tls_set_ref(struct tls_context *ctx)
{
    (void)pthread_mutex_lock(&ctx->lock); /* cannot fail: not recursive, initialised */
    struct tls_set *set = ctx->set;
    (void)__atomic_add_fetch(&set->refs, 1, __ATOMIC_RELAXED);
    (void)pthread_mutex_unlock(&ctx->lock);
    return set;
}

void tls_set_unref(struct tls_set *set)
{
    if (set != NULL && __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        set_free(set);
    }
}

static enum err set_load(const struct tls_context *ctx, struct tls_set **out_set, struct buf *why)
{
    struct tls_set *set = mem_zalloc(sizeof(*set) + ctx->n_certificates * sizeof(set->entries[0]));
    if (set == NULL) {
        return ERR_NOMEM;
    }
    set->entries = (struct tls_entry *)(set + 1);
    set->refs = 1;
    for (size_t i = 0; i < ctx->n_certificates; i++) {
        enum err e = tls_load(&ctx->certificates[i], &set->entries[i], why);
        if (e != OK) {
            set_free(set);
            return e;
        }
        set->n++;
    }
    *out_set = set;
    return OK;
}

/* RFC 6125, 6.4.3: a wildcard stands for the whole leftmost label. */
static bool name_matches(const char *pattern, const char *name)
{
    if (pattern[0] == '*' && pattern[1] == '.') {
        const char *dot = strchr(name, '.');
        return dot != NULL && dot != name && slice_ieq_str(slice_str(dot), pattern + 1);
    }
    return slice_ieq_str(slice_str(name), pattern);
}

static const struct tls_entry *find_named(const struct tls_set *set, const char *name, bool wildcards)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct tls_entry *e = &set->entries[i];
        for (size_t k = 0; k < e->n_names; k++) {
            if ((e->names[k][0] == '*') == wildcards && name_matches(e->names[k], name)) {
                return e;
            }
        }
    }
    return NULL;
}

const struct tls_entry *tls_set_find(const struct tls_set *set, const char *server_name)
{
    const struct tls_entry *e = find_named(set, server_name, false);
    if (e == NULL) {
        e = find_named(set, server_name, true);
    }
    return e == NULL ? &set->entries[0] : e;
}

/* --- contexts --- */

static enum err copy_paths(struct tls_context *ctx, const struct tls_config *cfg)
{
    ctx->certificates = mem_calloc(cfg->n_certificates, sizeof(*ctx->certificates));
    if (ctx->certificates == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < cfg->n_certificates; i++) {
        ctx->n_certificates++;
        ctx->certificates[i].chain_pem = mem_strdup(cfg->certificates[i].chain_pem);
        ctx->certificates[i].key_pem = mem_strdup(cfg->certificates[i].key_pem);
        if (ctx->certificates[i].chain_pem == NULL || ctx->certificates[i].key_pem == NULL) {
            return ERR_NOMEM;
        }
    }
    return OK;
}

static enum err context_init(struct tls_context *ctx, const struct tls_config *cfg, struct buf *why)
{
    if (cfg->n_certificates == 0) {
        enum err ignored = buf_append_str(why, "no certificate is configured");
        (void)ignored; /* the text is an extra */
        return ERR_TLS;
    }
    enum err e = copy_paths(ctx, cfg);
    if (e == OK) {
        e = tls_tickets_new(clock_system(), &ctx->tickets);
    }
    return e == OK ? set_load(ctx, &ctx->set, why) : e;
}

enum err tls_context_new(const struct tls_config *cfg, struct tls_context **out_ctx, struct buf *why)
{
    struct tls_context *ctx = mem_zalloc(sizeof(*ctx));
    if (ctx == NULL) {
        return ERR_NOMEM;
    }
    int rc = pthread_mutex_init(&ctx->lock, NULL);
    ASSERT(rc == 0);
    enum err e = context_init(ctx, cfg, why);
    if (e != OK) {
        tls_context_free(ctx);
        return e;
    }
    *out_ctx = ctx;
    return OK;
}

enum err tls_context_reload(struct tls_context *ctx, struct buf *why)
{
    struct tls_set *set;
    enum err e = set_load(ctx, &set, why);
    if (e != OK) {
        return e;
    }
    (void)pthread_mutex_lock(&ctx->lock);
    struct tls_set *old = ctx->set;
    ctx->set = set;
    (void)pthread_mutex_unlock(&ctx->lock);
    tls_set_unref(old);
    return OK;
}

void tls_context_free(struct tls_context *ctx)
{
    if (ctx == NULL) {
        return;
    }
    for (size_t i = 0; i < ctx->n_certificates; i++) {
        mem_free((void *)(uintptr_t)ctx->certificates[i].chain_pem); /* our copies */
        mem_free((void *)(uintptr_t)ctx->certificates[i].key_pem);
    }
    mem_free(ctx->certificates);
    tls_set_unref(ctx->set);
    tls_tickets_free(ctx->tickets);
    (void)pthread_mutex_destroy(&ctx->lock); /* cannot fail: nobody holds it */
    mem_free(ctx);
}
