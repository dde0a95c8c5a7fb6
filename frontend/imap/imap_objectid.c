#include "frontend/imap/imap_objectid.h"

void imap_objectid_text(char kind, struct slice id, char out[IMAP_OBJECTID_TEXT_BYTES])
{
    struct u128 v = {{0}};
    if (id.n == sizeof(v.b)) {
        memcpy(v.b, id.p, sizeof(v.b));
    }
    out[0] = kind;
    u128_hex(&v, out + 1);
}

void imap_out_objectid(struct imap_out *o, char kind, struct slice id)
{
    char text[IMAP_OBJECTID_TEXT_BYTES];
    imap_objectid_text(kind, id, text);
    imap_out_char(o, '(');
    imap_out_str(o, text);
    imap_out_char(o, ')');
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-") */
bool imap_parse_objectid(struct imap_cursor *c, char kind, struct u128 *out, bool *out_known)
{
    struct slice text;
    if (!imap_parse_astring(c, &text)) {
        return false;
    }
    *out = (struct u128){{0}};
    *out_known = text.n == 33 && text.p[0] == (uint8_t)kind && u128_from_hex(slice_sub(text, 1, 33), out) == OK;
    return true;
}
