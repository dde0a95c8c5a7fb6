/* ReadResolve: who an address is. */
#include "storage/directory/resolve.h"
#include "storage/method/method.h"

static Pb__ReadResolveResult__Kind kind_of(enum dir_kind k)
{
    switch (k) {
    case DIR_NOT_LOCAL:
        return PB__READ_RESOLVE_RESULT__KIND__NOT_LOCAL;
    case DIR_NO_SUCH_USER:
        return PB__READ_RESOLVE_RESULT__KIND__NO_SUCH_USER;
    case DIR_LOCAL:
        return PB__READ_RESOLVE_RESULT__KIND__LOCAL;
    }
    UNREACHABLE();
}

static enum err fill_target(struct arena *a, const struct dir_target *t, Pb__ResolvedTarget *out)
{
    char *name = arena_slice_str(a, t->name);
    char *detail = arena_slice_str(a, t->detail);
    if (name == NULL || detail == NULL) {
        return ERR_NOMEM;
    }
    pb__resolved_target__init(out);
    out->account = t->account.account.v;
    out->shard = t->account.shard.v;
    out->detail = detail;
    if (out->account != 0) {
        out->name = name;
    } else {
        out->remote_address = name;
    }
    return OK;
}

static enum err run(struct read_context *rc, const ProtobufCMessage *request, struct buf *meta, struct buf *attach)
{
    const Pb__ReadResolve *req = (const Pb__ReadResolve *)request;
    struct store s = method_store(rc);
    struct dir_resolved *found = arena_alloc(rc->arena, sizeof(*found));
    Pb__ReadResolveResult answer = PB__READ_RESOLVE_RESULT__INIT;
    (void)attach;
    enum err e = found == NULL ? ERR_NOMEM : dir_resolve(&s, rc->arena, slice_str(req->address), found);
    if (e != OK) {
        return e;
    }
    Pb__ResolvedTarget *targets = arena_calloc(rc->arena, found->n + 1, sizeof(*targets));
    answer.targets = arena_calloc(rc->arena, found->n + 1, sizeof(*answer.targets));
    if (targets == NULL || answer.targets == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; e == OK && i < found->n; i++) {
        e = fill_target(rc->arena, &found->targets[i], &targets[i]);
        answer.targets[i] = &targets[i];
    }
    answer.n_targets = found->n;
    answer.kind = kind_of(found->kind);
    return e == OK ? pb_pack(&answer.base, meta) : e;
}

STORAGE_METHOD(resolve) = {
    .method = METHOD_RESOLVE,
    .request = &pb__read_resolve__descriptor,
    .run = run,
};
