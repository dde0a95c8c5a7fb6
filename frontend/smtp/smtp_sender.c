#include "frontend/smtp/smtp_sender.h"

static bool reaches(const Pb__ReadResolveResult *r, struct account_id account)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        if (r->targets[i]->account == account.v) {
            return true;
        }
    }
    return false;
}

struct smtp_status smtp_sender_check(struct smtp_session *s, const struct smtp_path *from)
{
    static const struct smtp_status good = {250, "2.1.0", ""};
    static const struct smtp_status foreign = {553, "5.7.1", "this sender address is not yours"};
    const Pb__ReadResolveResult *r = NULL;
    struct arena arena;
    if (from->null) {
        return good;
    }
    arena_init(&arena, 256 * 1024);
    enum err err = backend_resolve(s->cfg->backend, slice_str(from->lookup), &arena, &r);
    struct smtp_status st = foreign;
    if (err != OK && err != ERR_NOTFOUND) {
        st = smtp_status_of(err, false);
    } else if (err == OK && r->kind == PB__READ_RESOLVE_RESULT__KIND__LOCAL && reaches(r, s->account.id)) {
        st = good;
    }
    arena_fini(&arena);
    return st;
}
