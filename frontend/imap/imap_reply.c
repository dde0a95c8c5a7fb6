#include "frontend/imap/imap_fetch_item.h"
#include "frontend/imap/imap_session.h"
#include "frontend/imap/imap_status.h"
#include "proto/base/assert.h"
#include "proto/base/mem.h"

static enum err set_reply(struct imap_command *cmd, enum imap_status status, const char *code, const char *text)
{
    cmd->reply = (struct imap_reply){.status = status, .code = code, .text = text};
    return OK;
}

enum err imap_no(struct imap_command *cmd, const char *code, const char *text)
{
    return set_reply(cmd, IMAP_STATUS_NO, code, text);
}

enum err imap_bad(struct imap_command *cmd, const char *text)
{
    return set_reply(cmd, IMAP_STATUS_BAD, NULL, text);
}

enum err imap_ok(struct imap_command *cmd, const char *code, const char *text)
{
    return set_reply(cmd, IMAP_STATUS_OK, code, text);
}

void imap_write_reply(struct imap_session *s, struct slice tag, const struct imap_cmd *cmd,
                      const struct imap_reply *reply)
{
    static const char *const words[] = {" OK ", " NO ", " BAD "};
    if (tag.n == 0) {
        imap_out_char(&s->out, '*');
    } else {
        imap_out_slice(&s->out, tag);
    }
    imap_out_str(&s->out, words[reply->status]);
    if (reply->code != NULL) {
        imap_out_char(&s->out, '[');
        imap_out_str(&s->out, reply->code);
        imap_out_str(&s->out, "] ");
    }
    if (reply->text != NULL) {
        imap_out_str(&s->out, reply->text);
    } else {
        imap_out_str(&s->out, cmd == NULL ? "Command" : cmd->name);
        imap_out_str(&s->out, reply->status == IMAP_STATUS_OK ? " completed" : " failed");
    }
    imap_out_str(&s->out, "\r\n");
}

void imap_bye(struct imap_session *s, const char *text, const char *reason)
{
    if (s->ended) {
        return;
    }
    imap_out_str(&s->out, "* BYE ");
    imap_out_str(&s->out, text);
    imap_out_str(&s->out, "\r\n");
    s->ended = true;
    s->end_reason = reason;
}

enum err imap_wait_begin(struct imap_session *s, const struct imap_command *cmd)
{
    ASSERT(s->pending == NULL);
    struct imap_pending *p = mem_zalloc(sizeof(*p) + cmd->tag.n + 1);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->tag = (char *)(p + 1);
    memcpy(p->tag, cmd->tag.p, cmd->tag.n);
    buf_init(&p->user, 1024);
    s->pending = p;
    return OK;
}

void imap_wait_line(struct imap_session *s, const char *text,
                    enum err (*line)(struct imap_session *s, struct slice line))
{
    ASSERT(s->pending != NULL);
    s->line = line;
    imap_out_str(&s->out, "+ ");
    imap_out_str(&s->out, text);
    imap_out_str(&s->out, "\r\n");
}

void imap_line_done(struct imap_session *s, const struct imap_reply *reply)
{
    struct imap_pending *p = s->pending;
    ASSERT(p != NULL);
    imap_write_reply(s, slice_str(p->tag), NULL, reply);
    buf_fini(&p->user);
    mem_free(p);
    s->pending = NULL;
    s->line = NULL;
}

/* Adds each word. */
static enum err add_words(const struct imap_session *s, const char *words, struct buf *out)
{
    struct slice rest = slice_str(words);
    while (rest.n > 0) {
        size_t n = slice_find(rest, ' ');
        struct slice word = slice_sub(rest, 0, n);
        rest = slice_sub(rest, n + 1, rest.n);
        enum err e = buf_append_u8(out, ' ');
        e = e == OK ? buf_append_slice(out, word) : e;
        /* "APPENDLIMIT=" wants its number (RFC 7889). */
        if (e == OK && word.n > 0 && word.p[word.n - 1] == '=') {
            e = buf_append_u64_dec(out, s->cfg->limits.message_bytes_max);
        }
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

static enum err capabilities(const struct imap_session *s, struct buf *out)
{
    enum err e = buf_append_str(out, "CAPABILITY IMAP4rev1");
    for (size_t i = 0; e == OK && imap_cmd_table[i] != NULL; i++) {
        const struct imap_cmd *c = imap_cmd_table[i];
        if (c->capability != NULL && (c->capable == NULL || c->capable(s))) {
            e = add_words(s, c->capability, out);
        }
    }
    for (size_t i = 0; e == OK && imap_fetch_table[i] != NULL; i++) {
        e = imap_fetch_table[i]->capability == NULL ? OK : add_words(s, imap_fetch_table[i]->capability, out);
    }
    for (size_t i = 0; e == OK && imap_status_table[i] != NULL; i++) {
        e = imap_status_table[i]->capability == NULL ? OK : add_words(s, imap_status_table[i]->capability, out);
    }
    return e;
}

const char *imap_capabilities(const struct imap_session *s, struct arena *arena)
{
    struct buf b;
    buf_init(&b, 4096);
    const char *text = capabilities(s, &b) == OK ? arena_slice_str(arena, buf_slice(&b)) : NULL;
    buf_fini(&b);
    return text;
}
