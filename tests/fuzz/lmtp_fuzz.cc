/* LMTP from the wire: a whole session on a connection of this file's own, with the input cut into pieces by its first
 * byte. */
#include "tests/fuzz/smtp_session_fuzz.hh"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    fuzz_session(lmtp_proto, data[0], slice_make(data + 1, size - 1));
    return 0;
}
