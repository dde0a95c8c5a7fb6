/* SMTP from the wire: the pure parsers against simple oracles, then a whole session of the MX or submission on a
 * connection of this file's own, with the input cut into pieces. The first byte chooses. */
#include "tests/fuzz/smtp_session_fuzz.hh"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    fuzz_parsers(data[0], slice_make(data + 1, size - 1));
    fuzz_session((data[0] & 1) != 0 ? submission_proto : smtp_proto, data[0], slice_make(data + 1, size - 1));
    return 0;
}
