#include "frontend/imap/imap_copy.h"

bool imap_parse_copy(struct imap_cursor *c, struct imap_command *cmd)
{
    struct imap_copy_args *a = arena_zalloc(c->arena, sizeof(*a));
    if (a == NULL) {
        return imap_parse_nomem(c);
    }
    cmd->args = a;
    return imap_parse_sp_set(c, &a->set) && imap_parse_sp(c) && imap_parse_mailbox(c, &a->to) && imap_parse_end(c);
}

void imap_copied_init(struct imap_copied *c)
{
    c->uidvalidity = 0;
    uidset_init(&c->source);
    uidset_init(&c->dest);
}

void imap_copied_fini(struct imap_copied *c)
{
    uidset_fini(&c->source);
    uidset_fini(&c->dest);
}

enum err imap_copied_add(struct imap_copied *c, const Pb__OpCopyResult *r)
{
    struct uidset set;
    uidset_init(&set);
    enum err e = imap_get_uids(&r->source_uids, &set);
    if (e == OK) {
        e = uidset_union(&c->source, &set);
    }
    if (e == OK) {
        e = imap_get_uids(&r->dest_uids, &set);
    }
    if (e == OK) {
        e = uidset_union(&c->dest, &set);
    }
    if (e == OK) {
        c->uidvalidity = r->uidvalidity;
    }
    uidset_fini(&set);
    return e;
}

enum err imap_copied_code(const struct imap_copied *c, struct arena *arena, const char **out)
{
    const char *source;
    const char *dest;
    if (c->source.n == 0) {
        *out = NULL;
        return OK;
    }
    enum err e = imap_uids_text(&c->source, arena, &source);
    if (e == OK) {
        e = imap_uids_text(&c->dest, arena, &dest);
    }
    if (e != OK) {
        return e;
    }
    *out = arena_printf(arena, "COPYUID %u %s %s", c->uidvalidity, source, dest);
    return *out == NULL ? ERR_LIMIT : OK;
}
