#include "proto/base/id.h"

void u128_hex(const struct u128 *v, char out[33])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(v->b); i++) {
        out[2 * i] = digits[v->b[i] >> 4];
        out[2 * i + 1] = digits[v->b[i] & 15];
    }
    out[32] = '\0';
}

/* 16 for what is no lower-case hex digit. */
static unsigned hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (unsigned)(c - 'a' + 10);
    }
    return 16;
}

enum err u128_from_hex(struct slice hex, struct u128 *out)
{
    struct u128 v;
    if (hex.n != 2 * sizeof(v.b)) {
        return ERR_INVAL;
    }
    for (size_t i = 0; i < sizeof(v.b); i++) {
        unsigned high = hex_value(hex.p[2 * i]);
        unsigned low = hex_value(hex.p[2 * i + 1]);
        if (high > 15 || low > 15) {
            return ERR_INVAL;
        }
        v.b[i] = (uint8_t)(high << 4 | low);
    }
    *out = v;
    return OK;
}
