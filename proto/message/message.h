/* RFC 5322 + MIME: one pass over a message as it streams in, and a compact record that answers every IMAP question
 * without parsing again. Any bytes at all are accepted; broken MIME degrades as in mature servers (an unterminated
 * multipart ends with the message, a bad Content-Type is text/plain; us-ascii, a multipart without a boundary is
 * text/plain). Nesting, parts and header sizes are bounded by msg_limits: what is beyond is content of the innermost
 * part that still counts, never an error.
 *
 * In: the message's bytes in any split. Out: the record (below). Memory: the parser's own, bounded by limits; the
 * record in the caller's buf. Pure: no I/O, no clock, no thread of its own. RFC 5322, 2045-2049, 2183, 2231, 2047 (left
 * encoded in ENVELOPE), 3501 (7.4.2 ENVELOPE and BODYSTRUCTURE), 6532. */
#ifndef PROTO_MESSAGE_MESSAGE_H
#define PROTO_MESSAGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/base/id.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msg_limits {
    uint32_t depth_max;        /* nesting of multiparts and messages; default 64 */
    uint32_t parts_max;        /* default 1000 */
    uint32_t header_bytes_max; /* of one header block that is looked at; default 256 KiB */
    uint32_t cached_bytes_max; /* cached header fields in the record; default 8 KiB */
    uint32_t record_bytes_max; /* default 32 KiB: past it ENVELOPE strings are cut and MIME children are dropped from
                                  the structure */
};
extern const struct msg_limits msg_limits_default;

struct msg_parser;

MUST_CHECK enum err msg_parser_new(const struct msg_limits *limits, struct msg_parser **out);
/* Only ERR_NOMEM can come back; the parser is then only good for free. */
MUST_CHECK enum err msg_parser_feed(struct msg_parser *p, struct slice bytes);
/* Ends the message and appends the record to out. The parser can be freed or reset. */
MUST_CHECK enum err msg_parser_finish(struct msg_parser *p, struct buf *out_record);
void msg_parser_reset(struct msg_parser *p);
void msg_parser_free(struct msg_parser *p);

/* --- the record ---
 * Versioned, little-endian, a table of sections first so that each is found without decoding the others:
 * fixed fields | part table | ENVELOPE text | BODY text | BODYSTRUCTURE text | cached header lines.
 * ENVELOPE, BODY, BODYSTRUCTURE are exactly the bytes that IMAP sends after the item's name (RFC 3501 form: NIL, quoted
 * strings, and non-synchronizing "{n}\r\n" literals for 8-bit or CR/LF content), so FETCH copies them. */

struct msg_record { /* a decoded view into the record's bytes; copies nothing */
    uint32_t size_bytes;
    uint32_t header_bytes; /* main header incl. the empty line */
    uint32_t lines;        /* LFs of the whole message */
    int64_t sent_s;        /* Date: as Unix seconds (with its zone applied), INT64_MIN when absent or unparsable */
    int16_t
        sent_zone_min;   /* the zone of Date: in minutes east of UTC; SENTON and friends look at the sender's own day */
    uint64_t message_id; /* hash_stable of the Message-ID without <>, 0 when none */
    struct slice references; /* le64 hashes: In-Reply-To first, then References from the last backwards, at most 20; for
                                threading */
    uint64_t base_subject;   /* hash of RFC 5256 base subject, casefolded; 0 when empty */
    bool has_attachment;
    bool structure_cut;   /* parts were left out of the structure, or described without their parameters */
    uint64_t headers_cut; /* a bit for each name of the cached set of which a field did not fit */
    uint32_t n_parts;
    struct slice parts; /* part table, see msg_part_at */
    struct slice envelope;
    struct slice body;
    struct slice bodystructure;
    struct slice headers; /* cached header fields, raw lines in message order, each ending in its original line end */
};

/* ERR_CORRUPT for anything malformed; every slice stays inside `record`. */
MUST_CHECK enum err msg_record_decode(struct slice record, struct msg_record *out);

enum msg_part_kind { MSG_PART_LEAF, MSG_PART_MULTIPART, MSG_PART_MESSAGE };
enum msg_encoding { MSG_ENC_7BIT, MSG_ENC_8BIT, MSG_ENC_BINARY, MSG_ENC_QP, MSG_ENC_BASE64, MSG_ENC_OTHER };

struct msg_part {
    uint32_t index;      /* in the table, which is in document order; 0 is the message itself */
    uint32_t parent;     /* index; 0's parent is 0 */
    uint32_t header_off; /* byte offset of the part's MIME header in the message; for a MSG_PART_MESSAGE's child: of the
                            nested header */
    uint32_t header_bytes; /* incl. the empty line */
    uint32_t body_off;
    uint32_t body_bytes;
    uint32_t body_lines;
    enum msg_part_kind kind; /* a MSG_PART_MESSAGE has one child, index + 1; a MSG_PART_MULTIPART at least one */
    enum msg_encoding encoding;
    bool is_text; /* text/... */
    bool is_html;
    char charset[32]; /* lower case, "us-ascii" by default */
};

/* index < n_parts. */
MUST_CHECK enum err msg_part_at(const struct msg_record *r, uint32_t index, struct msg_part *out);
/* IMAP part number (RFC 3501, 6.4.5) such as {1,2,3}: the part it names, with the rules for single-part messages ({1}
 * is the body) and message/rfc822 transparency. ERR_NOTFOUND when there is none. n = 0 is the message itself. */
MUST_CHECK enum err msg_part_find(const struct msg_record *r, const uint32_t *numbers, size_t n, struct msg_part *out);

/* True when every header named (case-insensitively) is one of the cached set: then msg_headers_select on record.headers
 * answers BODY[HEADER.FIELDS (...)] without the body. The record says itself if a cached field was cut (then this is
 * false). */
/* Whether all of these are names that records keep the fields of. */
bool msg_headers_kept(const struct slice *names, size_t n);
bool msg_headers_cached(const struct msg_record *r, const struct slice *names, size_t n);
/* Copies from a raw header block the fields whose names are listed (or, with not_listed, all others), in order,
 * unchanged, and a final CRLF empty line. RFC 3501, 6.4.5 HEADER.FIELDS. */
MUST_CHECK enum err msg_headers_select(struct slice header_block, const struct slice *names, size_t n, bool not_listed,
                                       struct buf *out);
/* Next field of a header block (folded lines kept raw): advances *io_rest; false at the end, which is the empty line
 * (not consumed) or the last byte. value excludes the name, colon, and final line end; name excludes white space before
 * the colon. A line that is no field comes with an empty name. */
bool msg_header_next(struct slice *io_rest, struct slice *out_name, struct slice *out_value, struct slice *out_line);

/* --- decoding for SEARCH (and later SORT, BINARY) --- */
/* Unfolds and decodes RFC 2047 words of a header value to UTF-8. Undecodable bytes become U+FFFD. */
MUST_CHECK enum err msg_header_decode(struct slice value, struct buf *out_utf8);
/* Streaming decoder of a part's body to UTF-8 (transfer encoding, then charset by iconv with an allow-list). */
struct msg_decoder;
/* A charset that is not allowed is read as UTF-8 with U+FFFD for what is not. charset NULL: only the transfer encoding
 * is undone. */
MUST_CHECK enum err msg_decoder_new(enum msg_encoding enc, const char *charset, struct msg_decoder **out);
MUST_CHECK enum err msg_decoder_feed(struct msg_decoder *d, struct slice in, struct buf *out_utf8);
MUST_CHECK enum err msg_decoder_finish(struct msg_decoder *d, struct buf *out_utf8);
void msg_decoder_free(struct msg_decoder *d);
/* Converts a search key from an IMAP CHARSET to UTF-8: ERR_CHARSET when the charset is not allowed. */
MUST_CHECK enum err msg_charset_to_utf8(const char *charset, struct slice in, struct buf *out_utf8);
/* i;unicode-casemap (RFC 5051) form for substring comparison: titlecase map + decomposition. */
MUST_CHECK enum err msg_casemap(struct slice utf8, struct buf *out);

/* --- dates --- */
/* RFC 5322 date-time (lenient as mail is) to Unix seconds. */
MUST_CHECK enum err msg_date_parse(struct slice text, int64_t *out_s);
/* The same, and the zone in minutes east of UTC (0 when it has none). */
MUST_CHECK enum err msg_date_parse_zone(struct slice text, int64_t *out_s, int16_t *out_zone_min);
/* "Sat, 21 Nov 2026 08:30:00 +0000" into out (at least 32 bytes). */
void msg_date_format(int64_t s, char out[40]);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_MESSAGE_MESSAGE_H */
