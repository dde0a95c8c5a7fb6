/* Dates of the IMAP grammar (RFC 3501, 9): date and date-time in, INTERNALDATE out. UTC inside, Unix seconds. */
#ifndef FRONTEND_IMAP_IMAP_DATE_H
#define FRONTEND_IMAP_IMAP_DATE_H

#include "frontend/imap/imap_parse.h"

#ifdef __cplusplus
extern "C" {
#endif

/* date = date-text / DQUOTE date-text DQUOTE, "1-Feb-1994": midnight UTC of that day. */
bool imap_parse_date(struct imap_cursor *c, int64_t *out_s);
/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */
bool imap_parse_date_time(struct imap_cursor *c, int64_t *out_s);

#define IMAP_DATE_TIME_BYTES 28
/* "17-Jul-1996 02:44:25 +0000" in quotes: exactly IMAP_DATE_TIME_BYTES bytes, no NUL. Years outside of 0..9999 are
 * clamped. */
void imap_date_time_put(uint8_t out[IMAP_DATE_TIME_BYTES], int64_t s);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_DATE_H */
