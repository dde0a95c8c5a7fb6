/* Parameters of Content-Type and Content-Disposition: *(";" attribute "=" value), RFC 2045, 5.1, read as leniently as
 * mailers write. */
#ifndef PROTO_MESSAGE_PARAM_H
#define PROTO_MESSAGE_PARAM_H

#include "proto/message/lex.h"
#include "proto/message/text_out.h"

#ifdef __cplusplus
extern "C" {
#endif

/* l stands behind the type or a value. Gives the next parameter with a name; false at the end. */
bool msg_param_next(struct msg_lex *l, struct slice *out_name, struct msg_text *out_value);
/* The value of a parameter, also when RFC 2231 cut it in pieces (name*0, name*1, in order) or gave it a charset prefix;
 * no percent decoding. False when there is none. text is scratch. */
bool msg_param_get(struct slice params, const char *name, struct msg_text *text, struct msg_text *out_value);
/* `("name" "value" ...)` or NIL. default_charset adds ("charset" "us-ascii"). */
void msg_params_write(struct msg_out *o, struct slice params, bool default_charset, struct msg_text *text);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_PARAM_H */
