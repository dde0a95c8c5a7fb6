/* Flags in responses. */
#ifndef FRONTEND_IMAP_IMAP_FLAG_H
#define FRONTEND_IMAP_IMAP_FLAG_H

#include "frontend/imap/imap_out.h"
#include "frontend/imap/imap_view.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "(\Seen $Forwarded)"; keywords by the view's table. overflow: IMAP_OVERFLOW_BYTES, or NULL. */
void imap_out_flags(struct imap_out *o, const struct imap_view *v, uint64_t flags, const uint8_t *overflow,
                    bool recent);

/* The overflow column: an element for each row with FLAG_OVERFLOW, in order. */
struct imap_overflow {
    struct slice rest;
};
/* Takes the row's; NULL for a row without. ERR_CORRUPT when the column is too short. Rows must come in order. */
MUST_CHECK enum err imap_overflow_next(struct imap_overflow *o, uint64_t flags, const uint8_t **out);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]", after SELECT and when the keyword table has grown. */
void imap_out_flag_tables(struct imap_out *o, const struct imap_view *v);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_FLAG_H */
