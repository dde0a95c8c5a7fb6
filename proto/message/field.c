#include "proto/message/field.h"

#include "proto/message/message.h"

_Static_assert(MSG_FIELD_COUNT <= 64, "headers_cut has a bit for each");

struct field_name {
    const char *name;
    size_t bytes;
};

static const struct field_name names[MSG_FIELD_COUNT] = {
#define FIELD_NAME(id, text) [MSG_FIELD_##id] = {text, sizeof(text) - 1},
    MSG_FIELD_LIST(FIELD_NAME)
#undef FIELD_NAME
};

#define NAME_BYTES_MAX 31

/* The first field whose name has this length, plus one; 0 when there is none. */
static const uint8_t first_of_length[NAME_BYTES_MAX + 1] = {[2] = MSG_FIELD_CC + 1,
                                                            [3] = MSG_FIELD_BCC + 1,
                                                            [4] = MSG_FIELD_DATE + 1,
                                                            [5] = MSG_FIELD_LINES + 1,
                                                            [6] = MSG_FIELD_SENDER + 1,
                                                            [7] = MSG_FIELD_LIST_ID + 1,
                                                            [8] = MSG_FIELD_PRIORITY + 1,
                                                            [9] = MSG_FIELD_LIST_POST + 1,
                                                            [10] = MSG_FIELD_CONTENT_ID + 1,
                                                            [11] = MSG_FIELD_CONTENT_MD5 + 1,
                                                            [12] = MSG_FIELD_CHAT_VERSION + 1,
                                                            [13] = MSG_FIELD_BIMI_LOCATION + 1,
                                                            [14] = MSG_FIELD_BIMI_INDICATOR + 1,
                                                            [16] = MSG_FIELD_CONTENT_LANGUAGE + 1,
                                                            [17] = MSG_FIELD_X_K9MAIL_IDENTITY + 1,
                                                            [19] = MSG_FIELD_CONTENT_DESCRIPTION + 1,
                                                            [21] = MSG_FIELD_LIST_UNSUBSCRIBE_POST + 1,
                                                            [22] = MSG_FIELD_AUTHENTICATION_RESULTS + 1,
                                                            [25] = MSG_FIELD_CONTENT_TRANSFER_ENCODING + 1,
                                                            [27] = MSG_FIELD_DISPOSITION_NOTIFICATION_TO + 1,
                                                            [31] = MSG_FIELD_X_UNIVERSALLY_UNIQUE_IDENTIFIER + 1};

const char *msg_field_name(enum msg_field f)
{
    return f < MSG_FIELD_COUNT ? names[f].name : "";
}

static bool name_eq(const char *lower, struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        if ((uint8_t)lower[i] != ascii_lower(name.p[i])) {
            return false;
        }
    }
    return true;
}

enum msg_field msg_field_find(struct slice name)
{
    if (name.n > NAME_BYTES_MAX || first_of_length[name.n] == 0) {
        return MSG_FIELD_OTHER;
    }
    for (unsigned i = first_of_length[name.n] - 1u; i < MSG_FIELD_COUNT && names[i].bytes == name.n; i++) {
        if (name_eq(names[i].name, name)) {
            return (enum msg_field)i;
        }
    }
    return MSG_FIELD_OTHER;
}

void msg_fields_read(struct msg_fields *f, struct slice block)
{
    memset(f, 0, sizeof(*f));
    f->block = block;
    struct slice name;
    struct slice value;
    struct slice line;
    while (msg_header_next(&block, &name, &value, &line)) {
        enum msg_field id = msg_field_find(name);
        if (id == MSG_FIELD_OTHER) {
            continue;
        }
        if (f->value[id].p == NULL) {
            f->value[id] = value;
        } else {
            f->repeated |= UINT64_C(1) << id;
        }
    }
}
