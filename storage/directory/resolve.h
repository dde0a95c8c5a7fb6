/* Who gets mail for an address: accounts and remote addresses after the aliases, which may name each other (loops are
 * cut, at most DIR_TARGETS_MAX results and as many look-ups). A name unknown as it stands is tried without its
 * "+detail", then as the domain's catch-all. */
#ifndef STORAGE_DIRECTORY_RESOLVE_H
#define STORAGE_DIRECTORY_RESOLVE_H

#include "storage/directory/directory.h"

#ifdef __cplusplus
extern "C" {
#endif

enum dir_kind { DIR_NOT_LOCAL, DIR_NO_SUCH_USER, DIR_LOCAL };

struct dir_target {
    struct dir_account account; /* account 0: remote */
    struct slice name;          /* canonical, or the remote address as it was written */
    struct slice detail;        /* after the '+', not folded; a view into the address */
};

struct dir_resolved {
    enum dir_kind kind;
    struct dir_target targets[DIR_TARGETS_MAX];
    size_t n;
};

/* Store and memory errors only: an address that is none is DIR_NOT_LOCAL. */
MUST_CHECK enum err dir_resolve(const struct store *s, struct arena *a, struct slice address, struct dir_resolved *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_DIRECTORY_RESOLVE_H */
