/* Cuts a client's byte stream into commands: lines with their literals (RFC 3501, 4.3; RFC 7888). Pure and resumable:
 * any split of the input gives the same commands. One frame belongs to one session; the text of the current command is
 * its only memory.
 *
 * A literal is announced to the caller before its bytes are taken, so that a synchronizing one can be answered ("+
 * OK"), refused, or, for APPEND, streamed past the frame. What is refused or too long is skipped without being kept,
 * literals included, so that no part of it is ever read as a command. */
#ifndef FRONTEND_IMAP_IMAP_FRAME_H
#define FRONTEND_IMAP_IMAP_FRAME_H

#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum imap_frame_status {
    IMAP_FRAME_MORE,    /* all input was taken; the command is not complete */
    IMAP_FRAME_LITERAL, /* frame->text ends in a literal's header: call accept, refuse or detach */
    IMAP_FRAME_DONE,    /* frame->text is a command, without its line end: call next when it was run */
    IMAP_FRAME_TOO_LONG /* the same for a command over the limit; text holds its beginning only */
};

#define IMAP_FRAME_TAIL_BYTES 24

struct imap_frame {
    struct buf text;
    uint64_t literal_bytes; /* of the literal just announced */
    bool literal_sync;      /* the client waits for "+" */
    uint32_t literals;      /* seen in this command */
    /* private */
    uint64_t left;                       /* literal bytes still to come */
    bool cut;                            /* too long: skip, keep nothing more */
    bool silent;                         /* refused and already answered: skip without reporting */
    uint8_t tail[IMAP_FRAME_TAIL_BYTES]; /* the last bytes of the present line */
    size_t tail_n;
};

void imap_frame_init(struct imap_frame *f, size_t text_bytes_max);
/* Another limit, from the next command on. */
void imap_frame_limit(struct imap_frame *f, size_t text_bytes_max);
void imap_frame_fini(struct imap_frame *f);

/* Takes bytes; *out_consumed says how many. ERR_NOMEM is the only error (then the session ends). */
MUST_CHECK enum err imap_frame_feed(struct imap_frame *f, struct slice in, size_t *out_consumed,
                                    enum imap_frame_status *out_status);
/* The announced literal is collected into text. */
void imap_frame_accept(struct imap_frame *f);
/* The command was answered BAD or NO: the rest of it, if any is coming, is skipped without a word. */
void imap_frame_refuse(struct imap_frame *f);
/* The caller takes the literal's bytes and the line's end itself; the frame is ready for the next command. */
void imap_frame_detach(struct imap_frame *f);
/* Forgets the command and its memory. */
void imap_frame_next(struct imap_frame *f);
/* True between commands: nothing of a next one has come yet. */
bool imap_frame_idle(const struct imap_frame *f);

/* "{123}", "{123+}" or "~{123}" at the end of a line (without its line end). */
bool imap_literal_header(struct slice line, uint64_t *out_bytes, bool *out_sync);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_FRAME_H */
