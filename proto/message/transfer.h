/* Content-Transfer-Encoding undone (RFC 2045, 6.7 and 6.8), as a stream and as leniently as mail needs: what is no
 * base64 is skipped, what is no quoted-printable stays as it is. */
#ifndef PROTO_MESSAGE_TRANSFER_H
#define PROTO_MESSAGE_TRANSFER_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msg_base64 {
    uint32_t bits;
    uint32_t n; /* characters in `bits`, 0 to 3 */
};

/* White space before a line end is dropped (RFC 2045, 6.7, rule 3) up to this much; a longer run stays. */
#define MSG_QP_BLANKS_MAX 128

enum msg_qp_state { MSG_QP_TEXT, MSG_QP_ESCAPE, MSG_QP_HEX, MSG_QP_SOFT };

struct msg_qp {
    enum msg_qp_state state;
    uint8_t hex;       /* the first digit, in MSG_QP_HEX */
    uint32_t blanks_n; /* of the run of white space that the input ended in; held back while <= MSG_QP_BLANKS_MAX */
    uint8_t blanks[MSG_QP_BLANKS_MAX];
};

/* What feed and finish write at most beyond in.n. */
#define MSG_TRANSFER_SLACK (MSG_QP_BLANKS_MAX + 8)

/* Decoders start zeroed; feed and finish write to `to` and give how much. */
size_t msg_base64_feed(struct msg_base64 *d, struct slice in, uint8_t *to);
size_t msg_base64_finish(struct msg_base64 *d, uint8_t *to);
size_t msg_qp_feed(struct msg_qp *d, struct slice in, uint8_t *to);
size_t msg_qp_finish(struct msg_qp *d, uint8_t *to);
/* 0 to 15, or -1. */
int msg_hex_value(uint8_t c);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_TRANSFER_H */
