/* A message as people get them: trace and signature headers, multipart/alternative with a text and an HTML part, and an
 * attachment when there is room. Made once; before each use its counters (Message-ID, Subject, sender, a line of each
 * part) are overwritten in place. No line starts with a dot, so that SMTP and IMAP send the same bytes. */
#ifndef BENCH_LOAD_MAIL_H
#define BENCH_LOAD_MAIL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MAIL_PATCHES_MAX = 16, MAIL_BYTES_MIN = 2048 };

struct mail {
    char *bytes; /* size_bytes + 3: ".\r\n" follows, for SMTP */
    size_t size_bytes;
    size_t patches_n;
    struct mail_patch {
        size_t at;
        unsigned digits;
        uint64_t modulus;
    } patches[MAIL_PATCHES_MAX];
};

/* size_bytes >= MAIL_BYTES_MIN; seed makes the text differ. Ends the program when memory is out. */
void mail_init(struct mail *m, size_t size_bytes, uint64_t seed);
void mail_fini(struct mail *m);
void mail_vary(struct mail *m, uint64_t number);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_LOAD_MAIL_H */
