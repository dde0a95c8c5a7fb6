/* The parser of mail and the decoder of its records: what comes from outside and what comes from a disk. The first byte
 * says how the message is split, and one value of it that the rest is a record. */
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "proto/message/message.h"

namespace
{

void must(bool x)
{
    if (!x) {
        abort();
    }
}

/* Touches every byte of a section, so that a sanitizer sees one that lies outside. */
uint32_t touch(slice s)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < s.n; i++) {
        sum += s.p[i];
    }
    return sum;
}

void look_at_record(slice bytes, bool ours)
{
    msg_record r;
    err e = msg_record_decode(bytes, &r);
    must(e == OK || !ours);
    if (e != OK) {
        return;
    }
    volatile uint32_t sum =
        touch(r.envelope) + touch(r.body) + touch(r.bodystructure) + touch(r.headers) + touch(r.references);
    (void)sum;
    for (uint32_t i = 0; i < r.n_parts; i++) {
        msg_part p;
        e = msg_part_at(&r, i, &p);
        must(e == OK || !ours);
        must(e != OK || uint64_t{p.body_off} + p.body_bytes <= r.size_bytes);
    }
    const uint32_t numbers[] = {1, 2, 1, 1};
    msg_part p;
    for (size_t n = 0; n <= 4; n++) {
        e = msg_part_find(&r, numbers, n, &p);
        must(!ours || e == OK || e == ERR_NOTFOUND);
    }
}

void parse(slice message, size_t piece, buf *out)
{
    msg_parser *p = nullptr;
    must(msg_parser_new(&msg_limits_default, &p) == OK);
    for (size_t at = 0; at < message.n; at += piece) {
        must(msg_parser_feed(p, slice_sub(message, at, at + piece)) == OK);
    }
    must(msg_parser_finish(p, out) == OK);
    msg_parser_free(p);
}

void decode_parts(slice message, slice record)
{
    msg_record r;
    must(msg_record_decode(record, &r) == OK);
    for (uint32_t i = 0; i < r.n_parts && i < 4; i++) {
        msg_part part;
        must(msg_part_at(&r, i, &part) == OK);
        msg_decoder *d = nullptr;
        buf out;
        buf_init(&out, size_t{1} << 26);
        must(msg_decoder_new(part.encoding, part.charset, &d) == OK);
        must(msg_decoder_feed(d, slice_sub(message, part.body_off, size_t{part.body_off} + part.body_bytes), &out) ==
             OK);
        must(msg_decoder_finish(d, &out) == OK);
        msg_decoder_free(d);
        buf_reset(&out);
        must(msg_header_decode(slice_sub(message, part.header_off, size_t{part.header_off} + part.header_bytes),
                               &out) == OK);
        buf_fini(&out);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    slice rest = slice_make(data + 1, size - 1);
    if (data[0] == 0) {
        look_at_record(rest, false);
        return 0;
    }
    buf whole;
    buf pieces;
    buf_init(&whole, size_t{1} << 20);
    buf_init(&pieces, size_t{1} << 20);
    parse(rest, SIZE_MAX / 2, &whole);
    parse(rest, data[0], &pieces);
    must(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    must(whole.len <= msg_limits_default.record_bytes_max);
    look_at_record(buf_slice(&whole), true);
    decode_parts(rest, buf_slice(&whole));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
