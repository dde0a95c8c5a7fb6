/* What COPY and MOVE share: a set and a mailbox in, COPYUID out (RFC 4315, RFC 6851). */
#ifndef FRONTEND_IMAP_IMAP_COPY_H
#define FRONTEND_IMAP_IMAP_COPY_H

#include "frontend/imap/imap_session.h"

#ifdef __cplusplus
extern "C" {
#endif

struct imap_copy_args {
    struct imap_set set;
    char *to;
};

/* SP sequence-set SP mailbox; cmd->args is a struct imap_copy_args. */
bool imap_parse_copy(struct imap_cursor *c, struct imap_command *cmd);

/* What was copied so far, chunk by chunk: the sets' orders correspond. */
struct imap_copied {
    uint32_t uidvalidity;
    struct uidset source;
    struct uidset dest;
};
void imap_copied_init(struct imap_copied *c);
void imap_copied_fini(struct imap_copied *c);
MUST_CHECK enum err imap_copied_add(struct imap_copied *c, const Pb__OpCopyResult *r);
/* "COPYUID 38505 304,319 3956:3957" in the arena; NULL text when nothing was copied. */
MUST_CHECK enum err imap_copied_code(const struct imap_copied *c, struct arena *arena, const char **out);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_COPY_H */
