#include "frontend/smtp/smtp_trace.h"

#include <stdio.h>
#include <string.h>

#include "proto/message/message.h"

void smtp_trace_protocol(const struct smtp_trace *t, char out[16])
{
    const char *base = t->lmtp ? "LMTP" : t->utf8 ? "SMTP" : t->extended ? "ESMTP" : "SMTP";
    (void)snprintf(out, 16, "%s%s%s%s", t->utf8 ? "UTF8" : "", base, t->tls[0] != '\0' ? "S" : "",
                   t->authenticated ? "A" : "");
}

/* Client-chosen text inside a header: letters, digits and what names, literals and addresses are made of; octets above
 * 127 only when the message is SMTPUTF8. */
static enum err append_safe(struct buf *out, const char *z, bool utf8)
{
    static const char safe[] = "!#$%&'*+-/=?^_`{|}~.@:[]";
    for (; *z != '\0'; z++) {
        uint8_t c = (uint8_t)*z;
        bool word = (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
        bool keep = word || strchr(safe, c) != NULL || (c >= 0x80 && utf8);
        enum err err = buf_append_u8(out, keep ? c : '?');
        if (err != OK) {
            return err;
        }
    }
    return OK;
}

/* FROM clause. RFC 5321 wants it; on submission it would tell the world where the user sits, so there it is left out.
 */
static enum err append_from(const struct smtp_trace *t, struct buf *out)
{
    if (t->ip == NULL) {
        return OK;
    }
    enum err err = buf_append_str(out, " from ");
    if (err == OK) {
        err = append_safe(out, t->helo[0] != '\0' ? t->helo : "unknown", t->utf8);
    }
    if (err == OK) {
        err = buf_printf(out, " ([%s%s])\r\n\t", strchr(t->ip, ':') != NULL ? "IPv6:" : "", t->ip);
    }
    return err;
}

/* FOR clause: with one recipient only, so that blind copies stay blind. The mailbox went through the path grammar; a
 * quoted local part is left as it is. */
static enum err append_for(const struct smtp_trace *t, struct buf *out)
{
    return t->mailbox == NULL ? OK : buf_printf(out, "\r\n\tfor <%s>", t->mailbox);
}

static enum err append_by(const struct smtp_trace *t, struct buf *out)
{
    char protocol[16];
    smtp_trace_protocol(t, protocol);
    enum err err = buf_printf(out, "%sby %s with %s", t->ip == NULL ? " " : "", t->hostname, protocol);
    if (err == OK && t->tls[0] != '\0') {
        err = buf_printf(out, " (%s)", t->tls);
    }
    return err == OK ? buf_printf(out, "\r\n\tid %s", t->id) : err;
}

enum err smtp_trace_format(const struct smtp_trace *t, struct buf *out)
{
    char date[40];
    msg_date_format(t->now_s, date);
    enum err err = buf_printf(out, "Return-Path: <%s>\r\nReceived:", t->reverse_path);
    if (err == OK) {
        err = append_from(t, out);
    }
    if (err == OK) {
        err = append_by(t, out);
    }
    if (err == OK) {
        err = append_for(t, out);
    }
    return err == OK ? buf_printf(out, ";\r\n\t%s\r\n", date) : err;
}

enum err smtp_trace_date(int64_t now_s, struct buf *out)
{
    char date[40];
    msg_date_format(now_s, date);
    return buf_printf(out, "Date: %s\r\n", date);
}

enum err smtp_trace_message_id(const char *id, const char *hostname, struct buf *out)
{
    return buf_printf(out, "Message-ID: <%s@%s>\r\n", id, hostname);
}
