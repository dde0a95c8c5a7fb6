/* What a part's MIME header says (RFC 2045, 2046, 2183, 3282, 2557): read first, then written as the two fragments of
 * BODYSTRUCTURE that do not depend on the body. Parameters are passed as found, so RFC 2231 ones stay in pieces. */
#ifndef PROTO_MESSAGE_CONTENT_H
#define PROTO_MESSAGE_CONTENT_H

#include "proto/message/field.h"
#include "proto/message/lex.h"
#include "proto/message/message.h"
#include "proto/message/text_out.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the type of a part means for the parts below it. */
enum msg_family { MSG_FAMILY_NONE, MSG_FAMILY_DIGEST, MSG_FAMILY_RELATED, MSG_FAMILY_REPORT };

#define MSG_BOUNDARY_BYTES_MAX 255
#define MSG_CHARSET_BYTES 32

struct msg_content {
    struct slice type; /* views into the header, or static */
    struct slice subtype;
    struct slice params; /* the rest of Content-Type, from its first ";" on */
    enum msg_part_kind kind;
    enum msg_encoding encoding;
    enum msg_family family;
    bool is_text;
    bool is_html;
    bool has_charset;
    bool is_attachment;
    char charset[MSG_CHARSET_BYTES];
    size_t boundary_bytes; /* 0: none, or one past the limit, which is no boundary either */
    uint8_t boundary[MSG_BOUNDARY_BYTES_MAX];
};

/* parent is the family of the multipart around it. text is scratch. A type that is missing or malformed is text/plain,
 * in a digest message/rfc822; a multipart without a boundary is text/plain; an encoded message is
 * application/octet-stream. */
void msg_content_read(struct msg_content *c, const struct msg_fields *f, enum msg_family parent, struct msg_text *text);
/* Makes it a plain leaf: what a container becomes for which there is no room. */
void msg_content_degrade(struct msg_content *c);

/* Leaf and message: `"text" "plain" (params) id description "7bit"`. Multipart: `"mixed"`. */
void msg_content_write_head(struct msg_out *o, const struct msg_content *c, const struct msg_fields *f,
                            struct msg_text *text);
/* The extension data, with a space in front: md5 (multipart: params), disposition, language, location. */
void msg_content_write_ext(struct msg_out *o, const struct msg_content *c, const struct msg_fields *f,
                           struct msg_text *text);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_CONTENT_H */
