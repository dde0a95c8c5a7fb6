/* What threading and dedupe look at: message ids as hashes (RFC 5322, 3.6.4) and the base subject (RFC 5256, 2.1). */
#ifndef PROTO_MESSAGE_THREAD_H
#define PROTO_MESSAGE_THREAD_H

#include "proto/message/field.h"
#include "proto/message/lex.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSG_REFERENCES_MAX 20

/* hash_stable of the first id in the value without its <>, white space left out; of the whole value when it has no <>.
 * 0 when it is empty. */
uint64_t msg_id_hash(struct slice value);
/* In-Reply-To first, then References from the last backwards, each once. Gives how many. */
size_t msg_references(const struct msg_fields *f, uint64_t out[MSG_REFERENCES_MAX]);
/* Strips what RFC 5256 strips from a decoded subject in which white space is already single spaces. A view into it. */
struct slice msg_subject_base(struct slice subject);
/* Hash of the casemapped base subject of a raw header value; 0 when it is empty. */
MUST_CHECK enum err msg_subject_hash(struct slice value, uint64_t *out_hash);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_THREAD_H */
