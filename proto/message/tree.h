/* The parts of one message as they are found, in document order, and the text fragments of their structure. Bounded:
 * what the record may take is spent here, and a part is only opened when it, and the child that it must have, will fit.
 */
#ifndef PROTO_MESSAGE_TREE_H
#define PROTO_MESSAGE_TREE_H

#include "proto/message/content.h"
#include "proto/message/envelope.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msg_span {
    uint32_t off;
    uint32_t n;
};

struct msg_node {
    uint32_t parent;
    uint32_t header_off;
    uint32_t body_off;
    uint32_t body_bytes;
    uint32_t body_lines;
    uint32_t lines_before; /* lines of the message in front of the body */
    uint16_t charset_off;  /* in msg_tree.charsets: a length byte and the name */
    uint8_t kind;          /* enum msg_part_kind */
    uint8_t encoding;      /* enum msg_encoding */
    uint8_t family;        /* enum msg_family */
    bool is_text;
    bool is_html;
    bool has_child;
    struct msg_span head; /* in msg_tree.text; see content.h */
    struct msg_span envelope;
    struct msg_span ext;
};

/* What a part without its parameters takes in the record at most; see msg_tree_describe. */
#define MSG_PART_BYTES_MIN 288

struct msg_tree {
    struct msg_node *nodes;
    uint32_t n;
    uint32_t cap;
    uint32_t parts_max;
    size_t left_bytes; /* of the record, for structure */
    struct buf text;
    struct buf charsets;
    bool has_attachment;
    bool cut;
    struct msg_address address; /* scratch */
    struct msg_text scratch[2];
};

void msg_tree_init(struct msg_tree *t, uint32_t parts_max);
void msg_tree_fini(struct msg_tree *t);
/* Keeps the memory. */
void msg_tree_reset(struct msg_tree *t);

/* Whether a part (that becomes a leaf when there is no room for more) can be added. */
bool msg_tree_has_room(const struct msg_tree *t);
/* Call only if msg_tree_has_room. */
MUST_CHECK enum err msg_tree_add(struct msg_tree *t, uint32_t parent, uint32_t header_off, uint32_t *out_index);
/* The header of the part is complete: fills in its kind and fragments. out_content is valid until the next call of any
 * function. may_nest: a container is allowed here by depth. */
MUST_CHECK enum err msg_tree_describe(struct msg_tree *t, uint32_t index, const struct msg_fields *f, bool may_nest,
                                      struct msg_content *out_content);
/* The part ends: a multipart without a child gets an empty one, as the grammar wants (and as Dovecot does). */
MUST_CHECK enum err msg_tree_close(struct msg_tree *t, uint32_t index, uint32_t end, uint32_t lines);
/* ENVELOPE of a header, kept in t->text. */
MUST_CHECK enum err msg_tree_envelope(struct msg_tree *t, const struct msg_fields *f, size_t bytes_max,
                                      struct msg_span *out);
/* The same for a header inside of the MSG_PART_MESSAGE `index`; what it takes is spent. */
MUST_CHECK enum err msg_tree_nested_envelope(struct msg_tree *t, uint32_t index, const struct msg_fields *f);
/* body-type of RFC 3501: BODY, or with extension data BODYSTRUCTURE. */
void msg_tree_write(const struct msg_tree *t, bool extended, struct msg_out *o);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_TREE_H */
