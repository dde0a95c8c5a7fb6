#include "storage/directory/directory.h"

#include "storage/mailbox/name.h"

static bool has_bad_bytes(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

enum err dir_domain_parse(struct arena *a, struct slice domain, struct slice *out)
{
    struct slice folded;
    if (domain.n == 0 || domain.n > DIR_DOMAIN_BYTES_MAX || has_bad_bytes(domain)) {
        return ERR_INVAL;
    }
    enum err e = name_casefold(a, domain, &folded);
    if (e != OK) {
        return e;
    }
    bool dots = folded.n == 0 || folded.p[0] == '.' || folded.p[folded.n - 1] == '.';
    if (dots || folded.n > DIR_DOMAIN_BYTES_MAX || has_bad_bytes(folded) || slice_find(folded, '@') < folded.n) {
        return ERR_INVAL;
    }
    *out = folded;
    return OK;
}

enum err dir_name_parse_alias(struct arena *a, struct slice address, struct dir_name *out)
{
    struct dir_name n;
    size_t at = address.n;
    if (address.n > DIR_ADDRESS_BYTES_MAX) {
        return ERR_INVAL;
    }
    while (at > 0 && address.p[at - 1] != '@') {
        at--;
    }
    if (at == 0 || at - 1 > DIR_LOCAL_BYTES_MAX) {
        return ERR_INVAL;
    }
    struct slice local = slice_sub(address, 0, at - 1);
    enum err e = has_bad_bytes(local) ? ERR_INVAL : name_casefold(a, local, &n.local);
    if (e == OK) {
        e = dir_domain_parse(a, slice_sub(address, at, address.n), &n.domain);
    }
    if (e != OK) {
        return e;
    }
    if (n.local.n > DIR_LOCAL_BYTES_MAX || has_bad_bytes(n.local)) {
        return ERR_INVAL;
    }
    *out = n;
    return OK;
}

enum err dir_name_parse(struct arena *a, struct slice address, struct dir_name *out)
{
    struct dir_name n;
    enum err e = dir_name_parse_alias(a, address, &n);
    if (e != OK) {
        return e;
    }
    if (n.local.n == 0) {
        return ERR_INVAL;
    }
    *out = n;
    return OK;
}

char *dir_name_text(struct arena *a, const struct dir_name *n)
{
    char *z = arena_alloc(a, n->local.n + n->domain.n + 2);
    if (z == NULL) {
        return NULL;
    }
    if (n->local.n > 0) {
        memcpy(z, n->local.p, n->local.n);
    }
    z[n->local.n] = '@';
    memcpy(z + n->local.n + 1, n->domain.p, n->domain.n);
    z[n->local.n + 1 + n->domain.n] = '\0';
    return z;
}
