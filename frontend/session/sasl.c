#include "frontend/session/auth.h"

/* RFC 4616, 2: message = [authzid] UTF8NUL authcid UTF8NUL passwd */
enum err auth_sasl_plain(struct slice message, struct slice *out_user, struct slice *out_password)
{
    size_t first = slice_find(message, '\0');
    struct slice rest = slice_sub(message, first + 1, message.n);
    size_t second = slice_find(rest, '\0');
    struct slice authzid = slice_sub(message, 0, first);
    struct slice authcid = slice_sub(rest, 0, second);
    struct slice password = slice_sub(rest, second + 1, rest.n);
    if (first == message.n || second == rest.n || authcid.n == 0 || password.n == 0 ||
        slice_find(password, '\0') != password.n) {
        return ERR_INVAL;
    }
    if (authzid.n > 0 && !slice_eq(authzid, authcid)) {
        return ERR_PERM;
    }
    *out_user = authcid;
    *out_password = password;
    return OK;
}
