/* Address lists of RFC 5322, 3.4, with its obsolete forms and what else mailers write, as IMAP's ENVELOPE wants them
 * (RFC 3501, 7.4.2):
 * ((name adl mailbox host) ...), groups as a start (NIL NIL name NIL) and an end (NIL NIL NIL NIL). Encoded words stay.
 */
#ifndef PROTO_MESSAGE_ADDRESS_H
#define PROTO_MESSAGE_ADDRESS_H

#include "proto/message/lex.h"
#include "proto/message/text_out.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A host of NIL would mean a group, so what is missing gets a name, the one Dovecot gives it. */
#define MSG_MISSING_MAILBOX "MISSING_MAILBOX"
#define MSG_MISSING_HOST "MISSING_DOMAIN"

/* The parts of the address being read: too big for a fiber's stack. */
struct msg_address {
    struct msg_text phrase;
    struct msg_text comment;
    struct msg_text route;
    struct msg_text mailbox;
    struct msg_text host;
    bool has_phrase; /* something stood before "<" or ":", if only an empty quoted string */
    bool has_angle;
    bool has_at;
};

/* A list that is written in several header fields (RFC 5322, 4.5.3) or in none. */
struct msg_address_list {
    struct msg_out *out;
    struct msg_address *scratch;
    size_t start;     /* where the list began in out */
    size_t bytes_max; /* what it may take there; addresses past it are left out */
    bool any;
    bool full;
};

void msg_address_list_begin(struct msg_address_list *l, struct msg_out *out, struct msg_address *scratch,
                            size_t bytes_max);
void msg_address_list_add(struct msg_address_list *l, struct slice value);
/* NIL when no address came. */
void msg_address_list_end(struct msg_address_list *l);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_ADDRESS_H */
