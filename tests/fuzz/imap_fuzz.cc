/* The IMAP stream as a client sends it: framing with the splits chosen by the input, then every command's grammar. What
 * is cut in pieces must give the same commands as the whole. And mailbox names in modified UTF-7. */
#include <cstdint>
#include <cstdlib>
#include <string>

#include "frontend/imap/imap_cmd.h"
#include "frontend/imap/imap_frame.h"
#include "frontend/imap/imap_utf7.h"

namespace
{

const size_t LIMIT = 8192;

void parse(struct slice text, imap_state state)
{
    struct arena arena;
    imap_command cmd;
    arena_init(&arena, 8 << 20);
    imap_parsed got = imap_command_parse(text, state, &imap_limits_default, &arena, &cmd);
    if (got != IMAP_PARSED_OK && cmd.reply.text == nullptr) {
        abort(); /* a refusal has a reason */
    }
    arena_fini(&arena);
}

/* Gives the commands, one after another; literals that do not fit are refused. */
std::string run(const uint8_t *data, size_t size, size_t piece, bool parse_them)
{
    imap_frame f;
    std::string log;
    imap_frame_init(&f, LIMIT);
    for (size_t at = 0; at < size;) {
        size_t n = size - at < piece ? size - at : piece;
        struct slice in = slice_make(data + at, n);
        size_t taken;
        imap_frame_status status;
        if (imap_frame_feed(&f, in, &taken, &status) != OK) {
            abort();
        }
        at += taken;
        if (status == IMAP_FRAME_LITERAL) {
            if (parse_them) {
                parse(buf_slice(&f.text), IMAP_STATE_SELECTED);
            }
            if (f.literal_bytes <= f.text.limit_bytes - f.text.len) {
                imap_frame_accept(&f);
            } else {
                imap_frame_refuse(&f);
            }
        } else if (status != IMAP_FRAME_MORE) {
            struct slice text = buf_slice(&f.text);
            log += std::to_string(status) + ":" + std::string(reinterpret_cast<const char *>(text.p), text.n) + "\n";
            if (parse_them) {
                parse(text, IMAP_STATE_SELECTED);
                parse(text, IMAP_STATE_NOT_AUTHENTICATED);
            }
            imap_frame_next(&f);
        }
    }
    imap_frame_fini(&f);
    return log;
}

/* A name that decodes is the one encoded form of what it decodes to. */
void name(struct slice text)
{
    struct buf utf8;
    struct buf again;
    buf_init(&utf8, 1 << 16);
    buf_init(&again, 1 << 16);
    if (imap_utf7_decode(text, &utf8) == OK &&
        (imap_utf7_encode(buf_slice(&utf8), &again) != OK || !slice_eq(buf_slice(&again), text))) {
        abort();
    }
    buf_fini(&utf8);
    buf_fini(&again);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t piece = static_cast<size_t>(data[0]) % 16 + 1;
    if (run(data + 1, size - 1, size, true) != run(data + 1, size - 1, piece, false)) {
        abort();
    }
    name(slice_make(data + 1, size - 1 < 1000 ? size - 1 : 1000));
    return 0;
}
