/* The table of configuration keys: the one place where a key, its default, range and documentation stand. */
#ifndef PROGRAM_CONFIG_KEYS_H
#define PROGRAM_CONFIG_KEYS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum config_kind { CONFIG_STR, CONFIG_U64, CONFIG_BYTES, CONFIG_MS, CONFIG_BOOL, CONFIG_ENUM };

struct config_key {
    const char *key;
    size_t offset; /* in struct config */
    enum config_kind kind;
    const char *fallback;
    uint64_t min; /* U64, BYTES, MS */
    uint64_t max;
    const char *choices; /* ENUM: "a|b|c" */
    const char *doc;
};

extern const struct config_key config_keys[];
extern const size_t config_keys_n;

#ifdef __cplusplus
}
#endif

#endif /* PROGRAM_CONFIG_KEYS_H */
