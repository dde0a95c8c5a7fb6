#include "proto/message/envelope.h"

#include "proto/message/message.h"

struct span {
    size_t off;
    size_t n;
};

static void write_text(struct msg_out *o, const struct msg_fields *f, enum msg_field id, size_t bytes_max)
{
    struct slice v = f->value[id];
    msg_out_nstring(o, v.p == NULL ? v : msg_trim(v), bytes_max);
}

static void add_repeated(struct msg_address_list *l, struct slice block, enum msg_field id)
{
    struct slice name;
    struct slice value;
    struct slice line;
    while (!l->full && msg_header_next(&block, &name, &value, &line)) {
        if (msg_field_find(name) == id) {
            msg_address_list_add(l, value);
        }
    }
}

/* To, Cc and Bcc may come several times and add up (RFC 5322, 4.5.3). Of From, Sender and Reply-To the first counts. */
static struct span write_list(struct msg_out *o, const struct msg_fields *f, enum msg_field id,
                              struct msg_address *scratch, size_t bytes_max)
{
    struct span s = {o->b->len, 0};
    bool adds_up = id == MSG_FIELD_TO || id == MSG_FIELD_CC || id == MSG_FIELD_BCC;
    struct msg_address_list l;
    msg_address_list_begin(&l, o, scratch, bytes_max);
    if (adds_up && (f->repeated >> id & 1) != 0) {
        add_repeated(&l, f->block, id);
    } else if (f->value[id].p != NULL) {
        msg_address_list_add(&l, f->value[id]);
    }
    msg_address_list_end(&l);
    s.n = o->b->len - s.off;
    return s;
}

/* Copies bytes that stand in the buffer already; it may move while it grows. */
static void write_copy(struct msg_out *o, struct span s)
{
    uint8_t *to;
    if (o->err == OK) {
        o->err = buf_reserve(o->b, s.n, &to);
    }
    if (o->err == OK) {
        memcpy(to, buf_slice(o->b).p + s.off, s.n);
        buf_commit(o->b, s.n);
    }
}

/* Sender and Reply-To default to From: absent, or without an address. */
static void write_list_or_from(struct msg_out *o, const struct msg_fields *f, enum msg_field id,
                               struct msg_address *scratch, size_t bytes_max, struct span from)
{
    size_t before = o->b->len;
    struct span s = {before, 0};
    if (f->value[id].p != NULL) {
        s = write_list(o, f, id, scratch, bytes_max);
    }
    if (o->err == OK && s.n <= sizeof("NIL") - 1) {
        buf_truncate(o->b, before);
        write_copy(o, from);
    }
}

void msg_envelope_write(struct msg_out *o, const struct msg_fields *f, struct msg_address *scratch, size_t bytes_max)
{
    size_t start = o->b->len;
    size_t eighth = bytes_max / 8;
    msg_out_u8(o, '(');
    write_text(o, f, MSG_FIELD_DATE, 128);
    msg_out_u8(o, ' ');
    write_text(o, f, MSG_FIELD_SUBJECT, eighth + eighth / 2);
    msg_out_u8(o, ' ');
    struct span from = write_list(o, f, MSG_FIELD_FROM, scratch, eighth);
    msg_out_u8(o, ' ');
    write_list_or_from(o, f, MSG_FIELD_SENDER, scratch, eighth, from);
    msg_out_u8(o, ' ');
    write_list_or_from(o, f, MSG_FIELD_REPLY_TO, scratch, eighth, from);
    /* What is left, but for In-Reply-To, Message-ID and the punctuation, is for the recipients; To may take three
     * quarters. */
    size_t used = o->b->len - start + 2 * eighth + 16;
    size_t left = used < bytes_max ? bytes_max - used : 0;
    msg_out_u8(o, ' ');
    struct span to = write_list(o, f, MSG_FIELD_TO, scratch, left - left / 4);
    left = to.n < left ? left - to.n : 0;
    msg_out_u8(o, ' ');
    struct span cc = write_list(o, f, MSG_FIELD_CC, scratch, left - left / 4);
    left = cc.n < left ? left - cc.n : 0;
    msg_out_u8(o, ' ');
    (void)write_list(o, f, MSG_FIELD_BCC, scratch, left);
    msg_out_u8(o, ' ');
    write_text(o, f, MSG_FIELD_IN_REPLY_TO, eighth);
    msg_out_u8(o, ' ');
    write_text(o, f, MSG_FIELD_MESSAGE_ID, eighth);
    msg_out_u8(o, ')');
}
