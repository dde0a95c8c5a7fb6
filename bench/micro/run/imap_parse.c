#include "bench/micro/micro.h"
#include "frontend/imap/imap_cmd.h"
#include "frontend/imap/imap_frame.h"
#include "proto/base/mem.h"

#define TEXT_BYTES_MAX ((size_t)64 * 1024)
#define ARENA_BYTES_MAX ((size_t)1 << 20)

/* What a client says in an hour, more or less. */
static const char *const commands[] = {
    "a001 NOOP\r\n",
    "a002 SELECT \"Projects/House\"\r\n",
    "a003 UID FETCH 1:* (FLAGS)\r\n",
    "a004 UID FETCH 4821:4830 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date "
    "Message-ID)])\r\n",
    "a005 UID FETCH 4830 (UID BODY.PEEK[1.2]<0.65536>)\r\n",
    "a006 UID STORE 4821,4823,4825:4830 +FLAGS.SILENT (\\Seen $Forwarded)\r\n",
    "a007 UID SEARCH RETURN (ALL) UNDELETED SINCE 1-Nov-2026 OR FROM \"alice\" SUBJECT \"plan for the week\"\r\n",
    "a008 UID COPY 4821:4830 \"Archive\"\r\n",
    "a009 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)\r\n",
    "a010 LIST \"\" \"*\"\r\n",
};

struct stream {
    struct imap_frame frame;
    struct arena arena;
};

static void *parse_open(void)
{
    struct stream *s = mem_zalloc(sizeof(*s));
    MICRO_MUST(s != NULL);
    imap_frame_init(&s->frame, TEXT_BYTES_MAX);
    arena_init(&s->arena, ARENA_BYTES_MAX);
    return s;
}

static void parse_one(struct stream *s, struct slice in)
{
    size_t taken;
    enum imap_frame_status status;
    struct imap_command cmd;
    MICRO_OK(imap_frame_feed(&s->frame, in, &taken, &status));
    MICRO_MUST(status == IMAP_FRAME_DONE && taken == in.n);
    MICRO_MUST(imap_command_parse(buf_slice(&s->frame.text), IMAP_STATE_SELECTED, &imap_limits_default, &s->arena,
                                  &cmd) == IMAP_PARSED_OK);
    arena_reset(&s->arena);
    imap_frame_next(&s->frame);
}

static void parse_run(void *state)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        parse_one(state, slice_str(commands[i]));
    }
}

static void parse_close(void *state)
{
    struct stream *s = state;
    imap_frame_fini(&s->frame);
    arena_fini(&s->arena);
    mem_free(s);
}

MICRO(imap_parse) = {
    .name = "imap_parse",
    .op = "frame and parse ten commands",
    .iterations = 50,
    .open = parse_open,
    .run = parse_run,
    .close = parse_close,
};
