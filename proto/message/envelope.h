/* ENVELOPE of a message header: RFC 3501, 7.4.2. */
#ifndef PROTO_MESSAGE_ENVELOPE_H
#define PROTO_MESSAGE_ENVELOPE_H

#include "proto/message/address.h"
#include "proto/message/field.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSG_ENVELOPE_BYTES_MIN 1024

/* Writes at most bytes_max (>= MSG_ENVELOPE_BYTES_MIN) bytes: strings are cut and addresses left out to fit. */
void msg_envelope_write(struct msg_out *o, const struct msg_fields *f, struct msg_address *scratch, size_t bytes_max);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_ENVELOPE_H */
