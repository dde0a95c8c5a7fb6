/* Character sets to UTF-8, as a stream. UTF-8, US-ASCII, Latin-1 and Windows-1252 by own code, the rest by iconv, and
 * only those on an allow-list: iconv loads code by name, and the name comes from mail (ISO-2022-CN-EXT was
 * CVE-2024-2961). */
#ifndef PROTO_MESSAGE_CHARSET_H
#define PROTO_MESSAGE_CHARSET_H

#include <iconv.h>

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum msg_charset_kind { MSG_CHARSET_UTF8, MSG_CHARSET_LATIN1, MSG_CHARSET_CP1252, MSG_CHARSET_ICONV };

#define MSG_CHARSET_CARRY_BYTES 16

struct msg_charset {
    enum msg_charset_kind kind;
    iconv_t cd;
    const char *name; /* static: iconv's name for it */
    size_t carry_n;   /* an incomplete character from the end of the last input */
    uint8_t carry[MSG_CHARSET_CARRY_BYTES];
};

/* ERR_CHARSET for a name that is not allowed, ERR_NOMEM. Case and an RFC 2231 language suffix do not matter. */
MUST_CHECK enum err msg_charset_open(struct msg_charset *c, struct slice name);
/* UTF-8 itself with U+FFFD for what is not: for unlabelled and unknown text. Needs no close. */
void msg_charset_open_utf8(struct msg_charset *c);
void msg_charset_close(struct msg_charset *c);
/* Whether `name` would open the converter that c is. */
bool msg_charset_is(const struct msg_charset *c, struct slice name);
/* Bytes that are no character become U+FFFD. */
MUST_CHECK enum err msg_charset_feed(struct msg_charset *c, struct slice in, struct buf *out);
/* Ends the text (an incomplete character becomes U+FFFD) and makes the converter ready for another one. */
MUST_CHECK enum err msg_charset_finish(struct msg_charset *c, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_CHARSET_H */
