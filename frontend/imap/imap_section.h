/* BODY[section]<partial> (RFC 3501, 6.4.5): parsed once, found in a message's record as a byte range, streamed from
 * storage. */
#ifndef FRONTEND_IMAP_IMAP_SECTION_H
#define FRONTEND_IMAP_IMAP_SECTION_H

#include "frontend/imap/imap_fetch_item.h"
#include "proto/message/message.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IMAP_SECTION_DEPTH_MAX 64

enum imap_section_kind {
    IMAP_SECTION_ALL,
    IMAP_SECTION_HEADER,
    IMAP_SECTION_FIELDS,     /* HEADER.FIELDS */
    IMAP_SECTION_FIELDS_NOT, /* HEADER.FIELDS.NOT */
    IMAP_SECTION_TEXT,
    IMAP_SECTION_MIME
};

struct imap_section {
    uint32_t part[IMAP_SECTION_DEPTH_MAX];
    size_t n_part;
    enum imap_section_kind kind;
    struct slice *names; /* of fields */
    size_t n_names;
    bool partial;
    uint32_t from;
    uint32_t length;
};

/* "[" section "]" ["<" number "." nz-number ">"]; fills arg->section, label, columns and content. The label starts with
 * "BODY". */
bool imap_parse_section(struct imap_cursor *c, struct imap_fetch_arg *arg);
/* A fixed section, for the RFC822 items: label is the item's name. */
bool imap_section_fixed(struct imap_cursor *c, struct imap_fetch_arg *arg, enum imap_section_kind kind);

struct imap_byte_range {
    uint32_t from;
    uint32_t length;
};
/* Where the section lies in the message (for header fields: the header block they are in). ERR_NOTFOUND when the
 * message has no such part. */
MUST_CHECK enum err imap_section_find(const struct imap_section *sec, const struct msg_record *record,
                                      struct imap_byte_range *out);
/* The part of `whole` that the partial asks for. */
struct imap_byte_range imap_section_clip(const struct imap_section *sec, struct imap_byte_range whole);

/* Writes "label {n}" CRLF and the bytes, or "label NIL" when there is nothing such. */
void imap_section_format(struct imap_fetch_run *run, const struct imap_fetch_arg *arg, const struct imap_row *row);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_SECTION_H */
