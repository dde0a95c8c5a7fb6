#include "proto/base/err.h"

#include <stddef.h>

static const char *const texts[] = {
#define ERR_TEXT(name, number, text) [number] = text,
    ERR_LIST(ERR_TEXT)
#undef ERR_TEXT
};

static const char *const names[] = {
#define ERR_NAME(name, number, text) [number] = #name,
    ERR_LIST(ERR_NAME)
#undef ERR_NAME
};

_Static_assert(sizeof(names) / sizeof(names[0]) == ERR_MAX + 1, "ERR_MAX is the last number");

const char *err_text(enum err e)
{
    return (unsigned)e <= ERR_MAX && texts[e] != NULL ? texts[e] : "unknown error";
}

const char *err_name(enum err e)
{
    return (unsigned)e <= ERR_MAX && names[e] != NULL ? names[e] : "ERR_UNKNOWN";
}

enum err err_from_wire(unsigned number)
{
    return number <= ERR_MAX && names[number] != NULL ? (enum err)number : ERR_CORRUPT;
}
