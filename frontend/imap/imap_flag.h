/* Flags in responses. */
#ifndef FRONTEND_IMAP_IMAP_FLAG_H
#define FRONTEND_IMAP_IMAP_FLAG_H

#include "frontend/imap/imap_out.h"
#include "frontend/imap/imap_view.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "(\Seen $Forwarded)"; keywords by the view's table. */
void imap_out_flags(struct imap_out *o, const struct imap_view *v, uint64_t flags, bool recent);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]", after SELECT and when the keyword table has grown. */
void imap_out_flag_tables(struct imap_out *o, const struct imap_view *v);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_FLAG_H */
